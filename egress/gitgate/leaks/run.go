package leaks

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"
)

// runChild runs bb as the child that searches, until it ends or ctx does. A
// read of in may then still be under way.
func runChild(ctx context.Context, self string, in io.Reader, out io.Writer) error {
	cmd := exec.CommandContext(ctx, self)
	cmd.Args = []string{childName}
	cmd.Env, cmd.Dir = []string{}, "/"
	said := limited{most: 64 << 10}
	cmd.Stdout, cmd.Stderr = out, &said
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	cmd.SysProcAttr = attributes()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	// Not left to exec, which would wait for a reader that blocks even when the
	// child is gone.
	go func() {
		_, _ = io.Copy(pipe, in) // the reader remembers what went wrong
		pipe.Close()
	}()
	err = cmd.Wait()
	if err != nil && said.Len() > 0 {
		return fmt.Errorf("%w: %s", err, last(said.Bytes()))
	}
	return err
}
