package smolvm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/spec"
)

var _ backends.Meter = (*Driver)(nil)

// Memory is what the machine's process has in memory on this machine, in bytes; 0
// when it does not run. It asks nobody: the mark names the process.
func (d *Driver) Memory(_ context.Context, id spec.ID) (int64, error) {
	var m mark
	b, err := os.ReadFile(d.markFile(id.Name()))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return 0, fmt.Errorf("memory of %s: %w", id, err)
	}
	b, err = os.ReadFile(filepath.Join("/proc", strconv.Itoa(m.PID), "statm"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("memory of %s: %w", id, err)
	}
	fields := bytes.Fields(b) // proc(5): in pages, the second is what is resident
	if len(fields) < 2 {
		return 0, nil
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}
