package proxy

import (
	"context"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// incoming takes apart what an agent sends over a WebSocket, and puts it
// together again from what was searched: each message in one frame, or, where
// the route streams, a large one in several.
type incoming struct {
	x    *exchange
	out  io.Writer
	held holding

	head    []byte // of a frame, as far as it has come
	frame   clientFrame
	inside  bool   // of the frame's payload
	at      uint64 // of the frame's payload, taken
	control []byte // payload of a control frame

	message  bool // under way
	opcode   byte // of the message, or opContinue after its first part
	key      [4]byte
	data     []byte // unmasked
	searched int    // of data, by search
	search   egress.Searcher
	closed   bool // by a close frame of the agent

	timer    *time.Timer
	messages int
	got      int64
	covered  finding
}

// take reads p. An error is the upstream's.
func (in *incoming) take(p []byte) (*socketCut, error) {
	for len(p) > 0 && !in.closed {
		if !in.inside {
			in.head = append(in.head, p[0])
			p = p[1:]
			f, size, err := parseClientFrame(in.head)
			if err != nil {
				return malformed(), nil
			}
			if len(in.head) < size {
				continue
			}
			in.head = in.head[:0]
			if cut := in.begin(f); cut != nil {
				return cut, nil
			}
		} else {
			n, cut := in.payload(p)
			if cut != nil {
				return cut, nil
			}
			p = p[n:]
		}
		if in.at == in.frame.length {
			if cut, err := in.end(); cut != nil || err != nil {
				return cut, err
			}
		}
	}
	return nil, nil
}

func malformed() *socketCut {
	return &socketCut{closeProtocol, deny(http.StatusForbidden, "egress: cut: "+errClientFrame.Error())}
}

// begin starts a frame.
func (in *incoming) begin(f clientFrame) *socketCut {
	in.frame, in.inside, in.at = f, true, 0
	if f.control() {
		in.control = in.control[:0]
		return nil
	}
	if (f.opcode == opContinue) != in.message {
		return malformed()
	}
	if !in.message {
		in.message, in.opcode, in.key, in.data, in.searched = true, f.opcode, f.key, in.data[:0], 0
		in.messages++
		in.got = 0
	}
	if !in.streams() && f.length > uint64(egress.MaxWhole-len(in.data)) {
		return &socketCut{closeTooBig, in.x.messageTooLarge()}
	}
	return nil
}

func (in *incoming) streams() bool {
	d := in.x.verdict.Route.DLP
	return d != nil && d.Stream
}

// payload takes what of p belongs to the frame, and returns how much that is.
func (in *incoming) payload(p []byte) (int, *socketCut) {
	n := int(min(in.frame.length-in.at, uint64(len(p))))
	if in.frame.control() {
		in.control = append(in.control, p[:n]...)
		mask(in.control[len(in.control)-n:], in.frame.key, in.at)
		in.at += uint64(n)
		return n, nil
	}
	limit := egress.MaxWhole
	if in.streams() {
		limit = smallBody
	}
	var err error
	if in.data, err = in.held.room(context.Background(), in.data, limit); err != nil {
		return 0, &socketCut{closeLater, in.x.noRoom()}
	}
	start := len(in.data)
	n = min(n, cap(in.data)-start)
	in.data = append(in.data, p[:n]...)
	mask(in.data[start:], in.frame.key, in.at)
	in.at += uint64(n)
	in.got += int64(n)
	if in.streams() && len(in.data) == limit {
		return n, in.part()
	}
	return n, nil
}

// end finishes a frame, and with it perhaps a message.
func (in *incoming) end() (*socketCut, error) {
	in.inside = false
	if in.frame.control() {
		return in.endControl()
	}
	if !in.frame.fin {
		return nil, nil
	}
	var cut *socketCut
	if in.search != nil {
		cut = in.push(true)
	} else {
		cut = in.whole()
	}
	if cut == nil {
		cut = in.paused()
	}
	if cut != nil {
		return cut, nil
	}
	err := in.send(len(in.data), true)
	in.reset()
	return nil, err
}

func (in *incoming) endControl() (*socketCut, error) {
	if hits := in.inspector().Text(string(in.control), false); len(hits) > 0 {
		f := finding{stuck: true}
		f.add("a WebSocket control frame", hits, false)
		return &socketCut{closePolicy, in.x.judge(&f)}, nil
	}
	if cut := in.paused(); cut != nil {
		return cut, nil
	}
	in.closed = in.frame.opcode == opClose
	return nil, in.write(in.frame, in.control)
}

// paused ends sockets too while nothing passes: each would be a question more.
func (in *incoming) paused() *socketCut {
	if d := in.x.paused(); d != nil {
		return &socketCut{closeLater, d}
	}
	return nil
}

// inspector is that of the policy in force now: a socket may outlive the one
// that it was opened under.
func (in *incoming) inspector() egress.Inspector {
	if l := in.x.p.live.Load(); l != nil && l.inspector != nil {
		return l.inspector
	}
	return in.x.live.inspector
}

// whole searches a message that is there as a whole.
func (in *incoming) whole() *socketCut {
	if len(in.data) == 0 {
		return nil
	}
	b := egress.Body{Data: in.data}
	plain, hits, err := in.inspector().Body(b)
	if err != nil {
		return &socketCut{closePolicy, in.x.unsearchable("a WebSocket message", nil, err)}
	}
	f := finding{}
	same := len(plain) == len(in.data)
	f.add("a WebSocket message", hits, same && coverable(hits, len(in.data)))
	if len(f.hits) == 0 {
		return nil
	}
	if !f.redacts(in.x.verdict.Route) {
		return &socketCut{closePolicy, in.x.judge(&f)}
	}
	coverBytes(in.data, hits)
	if _, left, err := in.inspector().Body(b); err != nil || len(left) > 0 {
		f.stuck = true
		return &socketCut{closePolicy, in.x.judge(&f)}
	}
	if anyKnown(hits) { // see redacted
		in.x.p.oracle.hit(in.x.p.o.Now())
	}
	for _, h := range hits { // for the log, once each
		if !slices.ContainsFunc(in.covered.hits, func(o egress.Hit) bool { return o.Detector == h.Detector }) {
			in.covered.add(f.place, []egress.Hit{h}, true)
		}
	}
	return nil
}

// part searches and sends what has come of a large message but for its end.
func (in *incoming) part() *socketCut {
	cut := in.push(false)
	if cut == nil {
		cut = in.paused()
	}
	if cut != nil {
		return cut
	}
	if err := in.send(len(in.data)-heldBack, false); err != nil {
		return &socketCut{closePolicy, deny(http.StatusBadGateway, "egress: the connection to the upstream failed")}
	}
	in.opcode = opContinue
	rest := in.data[len(in.data)-heldBack:]
	in.data = in.data[:copy(in.data, rest)]
	in.searched = len(in.data)
	return nil
}

// push searches what of data was not.
func (in *incoming) push(last bool) *socketCut {
	var err error
	if in.search == nil {
		if in.search, err = in.inspector().Stream(egress.Body{}); err != nil {
			return &socketCut{closePolicy, in.x.unsearchable("a WebSocket message", nil, err)}
		}
	}
	hits, err := in.search.Push(in.data[in.searched:])
	in.searched = len(in.data)
	if err == nil && len(hits) == 0 && last {
		hits, err = in.search.End()
	}
	if err != nil {
		return &socketCut{closePolicy, in.x.unsearchable("a WebSocket message", nil, err)}
	}
	if len(hits) > 0 {
		f := finding{}
		f.add("a WebSocket message", hits, false)
		return &socketCut{closePolicy, in.x.judge(&f)}
	}
	return nil
}

// send masks the first n bytes of data and writes them as a frame.
func (in *incoming) send(n int, fin bool) error {
	f := clientFrame{fin: fin, opcode: in.opcode, key: in.key}
	return in.write(f, in.data[:n])
}

const smallFrame = 4 << 10

// write sends a frame, a small one in one piece. It masks payload in place.
func (in *incoming) write(f clientFrame, payload []byte) error {
	f.length = uint64(len(payload))
	mask(payload, f.key, 0)
	b := appendClientFrame(make([]byte, 0, 14+min(len(payload), smallFrame)), f)
	if len(payload) <= smallFrame {
		b = append(b, payload...)
		payload = nil
	}
	_, err := in.out.Write(b)
	if err == nil && len(payload) > 0 {
		_, err = in.out.Write(payload)
	}
	return err
}

// partial reports whether so much of a message waits for its rest that others
// could miss the room.
func (in *incoming) partial() bool { return in.message && cap(in.data) > firstRoom }

// reset ends a message. A socket that waits holds at most firstRoom.
func (in *incoming) reset() {
	in.message = false
	if in.search != nil {
		in.search.Close()
		in.search = nil
	}
	if cap(in.data) > firstRoom {
		in.held.free()
		in.data = nil
	}
}

// drop lets go of everything.
func (in *incoming) drop() {
	in.reset()
	in.held.free()
	in.data, in.control = nil, nil
	if in.timer != nil {
		in.timer.Stop()
		in.timer = nil
	}
}

func (x *exchange) messageTooLarge() *denial {
	d := x.tooLargeWhole()
	d.status, d.reason = http.StatusForbidden, "egress: cut: a WebSocket message is larger than what is searched as a whole; dlp: {stream: true}"
	return d
}
