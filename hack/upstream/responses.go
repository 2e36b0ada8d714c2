package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// responsesAPI answers turns of the OpenAI responses API: over a WebSocket
// where sockets are let in, else as server-sent events.
type responsesAPI struct {
	journal *journal
	refuse  atomic.Bool // no WebSockets
}

// obey does what signals say.
func (a *responsesAPI) obey(ctx context.Context) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1, syscall.SIGUSR2)
	for {
		select {
		case s := <-c:
			a.refuse.Store(s == syscall.SIGUSR1)
		case <-ctx.Done():
			return
		}
	}
}

type responsesTurn struct {
	Type  string          `json:"type"`
	Model string          `json:"model"`
	Input json.RawMessage `json:"input"`
	// Generate false asks for nothing but a warm connection.
	Generate *bool `json:"generate"`
}

func (a *responsesAPI) post(w http.ResponseWriter, r *http.Request) {
	var t responsesTurn
	text := "pong: compressed"
	// Codex compresses with zstd, which the standard library cannot read.
	if r.Header.Get("Content-Encoding") != "zstd" {
		if err := json.NewDecoder(r.Body).Decode(&t); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		text = "pong: " + t.lastText()
	}
	think(r.Context(), text)
	w.Header().Set("Content-Type", "text/event-stream")
	for _, e := range t.events(text) {
		if event(w, e.name, e.with) != nil {
			return // the client is gone
		}
	}
}

func (a *responsesAPI) socket(w http.ResponseWriter, r *http.Request) {
	if !upgrades(r) || a.refuse.Load() {
		http.NotFound(w, r)
		return
	}
	s, err := accept(w, r)
	if err != nil {
		return
	}
	defer s.conn.Close()
	for {
		message, err := s.read()
		if err != nil {
			return
		}
		arrived := sawRequest(r, message)
		arrived.Method = "WEBSOCKET"
		a.journal.add(arrived)
		var t responsesTurn
		if json.Unmarshal(message, &t) != nil || t.Type != "response.create" {
			continue
		}
		text := "pong: " + t.lastText()
		think(r.Context(), text)
		for _, e := range t.events(text) {
			e.with["type"] = e.name
			b, err := json.Marshal(e.with)
			if err != nil || s.write(opText, b) != nil {
				return
			}
		}
	}
}

type namedEvent struct {
	name string
	with map[string]any
}

// events are one turn's answer: a message with one text.
func (t *responsesTurn) events(text string) []namedEvent {
	usage := map[string]any{
		"input_tokens": 1, "input_tokens_details": nil, "output_tokens": 1, "output_tokens_details": nil, "total_tokens": 2,
	}
	begun := namedEvent{"response.created", map[string]any{"response": map[string]any{"id": "resp_1"}}}
	ended := namedEvent{"response.completed", map[string]any{"response": map[string]any{"id": "resp_1", "usage": usage}}}
	if t.Generate != nil && !*t.Generate {
		return []namedEvent{begun, ended}
	}
	item := map[string]any{
		"type": "message", "role": "assistant", "id": "msg_1",
		"content": []any{map[string]any{"type": "output_text", "text": text}},
	}
	return []namedEvent{begun, {"response.output_item.done", map[string]any{"item": item}}, ended}
}

// lastText is the last text of the last message of the user.
func (t *responsesTurn) lastText() string {
	var items []struct {
		Role    string `json:"role"`
		Content []struct {
			Text string `json:"text"`
		} `json:"content"`
	}
	if json.Unmarshal(t.Input, &items) != nil {
		return ""
	}
	for i := len(items) - 1; i >= 0; i-- {
		if n := len(items[i].Content); items[i].Role == "user" && n > 0 {
			return items[i].Content[n-1].Text
		}
	}
	return ""
}
