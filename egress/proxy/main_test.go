package proxy

import (
	"os"
	"testing"
)

var tempRoot string

func mustTempDir() string {
	dir, err := os.MkdirTemp(tempRoot, "ca")
	if err != nil {
		panic(err)
	}
	return dir
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "proxy")
	if err != nil {
		panic(err)
	}
	tempRoot = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}
