package leaks

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"path"
	"runtime"
	"strings"
	"sync/atomic"
)

// Bounds of what one blob unpacks to. What needs more is refused: what is not
// searched does not pass.
const (
	// maxMember is how long a member may be, in bytes; one that lies in another
	// archive half of it.
	maxMember = 64 << 20
	// maxUnpacked bounds all of them together, and least and ratio those of a
	// small blob.
	maxUnpacked   = 256 << 20
	leastUnpacked = 16 << 20
	maxRatio      = 100
	// maxMembers bounds their number, and maxDepth how often something packed
	// lies in something packed: .tar.gz is two.
	maxMembers = 20_000
	maxDepth   = 6
	// maxPush bounds what all blobs of a push unpack to.
	maxPush = 4 << 30
)

// budget is what one blob may still use.
type budget struct {
	bytes   int64
	members int
	push    *atomic.Int64 // what all blobs of the push unpacked to
	late    func() bool
}

// budget is that of a blob.
func (s *searcher) budget(data []byte) *budget {
	return &budget{
		bytes: min(maxUnpacked, leastUnpacked+maxRatio*int64(len(data))), members: maxMembers,
		push: &s.unpacked, late: s.clock.late,
	}
}

// errPush says that the bound of the push is reached.
var errPush = errors.New("and what else is packed in this push unpacks to more than 4 GiB, more than is searched: push it in parts")

// errBudget says that the bounds are reached.
var errBudget = errors.New("unpacks to more than is searched: a member over 64 MiB, more than 100 times its size, or more than 20,000 members")

// file searches a blob as it is, and unpacked.
func (s *searcher) file(at place, name string, data []byte) {
	if kindOf(data) != none {
		s.large.Lock()
		found := s.unpack(at, name, data, 0, s.budget(data))
		s.large.Unlock()
		if found || s.decided() {
			return // the same again, without the member's name
		}
	}
	s.text(at, data, name)
}

// member searches what was unpacked, and says whether it found something.
func (s *searcher) member(at place, name string, data []byte, depth int, b *budget) bool {
	if kindOf(data) != none {
		if depth == maxDepth {
			s.refuse(at.String(), "holds archives in archives, more than 6 deep")
			return false
		}
		if s.unpack(at, name, data, depth, b) {
			return true
		}
	}
	return s.text(at, data, name)
}

// unpack searches what is in a packed file, and says whether it found
// something. What is broken is searched as far as it goes.
func (s *searcher) unpack(at place, name string, data []byte, depth int, b *budget) (found bool) {
	var err error
	switch k := kindOf(data); k {
	case zipFile:
		found, err = s.zip(at, data, depth, b)
	case tarFile:
		found, err = s.tar(at, data, depth, b)
	case pngFile, pdfFile:
		found, err = s.streams(at, name, k, data, depth, b)
	default:
		var r io.Reader
		if r, err = open(k, data); err != nil {
			return false // only looks like it
		}
		var plain []byte
		if plain, err = b.read(r, depth); err == nil && len(plain) > 0 {
			found = s.member(at, strings.TrimSuffix(name, path.Ext(name)), plain, depth+1, b)
		}
		close1(r)
	}
	s.over(at, err)
	return found
}

// over refuses what needs more than its budget.
func (s *searcher) over(at place, err error) {
	if errors.Is(err, errBudget) || errors.Is(err, errPush) || errors.Is(err, errLate) {
		s.refuse(at.String(), err.Error())
	}
}

func close1(r io.Reader) {
	if c, ok := r.(interface{ Close() }); ok {
		c.Close()
	}
}

// read reads a member to its end, or to where it is broken. What an archive
// says of its size is not asked for: it may lie, for each of many members.
func (b *budget) read(r io.Reader, depth int) ([]byte, error) {
	most := int64(maxMember)
	if depth > 0 {
		most /= 2
	}
	most = min(most, b.bytes)
	data := readAll(io.LimitReader(r, most+1), most+1)
	if b.bytes -= int64(len(data)); int64(len(data)) > most {
		return nil, errBudget
	}
	if b.push.Add(int64(len(data))) > maxPush {
		return nil, errPush
	}
	return data, nil
}

// readAll reads all that comes, at most most bytes, with little more memory
// than that has.
func readAll(r io.Reader, most int64) []byte {
	data := allocate(min(4<<10, most))[:0]
	for {
		if len(data) == cap(data) {
			data = append(allocate(min(4*int64(cap(data)), most+1))[:0], data...)
		}
		n, err := r.Read(data[len(data):cap(data)])
		if data = data[:len(data)+n]; err != nil {
			return data
		}
	}
}

// allocate allocates n bytes. Where that is much, what nobody uses any more goes
// first: the collector alone would be too late for the process's limit.
func allocate(n int64) []byte {
	if n > 4<<20 {
		runtime.GC()
	}
	return make([]byte, n)
}

// one counts a member.
func (b *budget) one() error {
	if b.members--; b.members < 0 {
		return errBudget
	}
	if b.late() {
		return errLate
	}
	return nil
}

// within is the place of a member, whose name is searched as well.
func (s *searcher) within(at place, name string) (place, bool) {
	before := at.path
	at.path = "" // the find of a name shows it whole
	shown, found := s.path(at, before+"!", name)
	at.path = shown
	return at, found
}

func (s *searcher) zip(at place, data []byte, depth int, b *budget) (found bool, err error) {
	// The directory is read whole, and what it needs in memory is many times
	// what it needs here.
	if bytes.Count(data, []byte("PK\x01\x02")) > 2*maxMembers {
		return false, errBudget
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return false, nil //nolint:nilerr // not one; its bytes are searched as they are
	}
	for method, kind := range map[uint16]kind{12: bzip2Data, 93: zstdData, 95: xzData} {
		z.RegisterDecompressor(method, func(r io.Reader) io.ReadCloser { return opening(kind, r) })
	}
	for _, f := range z.File {
		if err := b.one(); err != nil || s.decided() {
			return found, err
		}
		in, named := s.within(at, f.Name)
		found = found || named
		// What is encrypted cannot be searched; nor can what an agent encrypts
		// in any other way. Its name was.
		if f.Flags&1 != 0 || strings.HasSuffix(f.Name, "/") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			continue // a method nobody here has; the bytes are searched
		}
		plain, err := b.read(r, depth)
		r.Close()
		if err != nil {
			return found, err
		}
		found = s.member(in, f.Name, plain, depth+1, b) || found
	}
	return found, nil
}

func (s *searcher) tar(at place, data []byte, depth int, b *budget) (found bool, err error) {
	for t := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := t.Next()
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return found, nil //nolint:nilerr // the end, or broken: its bytes are searched as they are
		}
		if err := b.one(); err != nil || s.decided() {
			return found, err
		}
		in, named := s.within(at, h.Name)
		found = found || named
		if h.Typeflag != tar.TypeReg {
			continue
		}
		plain, err := b.read(t, depth)
		if err != nil {
			return found, err
		}
		found = s.member(in, h.Name, plain, depth+1, b) || found
	}
}

// streams searches the compressed texts of an image, or streams of a document.
func (s *searcher) streams(at place, name string, k kind, data []byte, depth int, b *budget) (found bool, err error) {
	each := pngTexts
	if k == pdfFile {
		each = pdfStreams
	}
	for packed := range each(data) {
		if err := b.one(); err != nil || s.decided() {
			return found, err
		}
		r, err := open(zlibData, packed)
		if err != nil {
			continue
		}
		plain, err := b.read(r, depth)
		if err != nil {
			return found, err
		}
		found = s.text(at, plain, name) || found
	}
	return found, nil
}
