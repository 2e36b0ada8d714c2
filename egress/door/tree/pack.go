package tree

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"
)

const bufferSize = 256 << 10

// Pack writes the file or directory at name in root as a tar stream. It looks
// at the whole tree first: what is refused is an error, a *Refused, before the
// first byte. A file that changes meanwhile is carried as long as it was when
// it was opened; what has vanished is left out; what has become something that
// is refused is an error.
func Pack(root *os.Root, name string, w io.Writer, o Options) (Report, error) {
	p := &packer{root: root, o: o, links: map[inode]uint64{}, refused: map[string]bool{}}
	if err := p.walk(name, "", p.survey); err != nil {
		return p.report, err
	}
	p.judgeLinks()
	if r := &p.report.Refused; r.Count > 0 && (!o.Skip || p.refused[""]) {
		return p.report, r
	}
	p.tar, p.buf = tar.NewWriter(w), make([]byte, bufferSize)
	if err := p.walk(name, "", p.send); err != nil {
		return p.report, err
	}
	return p.report, p.tar.Close()
}

type packer struct {
	root    *os.Root
	o       Options
	report  Report
	refused map[string]bool // not walked, or not walked again
	// links counts the names in the tree of files that have several;
	// linked remembers where they are.
	links  map[inode]uint64
	linked []linked
	tar    *tar.Writer
	buf    []byte
}

type linked struct {
	inode inode
	total uint64
	name  string
}

// visitor handles one path; at is below the root, name below the top.
type visitor func(at, name string, info fs.FileInfo) error

// walk visits a path and all below it, in order of names.
func (p *packer) walk(at, name string, visit visitor) error {
	info, err := p.root.Lstat(at)
	switch {
	case err == nil:
	case name != "" && gone(err):
		return nil
	default:
		return plain(name, err)
	}
	if p.refused[name] {
		return nil
	}
	if err := visit(at, name, info); err != nil || !info.IsDir() || p.refused[name] {
		return err
	}
	list, err := p.list(at, info)
	if gone(err) && name != "" {
		return nil
	}
	if err != nil {
		return plain(name, err)
	}
	for _, n := range list {
		if err := p.walk(path.Join(at, n), path.Join(name, n), visit); err != nil {
			return err
		}
	}
	return nil
}

var errSwapped = errors.New("changes while it is read")

// list reads the names in the directory that info describes. Only names: the
// details of an entry are asked for through the root.
func (p *packer) list(at string, info fs.FileInfo) ([]string, error) {
	d, err := p.root.OpenFile(at, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if now, err := d.Stat(); err != nil || !os.SameFile(info, now) {
		return nil, errors.Join(errSwapped, err)
	}
	list, err := d.Readdirnames(-1)
	slices.Sort(list)
	return list, err
}

// survey judges one path.
func (p *packer) survey(at, name string, info fs.FileInfo) error {
	why := badName(name, p.o.Bottle)
	if why == "" {
		why = p.judge(at, name, info)
	}
	if why != "" {
		p.refuse(name, why, info.IsDir())
	}
	return nil
}

// refuse counts a path; what lies below a directory goes with it.
func (p *packer) refuse(name, why string, dir bool) {
	p.report.Refused.add(name, why)
	if p.o.Skip || dir || name == "" {
		p.refused[name] = true
	}
}

func (p *packer) judge(at, name string, info fs.FileInfo) string {
	switch mode := info.Mode(); {
	case mode.IsDir():
		if d, err := p.root.OpenFile(at, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_DIRECTORY, 0); err == nil {
			_ = d.Close()
		} else if !gone(err) {
			return unreadable(err)
		}
		return ""
	case mode.IsRegular():
		if id, total := names(info); total > 1 {
			p.links[id]++
			p.linked = append(p.linked, linked{id, total, name})
		}
		f, err := p.open(at)
		if err == nil {
			_ = f.Close()
		} else if !gone(err) {
			return unreadable(err)
		}
		return ""
	case mode&fs.ModeSymlink != 0:
		target, err := p.root.Readlink(at)
		if err != nil {
			return "" // swapped: sending looks again
		}
		return badLink(name, target, p.o.Bottle)
	default:
		return kind(mode)
	}
}

// judgeLinks refuses files with names outside of the tree: their content is
// somebody else's too.
func (p *packer) judgeLinks() {
	for _, l := range p.linked {
		if p.links[l.inode] < l.total {
			p.refuse(l.name, manyNames, false)
		}
	}
	p.linked = nil
}

const manyNames = "a hard link of a file outside the tree (cp -r makes a tree without; pnpm: package-import-method=copy)"

func (p *packer) open(at string) (*os.File, error) {
	// A pipe put in the file's place must not hold the walk.
	return p.root.OpenFile(at, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// send writes one path; it judges again what it finds.
func (p *packer) send(at, name string, info fs.FileInfo) error {
	h := &tar.Header{
		Name: path.Join(p.o.As, name), Mode: int64(info.Mode().Perm()), ModTime: info.ModTime(),
		Uid: p.o.UID, Gid: p.o.GID,
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
		p.report.Dirs++
		return p.tar.WriteHeader(h)
	case mode.IsRegular():
		return p.sendFile(at, name, h)
	case mode&fs.ModeSymlink != 0:
		target, err := p.root.Readlink(at)
		if gone(err) {
			return nil
		}
		if err != nil {
			return plain(name, err)
		}
		if why := badLink(name, target, p.o.Bottle); why != "" {
			return p.late(name, why)
		}
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, target, 0o777
		p.report.Links++
		p.on(name)
		return p.tar.WriteHeader(h)
	default:
		return p.late(name, kind(mode))
	}
}

// late is a refusal that the survey did not see.
func (p *packer) late(name, why string) error {
	if p.o.Skip && name != "" {
		p.report.Refused.add(name, why)
		return nil
	}
	return &Refused{List: []Refusal{{name, why + " since a moment ago"}}, Count: 1}
}

func (p *packer) sendFile(at, name string, h *tar.Header) error {
	f, err := p.open(at)
	if gone(err) {
		return nil
	}
	if err != nil {
		return plain(name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return plain(name, err)
	}
	if !info.Mode().IsRegular() {
		return p.late(name, kind(info.Mode()))
	}
	if id, total := names(info); total > 1 && p.links[id] < total {
		return p.late(name, manyNames)
	}
	h.Typeflag, h.Size, h.ModTime = tar.TypeReg, info.Size(), info.ModTime()
	if err := p.tar.WriteHeader(h); err != nil {
		return err
	}
	if err := copyExactly(p.tar, f, h.Size, p.buf, p.o.Bytes); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("became shorter while it was read: try again")
		}
		return plain(name, err)
	}
	p.report.Files++
	p.report.Bytes += h.Size
	p.on(name)
	return nil
}

func (p *packer) on(name string) {
	if p.o.On != nil {
		p.o.On(name)
	}
}
