//go:build !race

package leaks

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestBombsAreRefused has what unpacks to more than is searched.
func TestBombsAreRefused(t *testing.T) {
	zeros := strings.Repeat("\x00", 70<<20)
	deep := "x"
	for i := range 10 {
		deep = zipOf(t, fmt.Sprintf("%d.zip", i), deep+strings.Repeat(" ", i))
	}
	var many bytes.Buffer
	z := zip.NewWriter(&many)
	for i := range maxMembers + 1 {
		w, _ := z.Create(fmt.Sprint(i))
		must(w.Write([]byte("x")))
	}
	must(z.Close())
	for name, content := range map[string]string{
		"gzip": gzipOf(zeros), "zip": zipOf(t, "a", zeros), "zstd": zstdOf(zeros), "gzip in gzip": gzipOf(gzipOf(zeros)),
		"deep": deep, "many": many.String(), "tar.gz": gzipOf(tarOf(t, "a", zeros)),
		"in base64": strings.Repeat("A", 3) + " " + gzipOf(zeros),
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			report := run(t, Request{}, strings.NewReader(batch("dir/a.bin", content)))
			if !strings.HasPrefix(report.Refused, "dir/a.bin") {
				t.Errorf("refused: %q, %+v", report.Refused, report.Findings)
			}
			t.Log(report.Refused, time.Since(began))
		})
	}
	t.Run("large", func(t *testing.T) {
		in := io.MultiReader(strings.NewReader(fmt.Sprintf("%040x blob %d big.bin\n", 1, maxObject+1)), io.LimitReader(zeroReader{}, maxObject+1), strings.NewReader("\n"))
		if report := run(t, Request{}, in); !strings.HasPrefix(report.Refused, "big.bin is larger") {
			t.Errorf("refused: %q", report.Refused)
		}
	})
}

// TestLargeObjectsFit searches the largest objects that are taken, side by
// side, under the child's limits.
func TestLargeObjectsFit(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no limits here")
	}
	if dataLimit == 0 {
		withoutDetector(t)
		return
	}
	secret := awsKey(60)
	text := strings.Repeat("func main() { fmt.Println(\"hello \\\"world\\\" %d\") } // nothing\n", maxObject/32)
	text = text[:maxObject-len(secret)-2] + "\n" + secret + "\n"
	binary := draw(61, 1<<20, string(func() []byte {
		b := make([]byte, 256)
		for i := range b {
			b[i] = byte(i)
		}
		return b
	}()))
	noise := strings.Repeat(binary, 60)
	began := time.Now()
	report := run(t, Request{Values: []string{canary(62)}}, strings.NewReader(batch(
		"a.txt", text, "b.bin", noise, "c.zip", zipOf(t, "x", noise[:60<<20]), "d.txt", text,
	)))
	t.Log(time.Since(began), report.Refused, len(report.Findings))
	if len(report.Findings) != 2 || report.Refused != "" {
		t.Errorf("got %+v %s", report.Findings, report.Refused)
	}
}

// TestKnownValues has a value and a canary in spellings that no rule knows.
func TestKnownValues(t *testing.T) {
	for name, value := range map[string]string{
		"token": draw(20, 40, alnumText), "canary": canary(21), "words": "correct horse battery staple", "short": draw(22, 14, alnumText),
	} {
		for form, text := range map[string]string{
			"plain": value, "base64": base64.StdEncoding.EncodeToString([]byte("x" + value)), "hex": hex.EncodeToString([]byte(value)),
			"percent": strings.ReplaceAll(url.PathEscape(value), "a", "%61"), "dashes": strings.Join(strings.Split(value, ""), "-"),
			"lines": strings.Join(strings.Split(value, ""), "\n"), "utf16": utf16Of(value, binary.LittleEndian), "gzip": gzipOf(value),
			"zip": zipOf(t, "a", value), "reversed": reversed(value), "twice": base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(value)))),
		} {
			t.Run(name+" "+form, func(t *testing.T) {
				r := newRepo(t)
				r.write("dir/a.txt", "some text\n"+text+"\n")
				r.commit("add")
				report := r.push(Request{Values: []string{value}})
				if len(report.Findings) == 0 {
					t.Fatal("not found")
				}
				f := report.Findings[0]
				if f.Rule != "known value" || !strings.HasPrefix(f.Path, "dir/a.txt") || strings.Contains(f.Excerpt, value[:4]) {
					t.Errorf("got %+v", f)
				}
			})
		}
	}
}

