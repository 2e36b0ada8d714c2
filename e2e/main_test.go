package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/hack/fakesmol"
)

// What TestMain builds once. Everything that enters a container is a static
// linux binary for the engine's architecture.
var (
	bbBinary       string // runs here
	sidecarBinary  string // goes into bottles
	probeBinary    string
	attackBinary   string // the attack list, as bottles run it
	probe386Binary string // empty unless the engine is amd64
	probeImage     string // the probe as the only file of an image
	upstreamImage  string
)

func TestMain(m *testing.M) {
	fakesmol.Main()
	code, err := withTools(m.Run)
	if err != nil {
		fmt.Fprintf(os.Stderr, "e2e: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

// withTools builds the programs and images, runs, and removes them again.
func withTools(run func() int) (int, error) {
	// Image builds must trust what this machine trusts.
	if ca := os.Getenv("SSL_CERT_FILE"); ca != "" && os.Getenv("BB_BUILD_CA") == "" {
		if err := os.Setenv("BB_BUILD_CA", ca); err != nil {
			return 1, err
		}
	}
	arch, err := command("docker", "version", "--format", "{{.Server.Arch}}")
	if err != nil {
		return 1, fmt.Errorf("these tests need a Docker engine (hack/engine starts one): %w", err)
	}
	arch = strings.TrimSpace(arch)
	dir, err := os.MkdirTemp("", "bb-e2e-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a directory of the system's temporary ones
	bbBinary, sidecarBinary = filepath.Join(dir, "bb"), filepath.Join(dir, "bb-linux")
	probeBinary, attackBinary = filepath.Join(dir, "probe"), filepath.Join(dir, "attack")
	upstream := filepath.Join(dir, "upstream")
	builds := []struct{ pkg, out, goos, arch string }{
		{"../cmd/bb", bbBinary, "", ""},
		{"../cmd/bb", sidecarBinary, "linux", arch},
		{"../hack/probe", probeBinary, "linux", arch},
		{"../hack/attack", attackBinary, "linux", arch},
		{"../hack/upstream", upstream, "linux", arch},
	}
	if arch == "amd64" {
		probe386Binary = filepath.Join(dir, "probe386")
		builds = append(builds, struct{ pkg, out, goos, arch string }{"../hack/probe", probe386Binary, "linux", "386"})
	}
	for _, b := range builds {
		if err := build(b.pkg, b.out, b.goos, b.arch); err != nil {
			return 1, err
		}
	}
	suffix := filepath.Base(dir)
	for _, image := range []struct {
		tag  *string
		file string
	}{{&probeImage, probeBinary}, {&upstreamImage, upstream}} {
		*image.tag = strings.ToLower(filepath.Base(image.file) + "-" + suffix)
		if err := importImage(*image.tag, image.file); err != nil {
			return 1, err
		}
		defer command("docker", "rmi", "-f", *image.tag) //nolint:errcheck // the next run does not mind
	}
	code := run()
	removeShared()
	return code, nil
}

func build(pkg, out, goos, arch string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if goos != "" {
		cmd.Env = append(cmd.Env, "GOOS="+goos, "GOARCH="+arch)
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, text)
	}
	return nil
}

// importImage makes an image whose only file is a static program.
func importImage(tag, file string) error {
	name := filepath.Base(file)
	tar := exec.Command("tar", "-C", filepath.Dir(file), "-c", name)
	load := exec.Command("docker", "import", "--change", fmt.Sprintf("ENTRYPOINT [%q]", "/"+name), "-", tag)
	pipe, err := tar.StdoutPipe()
	if err != nil {
		return err
	}
	load.Stdin = pipe
	if err := tar.Start(); err != nil {
		return err
	}
	text, err := load.CombinedOutput()
	if err != nil {
		return fmt.Errorf("docker import: %w\n%s", err, text)
	}
	return tar.Wait()
}

// command runs a program and returns its standard output.
func command(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, stderr.String())
	}
	return string(out), nil
}
