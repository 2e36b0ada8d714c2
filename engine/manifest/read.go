package manifest

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
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
	default:
		f.failFile(0, 0, "use .md, .yaml or .json", "%s manifests are not supported yet", filepath.Ext(f.path))
	}
}

func (f *file) bytes() ([]byte, bool) {
	info, err := os.Stat(f.path)
	switch {
	case err != nil:
		hint := ""
		if link, linkErr := os.Readlink(f.path); linkErr == nil {
			hint = "it is a link to " + link
		}
		f.failFile(0, 0, hint, "cannot read: %s", reason(err))
		return nil, false
	case info.IsDir():
		f.failFile(0, 0, "a manifest is a file", "cannot read: is a directory")
		return nil, false
	case !info.Mode().IsRegular():
		// Opening a pipe would wait for its writer.
		f.failFile(0, 0, "a manifest is a regular file", "cannot read: is not a regular file")
		return nil, false
	}
	in, err := os.Open(f.path)
	if err != nil {
		f.failFile(0, 0, "", "cannot read: %s", reason(err))
		return nil, false
	}
	defer in.Close()
	src, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		f.failFile(0, 0, "", "cannot read: %s", reason(err))
		return nil, false
	}
	if len(src) > maxFile {
		f.failFile(0, 0, "", "larger than 1 MiB")
		return nil, false
	}
	return src, true
}

func (f *file) readMarkdown(src []byte) {
	matter, body, mistake := splitFrontmatter(src)
	if mistake != nil {
		f.failFile(1, 1, mistake.hint, "%s", mistake.message)
		return
	}
	f.body = strings.TrimSpace(string(body))
	f.readYAML(matter)
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
