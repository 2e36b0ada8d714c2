package backends

import (
	"github.com/bot-bottle/bb/engine/spec"
)

// BuildProxy is what image builds of a bottle go through to reach registries of
// packages: the parent proxy of its manifest. It is no input of an image.
type BuildProxy struct {
	// URL is http://HOST:PORT or https://HOST:PORT.
	URL string
	// Credentials are "USER:PASSWORD", or "". They never are in a container's
	// configuration, an argument of a build, a label, a file or a log.
	Credentials string
	// Network is the one from which sidecars reach the proxy; "" is any.
	Network string
	// Roots is PEM: what is trusted besides the system's roots, for https.
	Roots string
}

// BuildProxyOf is the one of a spec, or nil. A spec may be nil too.
func BuildProxyOf(s *spec.Spec, secrets spec.Secrets) *BuildProxy {
	if s == nil || s.Live.Parent == nil {
		return nil
	}
	p := &BuildProxy{URL: s.Live.Parent.URL, Network: s.Gate.Network, Roots: s.Live.UpstreamCA}
	if slot := s.Live.Parent.Slot; slot != "" {
		p.Credentials = secrets.Tokens[slot]
	}
	return p
}

// String never shows the credentials.
func (p BuildProxy) String() string { return p.URL }

// GoString never shows the credentials.
func (p BuildProxy) GoString() string { return p.URL }
