package gitgate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/child"
)

// Limits of what runs to judge a push.
const (
	askLimit  = time.Minute
	listLimit = 5 * time.Minute
)

// judge decides about a push that git holds, and passes it on to the upstream
// if it may pass. From the first question to the upstream to its last answer no
// other operation of the gate changes the mirror.
func (p *push) judge(ctx context.Context) verdict {
	m := p.s.mirror
	unlock, err := m.lock(ctx)
	if err != nil {
		return p.failed(ctx, "the upstream's mirror is busy", err)
	}
	defer unlock()
	tips, err := m.refresh(ctx)
	if err != nil {
		return p.failed(ctx, "the upstream cannot be asked, and nothing was pushed", err)
	}
	each, err := p.judgeRefs(ctx, tips)
	if err == nil && len(each) == 0 {
		each, err = p.judgePaths(ctx, tips)
	}
	if err != nil {
		return p.broken(ctx, "it cannot be judged, and nothing was pushed", err)
	}
	if len(each) > 0 {
		return verdict{kind: Refused, each: each}
	}
	if v := p.search(ctx, tips); v.kind != "" {
		return v
	}
	return p.forward(ctx)
}

// failed is a push that came to no decision.
func (p *push) failed(ctx context.Context, what string, err error) verdict {
	if ctx.Err() != nil {
		return p.interrupted()
	}
	return verdict{kind: Failed, reason: what + ": " + cleanText(err.Error(), 400)}
}

// broken is a push that the gate itself could not judge. What git said about it
// is not for the agent.
func (p *push) broken(ctx context.Context, what string, err error) verdict {
	if ctx.Err() != nil {
		return p.interrupted()
	}
	p.g.o.Note("git gate: %s: %s", p.s.remote.Name, cleanText(p.mask(what+": "+err.Error()), 400))
	return verdict{kind: Failed, reason: what}
}

// judgeRefs maps refs that may not be changed so to why.
func (p *push) judgeRefs(ctx context.Context, tips tips) (map[string]string, error) {
	each := map[string]string{}
	types, err := p.types(ctx)
	if err != nil {
		return nil, err
	}
	alike := likeness(tips, p.head.updates)
	for _, u := range p.head.updates {
		facts := egress.RefFacts{Default: tips.Head, Alike: alike[u.Ref], FastForward: true}
		if err := p.s.remote.Push.Judge(u, facts); err != nil { // whatever it holds
			each[u.Ref] = err.Error()
			continue
		}
		if other := tips.Links[u.Ref]; other != "" {
			each[u.Ref] = fmt.Sprintf("%s is another name of %s on the upstream: choose another", u.Ref, cleanText(other, 120))
			continue
		}
		switch has := tips.Refs[u.Ref]; {
		case has != u.Old && u.Old == "":
			each[u.Ref] = u.Ref + ": it exists on the upstream: fetch first"
			continue
		case has != u.Old:
			each[u.Ref] = u.Ref + " moved on the upstream: fetch first"
			continue
		}
		if kind := types[u.New]; !u.Deleted() && strings.HasPrefix(u.Ref, "refs/heads/") && kind != "commit" {
			each[u.Ref] = fmt.Sprintf("%s: a branch must be a commit, this is a %s", u.Ref, kind)
			continue
		}
		if !u.Created() && !u.Deleted() && !u.Tag() && u.Old != u.New && !p.s.remote.Push.Force {
			if facts.FastForward, err = p.ask(ctx, "merge-base", "--is-ancestor", u.Old, u.New); err != nil {
				return nil, err
			}
		}
		if err := p.s.remote.Push.Judge(u, facts); err != nil {
			each[u.Ref] = err.Error()
		}
	}
	return each, nil
}

