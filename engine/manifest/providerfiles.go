package manifest

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// placements are the directories and files that a provider puts into a bottle.
func (f *file) placements(root *node) []spec.File {
	var out []spec.File
	at := map[string]string{}
	place := func(item *node, s spec.File) {
		if first, ok := at[s.Path]; ok && s.Path != "" {
			f.fail(item.get("path"), "keep one of them", "%s repeats the path of %s", item.path, first)
		}
		at[s.Path] = item.path
		out = append(out, s)
	}
	for _, item := range root.get("directories").each() {
		place(item, spec.File{Path: f.guestPath(item.get("path")), Mode: mode(item.get("mode"), 0o755), Dir: true})
	}
	for _, item := range root.get("files").each() {
		if item.is(isMap) {
			place(item, spec.File{Path: f.guestPath(item.get("path")), Mode: mode(item.get("mode"), 0o644), Content: f.content(item)})
		}
	}
	for _, file := range out {
		for _, other := range out {
			if !file.Dir && file.Path != "" && strings.HasPrefix(other.Path, file.Path+"/") {
				f.fail(root.get("files"), "choose another path", "%s is a file, and %s lies below it", at[file.Path], at[other.Path])
			}
		}
	}
	return out
}

// content is what a file says itself, or holds another of its directory.
func (f *file) content(item *node) []byte {
	content, source := item.get("content"), item.get("source")
	switch {
	case content != nil && source != nil:
		f.failKey(later(content, source), "keep one of them", "%s: content and source exclude each other", item.path)
	case content != nil:
		return []byte(content.str())
	case source == nil:
		f.failKey(item, "add content, or the source: a file beside provider.cue", "%s has no content", item.path)
	case source.str() != "":
		b, err := f.beside(source.str())
		if err != nil {
			f.fail(source, "name a file in the provider's own directory", "%s: %v", source.path, diag.Cause(err))
		}
		return b
	}
	return nil
}

// beside reads a file of the manifest's directory. A link may lead to another
// file in it and not out of it: what lies elsewhere is not the provider's.
func (f *file) beside(name string) ([]byte, error) {
	root, err := os.OpenRoot(filepath.Dir(f.path))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	in, err := root.OpenFile(filepath.FromSlash(strings.TrimPrefix(name, "./")), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	info, err := in.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("is a directory")
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a regular file")
	}
	b, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if len(b) > maxFile {
		return nil, errors.New("larger than 1 MiB")
	}
	return b, err
}
