package gitgate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// Bounds of what a push begins with.
const (
	maxPushRefs = 500
	maxHeadSize = 1 << 20
	maxShallow  = 10000
)

// pushHead is what a push asks for, before its pack (gitprotocol-pack,
// "Reference Update Request").
type pushHead struct {
	updates  []egress.RefUpdate
	sideband bool
	// raw is all that was read, for git to read again.
	raw []byte
}

// readPushHead reads up to the flush packet that ends the commands. No updates
// are a client that asks whether it may send. What an honest git does not send
// is an error: a signed push, a ref twice, ids of different lengths.
func readPushHead(r io.Reader) (pushHead, error) {
	var h pushHead
	width := 0
	seen := map[string]bool{}
	for shallow := 0; ; {
		data, err := h.packet(r)
		if err != nil {
			return h, err
		}
		if data == nil {
			return h, nil
		}
		if rest, is := bytes.CutPrefix(data, []byte("shallow ")); is {
			if shallow++; shallow > maxShallow || !objectID(string(bytes.TrimSuffix(rest, []byte("\n")))) || len(h.updates) > 0 {
				return h, errors.New("a bad list of shallow commits")
			}
			continue
		}
		command, capabilities, has := strings.Cut(string(data), "\x00")
		if has != (len(h.updates) == 0) {
			return h, errors.New("capabilities must stand with the first ref and no other")
		}
		if has {
			list := strings.Fields(capabilities)
			if !slices.Contains(list, "report-status") && !slices.Contains(list, "report-status-v2") {
				return h, errors.New("the client does not ask for a report of status")
			}
			h.sideband = slices.Contains(list, "side-band-64k")
		}
		u, n, err := readCommand(strings.TrimSuffix(command, "\n"))
		switch {
		case err != nil:
			return h, err
		case width != 0 && n != width:
			return h, errors.New("object ids of different lengths")
		case seen[u.Ref]:
			return h, errors.New("a ref twice in one push")
		case len(h.updates) == maxPushRefs:
			return h, fmt.Errorf("more than %d refs in one push; push fewer at a time", maxPushRefs)
		}
		width = n
		seen[u.Ref] = true
		h.updates = append(h.updates, u)
	}
}

// packet reads one pkt-line's data, nil for a flush packet.
func (h *pushHead) packet(r io.Reader) ([]byte, error) {
	at := len(h.raw)
	h.raw = append(h.raw, 0, 0, 0, 0)
	if _, err := io.ReadFull(r, h.raw[at:]); err != nil {
		return nil, errors.New("it ends before its pack")
	}
	size, err := strconv.ParseUint(string(h.raw[at:]), 16, 16)
	switch {
	case err == nil && size == 0:
		return nil, nil
	case err != nil || size <= 4 || at+int(size) > maxHeadSize:
		return nil, errors.New("a bad packet")
	}
	h.raw = append(h.raw, make([]byte, size-4)...)
	data := h.raw[at+4:]
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, errors.New("it ends before its pack")
	}
	return data, nil
}

// readCommand reads "OLD NEW REF". The name may be anything without a line's
// end: rules judge it.
func readCommand(s string) (u egress.RefUpdate, width int, err error) {
	older, rest, _ := strings.Cut(s, " ")
	newer, ref, _ := strings.Cut(rest, " ")
	if !objectID(older) || !objectID(newer) || len(older) != len(newer) || ref == "" || strings.ContainsAny(ref, "\n\x00") {
		return u, 0, errors.New("a bad command")
	}
	return egress.RefUpdate{Ref: ref, Old: unzero(older), New: unzero(newer)}, len(older), nil
}

func objectID(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

// unzero makes the id that stands for none into "".
func unzero(id string) string {
	if strings.Trim(id, "0") == "" {
		return ""
	}
	return id
}
