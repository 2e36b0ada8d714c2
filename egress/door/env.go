package door

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// DefaultEnvFile holds the environment of a bottle's programs as NUL-separated
// NAME=VALUE records. It is a file and not the container's environment because
// that would be repeated by every inspect of the engine.
const DefaultEnvFile = "/run/bb/env"

// FixedEnvFile holds what is no secret, in the same form, where a machine has no
// environment of its own to be made with. It is root's: no file means none.
const FixedEnvFile = "/var/lib/bb/env"

// maxEnv is more than execve takes for one environment by default.
const maxEnv = 2 << 20

// StoreEnv replaces the environment file by the records read from r.
func StoreEnv(r io.Reader) error { return storeEnv(DefaultEnvFile, r) }

func storeEnv(file string, r io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(r, maxEnv+1))
	if err != nil {
		return fmt.Errorf("read environment: %w", err)
	}
	if _, err := parseEnv(data); err != nil {
		return err
	}
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// CreateTemp makes a new file, 0600, and never follows a link.
	tmp, err := os.CreateTemp(dir, ".env-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already if all went well
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(0o400), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}

// loadEnv reads the records of a file; no file means none.
func loadEnv(file string) ([]string, error) {
	// The agent may put anything in its place: a link or a pipe must not hang
	// the command that the host wants to run.
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", file)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxEnv+1))
	if err != nil {
		return nil, err
	}
	return parseEnv(data)
}

// parseEnv splits records; its errors count them and never quote a value.
func parseEnv(data []byte) ([]string, error) {
	if len(data) > maxEnv {
		return nil, fmt.Errorf("environment is larger than %d bytes", maxEnv)
	}
	data = bytes.TrimSuffix(data, []byte{0})
	if len(data) == 0 {
		return nil, nil
	}
	records := strings.Split(string(data), "\x00")
	for i, record := range records {
		if name, _, ok := strings.Cut(record, "="); !ok || name == "" {
			return nil, fmt.Errorf("environment record %d is not NAME=VALUE", i+1)
		}
	}
	return records, nil
}

// mergeEnv puts over on top of base: one record a name, in order of first
// appearance, the last value.
func mergeEnv(base, over []string) []string {
	at := make(map[string]int, len(base)+len(over))
	var merged []string
	for _, list := range [][]string{base, over} {
		for _, record := range list {
			name, _, _ := strings.Cut(record, "=")
			if i, ok := at[name]; ok {
				merged[i] = record
				continue
			}
			at[name] = len(merged)
			merged = append(merged, record)
		}
	}
	return merged
}

func lookupEnv(env []string, name string) string {
	for _, record := range env {
		if n, value, _ := strings.Cut(record, "="); n == name {
			return value
		}
	}
	return ""
}

// SetEnv puts one variable on top of env.
func SetEnv(env []string, name, value string) []string {
	return mergeEnv(env, []string{name + "=" + value})
}
