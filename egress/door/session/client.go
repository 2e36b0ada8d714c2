package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

var (
	// ErrBusy says that another session has the name.
	ErrBusy = errors.New("a session of this name lives")
	// ErrNotStarted says that the supervisor ended before it had begun.
	ErrNotStarted = errors.New("the session did not start")
	errClosed     = errors.New("the session is closed")
)

// Client is the host's end of a session. The driver copies the supervisor's
// standard output by itself, hands its standard error to Write, and closes the
// stream to end the session before its command does.
type Client struct {
	mu     sync.Mutex // of what is below
	moved  sync.Cond
	under  int // bytes of input under way
	begun  bool
	busy   bool
	closed bool

	write   sync.Mutex // one frame at a time
	to      io.Writer
	stderr  io.Writer
	decoder decoder
}

// NewClient returns the end that writes frames to the bottle to to, and what
// the command says on standard error to stderr.
func NewClient(to, stderr io.Writer) *Client {
	c := &Client{to: to, stderr: stderr}
	c.moved.L = &c.mu
	c.decoder = decoder{kinds: string([]byte{frameStarted, frameBusy, frameError, frameTaken}), handle: c.frame}
	return c
}

// Write takes what the supervisor says on standard error. It fails at the
// first byte that is not in the form: it comes from a hostile place.
func (c *Client) Write(p []byte) (int, error) {
	if err := c.decoder.feed(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *Client) frame(kind byte, payload []byte) error {
	if kind == frameError {
		_, err := c.stderr.Write(payload)
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch kind {
	case frameStarted:
		c.begun = true
	case frameBusy:
		c.busy = true
	case frameTaken:
		n := binary.BigEndian.Uint32(payload)
		if int64(n) > int64(c.under) {
			return fmt.Errorf("%w: %d bytes taken of %d", ErrFrame, n, c.under)
		}
		c.under -= int(n)
		c.moved.Broadcast()
	}
	return nil
}

// Input sends what r has, and that it ended. It returns when it is done or the
// session is closed, but does not interrupt a read.
func (c *Client) Input(r io.Reader) error {
	buffer := make([]byte, 32<<10)
	for r != nil {
		n, err := r.Read(buffer)
		if n > 0 {
			if err := c.reserve(n); err != nil {
				return err
			}
			if err := c.send(frameData, buffer[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	return c.send(frameEnd, nil)
}

// reserve waits until n more bytes fit into the window.
func (c *Client) reserve(n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.under+n > Window && !c.closed {
		c.moved.Wait()
	}
	if c.closed {
		return errClosed
	}
	c.under += n
	return nil
}

// Resize tells the terminal's new size.
func (c *Client) Resize(s Size) error { return c.send(frameResize, s.bytes()) }

func (c *Client) send(kind byte, payload []byte) error {
	c.write.Lock()
	defer c.write.Unlock()
	_, err := c.to.Write(appendFrame(make([]byte, 0, headerSize+len(payload)), kind, payload))
	return err
}

// Started reports whether the supervisor has said so.
func (c *Client) Started() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.begun
}

// Close ends Input, and says what became of a session whose streams have
// ended: nil, ErrBusy or ErrNotStarted.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.moved.Broadcast()
	switch {
	case c.begun:
		return nil
	case c.busy:
		return ErrBusy
	}
	return ErrNotStarted
}
