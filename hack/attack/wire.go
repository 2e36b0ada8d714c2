//go:build linux

package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// The ways into a sidecar, from inside its bottle.
const (
	proxyAddress = "127.0.0.1:9099"
	httpAddress  = "127.0.0.53:80"
	tlsAddress   = "127.0.0.53:443"
	patience     = 8 * time.Second
)

// noWay is what happens where nobody answers.
const noWay = "no way"

// dial opens a connection that ends by itself.
func dial(network, address string) (net.Conn, error) {
	c, err := net.DialTimeout(network, address, 2*time.Second)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(patience))
	}
	return c, err
}

func failed(err error) string {
	var alert tls.AlertError
	switch {
	case errors.As(err, &alert):
		return "tls " + alert.Error()
	case strings.HasPrefix(err.Error(), "remote error: tls"):
		return "tls " + err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "reset by peer"),
		strings.Contains(err.Error(), "broken pipe"):
		return "closed"
	}
	return noWay + ": " + err.Error()
}

// answer is the status and what an answer says, in one line.
func answer(br *bufio.Reader) string {
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		return failed(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	var said struct{ Error string }
	text := string(body)
	if json.Unmarshal(body, &said) == nil && said.Error != "" {
		text = said.Error
	}
	return fmt.Sprintf("%d %s", res.StatusCode, short(text))
}

func short(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 160 {
		s = s[:160] + "..."
	}
	return s
}

// plain sends bytes to an address and returns the first answer.
func plain(address, input string) string {
	c, err := dial("tcp", address)
	if err != nil {
		return failed(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, input); err != nil {
		return failed(err)
	}
	return answer(bufio.NewReader(c))
}

// explicit sends bytes to the proxy.
func explicit(input string) string { return plain(proxyAddress, input) }

// connect asks for a tunnel and returns it, or what was said instead.
func connect(target string, headers ...string) (net.Conn, string) {
	c, err := dial("tcp", proxyAddress)
	if err != nil {
		return nil, failed(err)
	}
	head := "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
	if _, err := io.WriteString(c, head); err != nil {
		return nil, failed(err)
	}
	// Byte by byte: what follows belongs to TLS.
	var said []byte
	for b := make([]byte, 1); !strings.HasSuffix(string(said), "\r\n\r\n"); said = append(said, b...) {
		if _, err := io.ReadFull(c, b); err != nil {
			c.Close()
			return nil, failed(err)
		}
	}
	if strings.HasPrefix(string(said), "HTTP/1.1 200") {
		return c, ""
	}
	defer c.Close()
	return nil, answer(bufio.NewReader(io.MultiReader(strings.NewReader(string(said)), c)))
}

// trust everything: what is at the other end is not the question here.
func handshake(c net.Conn, config *tls.Config) (*tls.Conn, string) {
	config.InsecureSkipVerify = true
	t := tls.Client(c, config)
	if err := t.Handshake(); err != nil {
		c.Close()
		if ech := new(tls.ECHRejectionError); errors.As(err, &ech) {
			return nil, "tls ECH was not accepted"
		}
		return nil, failed(err)
	}
	return t, ""
}

// tunnel is a CONNECT to target with TLS to sni in it.
func tunnel(target, sni string, alpn ...string) (*tls.Conn, string) {
	c, said := connect(target)
	if c == nil {
		return nil, said
	}
	return handshake(c, &tls.Config{ServerName: sni, NextProtos: alpn})
}

// through sends bytes into a tunnel and returns the first answer.
func through(target, sni, input string) string {
	c, said := tunnel(target, sni)
	if c == nil {
		return said
	}
	defer c.Close()
	return exchange(c, input)
}

// unasked is through, by the port that catches who knows no proxy.
func unasked(sni, input string) string {
	c, err := dial("tcp", tlsAddress)
	if err != nil {
		return failed(err)
	}
	t, said := handshake(c, &tls.Config{ServerName: sni})
	if t == nil {
		return said
	}
	defer t.Close()
	return exchange(t, input)
}

// exchange reads while it writes: a refusal may come in the middle.
func exchange(c net.Conn, input string) string {
	go io.WriteString(c, input) //nolint:errcheck // the answer tells
	return answer(bufio.NewReader(c))
}

// get is the head of a request.
func get(path, host string, headers ...string) string {
	return request("GET", path, host, "", headers...)
}

func request(method, path, host, body string, headers ...string) string {
	head := method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n"
	for _, h := range headers {
		head += h + "\r\n"
	}
	if body != "" {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return head + "\r\n" + body
}
