package gitgate

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// raw sends bytes as they are and reads one answer.
func (w *world) raw(request string) (int, string) {
	w.t.Helper()
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	go io.WriteString(c, request) //nolint:errcheck // the answer tells
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		w.t.Fatalf("%.80q: %v", request, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		w.t.Fatalf("%.80q: %v", request, err)
	}
	return answer.StatusCode, string(text)
}

func (w *world) get(target string, header ...string) (int, string) {
	w.t.Helper()
	return w.raw("GET " + target + " HTTP/1.1\r\nHost: git-gate\r\nConnection: close\r\n" + strings.Join(header, "") + "\r\n")
}

func (w *world) post(target string, header map[string]string, body string) (int, string) {
	w.t.Helper()
	head := ""
	for k, v := range header {
		head += k + ": " + v + "\r\n"
	}
	return w.raw(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: git-gate\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n%s", target, len(body), head, body))
}
