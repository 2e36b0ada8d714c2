package tokens

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	mrand "math/rand/v2"
	"strings"
	"testing"
)

// noise is n bytes of one seed in some alphabet.
func noise(seed uint64, n int, from string) []byte {
	r := mrand.New(mrand.NewPCG(seed, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = from[r.IntN(len(from))]
	}
	return b
}

// chunk is noise, short.
func chunk(seed uint64, n int, from string) string { return string(noise(seed, n, from)) }

// TestHarmless: what agents send all day, and what speaks of credentials.
func TestHarmless(t *testing.T) {
	e := base64.RawURLEncoding
	b64 := func(s string) string { return e.EncodeToString([]byte(s)) }
	xs := func(n int) string { return strings.Repeat("x", n) }
	long := func(label string) string {
		return "-----BEGIN " + label + "-----\n" + chunk(7, 64, stdText) + "\n" + chunk(8, 64, stdText) + "\n-----END " + label + "-----\n"
	}
	for name, text := range map[string]string{
		"example of AWS":        "AKIA" + "IOSFODNN7EXAMPLE, wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		"example of AWS secret": "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		"words for AWS":         "AKIA" + strings.Repeat("A", 16) + " ASIAPACIFICREGIONALXX",
		"prefixes in prose":     "Tokens begin with ghp_, gho_, github_pat_ or sk-ant-api03-; AWS keys with AKIA, Slack's with xoxb-.",
		"placeholders":          "ghp_" + xs(36) + " sk-ant-api03-" + xs(93) + "AA sk_live_" + xs(24) + " hf_" + xs(34) + " xoxb-your-token-here glpat-" + xs(20),
		"zeros":                 "dop_v1_" + strings.Repeat("0", 64) + " dapi" + strings.Repeat("0", 32) + " AIza" + strings.Repeat("0", 35),
		"sequences":             "npm_" + "abcdefghijklmnopqrstuvwxyz0123456789 hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH dapi" + "0123456789abcdef0123456789abcdef",
		"with words":            "SG.your_sendgrid_key_goes." + "here_" + xs(38) + " glpat-YourTokenGoesHere12 pul-your0000000000000000000000000000000000",
		"test mode of Stripe":   "sk_test_" + chunk(1, 24, alnumText),
		"expressions":           `regexp.MustCompile("(ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{36}"), "\\bAKIA[0-9A-Z]{16}\\b", "xox[baprs]-([0-9a-zA-Z]{10,48})", "sk-ant-api03-[a-zA-Z0-9_\\-]{93}AA", "-----BEGIN (RSA|EC|OPENSSH) PRIVATE KEY-----", "eyJ[A-Za-z0-9_-]+\\.eyJ[A-Za-z0-9_-]+", "https://hooks.slack.com/services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]{24}"`,
		"webhook of the docs":   "https://hooks.slack" + ".com/services/T00000000/B00000000/" + strings.Repeat("X", 24),
		"prose about keys": "A file that begins with -----BEGIN PRIVATE KEY----- and ends with -----END PRIVATE KEY----- is a secret and " +
			"nobody should ever paste one into a chat window or a ticket because everybody with access to it can then read it",
		"a head only":            "-----BEGIN RSA PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----",
		"a head with an ellipse": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow...\n-----END RSA PRIVATE KEY-----",
		"a placeholder of PEM":   "-----BEGIN PRIVATE KEY-----\\n" + strings.Repeat("x", 640) + "\\n-----END PRIVATE KEY-----",
		"certificate":            long("CERTIFICATE"),
		"public key":             long("PUBLIC KEY") + long("RSA PUBLIC KEY") + long("PGP PUBLIC KEY BLOCK") + long("CERTIFICATE REQUEST"),
		"public key of SSH":      "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAB" + chunk(3, 340, stdText) + " me@host",
		"signature":              long("SSH SIGNATURE") + long("PGP SIGNATURE") + long("PGP MESSAGE"),
		"shaped like a JWT":      "eyJ" + chunk(4, 40, urlText) + ".eyJ" + chunk(5, 60, urlText) + "." + chunk(6, 43, urlText),
		"no algorithm":           b64(`{"id":"a","v":12345678}`) + "." + b64(`{"k":"v"}`) + "." + chunk(6, 43, urlText),
		"unsigned":               b64(`{"alg":"none","typ":"JWT"}`) + "." + b64(`{"sub":"me"}`) + ". " + b64(`{"alg":"none"}`) + "." + b64(`{"sub":"me"}`) + "." + chunk(6, 43, urlText),
		"short signature":        b64(`{"alg":"HS256","typ":"JWT"}`) + "." + b64(`{"sub":"me"}`) + "." + chunk(6, 20, urlText),
		"the JWT of the docs":    b64(`{"alg":"HS256","typ":"JWT"}`) + "." + b64(`{"sub":"1234567890","name":"John Doe"}`) + "." + chunk(6, 43, urlText),
		"payload no JSON":        b64(`{"alg":"HS256","typ":"JWT"}`) + "." + chunk(9, 40, urlText) + "." + chunk(6, 43, urlText),
		"addresses for development": "postgres://postgres:postgres@localhost:5432/db mysql://root:password@db/app redis://:changeme@redis " +
			"https://user:${PASSWORD}@host/ https://USER:PASS@proxy.example.com http://user:{password}@h amqp://guest:guest@mq " +
			"https://oauth2:%s@git.internal/x http://user:pa%2Fssword@site.internal/ ssh://git@github.com:22/a/b postgres://app:" + chunk(5, 16, alnumText) + "@localhost/x",
		"addresses of images": "docker://alpine:v3.19.1-r0.20240101Ab@sha256:" + chunk(5, 64, hexChars),
		"basic login of git":  "https://x:x-oauth-basic@github.com/a/b",
		"context at a distance": "twilio" + strings.Repeat(" .", 200) + "SK" + chunk(3, 32, hexChars) +
			" cache-key-" + chunk(3, 32, hexChars) + " key-" + chunk(3, 32, hexChars),
		"package-lock": `"node_modules/a": {"version": "1.2.3","resolved": "https://registry.example.org/@s/a/-/a-1.2.3.tgz","integrity": "sha512-` + chunk(1, 86, stdText) + `=="}`,
		"go.sum":       "github.com/google/go-cmp v0.7.0 h1:" + chunk(2, 43, stdText) + "=\ngithub.com/google/go-cmp v0.7.0/go.mod h1:" + chunk(3, 43, stdText) + "=\n",
		"Cargo.lock":   "[[package]]\nname = \"a\"\nchecksum = \"" + chunk(4, 64, hexChars) + "\"\n",
		"yarn.lock":    "  resolved \"https://registry.yarnpkg.com/a/-/a-1.tgz#" + chunk(5, 40, hexChars) + "\"\n  integrity sha512-" + chunk(6, 86, stdText) + "==\n",
		"UUIDs":        strings.Repeat("6ba7b810-9dad-11d1-80b4-00c04fd430c8 key-6ba7b810-9dad-11d1 ", 5),
		"minified":     `!function(e,t){"use strict";var n=e.key-1,r=t.hf_x,i=1//0` + "\n" + `;o.secret_handler=function(){return e.api_org_list.map(function(e){return e.id})},u.whsec_=n?a:b}(window);`,
		"identifiers":  "hf_someLongFunctionNameThatIsExactly secret_aFunctionWithAVeryLongNameInCamelCaseForm hvs.someMethodNameThatIsLong rnd_generateUniformDistribution cio" + strings.Repeat("ab", 16),
		"data URI":     "data:image/png;base64," + chunk(9, 4000, stdText) + "==",
		"hashes":       "sha256:" + chunk(1, 64, hexChars) + " " + chunk(2, 40, hexChars) + " index 83db48f..bf269f4 100644",
		"ratios":       "10:AAPL 12345678:AAA 1234567890:AA-short",
		"names of env": "export GITHUB_TOKEN=$(gh auth token); ANTHROPIC_API_KEY=${ANTHROPIC_API_KEY} AWS_SECRET_ACCESS_KEY=$SECRET aws_secret_access_key=" + chunk(3, 40, hexChars),
		"Azurite":      "AccountKey=Eby8vdM02x" + chunk(4, 76, stdText) + "==",
	} {
		t.Run(name, func(t *testing.T) {
			if got := find(text); got != nil {
				h := got[0]
				t.Errorf("found %v: %s", got, text[h.Start:h.End])
			}
		})
	}
}

// clean is a request of an agent: prose, code, and addresses, in JSON.
func clean(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, `{"role":"user","content":[{"type":"text","text":"Please look at internal/server/handler_%d.go, where `+
			`func (s *Server) serve(w http.ResponseWriter, r *http.Request) error {\n\tif r.Method != \"POST\" {\n\t\treturn nil\n\t}\n} `+
			`does not check the key. See https://pkg.go.dev/net/http#Request for the fields, and tell me why it fails with `+
			`'secret_key not set'. The user's email is a@b.c, the token is empty."},{"type":"tool_result","tool_use_id":"toolu_%d"}]},`, i, i)
	}
	return b.Bytes()[:n]
}

func TestCleanAllocatesNothing(t *testing.T) {
	emit := func(string, int, int) { t.Error("a hit") }
	for name, text := range map[string][]byte{"prompt": clean(1 << 20), "base64": noise(3, 1<<20, stdText)} {
		if n := testing.AllocsPerRun(5, func() { Find(text, emit) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	random := make([]byte, 1<<20)
	_, _ = rand.Read(random)
	for _, bench := range []struct {
		name string
		text []byte
	}{
		{"prompt", clean(1 << 20)},
		{"base64", noise(3, 1<<20, stdText)},
		{"base64url", noise(3, 1<<20, urlText)},
		{"hex", noise(3, 1<<20, hexChars)},
		{"binary", random},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.text)))
			b.ReportAllocs()
			for b.Loop() {
				Find(bench.text, func(string, int, int) {})
			}
		})
	}
}
