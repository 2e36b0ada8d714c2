package gitgate

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Bands of git's multiplexed output (gitprotocol-capabilities, side-band-64k).
const (
	bandData     = 1
	bandProgress = 2
	maxBand      = 65515 // bytes of data in one packet
)

// pushAnswer is what the client of a push reads. What git receive-pack writes
// goes through it: its progress at once; its report of what became of each ref
// is kept back, since only the gate knows that.
type pushAnswer struct {
	sideband bool

	mu     sync.Mutex
	w      http.ResponseWriter
	packet []byte // begun, not whole
	report []byte // git's own
	said   []byte // git's progress, the beginning of it
	over   bool   // nothing of git's passes any more
}

// Write takes what git receive-pack writes. It never fails: a client that went
// away must not stop what the upstream is being told.
func (a *pushAnswer) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.over:
	case !a.sideband:
		a.report = append(a.report, p[:min(len(p), max(0, maxHeadSize-len(a.report)))]...)
	default:
		a.packet = append(a.packet, p...)
		for a.next() {
		}
	}
	return len(p), nil
}

// next takes one whole packet.
func (a *pushAnswer) next() bool {
	if len(a.packet) < 4 || a.over {
		return false
	}
	size, err := strconv.ParseUint(string(a.packet[:4]), 16, 16)
	switch {
	case err != nil || size > 0 && size < 5:
		a.over = true // not what receive-pack writes
		return false
	case size == 0:
		a.packet = a.packet[4:]
		return true
	case len(a.packet) < int(size):
		return false
	}
	data := a.packet[4:size]
	a.packet = a.packet[size:]
	switch {
	case data[0] == bandData && len(data) > 1:
		a.report = append(a.report, data[1:min(len(data), 1+max(0, maxHeadSize-len(a.report)))]...)
	case data[0] == bandData: // it keeps the connection alive
		a.band(bandData, nil)
	default:
		a.said = append(a.said, data[1:min(len(data), 1+max(0, maxKept-len(a.said)))]...)
		a.band(bandProgress, data[1:])
	}
	return true
}

// maxKept bounds what is kept of git's progress.
const maxKept = 16 << 10

func (a *pushAnswer) band(n byte, data []byte) {
	_, _ = fmt.Fprintf(a.w, "%04x%c%s", len(data)+5, n, data)
	_ = http.NewResponseController(a.w).Flush()
}

// finish says lines to the agent and what became of each ref: why maps a ref to
// the reason that it was not pushed, without one it was.
func (a *pushAnswer) finish(lines []string, refs []string, why map[string]string) {
	var b bytes.Buffer
	packet := func(s string) { fmt.Fprintf(&b, "%04x%s\n", len(s)+5, s) }
	packet("unpack ok")
	for _, ref := range refs {
		if reason, failed := why[ref]; failed {
			packet("ng " + ref + " " + cleanText(reason, 200))
		} else {
			packet("ok " + ref)
		}
	}
	b.WriteString("0000")
	a.end(lines, b.Bytes())
}

// pass lets git's own report through, if it came to one.
func (a *pushAnswer) pass() bool {
	a.mu.Lock()
	report := bytes.Clone(a.report)
	over := a.over
	a.mu.Unlock()
	if over || !bytes.HasSuffix(report, []byte("0000")) {
		return false
	}
	a.end(nil, report)
	return true
}

func (a *pushAnswer) end(lines []string, report []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	if !a.sideband {
		_, _ = a.w.Write(report)
		return
	}
	for _, l := range lines {
		a.band(bandProgress, []byte(l+"\n"))
	}
	for len(report) > 0 {
		n := min(len(report), maxBand)
		a.band(bandData, report[:n])
		report = report[n:]
	}
	_, _ = io.WriteString(a.w, "0000")
}

// heard is the beginning of what git said.
func (a *pushAnswer) heard() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return string(a.said)
}

// cleanText is a text on one line of at most so many bytes, with what a
// terminal would obey made visible.
func cleanText(s string, most int) string {
	if cut := len(s) > most; cut {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	quoted := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`), `\\`, `\`)
}

// kept is git's own report, as far as it came.
func (a *pushAnswer) kept() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return string(a.report)
}
