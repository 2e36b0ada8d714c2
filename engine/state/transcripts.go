package state

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/bot-bottle/bb/engine/diag"
)

const (
	transcriptSuffix = ".tar.gz"
	// unfinished begins the name of one that is being written.
	unfinished = ".new-"
	// abandoned is how old one is that nobody writes any more.
	abandoned = time.Hour
)

// Transcript is what an agent's program kept of its conversations when its bottle
// ended: regular files in the agent's own words, in a compressed archive.
type Transcript struct {
	Name string
	Path string
	Time time.Time
	Size int64 // bytes of the archive
}

// named is how the names of transcripts are made, see KeepTranscript.
var named = regexp.MustCompile(`^bb-(.+)-([0-9a-f]{6})-[0-9]{8}T[0-9]{6}Z(?:-[0-9]+)?\.tar\.gz$`)

// Bottle is the bottle as bb ps names it, and the beginning of its scope's id;
// both "" where the name does not say.
func (t Transcript) Bottle() (name, scope string) {
	if m := named.FindStringSubmatch(t.Name); m != nil {
		return m[1], m[2]
	}
	return "", ""
}

func (s *State) transcripts() string { return filepath.Join(s.Dir, "transcripts") }

// Transcripts lists those that are kept, the oldest first.
func (s *State) Transcripts() ([]Transcript, error) {
	return s.transcriptsIf(func(t Transcript) bool { return strings.HasSuffix(t.Name, transcriptSuffix) && !half(t) })
}

// Unfinished lists those that a bb which was killed left half-written.
func (s *State) Unfinished() ([]Transcript, error) {
	return s.transcriptsIf(func(t Transcript) bool { return half(t) && time.Since(t.Time) > abandoned })
}

func half(t Transcript) bool { return strings.HasPrefix(t.Name, unfinished) }

func (s *State) transcriptsIf(want func(Transcript) bool) ([]Transcript, error) {
	entries, err := os.ReadDir(s.transcripts())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []Transcript
	for _, e := range entries {
		info, gone := e.Info()
		if gone != nil || !info.Mode().IsRegular() {
			continue
		}
		t := Transcript{e.Name(), filepath.Join(s.transcripts(), e.Name()), info.ModTime(), info.Size()}
		if want(t) {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b Transcript) int { return a.Time.Compare(b.Time) })
	return all, err
}

// last is the newest one of a bottle; its name is "" where there is none.
func (s *State) last(bottle string) (t Transcript) {
	all, _ := s.Transcripts() // one that cannot be read is none to compare with
	for _, x := range all {
		if name, scope := x.Bottle(); "bb-"+name+"-"+scope == bottle {
			t = x
		}
	}
	return t
}

// LastTranscript is the newest one that is kept of the bottle of that name.
func (s *State) LastTranscript(bottle string) (Transcript, bool) {
	t := s.last(bottle)
	return t, t.Name != ""
}

// RemoveTranscript forgets one. Gone is success.
func (s *State) RemoveTranscript(t Transcript) error {
	if err := os.Remove(filepath.Join(s.transcripts(), filepath.Base(t.Name))); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Files calls each for every regular file of the transcript, in its order. Names
// and contents are the agent's own words; no more than MaxTranscript bytes of
// content are read.
func (t Transcript) Files(each func(name string, r io.Reader) error) error {
	f, err := os.OpenFile(t.Path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		return diag.Errorf("%s is damaged: %v", t.Path, err)
	}
	left := int64(MaxTranscript)
	for n, r := 0, tar.NewReader(io.LimitReader(plain, 2*MaxTranscript)); ; n++ {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return diag.Errorf("%s is damaged: %v", t.Path, err)
		}
		if n == maxFiles {
			return diag.Errorf("%s holds more than %d files", t.Path, maxFiles)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if left -= h.Size; left < 0 {
			return fmt.Errorf("%s is larger than bb keeps one", t.Path)
		}
		if err := each(h.Name, r); err != nil {
			return err
		}
	}
}
