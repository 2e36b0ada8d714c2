package egress

// Words of StateLine.Agent; "" where no credential lies with an ssh-agent.
const (
	AgentConnected = "connected"
	AgentGone      = "gone"
)

// AgentHello is the first line of the control stream "agent": a JSON object and
// a line feed. After the Reply both ends speak the ssh-agent protocol (RFC draft
// ietf-sshm-ssh-agent): the sidecar asks, the host answers.
type AgentHello struct {
	// Keys are the credentials that the host will sign for, "ssh-agent TYPE BASE64".
	Keys []string `json:"keys"`
}

// MaxAgentMessage bounds one message of the ssh-agent protocol, in bytes.
const MaxAgentMessage = 256 << 10
