package dlp

import (
	"encoding/hex"
	"fmt"
	"io"
	"testing"

	"github.com/bot-bottle/bb/egress"
)

func body0(media, data string, codings ...string) egress.Body {
	return egress.Body{MediaType: media, Codings: codings, Data: []byte(data)}
}

func known(hits []egress.Hit) bool {
	for _, h := range hits {
		if h.Known && h.Detector == knownValue {
			return true
		}
	}
	return false
}

func short(s string) string { return s[:min(len(s), 300)] }

// cover puts a filler over all hits, which must have bounds in order.
func cover(t *testing.T, plain []byte, hits []egress.Hit, filler byte) []byte {
	t.Helper()
	out, last := append([]byte{}, plain...), 0
	for _, h := range hits {
		if h.Start < last || h.End <= h.Start || h.End > len(out) {
			t.Fatalf("bounds [%d:%d] after %d, in %d bytes", h.Start, h.End, last, len(out))
		}
		for last = h.Start; last < h.End; last++ {
			out[last] = filler
		}
	}
	return out
}

type (
	io0    = io.Writer
	closer = io.WriteCloser
)

func hex0(s string) string { return hex.EncodeToString([]byte(s)) }

func quotedAll(s string) string {
	return eachByte(s, func(_ int, c byte) string { return fmt.Sprintf("=%02X", c) })
}
