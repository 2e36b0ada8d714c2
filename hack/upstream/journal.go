package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"regexp"
	"slices"
	"sync"
)

// seen is one request as it arrived here, after every proxy on its way.
type seen struct {
	Method        string      `json:"method"`
	Host          string      `json:"host"`
	Path          string      `json:"path"`
	Proto         string      `json:"proto"`
	Authorization string      `json:"authorization"`
	BodyBytes     int64       `json:"body_bytes"`
	Header        http.Header `json:"header"`
	// Marks are the words of the body that tests look for: mark-...
	Marks []string `json:"marks,omitempty"`
}

var mark = regexp.MustCompile(`mark-[a-z0-9]+`)

func sawRequest(r *http.Request, body []byte) seen {
	header := r.Header.Clone()
	for name, values := range r.Trailer { // known once the body was read
		header["Trailer:"+name] = values
	}
	s := seen{
		Method: r.Method, Host: r.Host, Path: r.URL.RequestURI(), Proto: r.Proto,
		Authorization: r.Header.Get("Authorization"), BodyBytes: int64(len(body)), Header: header,
		Marks: mark.FindAllString(string(body), -1),
	}
	slices.Sort(s.Marks)
	s.Marks = slices.Compact(s.Marks)
	return s
}

// journal writes every request as one JSON line, and keeps the lines.
type journal struct {
	mu    sync.Mutex
	lines []byte
	out   io.Writer
}

// record reads the whole body first, so that its size is known even when the
// handler does not care.
func (j *journal) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 64<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		j.add(sawRequest(r, body))
		next.ServeHTTP(w, r)
	})
}

func (j *journal) add(s seen) {
	line, err := json.Marshal(s)
	if err != nil {
		log.Print(err)
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(append(j.lines, line...), '\n')
	if _, err := j.out.Write(append(line, '\n')); err != nil {
		log.Print(err)
	}
}

func (j *journal) serve(w http.ResponseWriter, _ *http.Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	w.Header().Set("Content-Type", "application/jsonl")
	w.Write(j.lines) //nolint:errcheck // the reader is gone, nothing to do
}
