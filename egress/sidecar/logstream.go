package sidecar

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/bot-bottle/bb/egress"
)

const (
	// maxReaders of the log at once. They have connections of their own, so that
	// those who follow keep nobody from applying.
	maxReaders = 4
	// maxLogRequest bounds the line that says what to read.
	maxLogRequest = 256
	// readTimeout is how long a reader may take for one piece.
	readTimeout = 30 * time.Second
)

// stream writes the log from a position on, as bytes of whole lines. It holds
// one piece of it in memory, whatever the log's size and the reader's speed. A
// reader that is too slow for what follows is cut off, and may come back to
// where it was.
func (c *controller) stream(conn *net.UnixConn) {
	r, err := readLogRequest(conn)
	if err != nil {
		reply(conn, failed(err))
		return
	}
	log := c.logs[r.Log]
	if log == nil {
		reply(conn, failed(errors.New("there is no such log")))
		return
	}
	select {
	case c.readers <- struct{}{}:
		defer func() { <-c.readers }()
	default:
		reply(conn, failed(errors.New("too many read the log at once")))
		return
	}
	gone := make(chan struct{})
	if r.Follow {
		if conn.SetReadDeadline(time.Time{}) != nil {
			return
		}
		go func() { // ends with the connection
			defer close(gone)
			_, _ = io.Copy(io.Discard, conn)
		}()
	}
	at, end := log.span(r.Since)
	if !reply(conn, withData(egress.LogSpan{At: at, End: end})) {
		return
	}
	piece := make([]byte, 64<<10)
	for r.Follow || at < end {
		p := piece
		if !r.Follow {
			p = piece[:min(int64(len(piece)), end-at)]
		}
		n, more, err := log.read(p, at)
		if err != nil {
			return
		}
		if more != nil {
			select {
			case <-more:
				continue
			case <-gone:
				return
			}
		}
		if conn.SetWriteDeadline(time.Now().Add(readTimeout)) != nil {
			return
		}
		if _, err := conn.Write(p[:n]); err != nil {
			return
		}
		at += int64(n)
	}
}

func readLogRequest(conn io.Reader) (r egress.LogRequest, err error) {
	line, err := readLine(conn, maxLogRequest)
	if err != nil {
		return r, errors.New("no request for the log")
	}
	dec := json.NewDecoder(strings.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil || r.Since < 0 {
		return r, errors.New("malformed request for the log")
	}
	return r, nil
}
