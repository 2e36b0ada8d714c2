package approval

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// Events of the record. An approval has two: what is about to be done, and what
// came of it; so one that was cut off shows. What was asked is kept beside it.
const (
	AskedFor  = "asked"
	Approving = "approving"
	Approved  = "approved"
	Failed    = "failed"
	Rejected  = "rejected"
	Revoked   = "revoked"
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
	// Before are the routes of the host as they were, and After those that came of
	// it; of what was taken back, all that was approved.
	Before []egress.Route `json:"before,omitempty"`
	After  []egress.Route `json:"after,omitempty"`
	Why    string         `json:"why,omitempty"`
}

// maxRecord bounds a line that is read.
const maxRecord = 256 << 10

func (s Store) record(id spec.ID) string {
	return filepath.Join(s.Dir, "audit-"+id.Scope+"-"+id.Agent+".jsonl")
}

// Append adds a line, which is on the disk when it returns.
func (s Store) Append(id spec.ID, r Record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return diag.Cause(err)
	}
	f, err := os.OpenFile(s.record(id), os.O_CREATE|os.O_APPEND|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return diag.Cause(err)
	}
	if torn(f) {
		b = append([]byte("\n"), b...)
	}
	_, err = f.Write(append(b, '\n'))
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

// Records returns the lines about an agent, oldest first. A torn one is left out.
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
	in := bufio.NewScanner(f)
	in.Buffer(nil, maxRecord)
	for in.Scan() {
		var r Record
		if json.Unmarshal(in.Bytes(), &r) == nil && r.Event != "" {
			all = append(all, r)
		}
	}
	return all, in.Err()
}
