package docker

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// Configure pushes the whole live half. The document holds token values: it
// travels on standard input and is never part of an error or a log.
func (d *Driver) Configure(ctx context.Context, s *spec.Spec, secrets spec.Secrets, parts []string) error {
	document, err := json.Marshal(s.Document(secrets, parts))
	if err != nil {
		return diag.Errorf("control document of %s cannot be encoded", s.ID)
	}
	_, err = d.control(ctx, s.ID, "apply", document)
	return err
}

// Control sends one command to the sidecar's control socket and returns its
// reply line.
func (d *Driver) Control(ctx context.Context, id spec.ID, command string) ([]byte, error) {
	return d.control(ctx, id, command, nil)
}

func (d *Driver) control(ctx context.Context, id spec.ID, verb string, document []byte) ([]byte, error) {
	c, err := d.running(ctx, id, spec.RoleSidecar)
	if err != nil {
		return nil, err
	}
	call := command{
		argv: []string{sidecarBinary, "sidecar", "ctl", verb, "--control", controlSocket},
		user: sidecarUser,
	}
	if document != nil {
		call.stdin = bytes.NewReader(document)
	}
	res, err := d.command(ctx, c.ID, call)
	if err != nil {
		return nil, d.wrap(err, "sidecar of %s: %s", id, verb)
	}
	line := bytes.TrimSpace([]byte(res.stdout))
	var reply egress.Reply
	if err := json.Unmarshal(line, &reply); err != nil {
		why := lastLines(res.stderr, 3)
		if why == "" {
			why = "no answer"
		}
		return nil, diag.Errorf("sidecar of %s: %s: %s", id, verb, why).WithHint("'bb logs --sidecar %s' shows more", id)
	}
	if !reply.OK || res.code != 0 {
		return line, diag.Errorf("sidecar of %s refused %s: %s", id, verb, guest.Printable(reply.Error))
	}
	return line, nil
}
