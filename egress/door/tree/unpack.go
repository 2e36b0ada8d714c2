package tree

import (
	"archive/tar"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Unpack writes a tar stream below dest. A top that does not exist yet is
// built under a temporary name and appears when all of it is there; into an
// existing directory every file is put by itself, whole. Nothing is written
// through a link, and no owner, special bit or write permission for others is
// taken over. A stream that ends early is an error.
//
// What is refused is listed in one error, a *Refused: nothing is written from
// the first refusal on, unless Skip is set.
func Unpack(r io.Reader, dest *os.Root, o Options) (Report, error) {
	u := &unpacker{dest: dest, o: o, buf: make([]byte, bufferSize)}
	err := u.all(r)
	if err == nil && u.stage != "" {
		err = plain(o.As, dest.Rename(u.stage, o.As))
	}
	if err != nil && u.stage != "" {
		_ = dest.RemoveAll(u.stage)
	}
	return u.report, err
}

type unpacker struct {
	dest   *os.Root
	o      Options
	report Report
	top    string // first component of all entries, with As
	begun  bool
	stage  string // a new tree until the end, in the place of As; "" means in place
	buf    []byte
}

// refusal is an error that says why one entry is not written.
type refusal string

func (r refusal) Error() string { return string(r) }

func refused(why string) error {
	if why == "" {
		return nil
	}
	return refusal(why)
}

func (u *unpacker) all(r io.Reader) error {
	src := &source{r: r}
	t := tar.NewReader(src)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) && !src.ended {
			break
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errTruncated
		}
		if err != nil {
			return fmt.Errorf("not a sound archive: %w", err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if err := u.entry(h, t); err != nil {
			return err
		}
	}
	if u.report.Refused.Count > 0 && !u.o.Skip {
		return &u.report.Refused
	}
	if u.o.As != "" && !u.begun {
		return errors.New("the archive is empty")
	}
	// Archives are padded; what writes one must not find its reader gone.
	if n, err := io.Copy(io.Discard, io.LimitReader(src, bufferSize+1)); err != nil || n > bufferSize {
		return errors.Join(errors.New("more follows the end of the archive"), err)
	}
	return nil
}

// entry writes one entry, or counts its refusal.
func (u *unpacker) entry(h *tar.Header, content io.Reader) error {
	name, err := u.name(h.Name)
	if err == nil && (u.report.Refused.Count == 0 || u.o.Skip) {
		err = u.write(h, name, content)
	}
	var why refusal
	if !errors.As(err, &why) {
		return err
	}
	shown := name
	if name == "" {
		shown = h.Name
	}
	u.report.Refused.add(shown, string(why))
	if u.report.Refused.Count >= 1000 || name == "" && u.o.As != "" {
		return &u.report.Refused
	}
	return nil
}

// name is an entry's place below the top.
func (u *unpacker) name(raw string) (string, error) {
	name := clean(raw)
	why := badName(name, u.o.Bottle)
	if u.o.As == "" {
		return name, refused(why)
	}
	top, rest, _ := strings.Cut(name, "/")
	if u.top == "" {
		u.top = top
	}
	if why == "" && (top != u.top || top == "") {
		return name, refusal("lies beside the one thing that was asked for")
	}
	return rest, refused(why)
}

// at is where a name below the top is on disk.
func (u *unpacker) at(name string) string {
	if u.stage != "" {
		return path.Join(u.stage, name)
	}
	return path.Join(u.o.As, name)
}

func (u *unpacker) write(h *tar.Header, name string, content io.Reader) error {
	isDir := h.Typeflag == tar.TypeDir
	if u.o.As != "" && !u.begun {
		if name != "" && !isDir || u.o.Dir && !isDir {
			return errors.New("not a directory")
		}
		if err := u.begin(isDir, dirMode(h, name)); err != nil {
			return err
		}
		u.begun = true
	}
	if err := u.parents(name); err != nil {
		return err
	}
	switch {
	case sparse(h):
		return refusal("a sparse file")
	case isDir:
		return u.dir(name, h)
	case h.Typeflag == tar.TypeReg:
		return u.file(name, h, content)
	case h.Typeflag == tar.TypeSymlink:
		return u.link(name, h)
	case h.Typeflag == tar.TypeLink:
		return refusal("a hard link to " + Shown(h.Linkname) + " (tar --hard-dereference makes an archive without)")
	}
	return refusal(kind(h.FileInfo().Mode()))
}

// begin chooses a temporary name for a tree that is not there yet.
func (u *unpacker) begin(isDir bool, mode fs.FileMode) error {
	_, err := u.dest.Lstat(u.o.As)
	if !isDir || err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return plain(u.o.As, err)
	}
	stage := temporary()
	if err := u.dest.Mkdir(stage, mode); err != nil {
		return plain(u.o.As, err)
	}
	u.stage = stage
	return nil
}

func (u *unpacker) on(name string) {
	if u.o.On != nil {
		u.o.On(name)
	}
}

func temporary() string { return ".bb-cp-" + rand.Text()[:16] }

// source notices the end of its reader: an archive says itself where it ends.
type source struct {
	r     io.Reader
	ended bool
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if n > 0 && errors.Is(err, io.EOF) {
		return n, nil // the next read says it again
	}
	if errors.Is(err, io.EOF) {
		s.ended = true
	}
	return n, err
}

// clean turns the name of an archive's entry into one below the top: "" is
// the top itself.
func clean(name string) string {
	for strings.HasPrefix(name, "./") {
		name = strings.TrimLeft(name[1:], "/")
	}
	name = strings.TrimSuffix(name, "/")
	if name == "." {
		return ""
	}
	return name
}
