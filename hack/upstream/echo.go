package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"time"
)

// echoAPI answers every request with what arrived, so that a test sees what
// the sidecar added and removed. /hello answers without repeating anything, as
// an ordinary API does, /stream?seconds=N for that long, /redirect?to=URL sends
// on, and /socket is a WebSocket whose every frame is written down.
func echoAPI(j *journal) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	})
	mux.HandleFunc("GET /socket", j.socket)
	mux.HandleFunc("GET /stream", stream)
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		writeJSON(w, map[string]string{"message": "hello from the outside"})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Echo-Authorization", r.Header.Get("Authorization"))
		writeJSON(w, map[string]any{
			"method": r.Method, "host": r.Host, "path": r.URL.RequestURI(), "header": r.Header,
		})
	})
	return mux
}

// stream sends a numbered event every 100 ms, each flushed by itself: a proxy
// that gathers an answer before it passes it on is noticed by the clock.
func stream(w http.ResponseWriter, r *http.Request) {
	seconds, err := strconv.Atoi(r.URL.Query().Get("seconds"))
	if err != nil || seconds < 1 || seconds > 3600 {
		http.Error(w, "seconds: 1 to 3600", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := range seconds * 10 {
		if _, err := fmt.Fprintf(w, "event: tick\ndata: {\"n\":%d}\n\n", n); err != nil {
			return
		}
		if err := flush.Flush(); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		log.Print(err)
	}
}
