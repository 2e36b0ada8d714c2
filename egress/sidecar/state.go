package sidecar

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/supervise"
)

// maxStateLine keeps a state line in one piece in an engine's log.
const maxStateLine = 8<<10 - 1

// state is the policy in force. apply is the only way to change it.
type state struct {
	opts  Options
	proxy Proxy
	gate  Gate
	vault *vault
	agent hostAgent
	queue *supervise.Queue
	tools func() *supervise.Server
	// rules is the digest of the document in force, and roots its upstream_ca; who
	// applies has them.
	rules, roots string

	// applying lets one document in at a time. Readers do not wait for it: an
	// engine that does not read our output must not stop the door.
	applying sync.Mutex
	// live is redacted: the document without values, as get shows it.
	live atomic.Pointer[egress.Document]

	saying sync.Mutex
	said   []byte // the last state line
}

func (s *state) configured() bool { return s.live.Load() != nil }

// errNotSupervised is what an agent is told that asks nevertheless.
var errNotSupervised = errors.New("nobody is asked here: the bottle's manifest does not say supervise: true")

func (s *state) supervised() bool {
	live := s.live.Load()
	return live != nil && live.Supervise
}

// routes are those in force.
func (s *state) routes() []egress.Route {
	if live := s.live.Load(); live != nil {
		return live.Routes
	}
	return nil
}

// document is the one in force, redacted, or nil.
func (s *state) document() *egress.Document { return s.live.Load() }

// apply puts a document in force, whole, or returns an error and leaves the old
// one as it was. Everything that can fail comes before the swap.
func (s *state) apply(data []byte) error {
	doc, err := parseDocument(data)
	if err != nil {
		return err
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	if want := s.instance(); want != "" && doc.Instance != want {
		return errors.New("document is for another instance")
	}
	if strings.HasPrefix(doc.UpstreamCA, "sha256:") {
		if doc.UpstreamCA != egress.RootsDigest(s.roots) {
			return errors.New("the upstream_ca to keep is not in force")
		}
		doc.UpstreamCA = s.roots
	}
	slots, err := s.vault.resolve(doc.Tokens)
	if err != nil {
		return err
	}
	shown := redact(doc, slots)
	rules := doc.Rules().Digest()
	line, err := s.configuredLine(shown, rules, s.agent.word(slots))
	if err != nil {
		return err
	}
	if err := checkSilent(shown, line, slots); err != nil {
		return err
	}
	doc.Tokens = make(map[string]egress.Token, len(slots))
	for slot, token := range slots {
		doc.Tokens[slot] = egress.Token{Value: token.value, Digest: token.digest}
	}
	// While one takes the other's place, lines of logs may hold values of both.
	before, both := s.vault.secrets(), maps.Clone(slots)
	for slot, held := range before {
		both["before "+slot] = held
	}
	s.vault.replace(both)
	if err := s.swap(doc); err != nil {
		s.vault.replace(before)
		if text := err.Error(); !quotes(text, slots) {
			return fmt.Errorf("document refused: %s", text)
		}
		return errors.New("document refused, for a reason that quotes a token")
	}
	s.vault.replace(slots)
	s.live.Store(shown)
	if !doc.Supervise {
		s.queue.Clear(errNotSupervised)
	}
	s.rules, s.roots = rules, doc.UpstreamCA
	if err := s.say(line); err != nil {
		return errors.New("policy is in force, but the state line could not be written")
	}
	return nil
}

// swap puts a document in force in the proxy and in the git gate, or in neither.
func (s *state) swap(doc egress.Document) error {
	for _, r := range doc.Remotes {
		if err := r.Fits(doc.Tokens[r.Slot].Value); err != nil {
			return fmt.Errorf("remote %s: %w", r.Name, err)
		}
	}
	commit, drop, err := s.proxy.Prepare(doc)
	if err != nil {
		return err
	}
	if err := s.gate.Swap(doc); err != nil {
		drop()
		return err
	}
	commit()
	return nil
}

// instance is whose documents are taken; empty before the first.
func (s *state) instance() string {
	if live := s.document(); s.opts.Instance == "" && live != nil {
		return live.Instance
	}
	return s.opts.Instance
}

func (s *state) configuredLine(doc *egress.Document, rules, agent string) ([]byte, error) {
	digests := make(map[string]string, len(doc.Tokens))
	for slot, token := range doc.Tokens {
		digests[slot] = token.Digest
	}
	return encodeLine(egress.StateLine{
		State: egress.StateConfigured, Build: s.opts.Build, Live: doc.Live, Tokens: digests, Rules: rules, Agent: agent,
	})
}

// announce writes a state line outside of apply.
func (s *state) announce(line egress.StateLine) error {
	data, err := encodeLine(line)
	if err != nil {
		return err
	}
	return s.say(data)
}

func (s *state) say(line []byte) error {
	s.saying.Lock()
	defer s.saying.Unlock()
	s.said = line
	_, err := s.opts.Stdout.Write(line)
	return err
}

// repeat says the last state line again.
func (s *state) repeat() {
	s.saying.Lock()
	defer s.saying.Unlock()
	_, _ = s.opts.Stdout.Write(s.said)
}

func encodeLine(line egress.StateLine) ([]byte, error) {
	line.Version = egress.DocumentVersion
	data, err := json.Marshal(line)
	if err != nil {
		return nil, errors.New("state line cannot be encoded")
	}
	if data = append(data, '\n'); len(data) > maxStateLine {
		return nil, fmt.Errorf("state line would be %d bytes, at most %d: too many tokens or live parts", len(data), maxStateLine)
	}
	return data, nil
}

// redact copies what may be shown of a document: digests for tokens, a hash for
// the roots, no canary. The copy shares routes, which nobody writes to.
func redact(doc egress.Document, slots map[string]secret) *egress.Document {
	doc.Live, doc.Canary = maps.Clone(doc.Live), ""
	doc.Tokens = make(map[string]egress.Token, len(slots))
	for slot, s := range slots {
		doc.Tokens[slot] = egress.Token{Digest: s.digest}
	}
	doc.UpstreamCA = egress.RootsDigest(doc.UpstreamCA)
	return &doc
}

// checkSilent refuses a document that would make the sidecar speak a token
// value, such as one given as its own digest or put into a route.
func checkSilent(shown *egress.Document, line []byte, slots map[string]secret) error {
	data, err := json.Marshal(shown)
	if err != nil {
		return errors.New("document cannot be encoded")
	}
	if leaks(data, slots) || leaks(line, slots) {
		return errors.New("a token value occurs outside of its slot")
	}
	return nil
}
