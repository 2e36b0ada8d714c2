package sidecar

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
)

// reader is a ctl that reads the log.
type reader struct {
	span  egress.LogSpan
	lines *bufio.Scanner
	hang  io.Closer // its standard input
	ended chan error
}

func (r *running) read(t *testing.T, q egress.LogRequest) *reader {
	t.Helper()
	in, hang := io.Pipe()
	out, w := io.Pipe()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	x := &reader{hang: hang, ended: make(chan error, 1), lines: bufio.NewScanner(out)}
	go func() {
		err := CtlLog(ctx, Control{Socket: r.opts.ControlSocket}, q, in, w)
		w.CloseWithError(err)
		x.ended <- err
	}()
	var reply egress.Reply
	if !x.lines.Scan() || json.Unmarshal(x.lines.Bytes(), &reply) != nil || !reply.OK || json.Unmarshal(reply.Data, &x.span) != nil {
		t.Fatalf("no reply: %s, %v", x.lines.Bytes(), x.lines.Err())
	}
	return x
}

// lines waits until the log has n lines and returns them; -1 waits for one that
// a test calls LAST.
func (r *running) lines(t *testing.T, n int) (got []string) {
	t.Helper()
	for end := time.Now().Add(deadline); ; time.Sleep(5 * time.Millisecond) {
		got = nil
		x := r.read(t, egress.LogRequest{})
		for x.lines.Scan() {
			got = append(got, x.lines.Text())
		}
		if n >= 0 && len(got) >= n || n < 0 && strings.Contains(strings.Join(got, ""), "LAST") {
			return got
		}
		if time.Now().After(end) {
			t.Fatalf("%d lines", len(got))
		}
	}
}

func TestReadTheLog(t *testing.T) {
	r := start(t, nil)
	if _, err := r.ctl(t, CommandApply, document(nil)); err != nil {
		t.Fatal(err)
	}
	if x := r.read(t, egress.LogRequest{}); x.lines.Scan() || x.span != (egress.LogSpan{}) {
		t.Errorf("before anything: %+v %s", x.span, x.lines.Text())
	}
	r.log(map[string]string{"host": "a"})
	r.log(map[string]string{"host": "b" + secretValue})
	if diff := cmp.Diff([]string{`{"host":"a"}`, `{"host":"b[redacted]"}`}, r.lines(t, 2)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	x := r.read(t, egress.LogRequest{Since: 13})
	if !x.lines.Scan() || x.lines.Text() != `{"host":"b[redacted]"}` || x.span != (egress.LogSpan{At: 13, End: 36}) {
		t.Errorf("since: %+v %q", x.span, x.lines.Text())
	}
	for _, request := range []string{"", "{}", "{\"since\":-1}\n", "{\"sin\":1}\n", "[]\n", strings.Repeat(" ", 300) + "\n"} {
		conn := dialUnix(t, r.opts.ControlSocket)
		_, _ = io.WriteString(conn, "bb1 log\n"+request)
		_ = conn.CloseWrite()
		data, _ := io.ReadAll(conn)
		var reply egress.Reply
		if err := json.Unmarshal(data, &reply); err != nil || reply.OK || reply.Error == "" {
			t.Errorf("%q: %q, %v", request, data, err)
		}
	}
}

// Follow sees every line, across many rotations, while the log itself stays
// within its bound.
func TestFollowAcrossRotation(t *testing.T) {
	r := start(t, nil)
	x := r.read(t, egress.LogRequest{Follow: true})
	pad := strings.Repeat("x", 10<<10)
	const n = 3000                    // 30 MB: the log holds 8
	ahead := make(chan struct{}, 200) // 2 MB: whoever follows keeps up
	go func() {
		for i := range n {
			ahead <- struct{}{}
			r.log(map[string]any{"n": i, "pad": pad})
		}
	}()
	for i := range n {
		if !x.lines.Scan() {
			t.Fatalf("ended at %d: %v", i, x.lines.Err())
		}
		if want := fmt.Sprintf(`{"n":%d,`, i); !strings.HasPrefix(x.lines.Text(), want) {
			t.Fatalf("want %s, got %.80s", want, x.lines.Text())
		}
		<-ahead
	}
	var size int64
	files, err := filepath.Glob(filepath.Join(r.opts.CADir, logDirName, "*"))
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if err != nil || len(files) > 2 || size > 2*maxLogFile || size < maxLogFile {
		t.Errorf("%v hold %d bytes, %v", files, size, err)
	}
	begin := time.Now()
	r.log(map[string]string{"n": "last"})
	if !x.lines.Scan() || time.Since(begin) > time.Second {
		t.Errorf("a new line took %v", time.Since(begin))
	}
	_ = x.hang.Close()
	if err := <-x.ended; err != nil {
		t.Error(err)
	}
}

// Those who follow are few, keep nobody from applying, and are gone when they
// are gone, also while nothing happens.
func TestFollowersAreBounded(t *testing.T) {
	r := start(t, nil)
	for range 3 {
		var all []*reader
		for range maxReaders {
			all = append(all, r.read(t, egress.LogRequest{Follow: true}))
		}
		in, hang := io.Pipe()
		err := CtlLog(t.Context(), Control{Socket: r.opts.ControlSocket}, egress.LogRequest{Follow: true}, in, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "too many read the log") {
			t.Errorf("one more: %v", err)
		}
		_ = hang.Close()
		if _, err := r.ctl(t, CommandApply, document(nil)); err != nil {
			t.Errorf("apply beside them: %v", err)
		}
		for _, x := range all {
			_ = x.hang.Close()
			if err := <-x.ended; err != nil {
				t.Error(err)
			}
		}
		time.Sleep(50 * time.Millisecond) // the sidecar notices
	}
}

// One that does not read is cut off by what it does not take, not by memory.
func TestFollowerThatDoesNotRead(t *testing.T) {
	r := start(t, nil)
	conn := dialUnix(t, r.opts.ControlSocket)
	if _, err := io.WriteString(conn, "bb1 log\n{\"follow\":true}\n"); err != nil {
		t.Fatal(err)
	}
	pad := strings.Repeat("x", 10<<10)
	for i := range 2000 {
		r.log(map[string]any{"n": i, "pad": pad})
		if i%100 == 99 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	r.log(map[string]string{"method": "LAST"})
	r.lines(t, -1) // others read on
	data, err := io.ReadAll(conn)
	if err != nil || len(data) < 10<<10 || len(data) > 3*maxLogFile {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}
