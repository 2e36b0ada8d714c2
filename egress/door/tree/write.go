package tree

import (
	"archive/tar"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

// parents demands that every directory above name is one, and no link to one.
func (u *unpacker) parents(name string) error {
	if name == "" || u.o.As == "" && !strings.Contains(name, "/") {
		return nil
	}
	for i := 0; i < len(name); i++ {
		if name[i] != '/' {
			continue
		}
		if err := u.isDir(name[:i], 0o755); err != nil {
			return err
		}
	}
	if u.o.As == "" {
		return nil
	}
	return u.isDir("", 0o755)
}

// isDir makes a directory unless there is one.
func (u *unpacker) isDir(name string, mode fs.FileMode) error {
	at := u.at(name)
	info, err := u.dest.Lstat(at)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return refusal(Shown(cmp.Or(name, u.o.As)) + " is there and is not a directory")
	case !errors.Is(err, fs.ErrNotExist):
		return plain(name, err)
	}
	return plain(name, u.dest.Mkdir(at, mode))
}

func (u *unpacker) dir(name string, h *tar.Header) error {
	if name == "" && u.o.As == "" {
		return nil // the destination itself
	}
	u.report.Dirs++
	return u.isDir(name, dirMode(h, name))
}

// dirMode lets the owner in, or nothing could be put there or removed again;
// a top that no entry describes is as usual.
func dirMode(h *tar.Header, name string) fs.FileMode {
	if name == "" || h.Typeflag == tar.TypeDir {
		return fs.FileMode(h.Mode)&0o755 | 0o700
	}
	return 0o755
}

// sparse reports a form whose content is longer than its stream.
func sparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse") {
			return true
		}
	}
	return false
}

// free demands that a file or link may take the place of what is there.
func (u *unpacker) free(name string) error {
	if name == "" && u.o.As == "" {
		return refusal("leads out of the tree")
	}
	info, err := u.dest.Lstat(u.at(name))
	if err == nil && info.IsDir() {
		return refusal("a directory is in its place")
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return plain(name, err)
	}
	return nil
}

func (u *unpacker) file(name string, h *tar.Header, content io.Reader) (err error) {
	if err := u.free(name); err != nil {
		return err
	}
	tmp := path.Join(path.Dir(u.at(name)), temporary())
	// Created anew: what the archive or somebody else put there is not opened.
	f, err := u.dest.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, fs.FileMode(h.Mode)&0o755|0o600)
	if err != nil {
		return plain(name, err)
	}
	defer func() {
		if err != nil {
			_ = u.dest.Remove(tmp)
		}
	}()
	err = copyExactly(f, content, h.Size, u.buf, u.o.Bytes)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errTruncated
	}
	if err != nil {
		return plain(name, err)
	}
	if t := h.ModTime; t.Unix() > 0 && t.Year() < 2200 {
		_ = u.dest.Chtimes(tmp, time.Time{}, t) // a file of another time is whole too
	}
	if name == "" && u.stage == "" {
		u.stage = tmp // the whole tree: it appears when the stream has ended well
	} else if err := u.dest.Rename(tmp, u.at(name)); err != nil {
		return plain(name, err)
	}
	u.report.Files++
	u.report.Bytes += h.Size
	u.on(name)
	return nil
}

func (u *unpacker) link(name string, h *tar.Header) error {
	if why := badLink(name, h.Linkname, u.o.Bottle); why != "" {
		return refusal(why)
	}
	if err := u.free(name); err != nil {
		return err
	}
	tmp := path.Join(path.Dir(u.at(name)), temporary())
	if err := u.dest.Symlink(h.Linkname, tmp); err != nil {
		return plain(name, err)
	}
	if err := u.dest.Rename(tmp, u.at(name)); err != nil {
		_ = u.dest.Remove(tmp)
		return plain(name, err)
	}
	u.report.Links++
	u.on(name)
	return nil
}
