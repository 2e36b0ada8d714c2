package gitgate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bot-bottle/bb/egress/gitgate/upstream"
)

// mirror is one upstream's mirror, keyed by URL: a bare repository that only
// fetches from the upstream write to.
type mirror struct {
	g    *Gate
	dir  string
	repo upstream.Repo
	room chan struct{}   // the lock, one for each directory
	ctx  context.Context // ends when no remote uses it, or with other credentials
	end  context.CancelCauseFunc

	mu   sync.Mutex
	next *flight // the refresh that newcomers may join

	asked   atomic.Int64 // when the upstream last answered, in Unix seconds; 0 after a failure
	suspect atomic.Bool  // git failed on it: look whether it is whole
	// These are the holder's of the lock.
	remade, tidied, checked time.Time
}

// newMirror is called with g.mu held.
func (g *Gate) newMirror(repo upstream.Repo) *mirror {
	sum := sha256.Sum256([]byte(repo.URL))
	name := hex.EncodeToString(sum[:16]) + suffix
	room := g.rooms[name]
	if room == nil {
		room = make(chan struct{}, 1)
		g.rooms[name] = room
	}
	m := &mirror{g: g, dir: filepath.Join(g.o.Dir, mirrorsDir, name), repo: repo, room: room}
	m.ctx, m.end = context.WithCancelCause(g.ctx)
	return m
}

// sweep removes the mirrors that no remote uses, also those of an earlier process.
func (g *Gate) sweep() {
	dirs, err := os.ReadDir(filepath.Join(g.o.Dir, mirrorsDir))
	if err != nil {
		g.note("git gate: the mirrors cannot be listed: %v", err)
		return
	}
	for _, d := range dirs {
		g.mu.Lock()
		room := g.rooms[d.Name()]
		if room == nil {
			room = make(chan struct{}, 1)
			g.rooms[d.Name()] = room
		}
		g.mu.Unlock()
		select {
		case room <- struct{}{}:
		case <-g.ctx.Done():
			return
		}
		dir := filepath.Join(g.o.Dir, mirrorsDir, d.Name())
		if !g.uses(dir) {
			g.discard(dir)
		}
		<-room
	}
}

func (g *Gate) uses(dir string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.mirrors {
		if m.dir == dir {
			return true
		}
	}
	return false
}

// Object formats, as git names them.
const (
	formatSHA1   = "sha1"
	formatSHA256 = "sha256"
)

// format returns the object format of the mirror, or "" when there is none that
// this bb made whole: the configuration is exactly bb's own.
func (m *mirror) format() string {
	has, err := os.ReadFile(filepath.Join(m.dir, "config"))
	for _, format := range []string{formatSHA1, formatSHA256} {
		if err == nil && string(has) == mirrorConfig(format) {
			return format
		}
	}
	return ""
}

// make begins an empty mirror, whatever was there. It is put in its place whole.
func (m *mirror) make(format string) error {
	away, err := os.MkdirTemp(m.g.o.Dir, "making-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(away) }()
	for _, dir := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags"} {
		if err := os.MkdirAll(filepath.Join(away, dir), 0o700); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{"config": mirrorConfig(format), "HEAD": "ref: " + nowhere + "\n"} {
		if err := os.WriteFile(filepath.Join(away, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(m.dir); err == nil {
		m.g.discard(m.dir)
	}
	return os.Rename(away, m.dir)
}

// refs returns the mirror's refs and their values.
func (m *mirror) refs(ctx context.Context) (map[string]string, error) {
	var out bytes.Buffer
	err := m.g.git(ctx, gitRun{Dir: m.dir, Args: []string{"for-each-ref", "--format=%(objectname) %(refname)"}, Stdout: &out})
	if err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for l := range strings.Lines(out.String()) {
		if id, name, ok := strings.Cut(strings.TrimSuffix(l, "\n"), " "); ok {
			refs[name] = id
		}
	}
	return refs, nil
}

// whole walks all that the refs reach.
func (m *mirror) whole(ctx context.Context) error {
	return m.g.git(ctx, gitRun{Dir: m.dir, Limit: 5 * time.Minute, Args: []string{"rev-list", "--objects", "--all", "--quiet"}})
}
