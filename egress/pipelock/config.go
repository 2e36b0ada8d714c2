// Package pipelock runs a pipelock process as the last hop behind bb: it writes
// its configuration, has it checked, keeps it running and ends it. pipelock is
// a program of its own; nothing of it is linked here.
package pipelock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"

	"github.com/bot-bottle/bb/egress"
)

// Config is what a configuration is made of.
type Config struct {
	// Version is what the program calls itself, such as "2.3.0".
	Version string
	// Port is the one on 127.0.0.1 that it listens on.
	Port int
	// CACert and CAKey are the files of the authority that it intercepts with;
	// the key is SEC1.
	CACert, CAKey string
	// Routes are those that bb enforces itself, merged and canonical.
	Routes []egress.Route
}

// unbounded stands for no limit of requests: 0 would mean 60 a minute.
const unbounded = 1_000_000_000

// file is a configuration of version 2. An unknown key is an error there, and
// a missing one means a default that may not be bb's, so that all are written.
type file struct {
	Version      int            `json:"version"`
	Mode         string         `json:"mode"`
	Enforce      bool           `json:"enforce"`
	APIAllowlist []string       `json:"api_allowlist"`
	FetchProxy   fetchProxy     `json:"fetch_proxy"`
	ForwardProxy forwardProxy   `json:"forward_proxy"`
	TLS          interception   `json:"tls_interception"`
	Bodies       requestBodies  `json:"request_body_scanning"`
	SSRF         *ssrf          `json:"ssrf,omitempty"`
	Sentry       crashReporting `json:"sentry"`
}

type fetchProxy struct {
	Listen     string     `json:"listen"`
	Monitoring monitoring `json:"monitoring"`
}

type monitoring struct {
	MaxRequestsPerMinute int `json:"max_requests_per_minute"`
}

// forwardProxy: bb compares SNI itself; with interception pipelock's own check
// breaks kept connections.
type forwardProxy struct {
	Enabled         bool `json:"enabled"`
	SNIVerification bool `json:"sni_verification"`
}

type interception struct {
	Enabled            bool     `json:"enabled"`
	CACert             string   `json:"ca_cert"`
	CAKey              string   `json:"ca_key"`
	PassthroughDomains []string `json:"passthrough_domains"`
}

// requestBodies: headers that bb injects hold the real credential, which is no
// leak; what the agent sent under their names bb has dropped.
type requestBodies struct {
	Enabled       bool     `json:"enabled"`
	Action        string   `json:"action"`
	ScanHeaders   bool     `json:"scan_headers"`
	HeaderMode    string   `json:"header_mode"`
	IgnoreHeaders []string `json:"ignore_headers"`
}

type ssrf struct {
	IPAllowlist []string `json:"ip_allowlist"`
}

type crashReporting struct {
	Enabled bool `json:"enabled"`
}

// Render writes the configuration for one major version. It is JSON, which is
// YAML too: every string is quoted, so that no value can become another key.
// The same input gives the same bytes.
func Render(c Config) ([]byte, error) {
	if err := Supported(c.Version); err != nil {
		return nil, err
	}
	if c.Port < 1 || c.Port > 65535 || c.CACert == "" || c.CAKey == "" {
		return nil, errors.New("pipelock: a configuration needs a port and an authority")
	}
	if len(c.Routes) == 0 {
		return nil, errors.New("pipelock: strict mode needs a route")
	}
	if err := egress.CheckRoutes(c.Routes); err != nil {
		return nil, err
	}
	hosts, passed, err := domains(c.Routes)
	if err != nil {
		return nil, err
	}
	f := file{
		Version: 1, Mode: "strict", Enforce: true, APIAllowlist: hosts,
		FetchProxy: fetchProxy{
			Listen:     net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port)),
			Monitoring: monitoring{MaxRequestsPerMinute: unbounded},
		},
		ForwardProxy: forwardProxy{Enabled: true},
		TLS:          interception{Enabled: true, CACert: c.CACert, CAKey: c.CAKey, PassthroughDomains: passed},
		Bodies: requestBodies{
			Enabled: true, Action: "block", ScanHeaders: true, HeaderMode: "all", IgnoreHeaders: injected(c.Routes),
		},
	}
	if ranges := internalRanges(c.Routes); len(ranges) > 0 {
		f.SSRF = &ssrf{IPAllowlist: ranges}
	}
	out, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("pipelock: %w", err)
	}
	return append(forYAML(out), '\n'), nil
}

// forYAML escapes what JSON lets stand and YAML does not (YAML 1.2, 5.1): a
// reader of YAML would refuse all of it.
func forYAML(text []byte) []byte {
	var b bytes.Buffer
	for _, r := range string(text) {
		if 0x7f <= r && r < 0xa0 || r == 0xfeff || r == 0xfffe || r == 0xffff {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.Bytes()
}

// injected are the headers that carry credentials.
func injected(routes []egress.Route) []string {
	names := map[string]bool{}
	for _, r := range routes {
		if r.Auth != nil && r.Auth.HeaderName() != "" {
			names[r.Auth.HeaderName()] = true
		}
	}
	return list(names)
}

// list is sorted and never nil: null is no list.
func list(set map[string]bool) []string {
	return append([]string{}, slices.Sorted(maps.Keys(set))...)
}
