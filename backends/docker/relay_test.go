package docker

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

// parentProxy is a proxy on the host's end of a network that has no other way
// out. It counts tunnels, and looks at the engine while a build waits for it.
type parentProxy struct {
	url     string
	network string
	login   string
	look    func()

	mu       sync.Mutex
	tunnels  []string
	attempts int
}

func newParentProxy(t *testing.T, c *client.Client, login string) *parentProxy {
	t.Helper()
	name := "bb-bbtest-parent-" + randomHex(t, 3)
	made, err := c.NetworkCreate(t.Context(), name, network.CreateOptions{Driver: "bridge", Internal: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.NetworkRemove(backgroundOf(t), made.ID); err != nil {
			t.Errorf("network: %v", err)
		}
	})
	n, err := c.NetworkInspect(t.Context(), made.ID, network.InspectOptions{})
	if err != nil || len(n.IPAM.Config) == 0 {
		t.Fatalf("network: %+v, %v", n, err)
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(n.IPAM.Config[0].Gateway, "0"))
	if err != nil {
		t.Fatal(err)
	}
	p := &parentProxy{url: "http://" + ln.Addr().String(), network: name, login: login}
	server := &http.Server{Handler: p}
	go server.Serve(ln) //nolint:errcheck // ends with the test
	t.Cleanup(func() { _ = server.Close() })
	return p
}

func (p *parentProxy) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempts++
	want := ""
	if p.login != "" {
		want = "Basic " + base64.StdEncoding.EncodeToString([]byte(p.login))
	}
	if q.Method != http.MethodConnect || q.Header.Get("Proxy-Authorization") != want {
		http.Error(w, "you sent "+q.Header.Get("Proxy-Authorization"), http.StatusProxyAuthRequired)
		return
	}
	p.tunnels = append(p.tunnels, q.Host)
	if p.look != nil {
		p.look()
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\npackage\n")
	_ = conn.Close()
}

// fetchingRecipe builds by CONNECT, as a package manager does, and fails where
// there is another way out.
const fetchingRecipe = `ARG BASE
FROM ${BASE}
LABEL %s=1
RUN bash -c 'p=${https_proxy#http://}; exec 3<>/dev/tcp/${p%%:*}/${p##*:}; \
  printf "CONNECT registry.test:443 HTTP/1.1\r\nHost: registry.test:443\r\n\r\n" >&3; \
  read -r status <&3; echo "the proxy says $status"; [[ $status == *" 200 "* ]] && grep -q package <&3'
RUN bash -c '! timeout 3 bash -c "exec 3<>/dev/tcp/192.0.2.1/80"' && useradd -m -u 1000 node
`

func TestBuildThroughParent(t *testing.T) {
	c := raw(t)
	const login = "user:pass-Zq9x:w%rd"
	encoded := base64.StdEncoding.EncodeToString([]byte(login))
	for name, tt := range map[string]struct {
		wants, has string
		ok         bool
	}{
		"no login":      {"", "", true},
		"a login":       {login, login, true},
		"a wrong login": {"other:login", login, false},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			d := newDriver(t)
			var said bytes.Buffer
			d.opts.Output, d.opts.Log = &said, &said
			p := newParentProxy(t, c, tt.wants)
			s := newSpec(t, d)
			mine := "bbtest." + randomHex(t, 4)
			s.Image = spec.Image{Name: "bbtest-parent", Recipe: fmt.Sprintf(fetchingRecipe, mine)}
			s.Gate.Network = p.network
			s.Live.Parent = &egress.Parent{URL: p.url}
			secrets := newSecrets(d, s)
			if tt.has != "" {
				s.Live.Parent.Slot = "EGRESS_TOKEN_7"
				secrets.Tokens["EGRESS_TOKEN_7"] = tt.has
			}
			t.Cleanup(func() { removeLabelled(t, c, mine) })
			var seen string // of all containers, while the build waits
			p.look = func() { seen = everyContainer(t, c) }

			before := label(t, d, s)
			err := d.EnsureImage(t.Context(), s, backends.BuildProxyOf(s, secrets))
			if (err == nil) != tt.ok {
				t.Fatalf("build: %v\n%s", err, said.String())
			}
			told := fmt.Sprint(said.String(), err)
			if !tt.ok {
				if len(p.tunnels) > 0 || p.attempts == 0 || !strings.Contains(told, "refuses the login (407)") {
					t.Errorf("%d of %d attempts, %s", len(p.tunnels), p.attempts, told)
				}
			} else {
				if len(p.tunnels) != 1 || p.tunnels[0] != "registry.test:443" {
					t.Errorf("tunnels: %v", p.tunnels)
				}
				if after := label(t, d, s); after.Ref != before.Ref || !after.Present {
					t.Errorf("the proxy is an input of the image: %+v, %+v", before, after)
				}
				proxy := p.url
				if tt.has != "" {
					proxy = "http://" + egress.RelayAddress
				}
				if !strings.Contains(seen, "https_proxy="+proxy) {
					t.Errorf("positive control: the build's container does not show its proxy %s", proxy)
				}
				image := imageRecords(t, c, before.Ref)
				if !strings.Contains(image, "CONNECT registry.test:443") || strings.Contains(image, proxy) {
					t.Errorf("the image keeps its proxy, or nothing was looked at: %s", image)
				}
				told += image
			}
			heard := engineEvents(t, c, begin)
			if !strings.Contains(heard, "container") || tt.has != "" && !strings.Contains(heard, relayPrefix) {
				t.Errorf("positive control: events hold no relay: %.500s", heard)
			}
			for what, text := range map[string]string{"output and image": told, "containers": seen, "events": heard} {
				if strings.Contains(text, "Zq9x") || strings.Contains(text, encoded) {
					t.Errorf("%s hold the login", what)
				}
			}
			noRelay(t, c, d)
		})
	}
}

