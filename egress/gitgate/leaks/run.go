package leaks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"
)

// runChild runs bb as the child that searches, until it ends or ctx does.
func runChild(ctx context.Context, self string, in io.Reader, out io.Writer) error {
	cmd := exec.CommandContext(ctx, self)
	cmd.Args = []string{childName}
	cmd.Env, cmd.Dir = []string{}, "/"
	said := limited{most: 64 << 10}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &said
	cmd.SysProcAttr = attributes()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) || errors.Is(err, syscall.EPIPE) {
		err = nil // it says itself what was wrong
	}
	if err != nil && said.Len() > 0 {
		return fmt.Errorf("%w: %s", err, last(said.Bytes()))
	}
	return err
}
