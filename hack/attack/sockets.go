//go:build linux

package main

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"time"
)

// socket is an attacker's end of a WebSocket.
type socket struct {
	*tls.Conn
	br *bufio.Reader
}

// upgrade asks for a WebSocket and returns it after its greeting, and what was
// said: "101", or the refusal.
func upgrade(host, path, connection string, headers ...string) (*socket, string) {
	c, said := tunnel(host+":443", host)
	if c == nil {
		return nil, said
	}
	head := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: " + connection + "\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
	if _, err := io.WriteString(c, head+strings.Join(append(headers, ""), "\r\n")+"\r\n"); err != nil {
		return nil, failed(err)
	}
	s := &socket{c, bufio.NewReader(c)}
	res, err := http.ReadResponse(s.br, nil)
	switch {
	case err != nil:
		return nil, failed(err)
	case res.StatusCode != http.StatusSwitchingProtocols:
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return nil, res.Status + " " + short(string(text))
	}
	text, said := s.read()
	return s, "101 " + said + text
}

// frame sends a masked frame; first holds the final bit, extension bits and
// the opcode.
func (s *socket) frame(first byte, payload []byte) error {
	head := []byte{first}
	switch n := len(payload); {
	case n < 126:
		head = append(head, 0x80|byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 0x80|126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 0x80|127), uint64(n))
	}
	mask := [4]byte{7, 77, 177, 207}
	head = append(head, mask[:]...)
	for i, b := range payload {
		head = append(head, b^mask[i%4])
	}
	_, err := s.Write(head)
	return err
}

// read is the next frame's payload, or what happened in its place.
func (s *socket) read() (text, said string) {
	var head [2]byte
	if err := s.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", failed(err)
	}
	if _, err := io.ReadFull(s.br, head[:]); err != nil {
		return "", failed(err)
	}
	size := int(head[1] & 0x7f)
	if size == 126 {
		var b [2]byte
		if _, err := io.ReadFull(s.br, b[:]); err != nil {
			return "", failed(err)
		}
		size = int(binary.BigEndian.Uint16(b[:]))
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(s.br, payload); err != nil {
		return "", failed(err)
	}
	const opClose = 8
	if head[0]&0xf == opClose {
		return "", "closed by a frame"
	}
	return short(string(payload)), ""
}

// sends upgrades, sends frames and returns what came after them.
func sends(w *world, headers []string, frames ...func(*socket) error) func() string {
	return func() string {
		s, said := upgrade(w.Socket, "/socket?loud-C5", "Upgrade", headers...)
		if s == nil {
			return said
		}
		defer s.Close()
		for _, f := range frames {
			if err := f(s); err != nil {
				return failed(err)
			}
		}
		text, said := s.read()
		return said + text
	}
}

func init() {
	const text, more, last, binaryFrame, compressed = 0x81, 0x01, 0x80, 0x82, 0xc1
	rows["C5"] = func(w *world) []variant {
		return []variant{
			{"an upgrade on a route that grants none", "403", func() string {
				s, said := upgrade(w.Loud, "/socket?mute-C5", "Upgrade")
				if s != nil {
					_ = s.Close()
				}
				return said
			}},
			{"the control: a harmless message and its echo", "hello loud", sends(w, nil, func(s *socket) error { return s.frame(text, []byte("hello loud")) })},
		}
	}
	costly["C5"] = func(w *world) []variant {
		raw := func(first byte, payload string) func(*socket) error {
			return func(s *socket) error { return s.frame(first, []byte(payload)) }
		}
		var deflated bytes.Buffer
		z, err := flate.NewWriter(&deflated, flate.BestCompression)
		if err != nil {
			panic(err) // the level is one that exists
		}
		_, _ = io.WriteString(z, w.Leak+" mark-mutec5compressed") // into memory
		_ = z.Flush()
		half := len(w.Leak) / 2
		return []variant{
			{"a message with a secret", "closed", sends(w, nil, raw(text, "x "+w.Leak+" mark-mutec5text"))},
			{"a binary message with a secret", "closed", sends(w, nil, raw(binaryFrame, "x "+w.Leak+" mark-mutec5binary"))},
			{"a message in two frames, cut in the secret", "closed", sends(w, nil, raw(more, "x "+w.Leak[:half]), raw(last, w.Leak[half:]+" mark-mutec5frames"))},
			{"a compressed message with a secret", "closed", sends(w, []string{"Sec-WebSocket-Extensions: permessage-deflate"},
				raw(compressed, strings.TrimSuffix(deflated.String(), "\x00\x00\xff\xff")))},
			{"a frame that was compressed without leave", "closed", sends(w, nil, raw(compressed, deflated.String()))},
		}
	}
}
