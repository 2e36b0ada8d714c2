package docker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"path/filepath"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/engine/diag"
)

// tlsMaterial is a directory with ca.pem, cert.pem and key.pem, as docker
// keeps them; each may be missing.
type tlsMaterial struct {
	dir        string
	skipVerify bool
	needsCA    bool // it is no whole material without
	always     bool // TLS even where there is no material
}

func tlsFiles(dir string, skipVerify bool) tlsMaterial {
	return tlsMaterial{dir: dir, skipVerify: skipVerify}
}

// config is nil where there is nothing that asks for TLS. The authority in
// ca.pem alone is trusted: no public one vouches for an engine.
func (m tlsMaterial) config(target string) (*tls.Config, error) {
	wrong := func(file, why string) error {
		return diag.Errorf("docker: %s: %s", filepath.Join(m.dir, file), why).
			WithHint("an engine with TLS wants ca.pem, cert.pem and key.pem of the same authority")
	}
	pem := map[string][]byte{}
	for _, file := range []string{"ca.pem", "cert.pem", "key.pem"} {
		b, err := readBounded(filepath.Join(m.dir, file))
		switch {
		case err == nil:
			pem[file] = b
		case errors.Is(err, fs.ErrNotExist) && (file != "ca.pem" || !m.needsCA):
		default:
			return nil, wrong(file, guest.Printable(diag.Cause(err).Error()))
		}
	}
	if len(pem) == 0 && !m.always {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		return nil, diag.Errorf("docker: %s: no port", target)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, InsecureSkipVerify: m.skipVerify}
	if ca := pem["ca.pem"]; ca != nil {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(ca) {
			return nil, wrong("ca.pem", "no certificate in it")
		}
	}
	cert, key := pem["cert.pem"], pem["key.pem"]
	switch {
	case cert == nil && key == nil:
		return c, nil
	case cert == nil:
		return nil, wrong("cert.pem", "it is missing beside key.pem")
	case key == nil:
		return nil, wrong("key.pem", "it is missing beside cert.pem")
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, wrong("cert.pem", "no pair with key.pem: "+tidy(err.Error()))
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}
