package docker

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
	agent, err := d.running(ctx, s.ID, spec.RoleAgent)
	if err != nil {
		return err
	}
	if slices.Contains(parts, spec.PartEnv) {
		if err := d.provisionEnv(ctx, s, agent.ID, secrets); err != nil {
			return err
		}
	}
	if err := d.provisionFiles(ctx, s, agent.ID, parts); err != nil {
		return err
	}
	if err := d.provisionGit(ctx, s, agent.ID, parts); err != nil {
		return err
	}
	if slices.Contains(parts, spec.PartLogin) {
		return d.verify(ctx, s, agent.ID)
	}
	return nil
}

// verify runs what the provider checks a login with.
func (d *Driver) verify(ctx context.Context, s *spec.Spec, agent string) error {
	for _, argv := range s.Program.Verify {
		c := command{argv: argv}
		if err := d.inAgent(ctx, s, agent, "check the login with "+argv[0], c, 0); err != nil {
			return err
		}
	}
	return nil
}

// provisionEnv hands the secret variables to the door, on standard input. No
// values at all means that they are not this call's business.
func (d *Driver) provisionEnv(ctx context.Context, s *spec.Spec, agent string, secrets spec.Secrets) error {
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
	return d.inAgent(ctx, s, agent, "set the secret environment",
		command{argv: []string{spec.BinaryPath, "door", "env"}, stdin: &records}, 0)
}

// agentPatience bounds what runs in an agent on bb's behalf. The agent shares
// the user of these programs: it can stop them, or make a file they read into
// a pipe, and an apply that waits holds the lock of the whole scope.
const agentPatience = 15 * time.Second

// stepPath is where bb's own steps look for programs.
const stepPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// inAgent runs a command as the agent's user that must succeed, and soon.
func (d *Driver) inAgent(ctx context.Context, s *spec.Spec, agent, what string, c command, tolerated int) error {
	c.env = append(c.env, "PATH="+stepPath) // a manifest may set another
	bounded, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	res, err := d.session(bounded, agent, session.Options{Bare: true}, nil, c)
	if bounded.Err() != nil && ctx.Err() == nil {
		return diag.Errorf("%s: no end after %s", what, d.patience).
			WithHint("something in the bottle holds it up; 'bb destroy %s' and apply again if that is not meant", s.ID)
	}
	if err != nil {
		return d.wrap(err, "%s", what)
	}
	if res.code != 0 && res.code != tolerated {
		said := lastLines(res.stderr+res.stdout, 3)
		return diag.Errorf("%s: exit code %d: %s", what, res.code, said)
	}
	return nil
}
