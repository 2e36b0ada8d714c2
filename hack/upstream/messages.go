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
// agent's turn needs: one streamed text, or one call of a tool where the prompt
// says which ("call-tool NAME {ARGUMENTS}"), whose result the next text repeats. Everything else is a 404, which such
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
	block := map[string]any{"type": "text", "text": "pong: " + t.lastText()}
	delta := map[string]any{"type": "text_delta", "text": block["text"]}
	why := "end_turn"
	if said, ok := t.toolResult(); ok {
		block["text"] = "the tool said: " + said
		delta["text"] = block["text"]
	} else if m := calling.FindStringSubmatch(t.lastText()); m != nil {
		block = map[string]any{"type": "tool_use", "id": "toolu_1", "name": m[1], "input": json.RawMessage(m[2])}
		delta = map[string]any{"type": "input_json_delta", "partial_json": m[2]}
		why = "tool_use"
	}
	think(r.Context(), t.lastText())
	usage := map[string]int{"input_tokens": 1, "output_tokens": 1}
	message := map[string]any{
		"id": "msg_1", "type": "message", "role": "assistant", "model": t.Model,
		"content": []any{}, "stop_reason": nil, "stop_sequence": nil, "usage": usage,
	}
	if !t.Stream {
		message["content"] = []any{block}
		message["stop_reason"] = why
		w.Header().Set("Content-Type", "application/json")
		writeJSON(w, message)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	empty := map[string]any{"type": "text", "text": ""}
	if why == "tool_use" {
		empty = map[string]any{"type": "tool_use", "id": block["id"], "name": block["name"], "input": map[string]any{}}
	}
	for _, e := range []struct {
		name string
		with map[string]any
	}{
		{"message_start", map[string]any{"message": message}},
		{"content_block_start", map[string]any{"index": 0, "content_block": empty}},
		{"content_block_delta", map[string]any{"index": 0, "delta": delta}},
		{"content_block_stop", map[string]any{"index": 0}},
		{"message_delta", map[string]any{"delta": map[string]any{"stop_reason": why, "stop_sequence": nil}, "usage": usage}},
		{"message_stop", map[string]any{}},
	} {
		if err := event(w, e.name, e.with); err != nil {
			return // the client is gone
		}
	}
}

var calling = regexp.MustCompile(`call-tool (\S+) (\{.*\})`)

// toolResult is what a tool answered, where the last message is that.
func (t *turn) toolResult() (said string, ok bool) {
	if len(t.Messages) == 0 {
		return "", false
	}
	var blocks []struct {
		Type    string          `json:"type"`
		Content json.RawMessage `json:"content"`
	}
	if json.Unmarshal(t.Messages[len(t.Messages)-1].Content, &blocks) != nil {
		return "", false
	}
	for _, b := range blocks {
		if b.Type == "tool_result" {
			return string(b.Content), true
		}
	}
	return "", false
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
