package fakesmol

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// readyLimit is how long smolvm waits for the inside of a machine.
const readyLimit = 30 * time.Second

func start(s *state, p *parsed) error {
	r, err := s.known(p)
	if err != nil {
		return err
	}
	now, pid := s.now(r)
	if now == "running" {
		fmt.Printf("Machine '%s' already running (PID: %d)\n", r.Name, pid)
		return nil
	}
	// Whatever process there is goes: an unreachable one, one that a killed
	// start left behind, and also one that another start is just waiting for.
	s.kill(r.Name)
	root, config, err := s.root(r)
	if err != nil {
		return err
	}
	r.Config = config
	fmt.Fprintf(os.Stderr, "Starting machine '%s'...\n", r.Name)
	pid, err = s.boot(r, root)
	if err != nil {
		return fail("agent operation failed: start machine: agent operation failed: monitor agent: %s", oneLine(err))
	}
	if err := s.set(r.Name, func(r *record) { r.State, r.Booted, r.Config = "running", true, config }); err != nil {
		return err
	}
	fmt.Printf("Machine '%s' running (PID: %d)\n", r.Name, pid)
	return s.faultAfter("start")
}

// boot starts the machine's process, which outlives this one, and waits for its
// word.
func (s *state) boot(r *record, root string) (int, error) {
	if err := canBoot(); err != nil {
		return 0, err
	}
	home := s.home(r.Name)
	log, err := os.OpenFile(filepath.Join(home, "agent-console.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	ready, hold, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer ready.Close()
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{vmmName, s.dir, r.Name, root},
		Env: []string{"PATH=" + os.Getenv("PATH"), "GOTRACEBACK=single"}, Dir: "/",
		Stdout: log, Stderr: log, ExtraFiles: []*os.File{hold},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	for _, kind := range []string{FaultSlow, FaultUnreachable, FaultNoOverlay, FaultExact} {
		if s.take("start", kind) {
			cmd.Args = append(cmd.Args, kind)
		}
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	_ = hold.Close()
	defer func() { _ = cmd.Process.Release() }() // it lives on
	pid := cmd.Process.Pid
	if err := os.WriteFile(filepath.Join(home, "agent.pid"), fmt.Appendf(nil, "%d\n%s", pid, startTime(pid)), 0o600); err != nil {
		return 0, err
	}
	if err := ready.SetReadDeadline(time.Now().Add(readyLimit)); err != nil {
		return 0, err
	}
	word, err := io.ReadAll(ready)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, errors.New("the agent was not ready in time")
	case err != nil:
		return 0, err
	case string(word) == "ready":
		return pid, nil
	case len(word) == 0:
		return 0, errors.New("boot process exited before the agent was ready")
	}
	return 0, fmt.Errorf("%s", word)
}

// kill ends the machine's process and waits for its death.
func (s *state) kill(name string) {
	for range 500 {
		pid := s.process(name)
		if pid == 0 {
			return
		}
		_ = syscall.Kill(pid, syscall.SIGKILL) // dead already is as good
		// A child of this very process stays a zombie until somebody waits.
		_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		time.Sleep(5 * time.Millisecond)
	}
}

func stop(s *state, p *parsed) error {
	r, err := s.known(p)
	if err != nil {
		return err
	}
	now, pid := s.now(r)
	if pid == 0 {
		s.kill(r.Name) // a boot that nobody waits for any more
		fmt.Printf("Machine '%s' is not running (state: %s)\n", r.Name, now)
		return nil
	}
	fmt.Printf("Stopping machine '%s'...\n", r.Name)
	s.halt(r.Name, now)
	if err := s.set(r.Name, func(r *record) { r.State = "stopped" }); err != nil {
		return err
	}
	fmt.Printf("Stopped machine: %s\n", r.Name)
	return s.faultAfter("stop")
}

// halt asks the machine to end, and then ends it.
func (s *state) halt(name, now string) {
	if now == "running" {
		if _, err := s.ask(name, request{Op: "stop"}, nil, 5*time.Second); err == nil {
			for range 200 {
				if s.process(name) == 0 {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		}
	}
	s.kill(name)
}

func update(s *state, p *parsed) error {
	r, err := s.known(p)
	if err != nil {
		return err
	}
	if now, _ := s.now(r); now != "stopped" && now != "created" {
		return fail("invalid vm state: expected stopped, got %s", now)
	}
	if !p.has("no-net") {
		fmt.Println("No changes specified.")
		return nil
	}
	if err := s.set(r.Name, func(r *record) { r.Network = false }); err != nil {
		return err
	}
	fmt.Printf("Updated machine '%s':\n  Network: disabled\n", r.Name)
	return nil
}

func remove(s *state, p *parsed) error {
	r, err := s.known(p)
	if err != nil {
		return err
	}
	if now, pid := s.now(r); pid != 0 {
		s.halt(r.Name, now)
		if err := s.set(r.Name, func(r *record) { r.State = "stopped" }); err != nil {
			return err
		}
	}
	s.kill(r.Name)
	if !p.has("force") {
		fmt.Fprintf(os.Stderr, "Delete machine '%s'? [y/N] ", r.Name)
		var answer string
		_, _ = fmt.Fscanln(os.Stdin, &answer) // no answer is no
		if answer != "y" && answer != "Y" {
			fmt.Println("Cancelled")
			return nil
		}
	}
	if err := os.RemoveAll(s.home(r.Name)); err != nil {
		return fail("storage operation failed: delete machine: %s", oneLine(err))
	}
	if err := s.locked(func() error { return os.Remove(s.path("machines", r.Name+".json")) }); err != nil {
		return err
	}
	fmt.Printf("Deleted machine: %s\n", r.Name)
	return s.faultAfter("delete")
}
