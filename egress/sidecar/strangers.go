package sidecar

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxStrangers are connected at once without having shown the key.
	maxStrangers = 128
	keyTimeout   = 5 * time.Second
	keyWord      = "key "
)

var errNoKey = errors.New("this sidecar takes commands with its key only")

// strangers keeps those who want to command a sidecar of the host to who has
// its key: other processes of its user reach the socket. There is always room
// for one more, who shows it at once: the oldest stranger goes.
type strangers struct {
	key string // "" admits everybody

	mu   sync.Mutex
	here []*net.UnixConn
}

// admit reads the key, which is the first line where there is one.
func (s *strangers) admit(conn *net.UnixConn) error {
	if s.key == "" {
		return nil
	}
	s.enter(conn)
	defer s.leave(conn)
	if err := conn.SetReadDeadline(time.Now().Add(keyTimeout)); err != nil {
		return err
	}
	word, err := readPreface(conn)
	key, ok := strings.CutPrefix(word, keyWord)
	if err != nil || !ok || subtle.ConstantTimeCompare([]byte(key), []byte(s.key)) != 1 {
		return errNoKey
	}
	return nil
}

func (s *strangers) enter(conn *net.UnixConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.here) >= maxStrangers {
		_ = s.here[0].Close()
		s.here = s.here[1:]
	}
	s.here = append(s.here, conn)
}

func (s *strangers) leave(conn *net.UnixConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.here = slices.DeleteFunc(s.here, func(c *net.UnixConn) bool { return c == conn })
}

// Control is how the host reaches a sidecar.
type Control struct {
	Socket string
	// Key is what it wants to hear first: see egress.NewControlKey. "" says
	// nothing, to a sidecar whose socket nobody else can reach.
	Key string
}

// command is the head of a connection.
func (c Control) command(verb string) string {
	line := "bb1 " + verb + "\n"
	if c.Key != "" {
		line = "bb1 " + keyWord + c.Key + "\n" + line
	}
	return line
}

// send writes it, with what follows.
func (c Control) send(conn io.Writer, verb, format string, args ...any) error {
	_, err := fmt.Fprint(conn, c.command(verb)+fmt.Sprintf(format, args...))
	return err
}
