package egress

// Addresses inside a bottle. The agent has no interface but loopback; bb init
// listens here and hands every connection through the door.
const (
	ProxyHost     = "egress"
	ProxyPort     = 9099
	GitHost       = "git-gate"
	GitPort       = 9420
	SuperviseHost = "supervise"
	SupervisePort = 9100
	// LocalHost answers inside the proxy: live routes and explanations.
	LocalHost = "_egress.local"
	// ResolverIP is where policy DNS and the transparent ports listen.
	ResolverIP = "127.0.0.53"
)

// Door services: the word after "bb1 " in a connection's first line.
const (
	ServiceProxy = "proxy"
	ServiceGit   = "git"
	ServiceMCP   = "mcp"
	ServiceDNS   = "dns"
	ServiceTLS   = "tls"
	ServiceHTTP  = "http"
)

// Preface is the first line of every connection through the door. A DNS
// connection then carries messages with a two-byte length, as DNS over TCP;
// every other carries the bytes of the connection.
func Preface(service string) string { return "bb1 " + service + "\n" }

// Files of a sidecar's certificate authority, in a directory that only it
// mounts. A driver reads the certificate; the key never leaves.
const (
	CACertFile = "ca.crt"
	CAKeyFile  = "ca.key"
)
