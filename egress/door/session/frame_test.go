package session

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type got struct {
	Kind    byte
	Payload string
}

// decode feeds data in pieces of n bytes.
func decode(kinds string, data []byte, n int) (frames []got, d decoder, err error) {
	d = decoder{kinds: kinds, handle: func(kind byte, payload []byte) error {
		frames = append(frames, got{kind, string(payload)})
		return nil
	}}
	for len(data) > 0 && err == nil {
		piece := data[:min(n, len(data))]
		data = data[len(piece):]
		err = d.feed(piece)
	}
	return frames, d, err
}

const toBottle = string(frameData) + string(frameEnd) + string(frameResize)

func TestDecode(t *testing.T) {
	long := bytes.Repeat([]byte("x"), maxPayload)
	for _, tt := range []struct {
		name string
		data string
		want []got
		bad  bool
	}{
		{"nothing", "", nil, false},
		{"all kinds", "d\x00\x00\x00\x02hir\x00\x00\x00\x04\x00\x18\x00\x50e\x00\x00\x00\x00", []got{{'d', "hi"}, {'r', "\x00\x18\x00\x50"}, {'e', ""}}, false},
		{"empty data", "d\x00\x00\x00\x00", []got{{'d', ""}}, false},
		{"the most data", string(appendFrame(nil, 'd', long)), []got{{'d', string(long)}}, false},
		{"half a frame waits", "d\x00\x00\x00\x05hell", nil, false},
		{"one byte too many", "d\x00\x01\x00\x01", nil, true},
		{"four gigabytes", "d\xff\xff\xff\xff", nil, true},
		{"a resize of three bytes", "r\x00\x00\x00\x03abc", nil, true},
		{"an end with something", "e\x00\x00\x00\x01x", nil, true},
		{"a kind of the other way", "S\x00\x00\x00\x00", nil, true},
		{"text", "bb: unexpected argument session", nil, true},
		{"bad after good", "d\x00\x00\x00\x01ax\x00\x00\x00\x00", []got{{'d', "a"}}, true},
	} {
		for _, n := range []int{1, 3, 1 << 20} {
			frames, _, err := decode(toBottle, []byte(tt.data), n)
			if (err != nil) != tt.bad || err != nil && !errors.Is(err, ErrFrame) {
				t.Errorf("%s in pieces of %d: %v", tt.name, n, err)
			}
			if diff := cmp.Diff(tt.want, frames); diff != "" {
				t.Errorf("%s in pieces of %d (-want +got):\n%s", tt.name, n, diff)
			}
		}
	}
}

// FuzzDecode: however a stream is cut into pieces it means the same frames,
// those frames are the stream again, and what is kept is bounded.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("d\x00\x00\x00\x02hir\x00\x00\x00\x04\x00\x18\x00\x50e\x00\x00\x00\x00"), 1)
	f.Add([]byte("S\x00\x00\x00\x00E\x00\x00\x00\x03errT\x00\x00\x00\x04\x00\x00\x00\x09"), 2)
	f.Add([]byte("d\xff\xff\xff\xff"), 3)
	f.Add([]byte("bb: nothing of this"), 7)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		n = max(1, n%100)
		for _, kinds := range []string{toBottle, "SBET"} {
			whole, d, errWhole := decode(kinds, data, len(data)+1)
			pieces, _, errPieces := decode(kinds, data, n)
			if diff := cmp.Diff(whole, pieces); diff != "" || (errWhole == nil) != (errPieces == nil) {
				t.Fatalf("in pieces of %d: %v and %v\n%s", n, errWhole, errPieces, diff)
			}
			var again []byte
			for _, g := range whole {
				if len(g.Payload) > maxPayload {
					t.Fatalf("a payload of %d bytes", len(g.Payload))
				}
				again = appendFrame(again, g.Kind, []byte(g.Payload))
			}
			if !bytes.HasPrefix(data, again) {
				t.Fatalf("%q is not the beginning of %q", again, data)
			}
			if errWhole == nil && (!bytes.Equal(append(again, d.rest...), data) || len(d.rest) >= headerSize+maxPayload) {
				t.Fatalf("%d bytes are kept of %q", len(d.rest), data)
			}
		}
	})
}

// FuzzClient: whatever a bottle says, the client neither fails otherwise than
// with ErrFrame nor believes that more input was taken than it sent.
func FuzzClient(f *testing.F) {
	f.Add([]byte("S\x00\x00\x00\x00T\x00\x00\x00\x04\xff\xff\xff\xff"))
	f.Add([]byte("B\x00\x00\x00\x00S\x00\x00\x00\x00E\x00\x00\x00\x01x"))
	f.Fuzz(func(t *testing.T, said []byte) {
		var sent, stderr bytes.Buffer
		c := NewClient(&sent, &stderr)
		if err := c.Input(bytes.NewReader(make([]byte, 100))); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(said); err != nil && !errors.Is(err, ErrFrame) {
			t.Fatal(err)
		}
		if c.under < 0 || c.under > 100 {
			t.Fatalf("%d bytes under way of 100", c.under)
		}
		if stderr.Len() > len(said) {
			t.Fatal("more came out than went in")
		}
	})
}

func TestTerminalForm(t *testing.T) {
	for _, text := range []string{"xterm-256color:24x80", "vt100:0x0", "screen.xterm:65535x1"} {
		terminal, err := ParseTerminal(text)
		if err != nil || terminal.String() != text {
			t.Errorf("%s: %v, %v", text, terminal, err)
		}
	}
	for _, text := range []string{"xterm", "xterm:24", "xterm:24x80x1", "xterm:-1x80", "xterm:24x65536", "../x:1x1", ":1x1", "x y:1x1", "xterm:024x80"} {
		if terminal, err := ParseTerminal(text); err == nil {
			t.Errorf("%s is %v", text, terminal)
		}
	}
	for _, kind := range []string{"", "../../etc/passwd", "a\nb", "-x"} {
		if got := (Terminal{Type: kind, Size: Size{24, 80}}).String(); got != "xterm:24x80" {
			t.Errorf("TERM=%q becomes %s", kind, got)
		}
	}
	if terminal, err := ParseTerminal(""); terminal != nil || err != nil {
		t.Errorf("none: %v, %v", terminal, err)
	}
}

func TestCommand(t *testing.T) {
	o := Options{Name: "main", Bare: true, Terminal: &Terminal{"vt100", Size{24, 80}}}
	want := []string{"/bb", "door", "session", "--name", "main", "--bare", "--terminal", "vt100:24x80", "--", "sh", "-c", "x"}
	if diff := cmp.Diff(want, Command("/bb", o, []string{"sh", "-c", "x"})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for name, ok := range map[string]bool{"": true, "main": true, "x-1": true, "../env": false, "-x": false, "A": false, "a b": false} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}
