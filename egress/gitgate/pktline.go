package gitgate

import (
	"fmt"
	"net/http"
)

// flush ends a section of pkt-lines.
const flush = "0000"

// pktLine frames a text as git's protocol does (gitprotocol-common).
func pktLine(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }

// pktError is what git prints as "fatal: remote error: TEXT".
func pktError(text string) string { return pktLine("ERR " + line("git gate: "+text)) }

// announcement is the head of an advertisement in the protocols 0 and 1; in
// protocol 2 git wants none.
func announcement(service, protocol string) string {
	if protocol == "version=2" && service == uploadName {
		return ""
	}
	return pktLine("# service="+service+"\n") + flush
}

// head sets the headers of a git answer.
func head(w http.ResponseWriter, contentType string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	h.Set("X-Content-Type-Options", "nosniff")
}

func advertType(service string) string { return "application/x-" + service + "-advertisement" }
func resultType(service string) string { return "application/x-" + service + "-result" }
func requestType(service string) string {
	return "application/x-" + service + "-request"
}
