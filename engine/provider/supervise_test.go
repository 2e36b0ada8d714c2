package provider

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"github.com/bot-bottle/bb/engine/spec"
)

// Where somebody is asked, the programs know the tools, by one name and at the
// door's address; elsewhere they know of none. Codex waits for longer than a call
// does, which by itself it would not.
func TestToolsAreRegistered(t *testing.T) {
	content := func(name, path string, supervise bool) string {
		for _, f := range provide(t, name, Input{Supervise: supervise}).Files {
			if strings.HasSuffix(f.Path, path) {
				return string(f.Content)
			}
		}
		t.Fatalf("%s has no %s", name, path)
		return ""
	}
	var codex struct {
		Servers map[string]map[string]any `toml:"mcp_servers"`
		Trust   map[string]any            `toml:"projects"`
	}
	if err := toml.Unmarshal([]byte(content("codex", "/config.toml", true)), &codex); err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]any{"bb": {"url": "http://supervise:9100/mcp", "tool_timeout_sec": int64(60)}}
	if diff := cmp.Diff(want, codex.Servers); diff != "" {
		t.Errorf("codex (-want +got)\n%s", diff)
	}
	if len(codex.Trust) != 2 || codex.Trust[spec.Home] == nil {
		t.Errorf("what stands before it is lost: %v", codex.Trust)
	}
	var claude struct{ MCPServers map[string]map[string]string }
	if err := json.Unmarshal([]byte(content("claude", ".claude.json", true)), &claude); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]map[string]string{"bb": {"type": "http", "url": "http://supervise:9100/mcp"}}, claude.MCPServers); diff != "" {
		t.Errorf("claude (-want +got)\n%s", diff)
	}
	for name, path := range map[string]string{"codex": "/config.toml", "claude": ".claude.json"} {
		if text := content(name, path, false); strings.Contains(text, "9100") || strings.Contains(strings.ToLower(text), "mcp") {
			t.Errorf("%s is told of tools that are not there: %s", name, text)
		}
	}
}
