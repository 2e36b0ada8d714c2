package dlp

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// form is one spelling of a value, squeezed.
type form struct {
	text []byte
	// encoded means that what is to be covered goes on to the end of the run.
	encoded bool
	// value is the value as it was spelled before squeezing, "" when encoded.
	value string
	// weak is value where the squeezed form alone could be coincidence: what was
	// found has to be looked at again (verify).
	weak string
}

// stronger orders forms of which several begin at one place.
func (f *form) stronger(g *form) bool {
	if (f.weak == "") != (g.weak == "") {
		return f.weak == ""
	}
	return len(f.text) > len(g.text)
}

const (
	// minValue is the shortest value that is looked for, in bytes.
	minValue = 12
	// minForm is the shortest squeezed form: less is coincidence, or found raw.
	minForm = 8
	// maxSpelled bounds the values of which bulky spellings are kept.
	maxSpelled = 512
)

// formsOf lists the forms of values, and the values with so few letters and
// digits that nothing is left of them when squeezed.
func formsOf(values []string) (forms []form, raw []string) {
	b := builder{seen: map[string]int{}}
	for _, v := range values {
		b.value(v)
		if t := strings.TrimSpace(v); t != v {
			b.value(t) // a line end of the file that held it changes all encodings
		}
		if _, password, ok := strings.Cut(v, ":"); ok {
			b.value(password)
		}
	}
	return b.forms, b.raw
}

type builder struct {
	forms []form
	raw   []string
	seen  map[string]int // forms by text: 1 + index
}

func (b *builder) value(v string) {
	if len(v) < minValue {
		return
	}
	b.plain(v)
	b.plain(reverse(v))
	if undone := string(undoAll([]byte(v))); undone != v && len(undone) >= minValue {
		b.plain(undone) // a value that holds escapes, where escapes are undone
	}
	for _, t := range []string{v, reverse(v)} {
		b.spelled(t)
		b.bases(t)
		for _, inner := range slices.Concat(cores64(t), []string{hex.EncodeToString([]byte(t)), strings.ToUpper(hex.EncodeToString([]byte(t)))}) {
			b.encoded(hex.EncodeToString([]byte(inner)))
			for _, core := range cores64(inner) {
				b.encoded(core)
			}
		}
	}
	for _, t := range []string{strings.ToUpper(v), strings.ToLower(v), rot13(v)} {
		b.bases(t)
		b.bases(reverse(t))
	}
	if !isWeak(v) {
		b.encoded(rot13(v))
		b.encoded(string(undoAll([]byte(rot13(v)))))
	}
}

// bases are the encodings that a shell has a command for.
func (b *builder) bases(t string) {
	b.encoded(hex.EncodeToString([]byte(t)))
	for _, core := range append(cores64(t), cores32(t)...) {
		b.encoded(core)
		b.encoded(reverse(core))
	}
	b.encoded(reverse(hex.EncodeToString([]byte(t))))
}

// spelled are lists of numbers, as programs print them: with the separators
// squeezed away only the digits are left, and the letters of a prefix.
func (b *builder) spelled(t string) {
	if len(t) > maxSpelled {
		return
	}
	for _, f := range []string{"x%02x", "0x%02x", "%d", "%03d", "%o", "%03o", "0o%o", "%08b", "%07b", "0b%b", "%b", "u%04x", "%04x"} {
		var s strings.Builder
		for i := range len(t) {
			fmt.Fprintf(&s, f, t[i])
		}
		b.encoded(s.String())
	}
}

func (b *builder) plain(v string) {
	t := squeezed(v)
	if len(t) < minForm {
		b.raw = append(b.raw, v)
		return
	}
	f := form{text: t, value: v}
	if isWeak(v) {
		f.weak = v
	}
	b.add(f)
}

func (b *builder) encoded(s string) {
	if t := squeezed(s); len(t) >= minForm {
		b.add(form{text: t, encoded: true})
	}
}

func (b *builder) add(f form) {
	key := string(f.text) + "\x00" + f.weak
	if i := b.seen[key]; i > 0 {
		return
	}
	b.forms = append(b.forms, f)
	b.seen[key] = len(b.forms)
}

// cores64 are the characters of base64 that t alone decides, for each of the
// three places it can have in what is encoded.
func cores64(t string) (cores []string) {
	for before := range 3 {
		full := base64.RawStdEncoding.EncodeToString([]byte("\x00\x00"[:before] + t))
		if (before+len(t))%3 != 0 {
			full = full[:len(full)-1]
		}
		core := full[[]int{0, 2, 3}[before]:]
		cores = append(cores, core)
		if url := strings.NewReplacer("+", "-", "/", "_").Replace(core); url != core {
			cores = append(cores, url)
		}
	}
	return cores
}

// cores32 are those of base32, which has five places.
func cores32(t string) (cores []string) {
	for before := range 5 {
		full := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte("\x00\x00\x00\x00"[:before] + t))
		if (before+len(t))%5 != 0 {
			full = full[:len(full)-1]
		}
		cores = append(cores, full[(before*8+4)/5:])
	}
	return cores
}

func reverse(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

func rot13(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return 'a' + (r-'a'+13)%26
		case r >= 'A' && r <= 'Z':
			return 'A' + (r-'A'+13)%26
		}
		return r
	}, s)
}
