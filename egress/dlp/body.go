package dlp

import (
	"bytes"
	"mime"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// Body is egress.Inspector's.
func (s *Scanner) Body(b egress.Body) (plain []byte, hits []egress.Hit, err error) {
	q := s.start(false, len(b.Data))
	defer s.stop(q)
	if plain, err = q.decode(b.Data, b.Codings); err != nil {
		return nil, nil, err
	}
	q.layer(plain, place{})
	if len(named(b.Codings)) > 0 && len(q.hits) == 0 {
		// What decoders skip: a gzip head's name and comment, frames of zstd.
		q.nowhere(func() { q.flat(b.Data) })
	}
	if err := q.parts(plain, b.MediaType); err != nil {
		return nil, nil, err
	}
	if q.err != nil {
		return nil, nil, q.err
	}
	return plain, q.result(), nil
}

// flat searches text as it is, without decoding any of it.
func (q *search) flat(text []byte) {
	if q.spend(len(text)) {
		q.s.patterns(text, q.emit)
		q.values(text)
	}
}

// nowhere remembers one hit without bounds for all that find adds.
func (q *search) nowhere(find func()) {
	before := q.base
	q.base = len(q.hits)
	find()
	found := strongest(q.hits[q.base:])
	q.hits, q.base = q.hits[:q.base], before
	if len(found) > 0 {
		q.hits = append(q.hits, egress.Hit{Detector: found[0].Detector, Known: found[0].Known})
	}
}

// parts searches what of a body only its media type tells: the parts of a
// multipart one decoded, and values that begin in one part, or one field of a
// form, and end in the next.
func (q *search) parts(plain []byte, mediaType string) error {
	kind, params, err := mime.ParseMediaType(mediaType)
	switch lower := strings.ToLower(mediaType); {
	case strings.HasPrefix(kind, "multipart/") && err == nil:
		return q.multipart(plain, params["boundary"], 0)
	case strings.Contains(lower, "multipart/"):
		// A reader may be more lenient than this one.
		return egress.ErrUndecodable
	case strings.Contains(lower, "x-www-form-urlencoded"):
		q.form(plain)
	}
	return nil
}

// form searches the values of a form's fields one after another.
func (q *search) form(plain []byte) {
	if bytes.IndexByte(plain, '&') < 0 {
		return
	}
	j := q.join(len(plain))
	for field := range bytes.SplitSeq(plain, []byte("&")) {
		if _, value, ok := bytes.Cut(field, []byte("=")); ok {
			field = value
		}
		j.add(field)
	}
	j.search()
}

// joint is text put together from parts, for hits that reach over the end of
// one: the others were found where they are.
type joint struct {
	q    *search
	text []byte
	ends []int
}

func (q *search) join(size int) *joint { return &joint{q: q, text: q.buffer(size)} }

func (j *joint) add(part []byte) {
	if len(part) > 0 {
		j.text = append(j.text, part...)
		j.ends = append(j.ends, len(j.text))
	}
}

func (j *joint) search() {
	q := j.q
	defer func() { q.release(j.text) }()
	if len(j.ends) < 2 || !q.produce(len(j.text)) {
		return
	}
	q.tight = true
	defer func() { q.tight = false }()
	q.nowhere(func() {
		q.layer(j.text, place{})
		mine := q.hits[q.base:]
		over := mine[:0]
		for _, h := range mine {
			if j.over(h) {
				over = append(over, h)
			}
		}
		q.hits = q.hits[:q.base+len(over)]
	})
}

// over says that a hit reaches over the end of a part.
func (j *joint) over(h egress.Hit) bool {
	lo, hi := 0, len(j.ends)
	for lo < hi {
		if mid := (lo + hi) / 2; j.ends[mid] > h.Start {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo < len(j.ends) && j.ends[lo] < h.End
}
