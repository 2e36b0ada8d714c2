package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// listen reads frames and never waits for the command, so that it sees the end
// of the client whatever the command does.
func (s *supervisor) listen() {
	d := decoder{kinds: string([]byte{frameData, frameEnd, frameResize}), handle: s.frame}
	buffer := make([]byte, 64<<10)
	for {
		n, err := os.Stdin.Read(buffer)
		if err == nil {
			err = d.feed(buffer[:n])
		}
		if err != nil {
			s.hangup()
			return
		}
	}
}

func (s *supervisor) frame(kind byte, payload []byte) error {
	switch kind {
	case frameData:
		return s.input.add(payload)
	case frameEnd:
		s.input.end()
	case frameResize:
		if s.master != nil {
			return setSize(s.master, sizeOf(payload))
		}
	}
	return nil
}

// feed hands the input to the command. What a command does not want any more
// is dropped, so that the client can finish.
func (s *supervisor) feed() {
	wanted := true
	for {
		chunk, ok := s.input.next()
		if !ok {
			break
		}
		if wanted {
			_, err := s.stdin.Write(chunk)
			wanted = err == nil
		}
		if s.say(frameTaken, binary.BigEndian.AppendUint32(nil, uint32(len(chunk)))) != nil {
			return
		}
	}
	if s.master != nil {
		_, _ = s.master.Write([]byte{endOfFile(s.master)})
		return
	}
	_ = s.stdin.Close()
}

// input is what came for the command and did not reach it yet.
type input struct {
	mu    sync.Mutex
	moved sync.Cond
	data  []byte
	ended bool
}

func (i *input) add(p []byte) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended || len(i.data)+len(p) > Window {
		return fmt.Errorf("%w: more input than the window", ErrFrame)
	}
	i.data = append(i.data, p...)
	i.moved.Signal()
	return nil
}

func (i *input) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = true
	i.moved.Signal()
}

// next takes what is there, up to a pipe's worth; false at the end.
func (i *input) next() ([]byte, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for len(i.data) == 0 && !i.ended {
		i.moved.Wait()
	}
	p := i.data[:min(len(i.data), 32<<10)]
	i.data = i.data[len(p):]
	return p, len(p) > 0
}

// idle is how long output may fail to come once the command has ended and
// something else still holds the other end. What the command wrote is in the
// kernel by then, and that is not more than held.
const (
	idle = 50 * time.Millisecond
	held = 256 << 10
)

// pump copies output until it ends; after the command's end, what is left.
func (s *supervisor) pump(from *os.File, write func([]byte) error) {
	defer s.pumps.Done()
	go func() {
		<-s.over
		_ = from.SetReadDeadline(time.Now()) // wakes the read below
	}()
	buffer := make([]byte, 32<<10)
	for left, last := held, false; left > 0; {
		n, err := from.Read(buffer)
		if n > 0 && write(buffer[:n]) != nil {
			s.hangup()
			return
		}
		if last {
			left -= n
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && !last {
			last, err = true, nil
		}
		if last {
			_ = from.SetReadDeadline(time.Now().Add(idle))
		}
		if err != nil { // end of file, and EIO of a terminal without programs
			return
		}
	}
}

func toStdout(p []byte) error {
	_, err := os.Stdout.Write(p)
	return err
}

func (s *supervisor) toStderr(p []byte) error { return s.say(frameError, p) }
