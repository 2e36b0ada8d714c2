package door

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// graceTimeout is what the bottle's programs get to end after SIGTERM; the
// kernel ends the rest with the first process.
const graceTimeout = 5 * time.Second

// Init is the first process of a bottle: it reaps orphans and serves the door
// until ctx ends or it is told to terminate. It never starts a process.
func Init(ctx context.Context, opts Options) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	defer signal.Stop(children)

	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	d, err := open(serving, opts)
	if err != nil {
		return err
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		d.serve(serving)
	}()
	if opts.Ready != nil {
		opts.Ready()
	}
	began(BeganFile) // as the agent's user, before anything of the agent's runs
	reap()           // what ended before the handler stood
	for ctx.Err() == nil {
		select {
		case <-children:
			reap()
		case <-ctx.Done():
		}
	}
	// The door stays open meanwhile: a program that ends well may have a last
	// thing to send.
	terminateOthers(children)
	stopServing()
	<-served
	return nil
}

// reap collects every child that has ended, among them orphans that the kernel
// handed to the first process.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
	}
}

// terminateOthers asks every other process of the bottle to end and waits for
// them. Anywhere but as the first process of a pid namespace it does nothing:
// there -1 would mean every process of the user.
func terminateOthers(children <-chan os.Signal) {
	if os.Getpid() != 1 {
		return
	}
	if syscall.Kill(-1, syscall.SIGTERM) != nil {
		return // nobody is left
	}
	end := time.After(graceTimeout)
	for syscall.Kill(-1, 0) == nil {
		select {
		case <-children:
		case <-time.After(20 * time.Millisecond):
		case <-end:
			return
		}
		reap()
	}
}
