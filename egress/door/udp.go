package door

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	maxDatagram   = 4096
	maxDatagrams  = 128
	udpTimeout    = 3 * time.Second
	dnsHeaderSize = 12
)

// serveUDP takes each datagram through a door connection of its own. Beyond
// maxDatagrams under way it drops, as any resolver may: clients ask again.
func (d *door) serveUDP(ctx context.Context, l udpListener) {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, min(maxDatagrams, d.maxConns))
	buf := make([]byte, maxDatagram+1)
	for {
		n, from, err := l.ReadFrom(buf)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			pause(ctx, 20*time.Millisecond)
			continue
		}
		if n < dnsHeaderSize || n > maxDatagram {
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			continue
		}
		query := slices.Clone(buf[:n])
		wg.Go(func() {
			defer func() { <-slots }()
			answer, err := d.ask(ctx, query, l.service)
			if err != nil {
				answer = unavailable(query)
			}
			if answer != nil {
				_, _ = l.WriteTo(answer, from)
			}
		})
	}
}

// ask carries one message to the sidecar and its answer back.
func (d *door) ask(ctx context.Context, query []byte, service string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, udpTimeout)
	defer cancel()
	conn, err := d.dial(ctx, service)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)
	if _, err := conn.Write(framed); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	answer := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err = io.ReadFull(conn, answer)
	return answer, err
}

// unavailable turns a query into its own SERVFAIL, so that a program in a
// bottle without a sidecar learns it now and not after a resolver's timeouts.
func unavailable(query []byte) []byte {
	const reply, servfail = 0x80, 2
	if query[2]&reply != 0 {
		return nil
	}
	query[2] |= reply
	query[3] = query[3]&0xf0 | servfail
	return query
}
