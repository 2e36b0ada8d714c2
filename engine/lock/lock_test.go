package lock

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestSecondHolderIsRefusedByName(t *testing.T) {
	dir := t.TempDir()
	first, err := Acquire(t.Context(), dir, "s", "apply", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Acquire(t.Context(), dir, "s", "destroy", 0, nil)
	if err == nil || !strings.Contains(err.Error(), "another bb works on this scope: apply (pid ") {
		t.Errorf("error %v", err)
	}
	other, err := Acquire(t.Context(), dir, "t", "apply", 0, nil)
	if err != nil {
		t.Errorf("another scope: %v", err)
	} else if err := other.Release(); err != nil {
		t.Error(err)
	}
	told := make(chan Holder, 1)
	got := make(chan error, 1)
	go func() {
		l, err := Acquire(t.Context(), dir, "s", "plan", 5*time.Second, func(h Holder) { told <- h })
		if err == nil {
			err = l.Release()
		}
		got <- err
	}()
	if h := <-told; h.Operation != "apply" || h.PID == 0 {
		t.Errorf("holder %+v", h)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

func TestWaitEndsWithTheContext(t *testing.T) {
	dir := t.TempDir()
	l, err := Acquire(t.Context(), dir, "s", "apply", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release() //nolint:errcheck // the test ends
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Acquire(ctx, dir, "s", "apply", time.Minute, nil); err == nil {
		t.Error("no error")
	}
}
