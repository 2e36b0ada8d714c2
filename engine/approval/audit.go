package approval

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// Events of the record. What changes a policy has two: what is about to be done,
// and what came of it; so one that was cut off shows. What was asked is kept beside it.
const (
	AskedFor  = "asked"
	Approving = "approving"
	Approved  = "approved"
	Failed    = "failed"
	Rejected  = "rejected"
	Revoking  = "revoking"
	Revoked   = "revoked"
	// Damaged stands for a line that cannot be read.
	Damaged = "damaged"
)

// Record is one line of what people decided about an agent. It outlives the
// instance.
type Record struct {
	Time     time.Time        `json:"time"`
	Who      string           `json:"who,omitempty"`
	Event    string           `json:"event"`
	Instance string           `json:"instance"`
	Proposal *egress.Proposal `json:"proposal,omitempty"`
	Digest   string           `json:"digest,omitempty"`
	// Until is when what was approved ends; Keep says that it does not.
	Until time.Time `json:"until,omitzero"`
	Keep  bool      `json:"keep,omitempty"`
	// Before are the routes of the host as they were, and After those that came of
	// it; of what was taken back, all that was approved.
	Before []egress.Route `json:"before,omitempty"`
	After  []egress.Route `json:"after,omitempty"`
	// Values are those that were approved, or taken back.
	Values []Value `json:"values,omitempty"`
	// Image is what the agent runs, and the Dockerfile that was written.
	Image *Images `json:"image,omitempty"`
	Why   string  `json:"why,omitempty"`
}

// Images are an agent's image, for people, and the file that another could be
// built of, with its SHA-256 in hex.
type Images struct {
	Before string `json:"before"`
	After  string `json:"after,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
}

func (s Store) record(id spec.ID) string {
	return filepath.Join(s.Dir, "audit-"+id.Scope+"-"+id.Agent+".jsonl")
}

// Append adds a line, which is on the disk when it returns.
func (s Store) Append(id spec.ID, r Record) error {
	var line bytes.Buffer
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false) // six bytes for one, of a text that has a bound
	if err := e.Encode(r); err != nil {
		return err
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return diag.Cause(err)
	}
	f, err := os.OpenFile(s.record(id), os.O_CREATE|os.O_APPEND|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return diag.Cause(err)
	}
	b := line.Bytes()
	if torn(f) {
		b = append([]byte("\n"), b...)
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// torn reports whether the last line has no end: a power cut left it.
func torn(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return err == nil && last[0] != '\n'
}

// Records returns the lines about an agent, oldest first. One that cannot be read
// hides no other: a Damaged record is in its place.
func (s Store) Records(id spec.ID) ([]Record, error) {
	f, err := os.Open(s.record(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, diag.Cause(err)
	}
	defer f.Close()
	var all []Record
	last := time.Time{}
	in := bufio.NewReader(f) // the host wrote it: lines have no bound
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if text := bytes.TrimSpace(line); len(text) > 0 {
			var r Record
			if json.Unmarshal(text, &r) != nil || r.Event == "" {
				r = Record{Time: last, Event: Damaged, Why: fmt.Sprintf("line %d of %s cannot be read", n, filepath.Base(f.Name()))}
			}
			last = r.Time
			all = append(all, r)
		}
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, diag.Cause(err)
		}
	}
}
