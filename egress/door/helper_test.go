package door

import (
	"bufio"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// deadline bounds every wait of a test.
const deadline = 10 * time.Second

// sidecar is the far side of a door: a real unix socket, and a handler that
// gets each connection after its preface.
type sidecar struct {
	socket string
	ln     *net.UnixListener
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func startSidecar(t *testing.T, handle func(service string, conn *net.UnixConn)) *sidecar {
	t.Helper()
	dir, err := os.MkdirTemp("", "door") //nolint:usetesting // a socket path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &sidecar{socket: filepath.Join(dir, "s")}
	s.ln, err = net.ListenUnix("unix", &net.UnixAddr{Name: s.socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	s.wg.Go(func() {
		for {
			conn, err := s.ln.AcceptUnix()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			s.wg.Go(func() {
				defer conn.Close()
				handle(readPreface(conn), conn)
			})
		}
	})
	t.Cleanup(s.kill)
	return s
}

// kill ends the sidecar as SIGKILL would: listener and connections at once.
func (s *sidecar) kill() {
	_ = s.ln.Close()
	s.mu.Lock()
	for _, conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func readPreface(conn net.Conn) string {
	var line []byte
	for b := make([]byte, 1); len(line) < 64; {
		if _, err := conn.Read(b); err != nil || b[0] == '\n' {
			break
		}
		line = append(line, b[0])
	}
	return strings.TrimPrefix(string(line), "bb1 ")
}

// startDoor serves listens on free ports and returns their addresses in order.
func startDoor(t *testing.T, opts Options) *door {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	d, err := open(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.serve(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(deadline):
			t.Error("the door does not close")
		}
	})
	return d
}

func tcpDoor(t *testing.T, socket string) string {
	t.Helper()
	d := startDoor(t, Options{Socket: socket, Listens: []Listen{{"tcp", "127.0.0.1:0", "proxy"}}})
	return d.tcp[0].Addr().String()
}

func dialTCP(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// lines sends each line of r on a channel.
func lines(r *bufio.Scanner) <-chan string {
	out := make(chan string, 16)
	go func() {
		defer close(out)
		for r.Scan() {
			out <- r.Text()
		}
	}()
	return out
}
