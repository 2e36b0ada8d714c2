package smolvm

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"

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
		{Path: spec.CABundle, Mode: 0o644, Content: withAuthority(bundle, ca), Root: true},
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
	var certs []byte
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			certs = append(certs, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
		}
	}
	if len(certs) == 0 {
		return nil, diag.Errorf("sidecar of %s has no certificate", s.ID)
	}
	return certs, nil
}

// caMark separates bb's certificate from the image's in the bundle.
const caMark = "# bb: the sidecar of this bottle\n"

// withAuthority appends ca to the image's bundle; what an earlier start
// appended is dropped.
func withAuthority(bundle, ca []byte) []byte {
	if at := bytes.Index(bundle, []byte(caMark)); at >= 0 {
		bundle = bundle[:at]
	}
	out := bytes.Clone(bundle)
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	return append(append(out, caMark...), ca...)
}
