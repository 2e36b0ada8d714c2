package door

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func init() { roles["alone"] = playAlone }

// playAlone looks around where the test put it.
func playAlone() int {
	if script := os.Getenv("DOOR_TEST_SETUP"); script != "" {
		if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
			print("setup: ", err.Error(), string(out))
			return 3
		}
	}
	port := 0
	if address := os.Getenv("DOOR_TEST_LISTEN"); address != "" {
		l, err := net.Listen("tcp", address)
		if err != nil {
			print("listen: ", err.Error())
			return 3
		}
		defer l.Close()
		port = l.Addr().(*net.TCPAddr).Port
	}
	if err := Alone(port); err != nil {
		print(err.Error())
		return 1
	}
	return 0
}

// A way out of either family is found, whatever it leads to.
func TestAlone(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("this test makes network namespaces: run it as root")
		}
		t.Skip("this test makes network namespaces, which takes root: NOT RUN")
	}
	for _, tt := range []struct{ what, setup, listen, says string }{
		{"loopback alone", "ip link set lo up", "", ""},
		{"without IPv6", "ip link set lo up; echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6", "", ""},
		{"a device", "ip link set lo up; ip link add b0 type bridge; ip link set b0 up", "", "a"},
		{"a route of IPv6", "ip link set lo up; ip link add b0 type bridge; ip link set b0 up; ip -6 route add 2001:db8::/64 dev b0", "", "route"},
		{"an address of the outside on loopback", "ip link set lo up; ip -6 addr add 2001:db8::1/128 dev lo", "", "2001:db8::1"},
		{"the host on a shared loopback", "ip link set lo up", "127.0.0.1:0", "the host's loopback: something answers"},
		{"the host on a shared loopback of IPv6", "ip link set lo up", "[::1]:0", "the host's loopback: something answers"},
	} {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "DOOR_TEST_ROLE=alone", "DOOR_TEST_SETUP="+tt.setup, "DOOR_TEST_LISTEN="+tt.listen)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
			t.Fatalf("%s: %v: %s", tt.what, err, out)
		}
		if (err == nil) != (tt.says == "") || !strings.Contains(string(out), tt.says) {
			t.Errorf("%s: %v: %s", tt.what, err, out)
		}
	}
}
