package gitgate

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// serve answers one request. Only the path, the query, the method and four
// headers of it mean anything: not its Host, not a login.
func (g *Gate) serve(w http.ResponseWriter, r *http.Request) {
	if !g.begin() {
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusServiceUnavailable, string(errEnded))
		return
	}
	defer g.work.Done()
	out := newWriter(w)
	defer out.end()
	remotes := *g.remotes.Load()
	name, a := parsePath(r.Method, r.URL.EscapedPath(), r.URL.RawQuery)
	s := remotes[name]
	if s == nil {
		g.refuseUnknown(out, r, a, unknownRemote(asked(r.URL.EscapedPath()), remotes))
		return
	}
	r, stop := within(r, s)
	defer stop()
	switch a {
	case advertiseFetch:
		g.advertise(out, r, s, uploadName)
	case advertisePush:
		g.advertise(out, r, s, pushName)
	case uploadPack:
		g.upload(out, r, s)
	case receivePack:
		g.push(out, r, s)
	case lfs:
		refuseLFS(out)
	case archive:
		sayError(out, "git-upload-archive", true, "git archive --remote is not served; clone and run git archive there")
	case dumb:
		refuse(out, http.StatusForbidden, "the git gate speaks git's smart HTTP only")
	case wrongMethod:
		refuse(out, http.StatusMethodNotAllowed, "git does not use this method here")
	default:
		refuse(out, http.StatusNotFound, "a repository has no such path")
	}
}

// refuseUnknown says what remotes there are, in the form that the client reads.
func (g *Gate) refuseUnknown(w http.ResponseWriter, r *http.Request, a action, text string) {
	switch q := r.URL.RawQuery; {
	case a == lfs:
		refuseLFS(w)
	case r.Method == http.MethodGet && (q == "service="+uploadName || q == "service="+pushName):
		sayError(w, q[len("service="):], true, text)
	default:
		refuse(w, http.StatusNotFound, text)
	}
}

// within makes a request end with the remote that it is for.
func within(r *http.Request, s *served) (*http.Request, func()) {
	ctx, cancel := context.WithCancelCause(r.Context())
	stop := context.AfterFunc(s.ctx, func() { cancel(errChanged) })
	return r.WithContext(ctx), func() {
		stop()
		cancel(nil)
	}
}

// advertise answers GET info/refs: the upstream is asked before.
func (g *Gate) advertise(w *writer, r *http.Request, s *served, service string) {
	ctx, protocol := r.Context(), protocolOf(r.Header.Get("Git-Protocol"))
	if service == pushName && s.remote.Push.Off {
		g.switchedOff(w, true, s)
		return
	}
	if err := s.mirror.renew(ctx); err != nil {
		g.sayFailure(w, service, true, s, err)
		return
	}
	release, err := g.uploads.take(ctx)
	if err != nil {
		g.sayFailure(w, service, true, s, err)
		return
	}
	defer release()
	head(w, advertType(service))
	w.first = announcement(service, protocol)
	err = g.git(ctx, gitRun{
		Dir: s.mirror.dir, Env: protocolEnv(protocol), Stdout: w,
		Args: []string{service[len("git-"):], "--stateless-rpc", "--http-backend-info-refs", "."},
	})
	g.finish(ctx, w, service, true, s, err)
}

