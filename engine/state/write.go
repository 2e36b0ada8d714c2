package state

import (
	"errors"
	"os"
	"path/filepath"
)

// WriteFile puts b into the file of that name, mode 0600, whole or not at all.
// Several writers at once are fine: the last one wins.
func WriteFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is gone when all went well
	_, err = f.Write(b)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
