package dlp

import (
	"io"

	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds what one zstd stream may make its reader remember, as
// RFC 9659 does for the coding of HTTP.
const maxZstdWindow = 8 << 20

// unzstd is a zstd reader that is made when it is first needed.
type unzstd struct{ d *zstd.Decoder }

func (u *unzstd) open(r io.Reader) (io.Reader, error) {
	if u.d != nil {
		return u.d, u.d.Reset(r)
	}
	d, err := newZstd(r)
	u.d = d
	return d, err
}

// newZstd reads in the caller's goroutine.
func newZstd(r io.Reader) (*zstd.Decoder, error) {
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderMaxMemory(maxOutput))
}
