package gitgate

import "context"

// lock makes the caller the only one who works on the mirror and with its
// upstream. It holds for the directory: also for one who has an earlier or a
// later credential of the same upstream.
func (m *mirror) lock(ctx context.Context) (unlock func(), err error) {
	select {
	case m.room <- struct{}{}:
		if ctx.Err() != nil { // both were ready: nothing may begin any more
			<-m.room
			return nil, context.Cause(ctx)
		}
		return func() { <-m.room }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// flight is one refresh that several wait for. All of them came before it
// began, so what it brings is not stale for any.
type flight struct {
	ctx     context.Context
	end     context.CancelFunc
	waiting int
	done    chan struct{}
	err     error
}

// renew is refresh for one who only reads and does not hold the lock: callers
// share one. When all of them are gone, it ends.
func (m *mirror) renew(ctx context.Context) error {
	f, err := m.board()
	if err != nil {
		return err
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		m.mu.Lock()
		defer m.mu.Unlock()
		if f.waiting--; f.waiting == 0 {
			f.end()
			if m.next == f {
				m.next = nil
			}
		}
		return context.Cause(ctx)
	}
}

// board joins the refresh that will begin next.
func (m *mirror) board() (*flight, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.next == nil {
		if !m.g.begin() {
			return nil, errEnded
		}
		f := &flight{done: make(chan struct{})}
		f.ctx, f.end = context.WithCancel(m.ctx)
		m.next = f
		go func() {
			defer m.g.work.Done()
			defer f.end()
			m.fly(f)
		}()
	}
	m.next.waiting++
	return m.next, nil
}

func (m *mirror) fly(f *flight) {
	defer close(f.done)
	unlock, err := m.lock(f.ctx)
	if err != nil {
		f.err = m.g.readable("waiting for a mirror", err)
		return
	}
	defer unlock()
	m.mu.Lock()
	if m.next == f { // who comes from now on needs one that begins later
		m.next = nil
	}
	m.mu.Unlock()
	_, f.err = m.refresh(f.ctx)
}
