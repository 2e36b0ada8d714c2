//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// grep looks for values in the environment, arguments and memory of every
// process but itself, and in every file below root. The values come by
// standard input, one a line: on a command line they would be found there.
func grep(in io.Reader, root string) {
	text, err := io.ReadAll(in)
	s := search{root: root}
	for i, value := range bytes.Fields(text) {
		if len(value) < 8 {
			err = fmt.Errorf("value %d is short", i)
		}
		for _, f := range forms(value) {
			s.forms = append(s.forms, form{i, f})
		}
	}
	if err != nil || len(s.forms) == 0 {
		report(result{Attempt: "grep", Out: true, Detail: fmt.Sprint("needs values of 8 bytes or more on standard input ", err)})
		return
	}
	s.processes() // before they end
	s.files()
	report(result{
		Attempt: "grep summary", Out: s.hits > 0,
		Detail: fmt.Sprintf("%d files, %d processes, %d memory areas, %d unreadable", s.read, s.procs, s.areas, s.unreadable),
	})
}

// form is one spelling of one value.
type form struct {
	value int
	text  []byte
}

type search struct {
	root                                 string
	forms                                []form
	hits, read, procs, areas, unreadable int
}

// forms are the value as it is and as it is commonly wrapped.
func forms(value []byte) [][]byte {
	all := [][]byte{value, []byte(hex.EncodeToString(value)), []byte(url.QueryEscape(string(value)))}
	for shift := range 3 { // base64 at every alignment, without the digits that neighbours share
		b := base64.StdEncoding.EncodeToString(append(make([]byte, shift), value...))
		b = strings.TrimRight(b, "=")
		all = append(all, []byte(b[(shift*8+5)/6:len(b)-1]))
	}
	return all
}

func (s *search) files() {
	err := filepath.WalkDir(s.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			s.unreadable++
			return nil
		}
		switch inside := strings.TrimPrefix(path, strings.TrimSuffix(s.root, "/")); inside {
		case "/proc", "/sys", "/dev":
			return fs.SkipDir
		}
		if d.Type().IsRegular() {
			s.file(path)
		}
		return nil
	})
	if err != nil {
		report(result{Attempt: "grep", Detail: err.Error()})
	}
}

func (s *search) file(path string) {
	f, err := os.Open(path)
	if err != nil {
		s.unreadable++
		return
	}
	defer f.Close()
	s.read++
	s.stream(path, f)
}

// stream searches what r gives, in pieces that overlap by the longest form.
func (s *search) stream(where string, r io.Reader) {
	longest := 0
	for _, f := range s.forms {
		longest = max(longest, len(f.text))
	}
	had := map[int]bool{}
	buffer, kept := make([]byte, 1<<20), 0
	for {
		n, err := r.Read(buffer[kept:])
		piece := buffer[:kept+n]
		for _, f := range s.forms {
			if n > 0 && !had[f.value] && bytes.Contains(piece, f.text) {
				had[f.value] = true
				s.hits++
				report(result{Attempt: "grep", Target: where, Out: true, Detail: fmt.Sprintf("value %d", f.value)})
			}
		}
		if err != nil || n == 0 {
			return
		}
		kept = copy(buffer, piece[max(0, len(piece)-longest):])
	}
}

func (s *search) processes() {
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return // the pattern is well formed
	}
	for _, dir := range all {
		if dir == fmt.Sprintf("/proc/%d", os.Getpid()) {
			continue
		}
		s.procs++
		s.file(dir + "/environ")
		s.file(dir + "/cmdline")
		if err := s.memory(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.unreadable++
		}
	}
}

func (s *search) memory(dir string) error {
	maps, err := os.Open(dir + "/maps")
	if err != nil {
		return err
	}
	defer maps.Close()
	mem, err := os.Open(dir + "/mem")
	if err != nil {
		return err
	}
	defer mem.Close()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); err != nil || mode[:2] != "rw" {
			continue // what no process writes was read as a file
		}
		s.areas++
		s.stream(fmt.Sprintf("%s/mem %x", dir, from), io.NewSectionReader(mem, from, to-from))
	}
	return lines.Err()
}
