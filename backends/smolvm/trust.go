package smolvm

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// trust is the sidecar's certificate, alone and in the machine's bundle.
func (d *Driver) trust(ctx context.Context, s *spec.Spec) ([]spec.File, error) {
	ca, err := d.authority(ctx, s)
	if err != nil {
		return nil, err
	}
	bundle, err := d.readFile(ctx, s.ID, spec.CABundle)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return []spec.File{
		{Path: spec.CAFile, Mode: 0o644, Content: ca, Root: true},
		{Path: spec.CABundle, Mode: 0o644, Content: guest.WithAuthority(bundle, ca), Root: true},
	}, nil
}

// authority is the sidecar's certificate, and nothing but certificates.
func (d *Driver) authority(ctx context.Context, s *spec.Spec) ([]byte, error) {
	line, err := d.Control(ctx, s.ID, "ca")
	if err != nil {
		return nil, err
	}
	var reply egress.Reply
	var text string
	if err := json.Unmarshal(line, &reply); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(reply.Data, &text); err != nil {
		return nil, diag.Errorf("sidecar of %s: its certificate: %v", s.ID, err)
	}
	certs := guest.Certificates([]byte(text))
	if len(certs) == 0 {
		return nil, diag.Errorf("sidecar of %s has no certificate", s.ID)
	}
	return certs, nil
}
