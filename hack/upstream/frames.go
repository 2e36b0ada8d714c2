package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net/http"
)

// socket accepts a WebSocket and writes down what comes as it comes: frames of
// any form and coding, so that a test sees also what no sound server would
// read. It sends back text frames and the head that it was asked with.
func (j *journal) socket(w http.ResponseWriter, r *http.Request) {
	if !upgrades(r) {
		http.Error(w, "not a WebSocket", http.StatusBadRequest)
		return
	}
	s, err := accept(w, r)
	if err != nil {
		log.Print(err)
		return
	}
	defer s.conn.Close()
	greeting := fmt.Sprintf("authorization: %s", r.Header.Get("Authorization"))
	if s.write(opText, []byte(greeting)) != nil {
		return
	}
	for {
		first, payload, err := s.anyFrame()
		if err != nil {
			return
		}
		note := sawRequest(r, payload)
		note.Method = fmt.Sprintf("FRAME %#02x", first)
		j.add(note)
		if first == 0x80|opText && s.write(opText, payload) != nil {
			return
		}
	}
}

// anyFrame reads one frame and judges nothing but its length.
func (s *socket) anyFrame() (first byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(s.in, head[:]); err != nil {
		return 0, nil, err
	}
	size := uint64(head[1] & 0x7f)
	if more := map[uint64]int{126: 2, 127: 8}[size]; more > 0 {
		b := make([]byte, 8)
		if _, err := io.ReadFull(s.in, b[8-more:]); err != nil {
			return 0, nil, err
		}
		size = binary.BigEndian.Uint64(b)
	}
	if size > maxMessage {
		return 0, nil, fmt.Errorf("a frame of %d bytes", size)
	}
	var mask [4]byte
	if head[1]&0x80 != 0 {
		if _, err := io.ReadFull(s.in, mask[:]); err != nil {
			return 0, nil, err
		}
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(s.in, payload)
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return head[0], payload, err
}
