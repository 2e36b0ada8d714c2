package compile

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/bb/engine/spec"
)

// readable reports why a file cannot be read, without its own words twice.
func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return plain(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return plain(err)
	}
	if info.IsDir() {
		return fmt.Errorf("%s is a directory", path)
	}
	return nil
}

// plain turns "open X: no such file or directory" into "X: no such file ...".
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Path, p.Err)
	}
	return err
}

// certificates reads a PEM file and checks that every block is a certificate:
// a key in it would travel into the sidecar.
func certificates(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", plain(err)
	}
	var out strings.Builder
	for rest := b; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return "", fmt.Errorf("%s holds a %s block, certificates only", path, block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		out.Write(pem.EncodeToMemory(block))
	}
	if out.Len() == 0 {
		return "", fmt.Errorf("%s holds no certificate", path)
	}
	return out.String(), nil
}

const maxSkill = 16 << 20

// readSkill reads one skill directory. Symbolic links and special files are
// refused: a skill must not pull other files of the host into a bottle.
func readSkill(dir, target string) ([]spec.File, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, plain(err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, plain(err)
	}
	defer root.Close()
	var files []spec.File
	size := int64(0)
	err = fs.WalkDir(root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		to := filepath.ToSlash(filepath.Join(target, path))
		switch {
		case e.IsDir():
			files = append(files, spec.File{Path: to, Mode: 0o755, Dir: true, Part: spec.PartSkills})
		case info.Mode().IsRegular():
			if size += info.Size(); size > maxSkill {
				return fmt.Errorf("is larger than %d MiB", maxSkill>>20)
			}
			b, err := root.ReadFile(path)
			if err != nil {
				return err
			}
			files = append(files, spec.File{Path: to, Mode: int64(info.Mode().Perm() | 0o444), Content: b, Part: spec.PartSkills})
		default:
			return fmt.Errorf("%s is neither a file nor a directory", path)
		}
		return nil
	})
	return files, err
}