// upload answers POST git-upload-pack. What the upstream has was asked for by
// the advertisement; a client that left it out has it asked now.
func (g *Gate) upload(w *writer, r *http.Request, s *served) {
	ctx := r.Context()
	if r.Header.Get("Content-Type") != requestType(uploadName) {
		refuse(w, http.StatusUnsupportedMediaType, "this is no request of git fetch")
		return
	}
	body, err := openBody(w, r, uploadBody)
	if err != nil {
		refuse(w, http.StatusUnsupportedMediaType, err.Error())
		return
	}
	if !s.mirror.recent() {
		if err := s.mirror.renew(ctx); err != nil {
			g.sayFailure(w, uploadName, false, s, err)
			return
		}
	}
	release, err := g.uploads.take(ctx)
	if err != nil {
		g.sayFailure(w, uploadName, false, s, err)
		return
	}
	defer release()
	head(w, resultType(uploadName))
	err = g.git(ctx, gitRun{
		Dir: s.mirror.dir, Env: protocolEnv(protocolOf(r.Header.Get("Git-Protocol"))), Stdin: body, Stdout: w, Limit: uploadLimit,
		Args: []string{"upload-pack", "--strict", "--stateless-rpc", "."},
	})
	if err != nil && !body.failed.Load() && ctx.Err() == nil {
		s.mirror.suspect.Store(true) // or the client asked for nonsense
	}
	g.finish(ctx, w, uploadName, false, s, err)
}

// push hands a request over that sends refs and objects.
func (g *Gate) push(w *writer, r *http.Request, s *served) {
	if r.Header.Get("Content-Type") != requestType(pushName) {
		refuse(w, http.StatusUnsupportedMediaType, "this is no request of git push")
		return
	}
	if s.remote.Push.Off {
		g.switchedOff(w, false, s)
		return
	}
	body, err := openBody(w, r, pushBody)
	if err != nil {
		refuse(w, http.StatusUnsupportedMediaType, err.Error())
		return
	}
	r.Body, r.ContentLength = body, -1
	r.Header.Del("Content-Encoding")
	g.receive(w, r, s)
}

// switchedOff refuses a push before it sends anything.
func (g *Gate) switchedOff(w http.ResponseWriter, advert bool, s *served) {
	reason := "pushing to " + s.remote.Name + " is switched off for this bottle (push: off)"
	g.o.Log(Entry{Time: time.Now(), Remote: s.remote.Name, Verdict: Refused, Reason: reason})
	sayError(w, pushName, advert, reason)
}

func protocolEnv(protocol string) []string {
	if protocol == "" {
		return nil
	}
	return []string{"GIT_PROTOCOL=" + protocol}
}

// finish says what went wrong, if nothing was said yet: after that the client
// sees an answer that ends too early.
func (g *Gate) finish(ctx context.Context, w *writer, service string, advert bool, s *served, err error) {
	if err == nil {
		return
	}
	if ctx.Err() == nil {
		g.note("git gate: %s: %s", s.remote.Name, line(err.Error()))
	}
	if !w.began {
		g.sayFailure(w, service, advert, s, err)
	}
}

// sayFailure says an error with the name of the remote.
func (g *Gate) sayFailure(w http.ResponseWriter, service string, advert bool, s *served, err error) {
	sayError(w, service, advert, s.remote.Name+": "+g.readable(s.remote.Name, err).Error())
}

// sayError answers so that git prints "fatal: remote error: git gate: TEXT".
func sayError(w http.ResponseWriter, service string, advert bool, text string) {
	if out, ok := w.(*writer); ok {
		out.first = ""
	}
	if advert {
		head(w, advertType(service))
		_, _ = io.WriteString(w, announcement(service, "")+pktError(text))
		return
	}
	head(w, resultType(service))
	_, _ = io.WriteString(w, pktError(text))
}

// refuse answers with a text that git and people show as it is.
func refuse(w http.ResponseWriter, status int, text string) {
	head(w, "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "git gate: "+line(text)+"\n")
}

// refuseLFS answers in the form of git-lfs (its API's "Response Errors").
func refuseLFS(w http.ResponseWriter) {
	body, _ := json.Marshal(map[string]string{
		"message": "git gate: git-lfs is not served: its content would not be searched. Commit without LFS, or leave LFS content to a person (GIT_LFS_SKIP_SMUDGE=1 clones without it)",
	})
	head(w, "application/vnd.git-lfs+json")
	w.WriteHeader(http.StatusNotImplemented)
	_, _ = w.Write(append(bytes.TrimSpace(body), '\n'))
}
