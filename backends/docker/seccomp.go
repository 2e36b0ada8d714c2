package docker

import (
	_ "embed"
	"strings"
)

//go:generate go run -C ../../hack/seccomp . -o ../../backends/docker/seccomp.json

// seccompJSON is the engine's default profile less vsock, AF_ALG, io_uring,
// user namespaces, raw and exotic sockets, and 32-bit programs.
//
//go:embed seccomp.json
var seccompJSON string

func seccompProfile() string { return "seccomp=" + strings.TrimSpace(seccompJSON) }
