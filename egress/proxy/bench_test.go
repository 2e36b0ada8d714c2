package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/egress"
)

// BenchmarkSmallGET compares the proxy, rules and injection included, with a
// bare reverse proxy that also ends TLS on both sides.
func BenchmarkSmallGET(b *testing.B) { benchmarkSmall(b, "GET", "", nil) }

// BenchmarkSmallPOST does so with a body that is held and searched.
func BenchmarkSmallPOST(b *testing.B) {
	body := `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("hello ", 150) + `"}]}`
	none := func([]string) egress.Inspector { return quick{} }
	b.Run("unsearched", func(b *testing.B) { benchmarkSmall(b, "POST", body, nil) })
	b.Run("searched", func(b *testing.B) { benchmarkSmall(b, "POST", body, none) })
}

func benchmarkSmall(b *testing.B, method, body string, inspector func([]string) egress.Inspector) {
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(rw, strings.Repeat("x", 512))
	}))
	upstream.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return upstreamCA().leaf("a.example")
	}}
	upstream.StartTLS()
	defer upstream.Close()

	b.Run("proxy", func(b *testing.B) {
		w := &world{names: map[string][]string{}, servers: map[string]string{"443": upstream.Listener.Addr().String()}}
		p, err := New(Options{CA: upstreamCA(), Resolver: w, Dial: w.dial, Inspector: inspector})
		if err != nil {
			b.Fatal(err)
		}
		defer p.Close()
		doc := document(authed("a.example", 443))
		doc.UpstreamCA = string(upstreamCA().CertPEM())
		doc.Tokens["EGRESS_TOKEN_0"] = egress.Token{Value: secret}
		policy, err := NewPolicy(doc)
		if err != nil {
			b.Fatal(err)
		}
		p.SetPolicy(policy)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer ln.Close()
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				go p.ServeProxy(c)
			}
		}()
		send(b, method, body, &http.Transport{
			Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: ln.Addr().String()}),
			TLSClientConfig: &tls.Config{RootCAs: policy.roots}, MaxIdleConnsPerHost: 64,
		}, "https://a.example/")
	})
	b.Run("bare", func(b *testing.B) {
		target := &url.URL{Scheme: "https", Host: upstream.Listener.Addr().String()}
		bare := httptest.NewTLSServer(&httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
			Transport: &http.Transport{
				TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the bench's own upstream
				MaxIdleConnsPerHost: 64,
			},
		})
		defer bare.Close()
		send(b, method, body, &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 64, //nolint:gosec // the bench's own server
		}, bare.URL)
	})
}

func send(b *testing.B, method, body string, t *http.Transport, url string) {
	defer t.CloseIdleConnections()
	c := &http.Client{Transport: t}
	b.ReportAllocs()
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, err := http.NewRequest(method, url, strings.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			res, err := c.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			if n, err := io.Copy(io.Discard, res.Body); n != 512 || err != nil {
				b.Error(fmt.Errorf("%s: %d bytes, %w", res.Status, n, err))
			}
			_ = res.Body.Close()
		}
	})
}
