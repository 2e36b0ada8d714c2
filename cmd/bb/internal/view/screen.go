package view

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"unicode/utf8"
)

// Screen is where progress goes: whole lines that stay, and below them, on a
// terminal, lines that are redrawn. Everything that speaks while those stand
// must write here, or it writes into them.
type Screen struct {
	mu    sync.Mutex
	w     io.Writer
	width func() int // 0: no terminal, nothing is redrawn
	part  []byte     // of a line that is not whole yet
	live  []string
	drawn int
}

// NewScreen writes to w; width is the terminal's, or nil without one.
func NewScreen(w io.Writer, width func() int) *Screen {
	if width == nil {
		width = func() int { return 0 }
	}
	return &Screen{w: w, width: width}
}

// redraws reports whether lines that change can be shown.
func (s *Screen) redraws() bool { return s.width() > 0 }

// Write adds lines that stay. What has no end yet waits for it.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.part = append(s.part, p...)
	end := bytes.LastIndexByte(s.part, '\n') + 1
	if end == 0 {
		return len(p), nil
	}
	lines := bytes.Clone(s.part[:end])
	s.part = append(s.part[:0], s.part[end:]...)
	return len(p), s.draw(lines)
}

// Live shows lines that the next call replaces; none ends it.
func (s *Screen) Live(lines []string) {
	if !s.redraws() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = lines
	_ = s.draw(nil) // progress that nobody reads is no error
}

// draw replaces the live lines by what stays and the live lines as they are.
func (s *Screen) draw(stays []byte) error {
	var b bytes.Buffer
	if s.drawn > 0 {
		fmt.Fprintf(&b, "\r\x1b[%dA\x1b[J", s.drawn)
	}
	b.Write(stays)
	width := s.width()
	for _, l := range s.live {
		b.WriteString(cut(l, width-1) + "\n")
	}
	s.drawn = len(s.live)
	_, err := s.w.Write(b.Bytes())
	return err
}

// cut keeps a line from wrapping: a wrapped one could not be redrawn.
func cut(l string, width int) string {
	if width < 0 || utf8.RuneCountInString(l) <= width {
		return l
	}
	return string([]rune(l)[:width])
}
