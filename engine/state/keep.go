package state

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
)

// MaxTranscript bounds what is kept of one bottle, in bytes before compression:
// an agent writes it, and it fills the host's disk.
const MaxTranscript = 256 << 20

const (
	maxFiles = 100_000
	maxName  = 1024
	// fileCost is what a file takes beside its content.
	fileCost = 1 << 10
)

// Kept says what became of the conversations of a bottle.
type Kept struct {
	Path string // "": there were none
	// Again means that the file is an earlier one: nothing was said since.
	Again bool
	// LeftOut counts files that are not in it, and their bytes: the oldest beyond
	// MaxTranscript, and what is no regular file of a plain name.
	LeftOut      int
	LeftOutBytes int64
}

// KeepTranscript keeps the regular files of the tar stream that read writes for
// the bottle of that name, in a file that is the owner's alone, whole or not at
// all. Where they are too many, the newest are kept, and read is called twice.
func (s *State) KeepTranscript(bottle string, at time.Time, read func(io.Writer) error) (Kept, error) {
	return s.keep(bottle, at, read, MaxTranscript)
}

func (s *State) keep(bottle string, at time.Time, read func(io.Writer) error, limit int64) (Kept, error) {
	if err := os.MkdirAll(s.transcripts(), 0o700); err != nil {
		return Kept{}, err
	}
	f, err := os.CreateTemp(s.transcripts(), unfinished+"*") // 0600
	if err != nil {
		return Kept{}, err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is gone when all went well
	defer f.Close()
	got, err := pack(f, read, nil, limit)
	if err == nil && got.over {
		if err = errors.Join(f.Truncate(0), rewind(f)); err == nil {
			got, err = pack(f, read, got.newest(limit), limit)
		}
	}
	if err != nil {
		return Kept{}, err
	}
	k := Kept{LeftOut: got.leftOut, LeftOutBytes: got.leftOutBytes}
	if len(got.files) == 0 {
		return k, f.Close()
	}
	if old := s.last(bottle); old.Name != "" && old.holds(got.files) {
		k.Path, k.Again = old.Path, true
		return k, errors.Join(f.Close(), os.Chtimes(old.Path, at, at)) // its age counts from the end of the bottle
	}
	if err := f.Close(); err != nil {
		return Kept{}, err
	}
	k.Path, err = s.publish(f.Name(), bottle, at)
	return k, err
}

func rewind(f *os.File) error {
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// publish gives a whole file its name.
func (s *State) publish(file, bottle string, at time.Time) (string, error) {
	for n := 1; ; n++ { // two ends within one second
		name := bottle + "-" + at.UTC().Format("20060102T150405Z")
		if n > 1 {
			name += fmt.Sprintf("-%d", n)
		}
		to := filepath.Join(s.transcripts(), name+transcriptSuffix)
		if err := os.Link(file, to); !errors.Is(err, fs.ErrExist) {
			return to, err
		}
	}
}

// said is one file of a transcript.
type said struct {
	name string
	size int64
	time time.Time
	sum  [sha256.Size]byte
}

// packed is what a pass over a stream found.
type packed struct {
	files        []said // written
	all          []said // without sums; where something did not fit
	over         bool   // something did not fit
	leftOut      int
	leftOutBytes int64
}

// newest are the names of those that fit, the newest first.
func (p packed) newest(limit int64) map[string]bool {
	all := slices.Clone(p.all)
	slices.SortStableFunc(all, func(a, b said) int { return b.time.Compare(a.time) })
	fit, left := map[string]bool{}, limit
	for _, x := range all {
		if cost := x.size + fileCost; cost <= left {
			fit[x.name] = true
			left -= cost
		}
	}
	return fit
}

// pack writes the regular files of a stream to w, those of want alone where it is
// not nil. Nothing but names, times and contents is taken over.
func pack(w io.Writer, read func(io.Writer) error, want map[string]bool, limit int64) (packed, error) {
	r, stream := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := read(stream)
		_ = stream.CloseWithError(err)
		done <- err
	}()
	zip := gzip.NewWriter(w)
	out := tar.NewWriter(zip)
	got, err := repack(out, r, want, limit)
	if err == nil {
		_, err = io.Copy(io.Discard, r) // what pads the archive
	}
	_ = r.CloseWithError(errors.Join(err, io.ErrClosedPipe))
	if failed := <-done; failed != nil && !errors.Is(failed, io.ErrClosedPipe) {
		return packed{}, failed // the cause; what the reader saw is its consequence
	}
	return got, errors.Join(err, out.Close(), zip.Close())
}

func repack(out *tar.Writer, r io.Reader, want map[string]bool, left int64) (got packed, err error) {
	in := tar.NewReader(r)
	for n := 0; ; n++ {
		h, err := in.Next()
		switch {
		case errors.Is(err, io.EOF):
			return got, nil
		case err != nil:
			return got, fmt.Errorf("what the bottle sends is no sound archive: %w", err)
		case n == maxFiles:
			return got, fmt.Errorf("it has more than %d files", maxFiles)
		case h.Typeflag == tar.TypeDir, h.Typeflag == tar.TypeXGlobalHeader:
			continue
		}
		x := said{name: path.Clean(h.Name), size: h.Size, time: h.ModTime.Truncate(time.Second)}
		if at := x.time.Unix(); at < 0 || at > 1<<33 {
			x.time = time.Unix(0, 0) // no archive keeps all that a file system does
		}
		cost := x.size + fileCost
		plain := h.Typeflag == tar.TypeReg && plainName(x.name)
		if plain {
			got.all = append(got.all, x)
		}
		if !plain || want != nil && !want[x.name] || cost > left {
			got.over = got.over || plain && want == nil
			got.leftOut++
			got.leftOutBytes += x.size
			continue
		}
		left -= cost
		if x.sum, err = copyFile(out, in, x); err != nil {
			return got, err
		}
		got.files = append(got.files, x)
	}
}

func copyFile(out *tar.Writer, in io.Reader, x said) (sum [sha256.Size]byte, err error) {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: x.name, Mode: 0o600, Size: x.size, ModTime: x.time}
	if err := out.WriteHeader(h); err != nil {
		return sum, err
	}
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(out, hash), in); err != nil {
		return sum, err
	}
	hash.Sum(sum[:0])
	return sum, nil
}

// plainName reports whether a file of that name may be unpacked anywhere.
func plainName(name string) bool {
	return name != "" && len(name) <= maxName && filepath.IsLocal(name) &&
		strings.IndexFunc(name, func(r rune) bool { return r == unicode.ReplacementChar || unicode.IsControl(r) }) < 0
}

// holds reports whether a transcript is these files and no others.
func (t Transcript) holds(files []said) bool {
	want := map[string][sha256.Size]byte{}
	for _, x := range files {
		want[x.name] = x.sum
	}
	n, same := 0, true
	err := t.Files(func(name string, r io.Reader) error {
		hash := sha256.New()
		if _, err := io.Copy(hash, r); err != nil {
			return err
		}
		sum, ok := want[name]
		same = same && ok && sum == [sha256.Size]byte(hash.Sum(nil))
		n++
		return nil
	})
	return err == nil && same && n == len(want) && n == len(files)
}
