package docker

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

const (
	relayPrefix = "bb-build_relay_"
	relayBinary = "/bb"
	relayMemory = 256 << 20
	// relayWord is how long a relay may take to say that it listens.
	relayWord = 20 * time.Second
)

var relayNames = regexp.MustCompile(`^` + relayPrefix + `[0-9a-f]{12}$`)

// buildWay is how a build reaches the outside.
type buildWay struct {
	network string
	// args are proxy variables; nil means those of this process.
	args  map[string]string
	said  func() string
	close func()
}

// buildWay goes to a parent proxy without a login by the builder's own
// arguments. One with a login, or with TLS, which few programs speak to a
// proxy, is behind a relay: a container that adds the login, and whose network
// is the build's. The relay ends, and is removed by the engine, when its
// standard input does: with this process too, however that ends.
func (d *Driver) buildWay(ctx context.Context, via *backends.BuildProxy) (buildWay, error) {
	nothing := buildWay{said: func() string { return "" }, close: func() {}}
	if via == nil {
		return nothing, nil
	}
	u, err := url.Parse(via.URL)
	if err != nil || u.User != nil {
		return nothing, diag.Errorf("egress.parent is no URL of a proxy").WithHint("http://HOST:PORT, with its login as token_ref")
	}
	outer := ""
	if via.Network != "" {
		if outer, err = d.outerNetwork(ctx, via.Network); err != nil {
			return nothing, err
		}
	}
	if u.Scheme == "http" && via.Credentials == "" {
		nothing.network, nothing.args = outer, proxyArgs(via.URL)
		return nothing, nil
	}
	return d.relay(ctx, via, outer)
}

func proxyArgs(to string) map[string]string {
	return map[string]string{"HTTP_PROXY": to, "HTTPS_PROXY": to, "http_proxy": to, "https_proxy": to}
}

func (d *Driver) relay(ctx context.Context, via *backends.BuildProxy, outer string) (way buildWay, err error) {
	request, err := json.Marshal(egress.RelayRequest{
		URL: via.URL, Credentials: via.Credentials, Roots: via.Roots + "\n" + string(d.opts.BuildCA),
	})
	if err != nil {
		return way, diag.Errorf("the request for a relay cannot be encoded")
	}
	if _, err := d.ensureImageID(ctx, d.opts.BaseImage); err != nil {
		return way, err
	}
	b := make([]byte, 6)
	if _, err := rand.Read(b); err != nil {
		return way, err
	}
	name := relayPrefix + hex.EncodeToString(b)
	host := d.confined()
	host.AutoRemove = true
	host.NetworkMode = container.NetworkMode(outer)
	host.LogConfig = container.LogConfig{Type: "none"}
	host.Memory, host.MemorySwap = relayMemory, relayMemory
	made, err := d.engine.ContainerCreate(ctx, &container.Config{
		Image: d.opts.BaseImage, Entrypoint: []string{relayBinary, "sidecar", "relay"}, User: sidecarUser,
		Labels: d.shared(spec.RoleRelay), WorkingDir: "/",
		AttachStdin: true, AttachStdout: true, AttachStderr: true, OpenStdin: true, StdinOnce: true,
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
	}, host, &network.NetworkingConfig{}, nil, name)
	if err != nil {
		return way, d.wrap(err, "create container %s", name)
	}
	drop := func() {
		// A relay that ended is gone already, or going.
		_ = d.engine.ContainerRemove(context.WithoutCancel(ctx), made.ID, container.RemoveOptions{Force: true})
	}
	defer func() {
		if err != nil {
			drop()
		}
	}()
	// Its own copy: the volume with the binary may not be filled yet.
	if err := d.copyBinary(ctx, made.ID); err != nil {
		return way, d.wrap(err, "fill container %s", name)
	}
	stream, err := d.engine.ContainerAttach(ctx, made.ID, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return way, d.wrap(err, "attach to container %s", name)
	}
	said := &lockedOutput{Tail: guest.Tail{Limit: 4 << 10}}
	out, words := io.Pipe()
	go func() {
		_, err := stdcopy.StdCopy(words, said, stream.Reader)
		words.CloseWithError(errors.Join(err, io.EOF))
	}()
	ended := func() { stream.Close(); _ = out.Close(); drop() }
	if err := d.engine.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		ended()
		return way, d.wrap(err, "start container %s", name)
	}
	if _, err := stream.Conn.Write(append(request, '\n')); err != nil {
		ended()
		return way, d.wrap(err, "container %s", name)
	}
	late := time.AfterFunc(relayWord, stream.Close)
	word, err := bufio.NewReader(out).ReadString('\n')
	if late.Stop(); err != nil || !strings.HasPrefix(word, egress.RelayReady+" ") {
		ended()
		return way, diag.Errorf("the relay to the parent proxy did not come up: %s", lastLines(said.String(), 3))
	}
	return buildWay{
		network: "container:" + made.ID, args: proxyArgs("http://" + egress.RelayAddress),
		said: func() string { return lastLines(said.String(), 5) }, close: ended,
	}, nil
}

// copyBinary puts bb into a container that was not started.
func (d *Driver) copyBinary(ctx context.Context, id string) error {
	f, err := os.Open(d.opts.Binary)
	if err != nil {
		return err
	}
	defer f.Close()
	r, w := io.Pipe()
	go func() {
		t := tar.NewWriter(w)
		w.CloseWithError(errors.Join(addFile(t, relayBinary[1:], 0o755, f), t.Close()))
	}()
	err = d.engine.CopyToContainer(ctx, id, "/", r, container.CopyToContainerOptions{})
	r.CloseWithError(io.ErrClosedPipe)
	return err
}

// lockedOutput may be read while it is written.
type lockedOutput struct {
	mu sync.Mutex
	guest.Tail
}

func (o *lockedOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.Tail.Write(p)
}

func (o *lockedOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.Tail.String()
}
