package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// Files of a CA directory. The key is SEC1: further hops read no other form.
const (
	caCertFile = egress.CACertFile
	caKeyFile  = egress.CAKeyFile
)

// CA signs the certificates that a bottle sees. One per instance: it dies with
// the bottle that trusts it.
type CA struct {
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	pem    []byte
	leaves leafCache
}

// LoadOrCreateCA reads the CA in dir, or makes one. A key without a readable
// certificate gets a new certificate; a key that others may read is an error.
func LoadOrCreateCA(dir string) (*CA, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("CA directory: %w", err)
	}
	key, err := loadKey(filepath.Join(dir, caKeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		key, err = createKey(filepath.Join(dir, caKeyFile))
	}
	if err != nil {
		return nil, fmt.Errorf("CA key: %w", err)
	}
	path := filepath.Join(dir, caCertFile)
	certPEM, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("CA certificate: %w", err)
	}
	cert, ok := matching(certPEM, key)
	if !ok {
		if certPEM, cert, err = selfSign(key); err != nil {
			return nil, fmt.Errorf("CA certificate: %w", err)
		}
		if err := writeFile(path, certPEM, 0o644); err != nil {
			return nil, fmt.Errorf("CA certificate: %w", err)
		}
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return &CA{cert: cert, key: key, pem: certPEM, leaves: leafCache{key: leafKey}}, nil
}

// CertPEM is the certificate that the bottle has to trust.
func (ca *CA) CertPEM() []byte { return append([]byte(nil), ca.pem...) }

func loadKey(path string) (*ecdsa.PrivateKey, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s must be a regular file with mode 0600", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "EC PRIVATE KEY" {
		return nil, fmt.Errorf("%s is not a SEC1 key", path)
	}
	return x509.ParseECPrivateKey(block.Bytes)
}

func createKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writeFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

// writeFile is atomic: a crash leaves the whole file or none.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // gone after the rename
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

func matching(certPEM []byte, key *ecdsa.PrivateKey) (*x509.Certificate, bool) {
	block, _ := pem.Decode(certPEM)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, false
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !key.PublicKey.Equal(cert.PublicKey) || time.Now().After(cert.NotAfter) {
		return nil, false
	}
	return cert, true
}

func selfSign(key *ecdsa.PrivateKey) ([]byte, *x509.Certificate, error) {
	serial, err := serialNumber()
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{"bb"}, CommonName: "bb egress " + hex.EncodeToString(serial.Bytes()[:4])},
		NotBefore:             time.Now().Add(-clockSkew),
		NotAfter:              time.Now().AddDate(10, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), cert, err
}

func serialNumber() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	return n.SetBit(n, 121, 1), nil // never short, never zero
}
