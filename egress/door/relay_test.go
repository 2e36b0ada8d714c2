package door

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestServicesReachTheSidecarByName(t *testing.T) {
	far := startSidecar(t, func(service string, conn *net.UnixConn) {
		fmt.Fprintf(conn, "you are %s", service)
	})
	var listens []Listen
	for _, l := range Listens() {
		if l.Network == "tcp" {
			listens = append(listens, Listen{"tcp", "127.0.0.1:0", l.Service})
		}
	}
	d := startDoor(t, Options{Socket: far.socket, Listens: listens})
	for i, l := range listens {
		got, err := io.ReadAll(dialTCP(t, d.tcp[i].Addr().String()))
		if want := "you are " + l.Service; err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
}

func TestHalfCloseFromTheClient(t *testing.T) {
	far := startSidecar(t, func(_ string, conn *net.UnixConn) {
		all, err := io.ReadAll(conn) // ends only when the client's end arrives
		fmt.Fprintf(conn, "%d bytes, %v", len(all), err)
	})
	conn := dialTCP(t, tcpDoor(t, far.socket))
	if _, err := io.WriteString(conn, strings.Repeat("x", 100_000)); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != "100000 bytes, <nil>" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestHalfCloseFromTheSidecar(t *testing.T) {
	received := make(chan string, 1)
	far := startSidecar(t, func(_ string, conn *net.UnixConn) {
		_ = conn.CloseWrite()
		all, _ := io.ReadAll(conn)
		received <- string(all)
	})
	conn := dialTCP(t, tcpDoor(t, far.socket))
	if got, err := io.ReadAll(conn); err != nil || len(got) != 0 {
		t.Fatalf("got %q, %v; want an end", got, err)
	}
	if _, err := io.WriteString(conn, "still here"); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	select {
	case got := <-received:
		if got != "still here" {
			t.Errorf("got %q", got)
		}
	case <-time.After(deadline):
		t.Error("nothing received")
	}
}

// An answer that came before the sidecar stopped reading arrives whole.
func TestEarlyAnswerSurvivesAnUnreadUpload(t *testing.T) {
	far := startSidecar(t, func(_ string, conn *net.UnixConn) {
		_, _ = io.WriteString(conn, "403")
		_ = conn.CloseWrite()
		_ = conn.CloseRead()
		time.Sleep(200 * time.Millisecond)
	})
	conn := dialTCP(t, tcpDoor(t, far.socket))
	go func() { _, _ = io.Copy(conn, &zeros{left: 10 << 20}) }()
	got := make([]byte, 3)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "403" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestClientResetReachesTheSidecar(t *testing.T) {
	ended := make(chan struct{})
	far := startSidecar(t, func(_ string, conn *net.UnixConn) {
		defer close(ended)
		_, _ = io.Copy(io.Discard, conn)
	})
	conn := dialTCP(t, tcpDoor(t, far.socket))
	if _, err := io.WriteString(conn, "x"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	reset(conn)
	select {
	case <-ended:
	case <-time.After(deadline):
		t.Error("the sidecar's connection outlives the client's")
	}
}

// zeros is left bytes long.
type zeros struct{ left int }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), z.left)
	clear(p[:n])
	z.left -= n
	return n, nil
}

func TestBulkInConstantMemory(t *testing.T) {
	const size = 200 << 20
	far := startSidecar(t, func(_ string, conn *net.UnixConn) {
		_, _ = io.Copy(struct{ io.Writer }{conn}, struct{ io.Reader }{conn}) // echo
		_ = conn.CloseWrite()
	})
	conn := dialTCP(t, tcpDoor(t, far.socket))
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)

	sent, received := sha256.New(), sha256.New()
	go func() {
		_, _ = io.Copy(io.MultiWriter(conn, sent), &zeros{left: size})
		_ = conn.CloseWrite()
	}()
	var peak uint64
	var total int64
	for buf := make([]byte, 1<<20); ; {
		n, err := conn.Read(buf)
		received.Write(buf[:n])
		if total += int64(n); total%(20<<20) < int64(n) {
			runtime.ReadMemStats(&during)
			peak = max(peak, during.HeapAlloc)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if total != size || string(sent.Sum(nil)) != string(received.Sum(nil)) {
		t.Errorf("%d bytes came back, or other ones", total)
	}
	if grown := int64(peak) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("heap grew by %d bytes for a stream", grown)
	}
}

func TestManyConnectionsAtOnce(t *testing.T) {
	const clients = 400
	far := startSidecar(t, func(_ string, conn *net.UnixConn) {
		_, _ = io.Copy(conn, conn)
		_ = conn.CloseWrite()
	})
	addr := tcpDoor(t, far.socket)
	errs := make(chan error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() { errs <- echo(addr, strings.Repeat(fmt.Sprintf("%4d", i), 4096)) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func echo(addr, text string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(3 * deadline)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	got, err := io.ReadAll(conn)
	if err == nil && string(got) != text {
		err = fmt.Errorf("%d bytes came back wrong", len(got))
	}
	return err
}

func TestKilledSidecar(t *testing.T) {
	far := startSidecar(t, func(_ string, conn *net.UnixConn) {
		_, _ = io.WriteString(conn, "hello")
		_, _ = io.Copy(io.Discard, conn)
	})
	addr := tcpDoor(t, far.socket)
	conn := dialTCP(t, addr)
	if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	far.kill()
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("open connection: read %d, %v; want its end", n, err)
	}
	// A new one is reset, never held and never ended as if all were well.
	fresh, err := net.Dial("tcp", addr)
	if err == nil {
		defer fresh.Close()
		_ = fresh.SetDeadline(time.Now().Add(deadline))
		_, err = fresh.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("new connection: %v, want a reset", err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v to notice", took)
	}
}

func TestConnectionLimit(t *testing.T) {
	var mu sync.Mutex
	open, most := 0, 0
	far := startSidecar(t, func(_ string, conn *net.UnixConn) {
		mu.Lock()
		open++
		most = max(most, open)
		mu.Unlock()
		_, _ = io.Copy(conn, conn)
		mu.Lock()
		open--
		mu.Unlock()
	})
	d := startDoor(t, Options{Socket: far.socket, MaxConns: 4, Listens: []Listen{{"tcp", "127.0.0.1:0", "proxy"}}})
	var wg sync.WaitGroup
	errs := make(chan error, 40)
	for range 40 {
		wg.Go(func() { errs <- echo(d.tcp[0].Addr().String(), "x") })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	// The sidecar may see the next come before it has let go of the last.
	if most > 8 {
		t.Errorf("%d connections at once through a door of 4", most)
	}
}
