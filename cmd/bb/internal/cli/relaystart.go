package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bb/engine/diag"
)

// relayBegins bounds how long a relay may take to reach its sidecar.
const relayBegins = 20 * time.Second

// startRelay starts a process of its own and returns once it serves.
func startRelay(ctx context.Context, home string, c relayConfig) error {
	config, err := json.Marshal(c)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ready, said, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	in, told, err := os.Pipe()
	if err != nil {
		_ = said.Close()
		return err
	}
	defer told.Close()
	keepNothingOpen()
	cmd := exec.Command(self, "relay", "agent", c.Instance.Name())
	cmd.Dir, cmd.Env = "/", append(relayEnvironment(), "BB_HOME="+home)
	cmd.ExtraFiles = []*os.File{in, said} // descriptors 3 and 4; 0 to 2 are /dev/null
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_, _ = in.Close(), said.Close()
	if err != nil {
		return diag.Cause(err)
	}
	go func() { _ = cmd.Wait() }() // or bb's exit leaves it to init
	go func() {
		_, _ = told.Write(config)
		_ = told.Close()
	}()
	stop := context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Now()) })
	defer stop()
	if err := ready.SetReadDeadline(time.Now().Add(relayBegins)); err != nil {
		return err
	}
	answer, err := io.ReadAll(io.LimitReader(ready, 4<<10))
	text := strings.TrimSpace(string(bytes.ToValidUTF8(answer, []byte("?"))))
	switch {
	case text == "ok":
		return nil
	case text != "":
		return diag.Errorf("%s", text)
	case ctx.Err() != nil:
		err = ctx.Err()
	case err != nil:
		err = diag.Errorf("its relay did not reach it in %s", relayBegins)
	default:
		err = diag.Errorf("its relay ended at once")
	}
	_ = cmd.Process.Kill()
	return err
}

// relayEnvironment is what a relay needs to reach the engine and the agent. It
// lives long: what else is exported in this terminal is none of its business.
func relayEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		own := []string{
			"HOME", "PATH", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "BB_FAKE_WORLD",
			"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "GOCOVERDIR",
		}
		return !slices.Contains(own, name) && !strings.HasPrefix(name, "DOCKER_")
	})
}

// keepNothingOpen closes at the next exec what bb itself was started with.
func keepNothingOpen() {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}
