package door

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func udpDoor(t *testing.T, socket string) *net.UDPConn {
	t.Helper()
	d := startDoor(t, Options{Socket: socket, Listens: []Listen{{"udp", "127.0.0.1:0", "dns"}}})
	conn, err := net.Dial("udp", d.udp[0].LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.UDPConn)
}

// upper answers each framed message in upper case.
func upper(service string, conn *net.UnixConn) {
	var size [2]byte
	for service == "dns" {
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		msg := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, msg); err != nil {
			return
		}
		_, _ = conn.Write(append(size[:], strings.ToUpper(string(msg))...))
	}
}

func TestDatagramsAreFramed(t *testing.T) {
	conn := udpDoor(t, startSidecar(t, upper).socket)
	for _, query := range []string{"twelve bytes", strings.Repeat("q", maxDatagram)} {
		if _, err := conn.Write([]byte(query)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 8192)
		n, err := conn.Read(buf)
		if diff := cmp.Diff(strings.ToUpper(query), string(buf[:n])); err != nil || diff != "" {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
	}
}

func TestOddDatagramsAreDropped(t *testing.T) {
	conn := udpDoor(t, startSidecar(t, upper).socket)
	for _, size := range []int{0, 11, maxDatagram + 1} {
		if _, err := conn.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Write([]byte("the good one")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8192)
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "THE GOOD ONE" {
		t.Errorf("got %q, %v", buf[:n], err)
	}
}

func TestDatagramWithoutSidecarFailsAtOnce(t *testing.T) {
	far := startSidecar(t, upper)
	far.kill()
	conn := udpDoor(t, far.socket)
	query := append([]byte{0xbe, 0xef, 1, 0}, "the rest of it"...)
	if _, err := conn.Write(query); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 512)
	n, err := conn.Read(buf)
	want := append([]byte{0xbe, 0xef, 0x81, 2}, "the rest of it"...) // SERVFAIL
	if diff := cmp.Diff(want, buf[:n]); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}
