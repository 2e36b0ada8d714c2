package proxy

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// Credentials of the git gate go on no request, and are looked for in all: of a
// key what is secret of it, of a public one nothing.
func TestPolicyOfGitCredentials(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	doc := document(route("a.example", 443))
	doc.Tokens = map[string]egress.Token{
		"GIT_CREDENTIAL_0": {Value: private},
		"GIT_CREDENTIAL_1": {Value: "ssh-agent ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"},
		"GIT_CREDENTIAL_2": {Value: "token-of-a-forge"},
		"EGRESS_TOKEN_0":   {Value: "token-of-a-route"},
	}
	p, err := NewPolicy(doc)
	if err != nil {
		t.Fatal(err)
	}
	want := append([]string{"token-of-a-route"}, egress.Needles("GIT_CREDENTIAL_0", private)...)
	if diff := cmp.Diff(append(want, "token-of-a-forge"), p.known); diff != "" || len(want) < 2 {
		t.Errorf("looked for (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"EGRESS_TOKEN_0": "token-of-a-route"}, p.values); diff != "" {
		t.Errorf("on requests (-want +got):\n%s", diff)
	}
	doc.Tokens["EGRESS_TOKEN_0"] = egress.Token{Value: private}
	if _, err := NewPolicy(doc); err == nil || strings.Contains(err.Error(), private[30:60]) {
		t.Errorf("a key as a header: %v", err)
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
