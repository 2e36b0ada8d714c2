package gitgate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

const (
	// maxPath bounds a path in a difference, in bytes.
	maxPath = 64 << 10
	// maxTouching bounds the commits that are looked at one by one.
	maxTouching = 10_000
)

// judgePaths maps refs that would change a protected path to why. Trees are
// compared: at NEW, and at each commit on the way there, a protected path must be
// what it is at OLD, at the tip of the upstream's default branch, or at a merge
// base with that, or be absent where it is absent there. On the way too: once NEW
// is merged by a person, who sees no change, each of those commits is such a merge
// base.
func (p *push) judgePaths(ctx context.Context, tips tips) (map[string]string, error) {
	each := map[string]string{}
	if len(p.s.remote.Push.Protect) == 0 {
		return each, nil
	}
	ctx, cancel := context.WithTimeout(ctx, listLimit)
	defer cancel()
	for _, u := range p.head.updates {
		if u.Deleted() {
			continue
		}
		ids, err := p.touching(ctx, u, tips)
		if err != nil {
			return nil, err
		}
		var changed map[string]string
		at := ""
		for _, id := range append([]string{u.New}, ids...) {
			if changed, err = p.changed(ctx, egress.RefUpdate{Ref: u.Ref, Old: u.Old, New: id}, tips); err != nil {
				return nil, err
			}
			if len(changed) > 0 {
				at = id
				break
			}
		}
		if len(changed) == 0 {
			continue
		}
		paths := make([]string, 0, len(changed))
		for path := range changed {
			paths = append(paths, path)
		}
		sort.Strings(paths)
		more := ""
		if len(paths) > 1 {
			more = fmt.Sprintf(" (and %d more)", len(paths)-1)
		}
		do := "leave it as it is on the default branch"
		if at != u.New {
			do = fmt.Sprintf("commit %.12s changes it: rewrite that (git rebase -i)", at)
		}
		each[u.Ref] = fmt.Sprintf("%s: %s%s is protected by %q: %s, or change push.protect of the remote",
			u.Ref, cleanText(paths[0], 200), more, changed[paths[0]], do)
	}
	return each, nil
}

// changed maps the protected paths that are different from every base to their
// patterns.
func (p *push) changed(ctx context.Context, u egress.RefUpdate, tips tips) (map[string]string, error) {
	tree, err := p.peel(ctx, u.New, "tree")
	if err != nil || tree == "" {
		return nil, err // a tag of a blob has no paths
	}
	bases, err := p.bases(ctx, u, tips)
	if err != nil {
		return nil, err
	}
	if len(bases) == 0 {
		return p.difference(ctx, "", tree)
	}
	var changed map[string]string
	for _, base := range bases {
		diff, err := p.difference(ctx, base, tree)
		if err != nil {
			return nil, err
		}
		if changed == nil {
			changed = diff
		}
		for path := range changed {
			if _, also := diff[path]; !also {
				delete(changed, path)
			}
		}
		if len(changed) == 0 {
			break
		}
	}
	return changed, nil
}

// bases are the trees that protected paths may be as they are in.
func (p *push) bases(ctx context.Context, u egress.RefUpdate, tips tips) ([]string, error) {
	var commits []string
	if u.Old != "" {
		commits = append(commits, u.Old)
	}
	if tip := tips.Refs[tips.Head]; tips.Head != "" && tip != "" {
		commits = append(commits, tip)
		commit, err := p.peel(ctx, u.New, "commit")
		if err != nil {
			return nil, err
		}
		if commit != "" {
			// It fails where there is none; and one base less refuses more.
			found, _ := p.output(ctx, "merge-base", "--all", commit, tip)
			commits = append(commits, strings.Fields(found)...)
		}
	}
	var trees []string
	for _, id := range commits {
		tree, err := p.peel(ctx, id, "tree")
		if err != nil {
			return nil, err
		}
		if tree != "" {
			trees = append(trees, tree)
		}
	}
	return trees, nil
}

