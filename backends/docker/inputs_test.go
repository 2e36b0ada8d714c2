package docker

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// buildInput reads the Dockerfile that a build would get.
func buildInput(t *testing.T, d *Driver, j buildJob) string {
	t.Helper()
	var b bytes.Buffer
	if err := d.writeContext(&b, "Dockerfile", j); err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			t.Fatal("no Dockerfile")
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == "Dockerfile" {
			text, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
	}
}

// FuzzBuildInput: nothing that a manifest or the environment says is pasted
// into what is built (attack F8). The base is an argument of its own, and the
// text is the author's, with bb's lines of trust between whole lines of it.
func FuzzBuildInput(f *testing.F) {
	f.Add("ARG BASE\nFROM ${BASE}\nRUN x\n", "debian\nRUN evil", "http://p\nENV X=1", true)
	f.Add("FROM a \\\n as b\nFROM b", "x\" \\\n", "", true)
	f.Add("# escape=`\nFROM a `\n as b", "`", "$(id)", false)
	f.Add("FROM a\r\nRUN b\r\n", "", "", true)
	f.Fuzz(func(t *testing.T, text, base, proxy string, trusted bool) {
		d := &Driver{}
		if trusted {
			d.opts.BuildCA = []byte("certificate")
		}
		got := buildInput(t, d, buildJob{dockerfile: text, base: base})
		args := buildArgs(base, nil, func(string) string { return proxy })
		if *args["BASE"] != base {
			t.Errorf("BASE is %q", *args["BASE"])
		}
		if !trusted {
			if got != text {
				t.Errorf("%q became %q", text, got)
			}
			return
		}
		// Without bb's lines it is what it was.
		own := strings.Split(trustInBuild("FROM x"), "\n")[1:]
		lines := strings.Split(got, "\n")
		want := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
		var rest []string
		for i := 0; i < len(lines); {
			if i+len(own) <= len(lines) && slices.Equal(lines[i:i+len(own)], own) && len(rest) > 0 {
				i += len(own)
				continue
			}
			rest = append(rest, lines[i])
			i++
		}
		if !slices.Equal(rest, want) && !strings.Contains(text, own[0]) {
			t.Errorf("%q became %q", want, lines)
		}
	})
}