// A bb that is killed is a connection that ends: the relay goes with it.
func TestRelayEndsWithItsClient(t *testing.T) {
	d, c := newDriver(t), raw(t)
	r := &attachments{engineAPI: d.engine}
	d.engine = r
	way, err := d.relay(t.Context(), &backends.BuildProxy{URL: "http://192.0.2.1:3128", Credentials: "user:not-a-login"}, "")
	if err != nil {
		t.Fatal(err)
	}
	x, err := c.ContainerInspect(t.Context(), strings.TrimPrefix(way.network, "container:"))
	if err != nil || !x.State.Running || !x.HostConfig.AutoRemove {
		t.Fatalf("%+v, %v", x.State, err)
	}
	r.last.Close()
	noRelay(t, c, d)
	way.close() // and again is no harm

	if _, err := d.relay(t.Context(), &backends.BuildProxy{URL: "http://192.0.2.1", Credentials: "a:Zq9x"}, ""); err == nil ||
		!strings.Contains(err.Error(), "a parent proxy is http://HOST:PORT") || strings.Contains(err.Error(), "Zq9x") {
		t.Errorf("no port: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.relay(ctx, &backends.BuildProxy{URL: "http://192.0.2.1:1", Credentials: "user:not-a-login"}, ""); err == nil {
		t.Error("a relay for nobody")
	}
	noRelay(t, c, d)
}

// A relay that never began, or that an engine did not remove, is an orphan.
func TestRelayIsAnOrphan(t *testing.T) {
	d, c := newDriver(t), raw(t)
	name := relayPrefix + randomHex(t, 6)
	made, err := c.ContainerCreate(t.Context(), &container.Config{
		Image: DefaultBaseImage, Cmd: []string{"true"}, Labels: d.shared(spec.RoleRelay),
	}, &container.HostConfig{NetworkMode: "none"}, nil, nil, name)
	if err != nil {
		t.Fatal(err)
	}
	find := func(at time.Time) (found []backends.Orphan) {
		all, err := d.orphansAt(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range all {
			if o.Ref == made.ID {
				found = append(found, o)
			}
		}
		return found
	}
	if got := find(time.Now()); got != nil {
		t.Errorf("one that may begin: %v", got)
	}
	later := time.Now().Add(time.Hour)
	got := find(later)
	if len(got) != 1 || got[0].Name != name {
		t.Fatalf("orphans: %v", got)
	}
	if err := d.removeOrphanAt(t.Context(), got[0], later); err != nil {
		t.Error(err)
	}
	noRelay(t, c, d)
}

// attachments remembers the last stream.
type attachments struct {
	engineAPI
	last types.HijackedResponse
}

func (a *attachments) ContainerAttach(ctx context.Context, id string, o container.AttachOptions) (types.HijackedResponse, error) {
	r, err := a.engineAPI.ContainerAttach(ctx, id, o)
	a.last = r
	return r, err
}

func noRelay(t *testing.T, c *client.Client, d *Driver) {
	t.Helper()
	mine := filters.NewArgs(filters.Arg("label", spec.LabelOwner+"="+d.opts.Owner), filters.Arg("label", spec.LabelRole+"="+spec.RoleRelay))
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		list, err := c.ContainerList(t.Context(), container.ListOptions{All: true, Filters: mine})
		if err == nil && len(list) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("relays are left: %+v, %v", list, err)
		}
	}
}

// everyContainer is all that the engine tells of containers and their programs.
func everyContainer(t *testing.T, c *client.Client) string {
	var all strings.Builder
	list, err := c.ContainerList(t.Context(), container.ListOptions{All: true})
	if err != nil {
		t.Error(err)
	}
	for _, x := range list {
		if i, err := c.ContainerInspect(t.Context(), x.ID); err == nil {
			_ = json.NewEncoder(&all).Encode(i)
		}
		if top, err := c.ContainerTop(t.Context(), x.ID, []string{"-o", "pid,args"}); err == nil {
			_ = json.NewEncoder(&all).Encode(top)
		}
		if logs, err := c.ContainerLogs(t.Context(), x.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "100"}); err == nil {
			_, _ = io.Copy(&all, logs)
			_ = logs.Close()
		}
	}
	return all.String()
}

func imageRecords(t *testing.T, c *client.Client, ref string) string {
	t.Helper()
	inspect, err := c.ImageInspect(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	history, err := c.ImageHistory(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal([]any{inspect, history})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func engineEvents(t *testing.T, c *client.Client, since time.Time) string {
	t.Helper()
	var all strings.Builder
	at := func(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }
	messages, errs := c.Events(t.Context(), events.ListOptions{Since: at(since), Until: at(time.Now())})
	for {
		select {
		case m := <-messages:
			_ = json.NewEncoder(&all).Encode(m)
		case err := <-errs:
			if err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			return all.String()
		}
	}
}
