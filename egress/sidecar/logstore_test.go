package sidecar

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// all reads a store as somebody does who begins at a position.
func (s *store) all(t *testing.T, since int64) (at int64, text string) {
	t.Helper()
	at, end := s.span(since)
	var out strings.Builder
	for pos := at; pos < end; {
		p := make([]byte, 7) // pieces need not be lines
		n, more, err := s.read(p, pos)
		if err != nil || more != nil {
			t.Fatalf("read at %d of %d..%d: %v", pos, at, end, err)
		}
		out.Write(p[:n])
		pos += int64(n)
	}
	return at, out.String()
}

func noReport(t *testing.T) func(error) {
	return func(err error) { t.Errorf("the disk fails: %v", err) }
}

func lines(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "{\"n\":%04d}\n", i)
	}
	return b.String()
}

const lineSize = 11

func TestStoreKeepsTwoFiles(t *testing.T) {
	dir := directory{filepath.Join(t.TempDir(), "log"), accessFiles}
	s := openStore(dir, 10*lineSize, noReport(t))
	for i := range 1000 {
		s.append([]byte(lines(i, i+1)))
	}
	at, text := s.all(t, 0)
	if diff := cmp.Diff(lines(980, 1000), text); diff != "" || at != 980*lineSize {
		t.Errorf("from %d (-want +got)\n%s", at, diff)
	}
	if at, text := s.all(t, 995*lineSize); at != 995*lineSize || text != lines(995, 1000) {
		t.Errorf("since: from %d %q", at, text)
	}
	if at, text := s.all(t, 5000*lineSize); at != 980*lineSize || text != lines(980, 1000) {
		t.Errorf("a position of another log: from %d %q", at, text)
	}
	entries, err := os.ReadDir(dir.dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Size() > 10*lineSize || info.Mode() != 0o600 {
			t.Errorf("%s: %v", e.Name(), info)
		}
	}
	info, err := os.Stat(dir.dir)
	if err != nil || info.Mode() != os.ModeDir|0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestStoreIsContinued(t *testing.T) {
	for name, tt := range map[string]struct {
		torn string
		want string
	}{
		"whole":          {"", lines(5, 16)},
		"torn":           {`{"n":0`, lines(5, 16)},
		"torn to a byte": {"{", lines(5, 16)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := directory{t.TempDir(), accessFiles}
			s := openStore(dir, 5*lineSize, noReport(t))
			for i := range 13 {
				s.append([]byte(lines(i, i+1)))
			}
			// As after SIGKILL: nothing is closed or told.
			file, err := os.OpenFile(dir.path(10*lineSize), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.WriteString(tt.torn); err != nil {
				t.Fatal(err)
			}
			_ = file.Close()
			s = openStore(dir, 5*lineSize, noReport(t))
			at, text := s.all(t, 0)
			if text != lines(5, 13) || at != 5*lineSize {
				t.Errorf("from %d %q", at, text)
			}
			for i := 13; i < 15; i++ {
				s.append([]byte(lines(i, i+1)))
			}
			_, text = openStore(dir, 5*lineSize, noReport(t)).all(t, 0)
			if diff := cmp.Diff(lines(5, 15), text); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestOpenDropsWhatDoesNotFollow(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[int64]string
		want  string
		left  int
	}{
		"three":               {map[int64]string{0: lines(0, 2), 2 * lineSize: lines(2, 4), 4 * lineSize: lines(4, 6)}, lines(2, 6), 2},
		"a gap":               {map[int64]string{0: lines(0, 1), 2 * lineSize: lines(2, 4)}, lines(2, 4), 1},
		"torn before memory":  {map[int64]string{0: lines(0, 2) + `{"n"`, 2 * lineSize: lines(2, 4)}, lines(0, 4), 2},
		"an empty last":       {map[int64]string{0: lines(0, 2), 2 * lineSize: ""}, lines(0, 2), 1},
		"a last without line": {map[int64]string{0: lines(0, 2), 2 * lineSize: "{"}, lines(0, 2), 1},
		"nothing":             {nil, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := directory{t.TempDir(), accessFiles}
			for base, text := range tt.files {
				if err := os.WriteFile(dir.path(base), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			_, text := openStore(dir, 2*lineSize, noReport(t)).all(t, 0)
			if diff := cmp.Diff(tt.want, text); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			entries, err := os.ReadDir(dir.dir)
			if err != nil || len(entries) != tt.left {
				t.Errorf("left: %v, %v", entries, err)
			}
			for _, e := range entries {
				if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
					t.Errorf("%v, %v", info, err)
				}
			}
		})
	}
}

// shaky is a directory whose disk is full at times: it takes a part of what is
// written to it.
type shaky struct {
	directory
	full *bool
}

type shakyFile struct {
	logFile
	full *bool
}

var errFull = errors.New("no space left on device")

func (d shaky) create(base int64) (logFile, error) {
	f, err := d.directory.create(base)
	return shakyFile{f, d.full}, err
}

func (f shakyFile) WriteAt(p []byte, off int64) (int, error) {
	if *f.full {
		n, _ := f.logFile.WriteAt(p[:len(p)/2], off)
		return n, errFull
	}
	return f.logFile.WriteAt(p, off)
}

func TestStoreOnAFullDisk(t *testing.T) {
	full, reports := false, 0
	dir := directory{t.TempDir(), accessFiles}
	now := time.Unix(1, 0)
	s := openStore(shaky{dir, &full}, 10*lineSize, func(err error) {
		reports++
		if !errors.Is(err, errFull) {
			t.Errorf("reported: %v", err)
		}
	})
	s.now = func() time.Time { return now }
	s.append([]byte(lines(0, 4)))
	full = true
	s.append([]byte(lines(4, 6)))
	s.append([]byte(lines(6, 7)))
	if at, text := s.all(t, 0); at != 0 || text != lines(0, 7) {
		t.Errorf("while it is full: from %d %q", at, text)
	}
	now = now.Add(diskRetry + 1)
	s.append([]byte(lines(7, 8))) // still full
	full = false
	s.append([]byte(lines(8, 9))) // not asked yet
	now = now.Add(diskRetry + 1)
	s.append([]byte(lines(9, 10)))
	if at, text := s.all(t, 0); at != 0 || text != lines(0, 10) {
		t.Errorf("afterwards: from %d %q", at, text)
	}
	if _, text := openStore(dir, 10*lineSize, noReport(t)).all(t, 0); text != lines(0, 10) {
		t.Errorf("on disk: %q", text)
	}
	if reports != 1 {
		t.Errorf("%d reports", reports)
	}
}

func TestStoreInMemoryIsBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	reports := 0
	s := openStore(directory{filepath.Join(file, "log"), accessFiles}, 1000, func(error) { reports++ })
	const n = 200_000
	for i := range n {
		s.append([]byte(lines(i%10000, i%10000+1)))
	}
	at, text := s.all(t, 0)
	if len(text) > maxLogMemory || len(text) < maxLogMemory/3 || cap(s.last().data) > 2*maxLogMemory {
		t.Errorf("%d bytes, capacity %d", len(text), cap(s.last().data))
	}
	if at+int64(len(text)) != n*lineSize || at%lineSize != 0 || !strings.HasSuffix(text, lines(9990, 10000)) {
		t.Errorf("from %d, %d bytes", at, len(text))
	}
	if reports != 1 {
		t.Errorf("%d reports", reports)
	}
}

// Whatever the disk does, what is read is a run of what was appended, without
// a gap, to its end; and so it is for the next sidecar, but for its end.
func TestStoreModel(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		full, dir, now := false, directory{t.TempDir(), accessFiles}, time.Unix(0, 0)
		open := func() *store {
			s := openStore(shaky{dir, &full}, 10*lineSize, func(error) {})
			s.now = func() time.Time { return now }
			return s
		}
		s, written := open(), ""
		for range 300 {
			now = now.Add(time.Second)
			switch rnd.IntN(12) {
			case 0:
				full = !full
			case 1:
				if rnd.IntN(5) > 0 {
					break
				}
				full = false
				s = open()
				_, kept := s.all(t, 0)
				at, end := s.span(0)
				if end > int64(len(written)) || written[at:end] != kept {
					t.Fatalf("seed %d: a new sidecar has %q at %d", seed, kept, at)
				}
				written = written[:end]
			default:
				n := rnd.IntN(6)
				s.append([]byte(lines(len(written)/lineSize%5000, len(written)/lineSize%5000+n)))
				written += lines(len(written)/lineSize%5000, len(written)/lineSize%5000+n)
			}
			at, text := s.all(t, 0)
			if written[at:] != text {
				t.Fatalf("seed %d: want from %d\n%q\ngot\n%q", seed, at, written[at:], text)
			}
			if entries, err := os.ReadDir(dir.dir); err != nil || len(entries) > 2 {
				t.Fatalf("seed %d: %v, %v", seed, entries, err)
			}
		}
	}
}
