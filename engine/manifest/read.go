package manifest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/bot-bottle/bb/engine/diag"
)

// Sizes beyond which a file is a mistake and not a manifest.
const (
	maxFile        = 1 << 20
	maxFrontmatter = 128 << 10
)

// read loads a file's bytes and turns them into nodes.
func (f *file) read() {
	src, ok := f.bytes()
	if !ok {
		return
	}
	f.sum = sha256.Sum256(src)
	if !utf8.Valid(src) {
		f.failFile(invalidLine(src), 1, "save the file as UTF-8", "not valid UTF-8")
		return
	}
	switch filepath.Ext(f.path) {
	case ".md":
		f.readMarkdown(src)
	case ".yaml", ".yml":
		f.readYAML(src)
	case ".json":
		f.readJSON(src)
	case ".cue":
		f.readCUE(src)
	}
}

func (f *file) bytes() ([]byte, bool) {
	in, err := f.open()
	if err != nil {
		hint := ""
		if link, linkErr := os.Readlink(f.path); linkErr == nil {
			hint = "it is a link to " + link
		}
		why := diag.Cause(err).Error()
		if f.kind == providerKind && errors.Is(err, fs.ErrNotExist) {
			hint = "write it, or remove its directory"
		}
		if f.leaves() {
			why, hint = "is a link out of the repository", "put the file itself into the repository"
		}
		f.failFile(0, 0, hint, "cannot read: %s", why)
		return nil, false
	}
	defer in.Close()
	info, err := in.Stat()
	switch {
	case err != nil:
		f.failFile(0, 0, "", "cannot read: %v", diag.Cause(err))
		return nil, false
	case info.IsDir():
		f.failFile(0, 0, "a manifest is a file", "cannot read: is a directory")
		return nil, false
	case !info.Mode().IsRegular():
		f.failFile(0, 0, "a manifest is a regular file", "cannot read: is not a regular file")
		return nil, false
	}
	src, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		f.failFile(0, 0, "", "cannot read: %v", diag.Cause(err))
		return nil, false
	}
	if len(src) > maxFile {
		f.failFile(0, 0, "", "larger than 1 MiB")
		return nil, false
	}
	return src, true
}

// open does not wait for the writer of a pipe. What a repository holds is
// opened from within it: a link out of it would make any file of the host a
// prompt, and whoever works in it may change it at any moment.
func (f *file) open() (*os.File, error) {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK
	if f.repo == "" {
		return os.OpenFile(f.path, flags, 0)
	}
	root, err := os.OpenRoot(f.repo)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	rel, err := filepath.Rel(f.repo, f.path)
	if err != nil {
		return nil, err
	}
	return root.OpenFile(rel, flags, 0)
}

func (f *file) readMarkdown(src []byte) {
	matter, body, mistake := splitFrontmatter(src)
	if mistake != nil {
		f.failFile(1, 1, mistake.hint, "%s", mistake.message)
		return
	}
	f.body = strings.TrimSpace(string(body))
	blank := len(body) - len(bytes.TrimLeftFunc(body, unicode.IsSpace))
	f.bodyLine = 1 + bytes.Count(src[:len(src)-len(body)+blank], []byte("\n"))
	f.readYAML(matter)
}

func (f *file) tooLarge(src []byte) bool {
	if len(bytes.TrimSpace(src)) <= maxFrontmatter {
		return false
	}
	f.failFile(1, 1, "", "more than %d KiB of keys", maxFrontmatter>>10)
	return true
}

func invalidLine(src []byte) int {
	line := 1
	for len(src) > 0 {
		r, size := utf8.DecodeRune(src)
		if r == utf8.RuneError && size == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		src = src[size:]
	}
	return line
}
