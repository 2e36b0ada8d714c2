package main

import (
	"context"
	"encoding/json"
	"fmt"
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
		text = t.says()
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
		text := t.says()
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
	item, calls := t.call()
	if !calls {
		item = map[string]any{
			"type": "message", "role": "assistant", "id": "msg_1",
			"content": []any{map[string]any{"type": "output_text", "text": text}},
		}
	}
	return []namedEvent{begun, {"response.output_item.done", map[string]any{"item": item}}, ended}
}

// says repeats the user's text, or what a tool answered.
func (t *responsesTurn) says() string {
	if said, ok := t.toolResult(); ok {
		return "the tool said: " + said
	}
	return "pong: " + t.lastText()
}

// call is the call of a tool that the user's text asks for ("call-tool NAME
// {ARGUMENTS}"). Codex offers a model one tool, which runs a script that calls the
// others, by names of its own: NAME with another beginning, and no dashes.
func (t *responsesTurn) call() (item map[string]any, ok bool) {
	m := calling.FindStringSubmatch(t.lastText())
	if _, answered := t.toolResult(); m == nil || answered {
		return nil, false
	}
	script := fmt.Sprintf(`const tool = ALL_TOOLS.find(t => t.name.replaceAll("_", "-").endsWith(%q));
text(JSON.stringify(tool ? await tools[tool.name](%s) : ALL_TOOLS.map(t => t.name)));`, m[1], m[2])
	return map[string]any{"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": "exec", "namespace": "functions", "input": script}, true
}

// toolResult is what a tool answered, where the last item is that.
func (t *responsesTurn) toolResult() (said string, ok bool) {
	var items []struct {
		Type   string          `json:"type"`
		Output json.RawMessage `json:"output"`
	}
	if json.Unmarshal(t.Input, &items) != nil || len(items) == 0 {
		return "", false
	}
	last := items[len(items)-1]
	return string(last.Output), last.Type == "custom_tool_call_output"
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
