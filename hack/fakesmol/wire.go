package fakesmol

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// request is one line to a machine's process; exec sends descriptors along.
type request struct {
	Op      string // ping, stop, exec
	Argv    []string
	Env     []string
	Dir     string
	Detach  bool
	Timeout time.Duration
}

// reply is the one line that comes back.
type reply struct {
	Code     int
	PID      int
	TimedOut bool
	Error    string
}

// probeLimit is how long a machine has to answer; smolvm's own is three seconds.
const probeLimit = 1500 * time.Millisecond

func (s *state) answers(name string) bool {
	_, err := s.ask(name, request{Op: "ping"}, nil, probeLimit)
	return err == nil
}

var errNotRunning = errors.New("not running")

// ask sends a request; limit 0 waits as long as it takes.
func (s *state) ask(name string, q request, files []*os.File, limit time.Duration) (reply, error) {
	// The name of a socket ends at 108 bytes: go by the directory's descriptor.
	dir, err := os.Open(s.home(name))
	if err != nil {
		return reply{}, errNotRunning
	}
	defer dir.Close()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: under(dir, "agent.sock")})
	if err != nil {
		return reply{}, errNotRunning
	}
	defer conn.Close()
	if limit > 0 {
		if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
			return reply{}, err
		}
	}
	b, err := json.Marshal(q)
	if err != nil {
		return reply{}, err
	}
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	// The descriptors travel with the first byte, the rest follows in a stream.
	if _, _, err := conn.WriteMsgUnix([]byte{'{'}, syscall.UnixRights(fds...), nil); err != nil {
		return reply{}, err
	}
	if _, err := conn.Write(append(b[1:], '\n')); err != nil {
		return reply{}, err
	}
	var r reply
	if err := json.NewDecoder(conn).Decode(&r); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the agent closed the connection")
		}
		return reply{}, err
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}
