package dlp

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/egress"
)

func lines(n int, f func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(f(i) + "\n")
	}
	return b.String()
}

func sum(i int) []byte {
	s := sha512.Sum512(fmt.Append(nil, i))
	return s[:]
}

// TestHarmlessRequestsPass asserts that what agents really send is neither a
// hit nor refused, with values of every kind, words among them.
func TestHarmlessRequestsPass(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	list := append(append([]string{"my-company-password", "correct-horse-battery-staple", "user:hello world, again"}, values...), benchValues()...)
	list = append(list, "aaaaaaaaaaaa", "111122223333", "............", "password1234", "!!--hello--!!")
	s := New(list)
	image := string(imageJSON(300_000))
	cases := map[string]struct{ media, body string }{
		"image":            {"application/json", image},
		"image, wrapped":   {"application/json", strings.ReplaceAll(image, "AB", `AB\n`)},
		"image in a query": {"", "/render?img=" + std64(image[:4000])},
		"prompt":           {"application/json", string(promptJSON(200_000))},
		"prompt in prompt": {"application/json", jsonInner(jsonInner(jsonInner(jsonInner(string(promptJSON(50_000))))))},
		"package-lock": {"text/plain", lines(3000, func(i int) string {
			return fmt.Sprintf(`"node_modules/pkg-%d": {"version": "1.%d.0", "resolved": "https://registry.example.com/p/-/p-%d.tgz", "integrity": "sha512-%s"},`,
				i, i, i, base64.StdEncoding.EncodeToString(sum(i)))
		})},
		"sums": {"text/plain", lines(3000, func(i int) string { return hex.EncodeToString(sum(i)) + "  file" })},
		"uuids": {"application/json", lines(3000, func(i int) string {
			h := hex.EncodeToString(sum(i))
			return `"` + h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-8" + h[17:20] + "-" + h[20:32] + `",`
		})},
		"ids that look like JWTs": {"application/json", lines(500, func(i int) string {
			return "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + std64(fmt.Sprintf(`{"sub":"%d","n":%d}`, i, i*i)) + "." +
				base64.RawURLEncoding.EncodeToString(sum(i)[:9]) // no signature is so short
		})},
		"words about keys": {"text/plain", strings.Repeat(`The password of my company is not in this repository: "my company password"
was an example. Correct horse battery staple is a comic; hello, world again. Keys begin with sk-ant- or ghp_, and a token of 12345 is too short. Set PASSWORD=1234 in .env.example.
`, 50)},
		"minified code": {"text/plain", lines(500, func(i int) string {
			return fmt.Sprintf(`!function(e,t){var n=%d;"\x1b[0m"==e&&t("%%d%%%%",n,e.a%%26&&t?"&amp;":"\u2028")}(this,0x%x);`, i, i*7919)
		})},
		"git diff": {"text/plain", lines(500, func(i int) string {
			return fmt.Sprintf("diff --git a/src/internal/server/file%d.go b/src/internal/server/file%d.go\nindex %x..%x 100644\n@@ -%d,7 +%d,7 @@\n-\told := %d\n+\tnew := %d",
				i, i, sum(i)[:5], sum(i + 1)[:5], i, i, i, i+1)
		})},
		"tables of numbers": {"text/csv", lines(3000, func(i int) string { return fmt.Sprintf("%d,%d,%d,1,2,3,4", i, i*i, r.IntN(1e9)) })},
		"random bytes": {"application/octet-stream", func() string {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			return string(b)
		}()},
		"gzip upload": {"application/gzip", gzipped(strings.Repeat(code+prose, 500))},
		"windows paths": {"application/json", lines(200, func(i int) string {
			return fmt.Sprintf(`"C:\\Users\\name\\AppData\\Local\\Temp\\new%d\\x41\\u1.txt"`, i)
		})},
		"deep percent": {"", "/redirect?to=" + strings.Repeat("%25", 200) + "2Fhome"},
		"form":         {"application/x-www-form-urlencoded", "q=key%3Dvalue&password=not+one&next=%2Fhome%3Fa%3D1%26b%3D2&utm=a%252Fb"},
		"upload": {
			"multipart/form-data; boundary=b1",
			"--b1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\npassword\r\n--b1\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.png\"\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + std64(image[:5000]) + "\r\n--b1--\r\n",
		},
		"empty": {"application/json", ""},
	}
	for name, c := range cases {
		plain, hits, err := s.Body(body0(c.media, c.body))
		if len(hits) > 0 || err != nil || string(plain) != c.body {
			t.Errorf("%s: %v, %v, %s", name, hits, err, excerpt(c.body, hits))
		}
		if hits := s.Text(c.body, false); len(hits) > 0 {
			t.Errorf("%s in a head: %v, %s", name, hits, excerpt(c.body, hits))
		}
	}
}

func excerpt(body string, hits []egress.Hit) string {
	if len(hits) == 0 {
		return ""
	}
	return fmt.Sprintf("%q", short(body[hits[0].Start:hits[0].End]))
}
