package state

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// MaxTranscript bounds what is kept of one bottle, in bytes before compression:
// an agent writes it, and it fills the host's disk.
const MaxTranscript = 256 << 20

// ErrTranscriptSize says that a transcript is larger than MaxTranscript.
var ErrTranscriptSize = fmt.Errorf("it is larger than %d MiB", MaxTranscript>>20)

const transcriptSuffix = ".tar.gz"

// Transcript is what an agent's program kept of its conversations when its bottle
// ended: a compressed tar stream in the agent's own words, that bb never unpacks.
type Transcript struct {
	Name string
	Path string
	Time time.Time
	Size int64
}

func (s *State) transcripts() string { return filepath.Join(s.Dir, "transcripts") }

// KeepTranscript keeps what write writes for the bottle of that name, whole or
// not at all, and returns the file, which is the owner's alone. Where nothing is
// written there is none: "".
func (s *State) KeepTranscript(bottle string, at time.Time, write func(io.Writer) error) (path string, err error) {
	if err := os.MkdirAll(s.transcripts(), 0o700); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(s.transcripts(), ".new-*") // 0600
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is gone when all went well
	packed := gzip.NewWriter(f)
	to := &metered{to: packed, left: MaxTranscript}
	err = errors.Join(write(to), packed.Close(), f.Close())
	if to.left < 0 {
		return "", ErrTranscriptSize
	}
	if err != nil || to.left == MaxTranscript {
		return "", err
	}
	for n := 1; ; n++ { // two ends within one second
		name := fmt.Sprintf("%s-%s%s", bottle, at.UTC().Format("20060102T150405Z"), transcriptSuffix)
		if n > 1 {
			name = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(name, transcriptSuffix), n, transcriptSuffix)
		}
		path = filepath.Join(s.transcripts(), name)
		if err := os.Link(f.Name(), path); !errors.Is(err, fs.ErrExist) {
			return path, err
		}
	}
}

// metered counts down what may still be written.
type metered struct {
	to   io.Writer
	left int64
}

func (m *metered) Write(p []byte) (int, error) {
	if m.left -= int64(len(p)); m.left < 0 {
		return 0, ErrTranscriptSize
	}
	return m.to.Write(p)
}

// Transcripts lists those that are kept, the oldest first.
func (s *State) Transcripts() ([]Transcript, error) {
	entries, err := os.ReadDir(s.transcripts())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []Transcript
	for _, e := range entries {
		info, gone := e.Info()
		if gone != nil || !info.Mode().IsRegular() || !strings.HasSuffix(e.Name(), transcriptSuffix) {
			continue
		}
		all = append(all, Transcript{e.Name(), filepath.Join(s.transcripts(), e.Name()), info.ModTime(), info.Size()})
	}
	slices.SortFunc(all, func(a, b Transcript) int { return a.Time.Compare(b.Time) })
	return all, err
}

// RemoveTranscript forgets one. Gone is success.
func (s *State) RemoveTranscript(t Transcript) error {
	if err := os.Remove(filepath.Join(s.transcripts(), filepath.Base(t.Name))); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
