package docker

import (
	"archive/tar"
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/docker/docker/api/types/build"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// buildJob is one image build.
type buildJob struct {
	tag        string
	dockerfile string                  // its text
	name       string                  // its name in the context; "" means Dockerfile
	base       string                  // build argument BASE
	files      func(*tar.Writer) error // the rest of the context; nil for none
}

// buildCAName is the extra file of a build with BuildCA.
const buildCAName = ".bb-build-ca.crt"

// shownLines of a failed build are enough to see why.
const shownLines = 20

// build runs one build with the classic builder, which every engine has.
func (d *Driver) build(ctx context.Context, j buildJob, via *backends.BuildProxy) error {
	name := cmp.Or(j.name, "Dockerfile")
	logf(d.opts.Log, "building %s", j.tag)
	way, err := d.buildWay(ctx, via)
	if err != nil {
		return err
	}
	defer way.close()
	r, w := io.Pipe()
	go func() { w.CloseWithError(d.writeContext(w, name, j)) }()
	res, err := d.engine.ImageBuild(ctx, r, build.ImageBuildOptions{
		Version: build.BuilderV1, Tags: []string{j.tag}, Dockerfile: name,
		Remove: true, ForceRemove: true, BuildArgs: buildArgs(j.base, way.args, os.Getenv),
		Labels: d.imageLabels(j.tag), NetworkMode: way.network,
	})
	output := &tail{limit: shownLines}
	if err == nil {
		err = readStream(res.Body, io.MultiWriter(output, &guest.PlainWriter{To: d.opts.Output}))
		res.Body.Close()
	}
	r.CloseWithError(io.ErrClosedPipe) // ends the writer, whatever happened
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return d.wrap(ctx.Err(), "build %s", j.tag)
	case engineGone(err):
		return d.wrap(err, "build %s", j.tag)
	}
	if said := output.String(); diskFull(err.Error()) || diskFull(said) {
		return d.fullDisk("build "+j.tag, said)
	}
	text := fmt.Sprintf("build %s: %s", j.tag, tidy(err.Error()))
	if said := output.String(); said != "" {
		text += "; the build's last lines:\n" + said
	}
	if said := way.said(); said != "" {
		text += "\nand the relay to the parent proxy:\n" + said
	}
	return diag.Errorf("%s", text)
}

// imageLabels mark what was built for a tag. Containers made of the image
// inherit them: none of these makes a container ours.
func (d *Driver) imageLabels(tag string) map[string]string {
	labels := d.shared(spec.RoleImage)
	labels[spec.LabelImage] = tag
	return labels
}

func (d *Driver) writeContext(w io.Writer, name string, j buildJob) error {
	t := tar.NewWriter(w)
	text := j.dockerfile
	if len(d.opts.BuildCA) > 0 {
		text = trustInBuild(text)
		if err := addBytes(t, buildCAName, 0o644, d.opts.BuildCA); err != nil {
			return err
		}
	}
	if err := addBytes(t, name, 0o644, []byte(text)); err != nil {
		return err
	}
	if j.files != nil {
		if err := j.files(t); err != nil {
			return err
		}
	}
	return t.Close()
}

// buildArgs are the base and a proxy: that of the way, or the one that the host
// uses itself. Proxy arguments are known to the builder and stay out of the
// image.
func buildArgs(base string, way map[string]string, getenv func(string) string) map[string]*string {
	args := map[string]*string{"BASE": &base}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"} {
		v := getenv(name)
		if way != nil {
			v = way[name]
		}
		if v != "" {
			args[name] = &v
		}
	}
	return args
}

// readStream copies the text of the engine's progress messages to w and
// returns the error that the stream ends with, if any.
func readStream(r io.Reader, w io.Writer) error {
	dec := json.NewDecoder(r)
	for {
		var m struct {
			Stream string `json:"stream"`
			Error  string `json:"error"`
		}
		switch err := dec.Decode(&m); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case m.Error != "":
			return errors.New(m.Error)
		}
		if _, err := io.WriteString(w, m.Stream); err != nil {
			return err
		}
	}
}

// tail keeps the last lines written to it.
type tail struct {
	limit int
	text  guest.Tail
}

func (t *tail) Write(p []byte) (int, error) {
	t.text.Limit = 16 << 10
	return t.text.Write(p)
}

func (t *tail) String() string {
	var lines []string
	s := bufio.NewScanner(strings.NewReader(guest.Printable(t.text.String())))
	s.Buffer(nil, 64<<10)
	for s.Scan() {
		if l := strings.TrimRight(s.Text(), " "); l != "" {
			lines = append(lines, "  "+l)
		}
	}
	return strings.Join(lines[max(0, len(lines)-t.limit):], "\n")
}
