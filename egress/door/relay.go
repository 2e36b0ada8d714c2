package door

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// stream is a connection whose two directions end apart.
type stream interface {
	net.Conn
	CloseRead() error
	CloseWrite() error
}

// bufferSize is for one direction of one connection: 1024 of them, the default
// limit, hold 64 MiB at most.
const bufferSize = 32 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// relay copies both ways until both directions have ended. An end of stream
// passes on as an end of stream, anything worse as a reset.
func relay(client, sidecar stream) {
	var wg sync.WaitGroup
	wg.Go(func() { pump(sidecar, client) })
	pump(client, sidecar)
	// Nothing more comes back. A client that is still sending may finish.
	_ = client.SetReadDeadline(time.Now().Add(lingerTimeout))
	wg.Wait()
}

// pump moves one direction from src to dst.
func pump(dst, src stream) {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	for {
		n, readErr := src.Read(buf[:])
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				// dst takes no more, but what it said before may still be on
				// its way in the other direction: end this one only.
				_ = src.CloseRead()
				return
			}
		}
		switch {
		case errors.Is(readErr, io.EOF):
			_ = dst.CloseWrite()
			return
		case readErr != nil:
			reset(dst)
			return
		}
	}
}

// reset ends a connection so that the other end cannot take it for a clean
// end: what it has received may be cut short.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
