// Command upstream plays the outside world for tests and for the demo: a TLS
// server with an authority of its own that answers for the names it is given
// and writes down every request it saw. It needs nothing but itself, so that
// it runs as the only file of a container. SIGUSR1 makes it refuse WebSockets,
// SIGUSR2 let them in again.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

type names []string

func (n *names) String() string     { return strings.Join(*n, ",") }
func (n *names) Set(v string) error { *n = append(*n, v); return nil }

func main() {
	log.SetFlags(0)
	log.SetPrefix("upstream: ")
	var o options
	flag.Var(&o.names, "name", "a `HOST` to answer for; may be repeated")
	flag.StringVar(&o.caDir, "ca-dir", "/", "the `DIR` with ca.pem and ca.key; made when missing")
	flag.StringVar(&o.https, "https", ":443", "the `ADDRESS` for HTTPS")
	flag.StringVar(&o.http, "http", ":80", "the `ADDRESS` for plain HTTP")
	flag.StringVar(&o.seen, "seen", ":8081", "the `ADDRESS` that serves GET /_seen")
	flag.Parse()
	if len(o.names) == 0 {
		o.names = names{"api.anthropic.com"}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		log.Fatal(err)
	}
}

type options struct {
	names             names
	caDir             string
	https, http, seen string
}

func run(ctx context.Context, o options) error {
	leaf, err := leafFor(o.caDir, o.names)
	if err != nil {
		return err
	}
	journal := &journal{out: os.Stdout}
	responses := &responsesAPI{journal: journal}
	go responses.obey(ctx)
	outside := journal.record(byHost(responses, journal))

	private := http.NewServeMux()
	private.HandleFunc("GET /_seen", journal.serve)

	failed := make(chan error, 3)
	serve := func(addr string, handler http.Handler, cert *tls.Certificate) {
		s := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
		if cert == nil {
			failed <- s.ListenAndServe()
			return
		}
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12}
		failed <- s.ListenAndServeTLS("", "")
	}
	go serve(o.https, outside, &leaf)
	go serve(o.http, outside, nil)
	go serve(o.seen, private, nil)
	fmt.Fprintf(os.Stderr, "upstream: answering for %s\n", o.names.String())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// byHost lets one server play several: each API under its own name, an echo
// under every other.
func byHost(responses *responsesAPI, j *journal) http.Handler {
	apis := map[string]http.Handler{
		"api.anthropic.com": messagesAPI(),
		"chatgpt.com":       chatgptAPI(responses),
		"api.openai.com":    openaiAPI(responses),
		"auth.openai.com":   loginAPI(),
	}
	echo := echoAPI(j)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := strings.Cut(r.Host, ":")
		if api, ok := apis[host]; ok {
			api.ServeHTTP(w, r)
			return
		}
		echo.ServeHTTP(w, r)
	})
}
