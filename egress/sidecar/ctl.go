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

// maxReply bounds a reply: a whole document, and room to spare.
const maxReply = 4 * maxDocument

// Ctl sends one command to a sidecar, with the document from stdin for apply,
// and prints the reply line. It returns an error when the reply says that the
// command failed. Like the sidecar it hardens its process first: a document
// passes through its memory.
func Ctl(ctx context.Context, at Control, command string, stdin io.Reader, stdout io.Writer) error {
	if err := harden(); err != nil {
		return err
	}
	if !slices.Contains([]string{CommandApply, CommandGet, CommandCA}, command) {
		return fmt.Errorf("unknown control command %q (apply, get, ca, log or agent)", command)
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
	line, err := exchange(ctx, at, command, payload)
	if err != nil {
		return fmt.Errorf("sidecar control: %w", err)
	}
	return printReply(line, stdout)
}

func printReply(line []byte, stdout io.Writer) error {
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

// CtlLog prints the reply line of the command log and the lines after it. One
// that follows ends when stdin does: with whoever holds its other end.
func CtlLog(ctx context.Context, at Control, r egress.LogRequest, stdin io.Reader, stdout io.Writer) error {
	if err := harden(); err != nil {
		return err
	}
	request, err := json.Marshal(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, hangUp, err := dialControl(ctx, at.Socket)
	if err != nil {
		return fmt.Errorf("sidecar control: %w", err)
	}
	defer hangUp()
	if err := at.send(conn, CommandLog, "%s\n", request); err != nil {
		return fmt.Errorf("sidecar control: %w", err)
	}
	if r.Follow {
		go func() {
			_, _ = io.Copy(io.Discard, stdin)
			cancel()
		}()
	}
	in := bufio.NewReader(conn)
	line, err := in.ReadBytes('\n')
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("sidecar control: no reply (too many talk to it at once?): %w", err)
	}
	if err := printReply(line, stdout); err != nil {
		return err
	}
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(stdout, in)
		copied <- err
	}()
	select {
	case err := <-copied:
		if ctx.Err() != nil {
			return nil
		}
		return err
	case <-ctx.Done():
		return nil // who reads no more may not take what is left either
	}
}

// dialControl connects to a sidecar of the same user until ctx ends.
func dialControl(ctx context.Context, socket string) (*net.UnixConn, func(), error) {
	var dialer net.Dialer
	dialed, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, nil, err
	}
	conn := dialed.(*net.UnixConn)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	hangUp := func() { stop(); _ = conn.Close() }
	if err := checkPeer(conn); err != nil {
		hangUp()
		return nil, nil, err
	}
	return conn, hangUp, nil
}

// exchange returns the reply line.
func exchange(ctx context.Context, at Control, command string, payload []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	conn, hangUp, err := dialControl(ctx, at.Socket)
	if err != nil {
		return nil, err
	}
	defer hangUp()
	_, sendErr := conn.Write(append([]byte(at.command(command)), payload...))
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
