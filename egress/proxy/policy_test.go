package proxy

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/egress"
)

func document(routes ...egress.Route) egress.Document {
	return egress.Document{Version: egress.DocumentVersion, Routes: routes, Tokens: map[string]egress.Token{}}
}

func TestPolicyRefuses(t *testing.T) {
	for name, change := range map[string]func(*egress.Document){
		"version":        func(d *egress.Document) { d.Version = 99 },
		"route":          func(d *egress.Document) { d.Routes[0].Host = "A.example" },
		"unheld keep":    func(d *egress.Document) { d.Tokens["S"] = egress.Token{Keep: "nope"} },
		"value and keep": func(d *egress.Document) { d.Tokens["S"] = egress.Token{Keep: "d", Value: "hush"} },
		"line break":     func(d *egress.Document) { d.Tokens["S"] = egress.Token{Value: "hush\r\nX: y"} },
		"upstream CA":    func(d *egress.Document) { d.UpstreamCA = "not a certificate" },
	} {
		doc := document(route("a.example", 443))
		change(&doc)
		if _, err := NewPolicy(doc); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCA(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	first, err := LoadOrCreateCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, caKeyFile)
	info, err := os.Stat(key)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info.Mode(), err)
	}
	second, err := LoadOrCreateCA(dir)
	if err != nil || string(first.CertPEM()) != string(second.CertPEM()) {
		t.Fatalf("a restart changed the CA: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(first.CertPEM())
	for _, host := range []string{"a.example", "192.0.2.1", "2001:db8::1"} {
		leaf, err := second.leaf(host)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
			t.Error(err)
		}
	}
	for i := range maxLeafCache + 5 {
		if _, err := second.leaf(fmt.Sprintf("h%d.example", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(second.leaves.m); n > maxLeafCache {
		t.Errorf("%d leaves are kept", n)
	}
	// A lost certificate is made anew, of the same key; an open key is refused.
	if err := os.Remove(filepath.Join(dir, caCertFile)); err != nil {
		t.Fatal(err)
	}
	third, err := LoadOrCreateCA(dir)
	if err != nil || !third.key.Equal(first.key) {
		t.Errorf("%v", err)
	}
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateCA(dir); err == nil {
		t.Error("a key that others can read was used")
	}
}
