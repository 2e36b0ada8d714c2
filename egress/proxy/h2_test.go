package proxy

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2Status sends one HTTP/2 request of the given fields in a tunnel to
// a.example and returns the status, or "reset" or "gone".
func h2Status(t *testing.T, w *world, fields [][2]string) string {
	t.Helper()
	c, err := w.tunnel("a.example:443", "a.example", "h2")
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	fr := http2.NewFramer(c, c)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = fr.WriteSettings()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range fields {
		_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
	for {
		frame, err := fr.ReadFrame()
		if err != nil {
			return "gone"
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			return f.PseudoValue("status")
		case *http2.RSTStreamFrame:
			return "reset"
		case *http2.GoAwayFrame:
			return "gone"
		}
	}
}

// Attack B6: each stream names the tunnel's host, in :authority and in host,
// and its path is one that HTTP/1.1 can carry.
func TestHTTP2Streams(t *testing.T) {
	w := newWorld(t, authed("a.example", 443), route("b.example", 443))
	seen := w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
	base := func(authority, path string, more ...[2]string) [][2]string {
		return append([][2]string{
			{":method", "GET"}, {":scheme", "https"}, {":authority", authority}, {":path", path},
		}, more...)
	}
	tests := map[string]struct {
		fields [][2]string
		want   []string
	}{
		"fine":             {base("a.example", "/"), []string{"200"}},
		"with port":        {base("a.example:443", "/"), []string{"200"}},
		"same host field":  {base("a.example", "/", [2]string{"host", "a.example"}), []string{"200"}},
		"other authority":  {base("b.example", "/"), []string{"403"}},
		"other port":       {base("a.example:444", "/"), []string{"403"}},
		"other host field": {base("a.example", "/", [2]string{"host", "b.example"}), []string{"400"}},
		"two host fields":  {base("a.example", "/", [2]string{"host", "a.example"}, [2]string{"host", "a.example"}), []string{"400", "reset"}},
		"no authority":     {[][2]string{{":method", "GET"}, {":scheme", "https"}, {":path", "/"}}, []string{"400"}},
		"URL as path":      {base("a.example", "https://b.example/"), []string{"400"}},
		"space in query":   {base("a.example", "/?a b HTTP/1.1"), []string{"400"}},
		"space in path":    {base("a.example", "/a b"), []string{"400"}},
		"CONNECT":          {[][2]string{{":method", "CONNECT"}, {":authority", "a.example"}}, []string{"400"}},
		"extended CONNECT": {
			[][2]string{{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "https"}, {":authority", "a.example"}, {":path", "/"}},
			[]string{"400", "reset", "gone"},
		},
		"transfer-encoding": {base("a.example", "/", [2]string{"transfer-encoding", "chunked"}), []string{"400", "reset"}},
		"TE look-alike":     {base("a.example", "/", [2]string{"transfer_encoding", "chunked"}), []string{"400"}},
		"CL look-alike":     {base("a.example", "/", [2]string{"content_length", "5"}), []string{"400"}},
		"hop look-alike":    {base("a.example", "/", [2]string{"proxy_connection", "close"}), []string{"400"}},
		"upgrade":           {base("a.example", "/", [2]string{"upgrade", "websocket"}), []string{"400", "reset"}},
		"own method":        {append([][2]string{{":method", methodRefused}}, base("a.example", "/")[1:]...), []string{"400"}},
		"TRACE":             {append([][2]string{{":method", "TRACE"}}, base("a.example", "/")[1:]...), []string{"403"}},
	}
	good := 0
	for name, tt := range tests {
		got := h2Status(t, w, tt.fields)
		ok := false
		for _, want := range tt.want {
			ok = ok || got == want
		}
		if !ok {
			t.Errorf("%s: %s, want %v", name, got, tt.want)
		}
		if tt.want[0] == "200" {
			good++
		}
	}
	if n := len(seen.paths()); n != good {
		t.Errorf("upstream saw %v", seen.paths())
	}
}
