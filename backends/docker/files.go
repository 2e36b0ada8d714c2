package docker

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/docker/docker/api/types/container"

	"github.com/bot-bottle/bb/backends/guest"
)

// upload extracts the archive at the container's root.
func (d *Driver) upload(ctx context.Context, id, name string, a *guest.Archive) error {
	packed, err := a.Finish()
	if err != nil {
		return err
	}
	err = d.engine.CopyToContainer(ctx, id, "/", packed,
		container.CopyToContainerOptions{AllowOverwriteDirWithFile: true})
	return d.wrap(err, "place files in %s", name)
}

// untarOne returns the content of an archive of one regular file.
func untarOne(r io.Reader) ([]byte, error) {
	t := tar.NewReader(r)
	h, err := t.Next()
	if errors.Is(err, io.EOF) {
		return nil, os.ErrInvalid // nothing in it; the engine is well
	}
	if err != nil {
		return nil, err
	}
	if h.Typeflag != tar.TypeReg {
		return nil, os.ErrInvalid
	}
	if h.Size > maxRead {
		return nil, fmt.Errorf("%s is larger than %d bytes", h.Name, maxRead)
	}
	return io.ReadAll(t)
}

func addBytes(t *tar.Writer, name string, mode int64, content []byte) error {
	if err := t.WriteHeader(&tar.Header{
		Name: name, Mode: mode, Size: int64(len(content)), Typeflag: tar.TypeReg,
	}); err != nil {
		return err
	}
	_, err := t.Write(content)
	return err
}

func addFile(t *tar.Writer, name string, mode int64, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{
		Name: name, Mode: mode, Size: info.Size(), Typeflag: tar.TypeReg,
	}); err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return err
}
