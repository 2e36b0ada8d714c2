package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/engine/diag"
)

// The configuration of the docker command, as its context store lays it out:
// config.json, contexts/meta/SHA256-OF-NAME/meta.json, contexts/tls/SAME/docker/.

const contextsHint = "'docker context ls' lists contexts; DOCKER_CONTEXT names another, DOCKER_HOST an address"

// maxConfig bounds what is read of a configuration file.
const maxConfig = 1 << 20

func configDir(getenv func(string) string) string {
	if dir := getenv("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	return filepath.Join(getenv("HOME"), ".docker")
}

// currentContext is the context that 'docker context use' selected; "" is none.
// A file that cannot be read is an error: without it bb would turn to another
// engine than docker does.
func currentContext(dir string) (string, error) {
	path := filepath.Join(dir, "config.json")
	b, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	var config struct {
		CurrentContext string `json:"currentContext"`
	}
	if err == nil && json.Unmarshal(b, &config) != nil {
		err = errors.New("it is no JSON that docker wrote")
	}
	if err != nil {
		return "", diag.Errorf("docker: %s: %s", path, guest.Printable(diag.Cause(err).Error())).
			WithHint("repair it, or say which engine with DOCKER_HOST or DOCKER_CONTEXT")
	}
	return config.CurrentContext, nil
}

var contextName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$`)

// fromContext reads a context: its address and, for tcp, its certificates.
func fromContext(dir, name, from string) (address, error) {
	if !contextName.MatchString(name) {
		return address{}, diag.Errorf("docker: %q cannot be the name of a context", name).WithHint(contextsHint)
	}
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	path := filepath.Join(dir, "contexts", "meta", id, "meta.json")
	b, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) {
		return address{}, diag.Errorf("docker: there is no context %s in %s", name, dir).WithHint(contextsHint)
	}
	var meta contextMeta
	if err == nil {
		meta, err = parseMeta(b, name)
	}
	if err != nil {
		return address{}, diag.Errorf("docker: context %s: %s: %s", name, path, guest.Printable(diag.Cause(err).Error())).
			WithHint("make it again with 'docker context rm %s' and 'docker context create'; %s", name, contextsHint)
	}
	if meta.host == "" {
		meta.host = defaultSocket
	}
	a, err := parseAddress(meta.host, from)
	if err != nil || a.scheme != "tcp" {
		return a, err
	}
	m := tlsFiles(filepath.Join(dir, "contexts", "tls", id, "docker"), meta.skipVerify)
	m.always = meta.skipVerify // TLS all the same
	a.tls, err = m.config(a.target)
	return a, err
}

type contextMeta struct {
	host       string
	skipVerify bool
}

// parseMeta reads meta.json. The store finds it by the digest of the name, so
// that another name inside is damage.
func parseMeta(b []byte, name string) (contextMeta, error) {
	var file struct {
		Name      string
		Endpoints map[string]struct {
			Host          string
			SkipTLSVerify bool
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return contextMeta{}, errors.New("it is no JSON that docker wrote")
	}
	if file.Name != name {
		return contextMeta{}, errors.New("it is about another context")
	}
	e, ok := file.Endpoints["docker"]
	if !ok {
		return contextMeta{}, errors.New("it names no docker engine")
	}
	return contextMeta{host: e.Host, skipVerify: e.SkipTLSVerify}, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if len(b) > maxConfig {
		return nil, errors.New("it is too large")
	}
	return b, err
}
