package gitgate

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func zipped(t testing.TB, s io.Reader) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.Copy(z, s); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestBodies(t *testing.T) {
	w := newWorld(t)
	w.remote("origin")
	const ask = "0014command=ls-refs\n0000"
	header := map[string]string{"Content-Type": requestType(uploadName), "Git-Protocol": "version=2", "Content-Encoding": "gzip"}
	if status, text := w.post("/origin.git/git-upload-pack", header, zipped(t, strings.NewReader(ask))); status != 200 || !strings.Contains(text, "refs/heads/main") {
		t.Errorf("gzip: %d %q", status, text)
	}
	for name, body := range map[string]string{
		"no gzip": ask, "torn gzip": zipped(t, strings.NewReader(ask))[:20], "empty": "",
	} {
		if _, text := w.post("/origin.git/git-upload-pack", header, body); strings.Contains(text, "refs/heads") {
			t.Errorf("%s: %q", name, text)
		}
	}
	_, text := w.raw("POST /origin.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nConnection: close\r\nGit-Protocol: version=2\r\nContent-Type: " + requestType(uploadName) +
		"\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0014\r\n14\r\ncommand=ls-refs\n0000\r\n0\r\n\r\n")
	if !strings.Contains(text, "refs/heads/main") {
		t.Errorf("chunked: %q", text)
	}
}

// A bomb ends at the limit, however little it takes to send.
func TestBodiesAreBounded(t *testing.T) {
	bomb := zipped(t, io.LimitReader(zeros{}, 64<<20))
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(bomb))
	r.Header.Set("Content-Encoding", "gzip")
	b, err := openBody(httptest.NewRecorder(), r, uploadBody)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, b)
	if err == nil || n > uploadBody.bytes || !b.failed.Load() {
		t.Errorf("%d bytes came out: %v", n, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// One that trickles is cut off by the time of the whole, and its child ends.
func TestSlowBodiesEnd(t *testing.T) {
	was := uploadBody
	uploadBody.time = 700 * time.Millisecond
	defer func() { uploadBody = was }()
	w := newWorld(t)
	w.remote("origin")
	w.clone("origin")
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /origin.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 100000\r\n\r\n", requestType(uploadName))
	go func() {
		for range 100 {
			if _, err := io.WriteString(c, "0"); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	began := time.Now()
	_ = c.SetReadDeadline(began.Add(9 * time.Second))
	_, err = io.Copy(io.Discard, c)
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it was cut off after %s: %v", took, err)
	}
	eventually(t, "the slot is free", func() bool { return len(w.gate.uploads.free) == 0 })
}
