package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress/door"
	"github.com/bot-bottle/bb/engine/spec"
)

// talkTime is what looking for a conversation may take.
const talkTime = 10 * time.Second

// goesOn decides whether the program goes on with the last conversation, and says
// what somebody may not expect. It does when it is asked to and there is one, and
// by itself the first time after a stop: where nothing was said in this life of
// the bottle, and something was in an earlier one.
func (a *app) goesOn(ctx context.Context, d backends.Driver, s *spec.Spec, id spec.ID, o attachOptions) bool {
	p := s.Program
	if slices.Equal(p.Resume, p.Interactive) && len(p.HeadlessResume) == 0 {
		return o.Resume // it knows no such thing
	}
	if !o.Resume && o.Created == 0 {
		return false
	}
	t, known := lastTalk(ctx, d, id, p)
	switch {
	case o.Resume && known && t.Last == 0:
		fmt.Fprintf(a.stderr, "%s: there is no conversation to go on with: its program begins one\n", id)
		return false
	case o.Resume:
		return true
	case known && t.Last >= o.Created*int64(time.Second) && t.Last < t.Began:
		fmt.Fprintf(a.stderr, "%s: its program goes on with the last conversation (bb attach --new %s begins another)\n", id, id)
		return true
	}
	return false
}

// lastTalk asks a bottle when something was last said in it. The answer is the
// agent's word, and decides about nothing but its own conversation; a bottle that
// does not answer, as one of an older bb, is not known.
func lastTalk(ctx context.Context, d backends.Driver, id spec.ID, p spec.Program) (t door.Talk, known bool) {
	if p.Transcript == "" {
		return t, false
	}
	ctx, cancel := context.WithTimeout(ctx, talkTime)
	defer cancel()
	argv := []string{spec.BinaryPath, "door", "talks"}
	if p.Talks != "" {
		argv = append(argv, "--match="+p.Talks)
	}
	said := &words{}
	code, err := d.Exec(ctx, id, backends.ExecRequest{Argv: append(argv, "--", p.Transcript), Stdout: said, Stderr: io.Discard})
	if err != nil || code != 0 || json.Unmarshal([]byte(strings.TrimSpace(said.text.String())), &t) != nil {
		return door.Talk{}, false
	}
	return t, true
}