// peel returns the id of the tree or commit that an object leads to, or "".
func (p *push) peel(ctx context.Context, id, kind string) (string, error) {
	var out bytes.Buffer
	err := p.g.git(ctx, gitRun{
		Dir: p.s.mirror.dir, Env: p.env(), Args: []string{"cat-file", "--batch-check=%(objectname) %(objecttype)"},
		Stdin: strings.NewReader(id + "^{" + kind + "}\n"), Stdout: &out, Limit: askLimit,
	})
	if err != nil {
		return "", err
	}
	found, is, _ := strings.Cut(strings.TrimSpace(out.String()), " ")
	if is != kind || !objectID(found) {
		return "", nil
	}
	return found, nil
}

// difference maps the protected paths in which two trees differ to their
// patterns; no base is an empty tree.
func (p *push) difference(ctx context.Context, base, tree string) (map[string]string, error) {
	// The submodule settings of a repository could hide submodules.
	args := []string{"diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none", base, tree}
	if base == "" {
		args = []string{"ls-tree", "-r", "-z", "--full-tree", tree}
	}
	found := map[string]string{}
	err := p.readDifferences(ctx, gitRun{Args: args, Limit: askLimit}, base == "", func(_, path, pattern string) { found[path] = pattern })
	return found, err
}

// touching lists the commits between the bases and NEW, the latest first, that
// change a protected path of one of their parents. Where they are sound, so are
// all between. That another ref of the upstream has a commit says nothing: a forge
// lists what strangers propose.
func (p *push) touching(ctx context.Context, u egress.RefUpdate, tips tips) ([]string, error) {
	from := u.New + "\n"
	for _, id := range []string{u.Old, tips.Refs[tips.Head]} {
		if id != "" {
			from += "^" + id + "\n"
		}
	}
	commits, w := io.Pipe()
	listed := make(chan error, 1)
	go func() {
		err := p.g.git(ctx, gitRun{
			Dir: p.s.mirror.dir, Env: p.env(), Args: []string{"rev-list", "--stdin"},
			Stdin: strings.NewReader(from), Stdout: w, Limit: listLimit,
		})
		_ = w.CloseWithError(err)
		listed <- err
	}()
	args := []string{"diff-tree", "--stdin", "-m", "--root", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none"}
	var ids []string
	err := p.readDifferences(ctx, gitRun{Args: args, Stdin: commits, Limit: listLimit}, false, func(commit, _, _ string) {
		if (len(ids) == 0 || ids[len(ids)-1] != commit) && len(ids) <= maxTouching {
			ids = append(ids, commit)
		}
	})
	_ = commits.CloseWithError(errEnough)
	if err = errors.Join(err, <-listed); err == nil && len(ids) > maxTouching {
		err = errors.New("too many commits change protected paths")
	}
	return ids, err
}

// readDifferences runs a git that lists differences, and calls found with each
// protected path in them and its pattern, and the commit if git names one.
func (p *push) readDifferences(ctx context.Context, run gitRun, whole bool, found func(commit, path, pattern string)) error {
	run.Dir, run.Env = p.s.mirror.dir, p.env()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	run.Stdout = w
	go func() {
		err := p.g.git(ctx, run)
		_ = w.CloseWithError(err)
		ended <- err
	}()
	err := p.scanDifferences(r, whole, found)
	_ = r.CloseWithError(errors.New("enough"))
	return errors.Join(err, <-ended)
}

func (p *push) scanDifferences(r io.Reader, whole bool, found func(commit, path, pattern string)) error {
	commit := ""
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxPath)
	s.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if i := bytes.IndexByte(data, 0); i >= 0 {
			return i + 1, data[:i], nil
		}
		if atEOF && len(data) > 0 {
			return 0, nil, errors.New("git ended within a path")
		}
		return 0, nil, nil
	})
	for s.Scan() {
		entry, path := s.Text(), ""
		if objectID(entry) {
			commit = entry
			continue
		}
		if whole { // MODE TYPE ID TAB PATH
			entry, path, _ = strings.Cut(entry, "\t")
			entry = ": " + entry
		} else { // :MODE MODE ID ID STATUS, and then PATH
			if !s.Scan() {
				return errors.New("git ended within a difference")
			}
			path = s.Text()
		}
		fields := strings.Fields(entry)
		if len(fields) < 3 || path == "" {
			return errors.New("git wrote a difference that cannot be read")
		}
		link := fields[1] == "120000" || fields[1] == "160000"
		if pattern := p.s.remote.Push.Protects(path, link); pattern != "" {
			found(commit, path, pattern)
		}
	}
	return s.Err()
}