// TestHarmlessPushPasses has what looks like secrets and is none.
func TestHarmlessPushPasses(t *testing.T) {
	hexOf := func(seed uint64, n int) string { return draw(seed, n, hexText) }
	b64 := func(seed uint64, n int) string { return draw(seed, n, alnumText+"+/") }
	jwtIO := "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"1234567890","name":"John Doe","iat":1516239022}`)) + "." + draw(30, 43, alnumText)
	for name, text := range map[string]string{
		"uuid":                "client_secret_id: 0b5c1f0e-6f0c-4c0e-9f6b-3d1a5f7e8c21\ntoken = \"0b5c1f0e-6f0c-4c0e-9f6b-3d1a5f7e8c21\"\n",
		"git id":              "commit " + hexOf(31, 40) + "\nsecret_version: " + hexOf(32, 40) + "\n",
		"css image":           ".a { background: url(data:image/png;base64," + b64(33, 4000) + "=); }\n",
		"json image":          `{"token_icon": "data:image/png;base64,` + b64(34, 4000) + `="}`,
		"public key":          "-----BEGIN PUBLIC KEY-----\n" + b64(35, 64) + "\n" + b64(36, 64) + "\n-----END PUBLIC KEY-----\n",
		"certificate":         "-----BEGIN CERTIFICATE-----\n" + b64(37, 64) + "\n" + b64(38, 64) + "\n-----END CERTIFICATE-----\n",
		"ssh public key":      "ssh-rsa AAAAB3NzaC1yc2E" + b64(39, 360) + " me@example.com\n",
		"package-lock":        `"node_modules/token-types": {"version": "4.2.1", "integrity": "sha512-` + b64(40, 86) + "==\"}\n",
		"go.sum":              "github.com/golang-jwt/jwt/v5 v5.2.1 h1:" + b64(41, 43) + "=\n",
		"yarn.lock":           "  resolved \"https://registry.example/js-tokens/-/js-tokens-4.0.0.tgz#" + hexOf(42, 40) + "\"\n  integrity sha512-" + b64(43, 86) + "==\n",
		"Cargo.lock":          "name = \"secrecy\"\nchecksum = \"" + hexOf(44, 64) + "\"\n",
		"example AWS key":     "aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n",
		"placeholder":         "OPENAI_API_KEY=sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\nAPI_KEY=<your-api-key-goes-here>\n",
		"jwt.io":              "Authorization: Bearer " + jwtIO + "\n",
		"environment":         "password: ${DB_PASSWORD}\ntoken: ${{ secrets.GITHUB_TOKEN }}\napi_key: os.environ[\"API_KEY_FOR_SERVICE\"]\n",
		"code":                "secretKeyRef := newSecretKeySelectorForNamespace(ctx)\ntokenSource = oauth2.ReuseTokenSource2WithExpiry(nil)\n",
		"docker digest":       "FROM debian@sha256:" + hexOf(45, 64) + "\n",
		"python hashes":       "cryptography==42.0.5 --hash=sha256:" + hexOf(46, 64) + "\n",
		"local address":       "DATABASE_URL=postgres://postgres:postgres@localhost:5432/app\n",
		"password in a test":  "password: \"correct-horse-battery-staple\"\npasswd = hunter2hunter2hunter2\n",
		"source that checks":  "if strings.HasPrefix(s, \"-----BEGIN RSA PRIVATE KEY-----\") || strings.HasSuffix(s, \"-----END RSA PRIVATE KEY-----\") { return parse(s) }\n",
		"minified":            strings.Repeat("!function(e,t){\"use strict\";var n=e.token,r=t.secretKey;return n(r)}(this,window);", 300),
		"source map":          `{"version":3,"mappings":"` + strings.Repeat("AAAA,SAASA,GAAYC", 500) + `"}`,
		"sourcegraph and ids": "sourcegraph reads\nindex " + hexOf(47, 40) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			r.write("a.txt", text)
			r.write("a.zip", zipOf(t, "a.txt", text))
			r.commit("add")
			report := r.push(Request{Values: []string{draw(50, 40, alnumText)}, Refs: []string{"refs/heads/main"}})
			if len(report.Findings) > 0 || report.Refused != "" {
				t.Errorf("got %+v %s", report.Findings, report.Refused)
			}
			if report.Objects != 4 {
				t.Errorf("%d objects were searched", report.Objects)
			}
		})
	}
}
