package smolvm

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bb/egress/door/session"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// Provision does what must run in a started agent.
func (d *Driver) Provision(ctx context.Context, s *spec.Spec, secrets spec.Secrets, parts []string) error {
	if _, err := d.running(ctx, s.ID); err != nil {
		return err
	}
	if slices.Contains(parts, spec.PartEnv) {
		if err := d.provisionEnv(ctx, s, secrets); err != nil {
			return err
		}
	}
	if err := d.provisionFiles(ctx, s, parts); err != nil {
		return err
	}
	if err := d.provisionGit(ctx, s, parts); err != nil {
		return err
	}
	if slices.Contains(parts, spec.PartLogin) {
		return d.verify(ctx, s)
	}
	return nil
}

// verify runs what the provider checks a login with.
func (d *Driver) verify(ctx context.Context, s *spec.Spec) error {
	for _, argv := range s.Program.Verify {
		if err := d.inAgent(ctx, s, "check the login with "+argv[0], command{argv: argv}, 0); err != nil {
			return err
		}
	}
	return nil
}

// provisionEnv hands the secret variables to the door, on standard input, and
// the door keeps them in memory. No values at all means that they are not this
// call's business.
func (d *Driver) provisionEnv(ctx context.Context, s *spec.Spec, secrets spec.Secrets) error {
	if !s.HasSecretEnv() || len(secrets.Env) == 0 {
		return nil
	}
	var records bytes.Buffer
	for _, e := range s.Fixed.Env {
		if !e.Secret() {
			continue
		}
		value, ok := secrets.Env[e.Name]
		if !ok {
			return diag.Errorf("%s: no value for env.%s", s.ID, e.Name)
		}
		if strings.ContainsRune(value, 0) {
			return diag.Errorf("%s: the value of env.%s contains a NUL byte", s.ID, e.Name)
		}
		records.WriteString(e.Name + "=" + value + "\x00")
	}
	return d.inAgent(ctx, s, "set the secret environment",
		command{argv: []string{spec.BinaryPath, "door", "env"}, stdin: &records}, 0)
}

// stepPatience bounds what runs in an agent on bb's behalf: the agent can stop
// these programs, and an apply that waits holds the lock of the whole scope.
const stepPatience = 15 * time.Second

// step runs a command of bb's own as the agent's user.
func (d *Driver) step(ctx context.Context, s *spec.Spec, c command) (result, error) {
	bounded, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	c.workdir = "/"
	return d.session(bounded, s.ID, session.Options{Bare: true, Processes: processes(s.Fixed)}, nil, c)
}

// inAgent is a step that must succeed, and soon.
func (d *Driver) inAgent(ctx context.Context, s *spec.Spec, what string, c command, tolerated int) error {
	begin := time.Now()
	r, err := d.step(ctx, s, c)
	if err != nil && ctx.Err() == nil && time.Since(begin) >= d.patience {
		return diag.Errorf("%s: no end after %s", what, d.patience).
			WithHint("something in the bottle holds it up; 'bb destroy %s' and apply again if that is not meant", s.ID)
	}
	if err != nil {
		return diag.Errorf("%s: %v", what, err)
	}
	if r.code != 0 && r.code != tolerated {
		return diag.Errorf("%s: exit code %d: %s", what, r.code, lastLines(r.stderr+r.stdout, 3))
	}
	return nil
}