// likeness maps each ref that would be new to one that it cannot be beside: where
// names have no case or are directories, on the disk of an upstream; or where a
// version is asked for by its short name, since that of a branch may win over
// that of a tag.
func likeness(tips tips, updates []egress.RefUpdate) map[string]string {
	names, above := map[string]string{}, map[string]string{}
	add := func(ref string) {
		low := strings.ToLower(ref)
		names[low] = ref
		for i := strings.LastIndexByte(low, '/'); i > 0; i = strings.LastIndexByte(low[:i], '/') {
			above[low[:i]] = ref
		}
	}
	for ref := range tips.Refs {
		add(ref)
	}
	alike := map[string]string{}
	for _, u := range updates {
		if u.Created() && tips.Refs[u.Ref] == "" {
			low := strings.ToLower(u.Ref)
			found := names[low]
			if found == "" {
				found = above[low]
			}
			if name, is := strings.CutPrefix(low, "refs/heads/"); is && found == "" {
				found = names["refs/tags/"+name]
			}
			if name, is := strings.CutPrefix(low, "refs/tags/"); is && found == "" {
				found = names["refs/heads/"+name]
			}
			for i := strings.LastIndexByte(low, '/'); i > 0 && found == ""; i = strings.LastIndexByte(low[:i], '/') {
				found = names[low[:i]]
			}
			if found != "" && found != u.Ref {
				alike[u.Ref] = found
			}
			add(u.Ref)
		}
	}
	return alike
}

// types maps the ids that refs would have to the types of their objects.
func (p *push) types(ctx context.Context) (map[string]string, error) {
	ids := p.news()
	if len(ids) == 0 {
		return nil, nil
	}
	var out bytes.Buffer
	err := p.g.git(ctx, gitRun{
		Dir: p.s.mirror.dir, Env: p.env(), Args: []string{"cat-file", "--batch-check=%(objectname) %(objecttype)"},
		Stdin: strings.NewReader(strings.Join(ids, "\n") + "\n"), Stdout: &out, Limit: askLimit,
	})
	if err != nil {
		return nil, err
	}
	types := map[string]string{}
	for l := range strings.Lines(out.String()) {
		id, kind, _ := strings.Cut(strings.TrimSuffix(l, "\n"), " ")
		types[id] = kind
	}
	for _, id := range ids {
		switch types[id] {
		case "commit", "tag", "tree", "blob":
		default:
			return nil, fmt.Errorf("object %s is missing", id)
		}
	}
	return types, nil
}

// news are the ids that refs would have, without deletions.
func (p *push) news() []string {
	var ids []string
	for _, u := range p.head.updates {
		if !u.Deleted() {
			ids = append(ids, u.New)
		}
	}
	return ids
}

// ask runs a git that answers by its exit code.
func (p *push) ask(ctx context.Context, args ...string) (bool, error) {
	err := p.g.git(ctx, gitRun{Dir: p.s.mirror.dir, Env: p.env(), Args: args, Stdout: &bytes.Buffer{}, Limit: askLimit})
	var exit *child.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return false, nil
	}
	return err == nil, err
}

// output is what a git answers.
func (p *push) output(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	err := p.g.git(ctx, gitRun{Dir: p.s.mirror.dir, Env: p.env(), Args: args, Stdout: &out, Limit: askLimit})
	return strings.TrimSpace(out.String()), err
}

// env is what git reads the mirror and the push with: together, and never one
// object for another.
func (p *push) env() []string {
	env := gitEnv("GIT_DIR=" + p.s.mirror.dir)
	if p.quarantine != "" {
		env = append(env,
			"GIT_OBJECT_DIRECTORY="+p.quarantine,
			"GIT_ALTERNATE_OBJECT_DIRECTORIES="+filepath.Join(p.s.mirror.dir, "objects"))
	}
	return env
}

// gitEnv is the environment of every git of a push.
func gitEnv(more ...string) []string {
	return append([]string{
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1", "GIT_NO_REPLACE_OBJECTS=1",
		"GIT_NO_LAZY_FETCH=1", "GIT_TERMINAL_PROMPT=0", "GIT_ALLOW_PROTOCOL=", "LC_ALL=C",
	}, more...)
}
