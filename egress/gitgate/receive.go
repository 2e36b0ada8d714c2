package gitgate

import "net/http"

// receive answers POST git-receive-pack. The body is decoded and bounded in
// time; the mirror was refreshed when the client asked for the refs.
func (g *Gate) receive(w http.ResponseWriter, _ *http.Request, s *served) {
	sayError(w, pushName, false, s.remote.Name+": pushing is not available in this version of bb")
}
