package door

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/bot-bottle/bb/egress"
)

const (
	dialTimeout = 5 * time.Second
	// lingerTimeout is how long a client may go on sending after the sidecar
	// has said its last word: a program that never closes holds no slot.
	lingerTimeout = 30 * time.Second
)

// serveTCP carries the connections of one listener. At the limit it stops
// accepting: the rest wait in the kernel's bounded queue, and the listeners of
// other services are not touched.
func (d *door) serveTCP(ctx context.Context, l tcpListener) {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, d.maxConns)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		conn, err := l.Accept()
		if err != nil {
			<-slots
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			pause(ctx, 20*time.Millisecond)
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			d.carry(ctx, conn.(*net.TCPConn), l.service)
		})
	}
}

// carry takes one client to the sidecar. Where there is none the client is
// reset at once: a bottle without a sidecar has no way out, and no hang either.
func (d *door) carry(ctx context.Context, client *net.TCPConn, service string) {
	defer client.Close()
	sidecar, err := d.dial(ctx, service)
	if err != nil {
		reset(client)
		return
	}
	defer sidecar.Close()
	stop := context.AfterFunc(ctx, func() {
		reset(client)
		reset(sidecar)
	})
	defer stop()
	relay(client, sidecar)
}

// dial opens the door and says what for.
func (d *door) dial(ctx context.Context, service string) (*net.UnixConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := dialUnix(ctx, d.socket)
	if err != nil {
		return nil, err
	}
	// The preface fits any socket buffer: this write cannot block.
	if _, err := conn.Write([]byte(egress.Preface(service))); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// dialUnix tries again while the sidecar's accept queue is full: unlike TCP, a
// unix socket answers EAGAIN at once instead of waiting.
func dialUnix(ctx context.Context, socket string) (*net.UnixConn, error) {
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "unix", socket)
		if err == nil {
			return conn.(*net.UnixConn), nil
		}
		if !errors.Is(err, syscall.EAGAIN) || ctx.Err() != nil {
			return nil, err
		}
		pause(ctx, 5*time.Millisecond)
	}
}
