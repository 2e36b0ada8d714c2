package proxy

import (
	"encoding/binary"
	"errors"
	"strings"
)

var errFrame = errors.New("a frame in which the credential cannot be looked for")

// frames follows a stream of frames, so that each payload is masked on its
// own: if the end of one were held back for what the next begins with, a
// program that answers message by message would wait for ever.
type frames struct {
	// size reads the head of a frame: how long it is, as far as is known, and
	// how long the payload behind it.
	size func(head []byte) (n int, payload uint64, err error)
	head []byte
	left uint64 // of the payload, with what is held
	// loose makes a stream that is not framed one piece of text.
	loose, unframed bool
}

// pass is masker.pass for frames. Heads are passed as they are.
func (f *frames) pass(k *masker, data []byte, last bool) (int, error) {
	n := 0
	for n < len(data) && !f.unframed {
		if f.left == 0 {
			f.head = append(f.head, data[n])
			size, payload, err := f.size(f.head)
			if err != nil {
				if f.unframed = f.loose; !f.loose {
					return n, err
				}
				break
			}
			n++
			if size <= len(f.head) {
				f.head, f.left = f.head[:0], payload
			}
			continue
		}
		end := n + int(min(f.left, uint64(len(data)-n)))
		passed := k.pass(data[n:end], last || uint64(end-n) == f.left)
		f.left -= uint64(passed)
		if n += passed; n < end {
			return n, nil // the rest is held
		}
	}
	if f.unframed {
		n += k.pass(data[n:], last)
	}
	return n, nil
}

// webSocketFrames reads heads of RFC 6455, 5.2. A server does not mask, and no
// extension that would use the reserved bits was agreed on: what breaks these
// rules is searched as it is.
func webSocketFrames() *frames { return &frames{size: webSocketFrame, loose: true} }

func webSocketFrame(head []byte) (int, uint64, error) {
	if head[0]&0x70 != 0 || len(head) > 1 && head[1]&0x80 != 0 {
		return 0, 0, errFrame
	}
	switch {
	case len(head) < 2:
		return 2, 0, nil
	case head[1] == 126 && len(head) < 4:
		return 4, 0, nil
	case head[1] == 126:
		return 4, uint64(binary.BigEndian.Uint16(head[2:])), nil
	case head[1] == 127 && len(head) < 10:
		return 10, 0, nil
	case head[1] == 127:
		return 10, binary.BigEndian.Uint64(head[2:]), nil
	}
	return 2, uint64(head[1]), nil
}

// messageFrame reads a head of gRPC over HTTP/2 (Length-Prefixed-Message) and
// of its relatives gRPC-Web and Connect. The lowest flag means compressed.
func messageFrame(head []byte) (int, uint64, error) {
	if head[0]&1 != 0 {
		return 0, 0, errFrame
	}
	if len(head) < 5 {
		return 5, 0, nil
	}
	return 5, uint64(binary.BigEndian.Uint32(head[1:])), nil
}

// framesOf returns the framing of a media type, or nil.
func framesOf(mediaType string) *frames {
	mediaType = strings.ToLower(mediaType)
	framed := strings.HasPrefix(mediaType, "application/grpc") || strings.HasPrefix(mediaType, "application/connect+")
	if !framed || strings.HasPrefix(mediaType, "application/grpc-web-text") {
		return nil
	}
	return &frames{size: messageFrame}
}
