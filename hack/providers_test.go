package hack_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// neutral are the rooms that know no provider: what one needs reaches them as
// a value of engine/provider.
var neutral = []string{
	"egress", "backends", "engine/plan", "engine/apply", "engine/spec", "engine/manifest", "cmd/bb/internal/view",
}

// providerWord is a provider's name, or a host of one.
var providerWord = regexp.MustCompile(`(?i)claude|codex|anthropic|openai|chatgpt`)

// formats are of credentials, whoever issues them.
const formats = "../egress/dlp/tokens"

// TestOnlyProvidersKnowProviders asserts that no program text outside of
// engine/provider decides by a provider's name.
func TestOnlyProvidersKnowProviders(t *testing.T) {
	read := 0
	for _, room := range neutral {
		err := filepath.WalkDir(filepath.Join("..", room), func(path string, e fs.DirEntry, err error) error {
			if path == formats {
				return filepath.SkipDir
			}
			if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			read++
			for i, line := range strings.Split(string(b), "\n") {
				if word := providerWord.FindString(line); word != "" {
					t.Errorf("%s:%d knows %q: %s", path, i+1, word, strings.TrimSpace(line))
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if read < 50 {
		t.Errorf("only %d files were read", read)
	}
	b, err := os.ReadFile("../engine/provider/claude.go")
	if err != nil || !providerWord.Match(b) {
		t.Errorf("the search finds nothing where it must: %v", err)
	}
}
