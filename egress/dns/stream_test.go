package dns

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

func serve(t *testing.T, idle time.Duration) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer server.Close()
		Names(Own).serve(server, idle)
	}()
	t.Cleanup(func() { client.Close(); <-done })
	if err := client.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return client
}

func exchange(t *testing.T, conn net.Conn, query []byte) []byte {
	t.Helper()
	if _, err := conn.Write(frame(query)); err != nil {
		t.Fatal(err)
	}
	reply, err := readFrame(conn)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

func TestServeConnAnswersInTurn(t *testing.T) {
	conn := serve(t, time.Second)
	for name, want := range map[string]int{"egress": noError, "example.org": nxDomain, "git-gate": noError} {
		query := ask(name, typeA, classIN)
		if got := read(t, query, exchange(t, conn, query)); got.Rcode != want {
			t.Errorf("%s: code %d, want %d", name, got.Rcode, want)
		}
	}
}

func TestServeConnHangsUp(t *testing.T) {
	tests := map[string][]byte{
		"empty frame":     {0, 0},
		"short frame":     {0, 3, 1, 2, 3},
		"oversized frame": {0xff, 0xff},
		"a reply":         frame(append([]byte{1, 2, 0x80}, make([]byte, 20)...)),
		"idle":            nil,
		"trickle":         {0},
	}
	for name, bytes := range tests {
		t.Run(name, func(t *testing.T) {
			conn := serve(t, 50*time.Millisecond)
			// The far end may hang up in the middle of a write.
			_, _ = conn.Write(bytes)
			if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("read %d, %v; want an end", n, err)
			}
		})
	}
}

func TestServeConnEndsAfterItsQuota(t *testing.T) {
	conn := serve(t, time.Second)
	query := ask("egress", typeA, classIN)
	for range maxQueries {
		exchange(t, conn, query)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the quota: %v, want an end", err)
	}
}
