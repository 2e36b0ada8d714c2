package sidecar

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"github.com/bot-bottle/bb/egress"
)

// maxReply bounds a reply: the whole log, escaped, and room to spare.
const maxReply = 4 * maxLog

// Ctl sends one command to the sidecar behind socket, with the document from
// stdin for apply, and prints the reply line. It returns an error when the
// reply says that the command failed. Like the sidecar it hardens its process
// first: a document passes through its memory.
func Ctl(ctx context.Context, socket, command string, stdin io.Reader, stdout io.Writer) error {
	if err := harden(); err != nil {
		return err
	}
	if !slices.Contains([]string{CommandApply, CommandGet, CommandCA, CommandLog}, command) {
		return fmt.Errorf("unknown control command %q (apply, get, ca or log)", command)
	}
	var payload []byte
	if command == CommandApply {
		var err error
		if payload, err = io.ReadAll(io.LimitReader(stdin, maxDocument+1)); err != nil {
			return fmt.Errorf("read document: %w", err)
		}
		if len(payload) > maxDocument {
			return fmt.Errorf("document is larger than %d bytes", maxDocument)
		}
	}
	line, err := exchange(ctx, socket, command, payload)
	if err != nil {
		return fmt.Errorf("sidecar control: %w", err)
	}
	if _, err := stdout.Write(line); err != nil {
		return err
	}
	var reply egress.Reply
	if err := json.Unmarshal(line, &reply); err != nil {
		return errors.New("sidecar control: malformed reply")
	}
	if !reply.OK {
		return fmt.Errorf("sidecar: %s", reply.Error)
	}
	return nil
}

// exchange returns the reply line.
func exchange(ctx context.Context, socket, command string, payload []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	var dialer net.Dialer
	dialed, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	conn := dialed.(*net.UnixConn)
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := checkPeer(conn); err != nil {
		return nil, err
	}
	_, sendErr := conn.Write(append([]byte("bb1 "+command+"\n"), payload...))
	if sendErr == nil {
		sendErr = conn.CloseWrite()
	}
	// A sidecar that refuses early answers before it has read everything: look
	// for the answer even if sending failed.
	line, err := bufio.NewReader(io.LimitReader(conn, maxReply)).ReadBytes('\n')
	if err == nil {
		return line, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if sendErr != nil {
		return nil, sendErr
	}
	if errors.Is(err, io.EOF) && len(bytes.TrimSpace(line)) == 0 {
		return nil, errors.New("no reply")
	}
	return nil, err
}
