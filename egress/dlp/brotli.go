package dlp

import (
	"io"

	"github.com/andybalholm/brotli"
)

func newBrotli(r io.Reader) io.Reader { return brotli.NewReader(r) }
