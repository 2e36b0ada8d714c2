package proxy

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// localRoute is what the inside of a bottle may know of a route: no token's
// name, slot or digest, and no directory of the host.
type localRoute struct {
	Host           string         `json:"host"`
	Port           int            `json:"port"`
	Matches        []egress.Match `json:"matches,omitempty"`
	Auth           string         `json:"auth,omitempty"`
	TLSPassthrough bool           `json:"tls_passthrough,omitempty"`
	GitFetch       bool           `json:"git_fetch,omitempty"`
	WebSocket      bool           `json:"websocket,omitempty"`
	Tunnel         bool           `json:"tunnel,omitempty"`
	MaxBody        int64          `json:"max_body,omitempty"`
	Expires        time.Time      `json:"expires,omitzero"`
	Source         string         `json:"source"`
}

// local answers http://_egress.local/: what is allowed, and why something is
// not. It resolves nothing and reaches nobody.
func (x *exchange) local() *denial {
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		return deny(http.StatusMethodNotAllowed, "egress: "+egress.LocalHost+" answers GET only")
	}
	switch x.target.Path {
	case "", "/", "/allowlist":
		routes := []localRoute{}
		for i := range x.live.routes {
			if r := &x.live.routes[i]; !r.Expired(x.p.o.Now()) {
				routes = append(routes, localView(r))
			}
		}
		return x.answerJSON(map[string]any{"routes": routes})
	case "/explain":
		q := x.r.URL.Query()
		e := egress.Explain(x.live.routes, q.Get("method"), q.Get("url"), x.p.o.Now())
		return x.answerJSON(struct {
			egress.Explanation
			Text string `json:"text"`
		}{e, e.Text()})
	}
	return deny(http.StatusNotFound, "egress: "+egress.LocalHost+" knows /allowlist and /explain?url=")
}

func localView(r *egress.Route) localRoute {
	v := localRoute{
		Host: r.Host, Port: r.Port, Matches: r.Matches, TLSPassthrough: r.TLSPassthrough, GitFetch: r.GitFetch,
		WebSocket: r.WebSocket, Tunnel: r.Tunnel, MaxBody: r.MaxBody, Expires: r.Expires, Source: egress.BaseSource(r.Source),
	}
	if r.Auth != nil {
		v.Auth = "yes"
	}
	return v
}

func (x *exchange) answerJSON(v any) *denial {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return deny(http.StatusInternalServerError, "egress: no answer")
	}
	body = append(body, '\n')
	h := x.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(http.StatusOK)
	_, _ = x.w.Write(body)
	return nil
}
