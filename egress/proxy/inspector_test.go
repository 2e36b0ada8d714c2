package proxy

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// small is an inspector that really searches: known values as they are, in any
// case, in base64 and with escapes, and one pattern. It decodes gzip.
type small struct{ values, forms []string }

func newSmall(values []string) egress.Inspector {
	s := &small{values: values}
	for _, v := range values {
		s.forms = append(s.forms, base64Forms(v)...)
		s.forms = append(s.forms, base64Cores(v)...)
	}
	return s
}

var (
	smallPattern = regexp.MustCompile(`fake_[A-Za-z0-9]{16}`)
	smallRun     = regexp.MustCompile(`[A-Za-z0-9+/=_%-]+`)
)

func (s *small) Text(text string, exact bool) []egress.Hit {
	var hits []egress.Hit
	lower := strings.ToLower(text)
	for _, v := range s.values {
		v = strings.ToLower(v)
		for from := 0; ; {
			i := strings.Index(lower[from:], v)
			if i < 0 {
				break
			}
			hits = append(hits, egress.Hit{Detector: "known value", Known: true, Start: from + i, End: from + i + len(v)})
			from += i + len(v)
		}
	}
	for _, run := range smallRun.FindAllStringIndex(text, -1) {
		part := text[run[0]:run[1]]
		plain, err := url.PathUnescape(part)
		hidden := err == nil && plain != part && slices.ContainsFunc(s.values, func(v string) bool { return strings.Contains(plain, v) })
		if hidden || slices.ContainsFunc(s.forms, func(f string) bool { return strings.Contains(part, f) }) {
			hits = append(hits, egress.Hit{Detector: "known value", Known: true, Start: run[0], End: run[1]})
		}
	}
	if !exact {
		for _, m := range smallPattern.FindAllStringIndex(text, -1) {
			hits = append(hits, egress.Hit{Detector: "fake token", Start: m[0], End: m[1]})
		}
	}
	return hits
}

func (s *small) Body(b egress.Body) ([]byte, []egress.Hit, error) {
	plain := b.Data
	for _, c := range slices.Backward(b.Codings) {
		if c != "gzip" {
			return nil, nil, egress.ErrUndecodable
		}
		z, err := gzip.NewReader(bytes.NewReader(plain))
		if err != nil {
			return nil, nil, egress.ErrUndecodable
		}
		if plain, err = io.ReadAll(io.LimitReader(z, egress.MaxWhole+1)); err != nil {
			return nil, nil, egress.ErrUndecodable
		}
		if len(plain) > egress.MaxWhole {
			return nil, nil, egress.ErrTooDeep
		}
	}
	if bytes.Contains(plain, []byte("panic now")) {
		panic("a panic that quotes " + string(plain))
	}
	return plain, s.Text(string(plain), false), nil
}

func (s *small) Stream(b egress.Body) (egress.Searcher, error) {
	if len(b.Codings) > 0 {
		return nil, egress.ErrUndecodable
	}
	return &smallSearcher{small: s}, nil
}

type smallSearcher struct {
	*small
	tail []byte
}

func (s *smallSearcher) Push(p []byte) ([]egress.Hit, error) {
	s.tail = append(s.tail, p...)
	hits := s.Text(string(s.tail), false)
	s.tail = append([]byte(nil), s.tail[max(0, len(s.tail)-256):]...)
	return hits, nil
}

func (s *smallSearcher) End() ([]egress.Hit, error) { return nil, nil }
func (s *smallSearcher) Close()                     { s.tail = nil }
