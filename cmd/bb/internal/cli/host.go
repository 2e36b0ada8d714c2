package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/bot-bottle/bb/engine/provider"
)

// maxAnswer bounds a file that a provider asks for.
const maxAnswer = 1 << 20

// readHost reads the one file that a provider asks for.
func readHost(ask provider.Ask) provider.Answer {
	dir := ask.Dir
	if set := os.Getenv(ask.DirVar); ask.DirVar != "" && set != "" {
		dir = set
	}
	dir, err := expandHome(dir)
	a := provider.Answer{Path: filepath.Join(dir, ask.File), Err: err}
	if err != nil {
		return a
	}
	f, err := os.Open(a.Path)
	if err != nil {
		a.Err = err
		return a
	}
	defer f.Close()
	if a.Text, a.Err = io.ReadAll(io.LimitReader(f, maxAnswer+1)); len(a.Text) > maxAnswer {
		a.Err = fmt.Errorf("larger than %d bytes", maxAnswer)
	}
	return a
}
