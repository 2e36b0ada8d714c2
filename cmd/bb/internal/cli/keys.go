package cli

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// keys reads a terminal and can be told to stop: a read that goes on would
// swallow what is typed after the session.
type keys struct {
	fd     int
	gone   func() // the terminal has ended
	wake   *os.File
	woken  *os.File
	mu     sync.Mutex // held while reading
	closed sync.Once
}

func newKeys(fd int, gone func()) (*keys, error) {
	woken, wake, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &keys{fd: fd, gone: gone, wake: wake, woken: woken}, nil
}

// Read waits for keys; after discard or close it is at its end.
func (k *keys) Read(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		// select, as poll knows no terminals on darwin
		stop, err := k.wait(k.woken, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || stop {
			return 0, os.ErrClosed
		}
		n, err := unix.Read(k.fd, p)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
			continue
		}
		if n <= 0 || err != nil {
			k.gone()
			return 0, io.EOF
		}
		return n, nil
	}
}

// wait returns when the terminal can be read, or stop or the time is up.
func (k *keys) wait(stop *os.File, limit *unix.Timeval) (stopped bool, err error) {
	var set unix.FdSet
	set.Set(k.fd)
	most := k.fd
	if stop != nil {
		set.Set(int(stop.Fd()))
		most = max(most, int(stop.Fd()))
	}
	n, err := unix.Select(most+1, &set, nil, nil, limit)
	if err != nil {
		return false, err
	}
	return n == 0 || stop != nil && set.IsSet(int(stop.Fd())), nil
}

// discard ends Read and drops what comes within d.
func (k *keys) discard(d time.Duration) {
	k.stop()
	k.mu.Lock()
	defer k.mu.Unlock()
	var waste [512]byte
	for end := time.Now().Add(d); ; {
		left := unix.NsecToTimeval(int64(max(0, time.Until(end))))
		up, err := k.wait(nil, &left)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || up {
			return
		}
		if n, err := unix.Read(k.fd, waste[:]); n <= 0 || err != nil {
			return
		}
	}
}

func (k *keys) stop() { k.closed.Do(func() { _ = k.wake.Close() }) }

func (k *keys) close() {
	k.stop()
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = k.woken.Close()
}
