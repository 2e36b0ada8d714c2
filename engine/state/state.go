// Package state reads and makes the few things bb keeps of its own: who it is
// on this host (owner) and the key that digests secrets. All else is labels.
package state

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// State is $BB_HOME/state.
type State struct {
	Dir   string
	Owner string
	Key   spec.Key
}

const (
	ownerBytes = 16
	keyBytes   = 32
)

// Read returns what is there. Where nothing is there yet, it makes values
// that are not written: a plan changes nothing.
func Read(home string) (*State, error) { return open(home, false) }

// Open returns what is there, and writes what is missing.
func Open(home string) (*State, error) { return open(home, true) }

func open(home string, write bool) (*State, error) {
	dir := filepath.Join(home, "state")
	if write {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, diag.Errorf("cannot make the state directory: %v", err).
				WithHint("set BB_HOME to a directory that you can write")
		}
	}
	owner, err := secretFile(filepath.Join(dir, "owner"), ownerBytes, write)
	if err != nil {
		return nil, err
	}
	key, err := secretFile(filepath.Join(dir, "key"), keyBytes, write)
	if err != nil {
		return nil, err
	}
	return &State{Dir: dir, Owner: hex.EncodeToString(owner), Key: key}, nil
}

// secretFile reads n random bytes in hex, making them where there are none.
// The link makes two first runs at once agree on one value.
func secretFile(path string, n int, write bool) ([]byte, error) {
	b, err := read(path, n)
	if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	b = make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		return nil, err
	}
	if !write {
		return b, nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // a leftover is harmless
	if _, err := f.WriteString(hex.EncodeToString(b) + "\n"); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return read(path, n)
}

func read(path string, n int) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	if len(text) != 2*n+1 {
		return nil, damaged(path)
	}
	if _, err := hex.Decode(b, text[:2*n]); err != nil {
		return nil, damaged(path)
	}
	return b, nil
}

func damaged(path string) error {
	return diag.Errorf("%s is damaged", path).WithHint(
		"restore it from a backup; without it bb no longer knows the bottles it made (docker ps -a --filter label=bb.managed)")
}
