package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/backends/smolvm/cli"
)

// The way to a registry goes to the two calls of a pull, and to no other; it
// may hold a password, and so is no argument.
func TestProxiesOfAPull(t *testing.T) {
	dir := t.TempDir()
	log, path := filepath.Join(dir, "log"), filepath.Join(dir, "smolvm")
	script := "#!/bin/sh\nif [ \"$3\" = --help ] || [ \"$1\" = --version ]; then exec " +
		program(t, "smolvm 1.9.2", help+"      --net-backend <X>\n") + " \"$@\"; fi\n" +
		"echo \"$* | $HTTPS_PROXY $no_proxy\" >>" + log + "\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	const proxy = "http://user:secret@proxy.example.com:3128"
	c, err := cli.Find(t.Context(), cli.Options{Locks: dir, Getenv: env("BB_SMOLVM", path, "PATH", os.Getenv("PATH"), "HTTPS_PROXY", proxy, "no_proxy", ".internal")})
	if err != nil {
		t.Fatal(err)
	}
	h := hold(t, c, "a")
	for _, do := range []func() error{
		func() error {
			return h.Create(t.Context(), cli.Spec{Name: "a", Image: cli.Image{Ref: "example.com/x:1"}, Pull: true})
		},
		func() error { return h.Pull(t.Context()) },
		func() error { return h.Stop(t.Context()) },
		func() error { return h.Start(t.Context(), false) },
		func() error { return h.Create(t.Context(), cli.Spec{Name: "a", Image: cli.Image{Archive: "/x.tar"}}) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	const with = " | " + proxy + " .internal\n"
	want := "machine create --name=a --image=example.com/x:1 --net --net-backend=virtio-net" + with +
		"machine start --name=a" + with + "machine stop --name=a |  \nmachine start --name=a |  \nmachine create --name=a --image=/x.tar |  \n"
	if string(b) != want {
		t.Errorf("%s\nwant %s", b, want)
	}
}

func TestNoPullWithoutADevice(t *testing.T) {
	c, err := cli.Find(t.Context(), cli.Options{Locks: t.TempDir(), Getenv: env("BB_SMOLVM", program(t, "smolvm 1.8.0", help))})
	if err != nil {
		t.Fatal(err)
	}
	err = hold(t, c, "a").Create(t.Context(), cli.Spec{Name: "a", Image: cli.Image{Ref: "example.com/x:1"}, Pull: true})
	if err == nil || !strings.Contains(err.Error(), "no network device of its own") {
		t.Errorf("%v", err)
	}
}
