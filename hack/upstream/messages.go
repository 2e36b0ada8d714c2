package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"time"
)

// messagesAPI plays the part of the Anthropic messages API that a coding
// agent's turn needs: one streamed text. Everything else is a 404, which such
// an agent is known to shrug off.
func messagesAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/messages", answer)
	return mux
}

type turn struct {
	Model    string `json:"model"`
	Stream   bool   `json:"stream"`
	Messages []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	} `json:"messages"`
}

func answer(w http.ResponseWriter, r *http.Request) {
	var t turn
	if err := json.NewDecoder(r.Body).Decode(&t); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	text := "pong: " + t.lastText()
	think(r.Context(), text)
	usage := map[string]int{"input_tokens": 1, "output_tokens": 1}
	message := map[string]any{
		"id": "msg_1", "type": "message", "role": "assistant", "model": t.Model,
		"content": []any{}, "stop_reason": nil, "stop_sequence": nil, "usage": usage,
	}
	if !t.Stream {
		message["content"] = []any{map[string]any{"type": "text", "text": text}}
		message["stop_reason"] = "end_turn"
		w.Header().Set("Content-Type", "application/json")
		writeJSON(w, message)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for _, e := range []struct {
		name string
		with map[string]any
	}{
		{"message_start", map[string]any{"message": message}},
		{"content_block_start", map[string]any{"index": 0, "content_block": map[string]any{"type": "text", "text": ""}}},
		{"content_block_delta", map[string]any{"index": 0, "delta": map[string]any{"type": "text_delta", "text": text}}},
		{"content_block_stop", map[string]any{"index": 0}},
		{"message_delta", map[string]any{"delta": map[string]any{"stop_reason": "end_turn", "stop_sequence": nil}, "usage": usage}},
		{"message_stop", map[string]any{}},
	} {
		if err := event(w, e.name, e.with); err != nil {
			return // the client is gone
		}
	}
}

var thinking = regexp.MustCompile(`think-([0-9]{1,2})s`)

// think takes as long as the text says ("think-20s"): time in which a test can
// look at an agent that waits for its answer.
func think(ctx context.Context, text string) {
	if m := thinking.FindStringSubmatch(text); m != nil {
		wait, _ := time.ParseDuration(m[1] + "s")
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

func event(w http.ResponseWriter, name string, data map[string]any) error {
	data["type"] = name
	b, err := json.Marshal(data)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, b); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

// lastText is the last text block of the last message of the user.
func (t *turn) lastText() string {
	for i := len(t.Messages) - 1; i >= 0; i-- {
		m := t.Messages[i]
		if m.Role != "user" {
			continue
		}
		var plain string
		if json.Unmarshal(m.Content, &plain) == nil {
			return plain
		}
		var blocks []struct {
			Type string `json:"type"`
			Text string `json:"text"`
		}
		if json.Unmarshal(m.Content, &blocks) != nil {
			return ""
		}
		for j := len(blocks) - 1; j >= 0; j-- {
			if blocks[j].Type == "text" {
				return blocks[j].Text
			}
		}
	}
	return ""
}
