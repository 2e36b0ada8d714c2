package egress

const (
	// RelayAddress is where the relay of a build listens: in a network namespace
	// of its own, which it shares with that build.
	RelayAddress = "127.0.0.1:3128"
	// RelayReady begins its only line on standard output.
	RelayReady = "ready"
)

// RelayRequest is the first line of a relay's standard input. Credentials of a
// parent proxy travel to it this way only.
type RelayRequest struct {
	URL         string `json:"url"`                   // http://HOST:PORT or https://HOST:PORT
	Credentials string `json:"credentials,omitempty"` // USER:PASSWORD
	Roots       string `json:"roots,omitempty"`       // PEM, besides the system's
}
