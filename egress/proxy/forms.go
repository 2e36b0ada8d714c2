package proxy

import (
	"encoding/base64"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// minForm is the length from which a form is looked for in bodies.
const minForm = 8

// formsOf lists the spellings in which programs show a credential: as it is;
// in base64, also of the header's value and inside the base64 of something
// longer; each of these in URLs, JSON and HTML. A password is also looked for
// without its user, or the user where that is the secret (GitHub, Stripe). No
// form is empty or there twice.
func formsOf(secret, headerValue string) []string {
	plain := append([]string{secret}, base64Forms(headerValue)...)
	values := []string{secret}
	if user, password, ok := strings.Cut(secret, ":"); ok {
		if len(password) < 6 || password == "x-oauth-basic" {
			password = user
		}
		if len(password) >= 6 {
			values = append(values, password)
		}
	}
	for _, v := range values {
		plain = append(plain, v)
		plain = append(plain, base64Forms(v)...)
		plain = append(plain, base64Cores(v)...)
	}
	var forms []string
	for _, p := range plain {
		forms = append(forms, p, html.EscapeString(p))
		forms = append(forms, urlForms(p)...)
		forms = append(forms, jsonForms(p)...)
	}
	slices.Sort(forms)
	return slices.DeleteFunc(slices.Compact(forms), func(f string) bool { return f == "" })
}

func base64Forms(v string) []string {
	b := []byte(v)
	return []string{
		base64.StdEncoding.EncodeToString(b), base64.RawStdEncoding.EncodeToString(b),
		base64.URLEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b),
	}
}

// base64Cores are the characters that v alone decides wherever it stands in
// what was encoded: "Authorization: Bearer v", or "user:v".
func base64Cores(v string) []string {
	var cores []string
	for lead := range 3 {
		padded := append(make([]byte, lead), v...)
		from, to := (lead*8+5)/6, len(padded)*8/6
		if to-from < minForm {
			continue
		}
		cores = append(cores, base64.RawStdEncoding.EncodeToString(padded)[from:to],
			base64.RawURLEncoding.EncodeToString(padded)[from:to])
	}
	return cores
}

const (
	upperHex = "0123456789ABCDEF"
	lowerHex = "0123456789abcdef"
)

// urlForms differ in what an encoder leaves alone: RFC 3986 as it is, with
// Python's safe "/", as encodeURIComponent, encodeURI, Go's PathEscape, and
// forms (application/x-www-form-urlencoded) do.
func urlForms(s string) []string {
	forms := []string{url.QueryEscape(s), url.PathEscape(s)}
	for _, keep := range []string{"-_.~", "-_.~/", "-_.~!'()*", "-_.~;,/?:@&=+$#!'()*", "-_.~$&+=:@", "-_.*"} {
		for _, digits := range []string{upperHex, lowerHex} {
			escaped := percent(s, keep, digits)
			forms = append(forms, escaped, strings.ReplaceAll(escaped, "%20", "+"))
		}
	}
	return forms
}

func percent(s, keep, digits string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', strings.IndexByte(keep, c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// jsonForms differ in what an encoder writes as \u00XX: nothing more than it
// must, what HTML could trip over (Go, Gson, .NET), or what is not ASCII; and in
// whether "/" becomes "\/" (PHP).
func jsonForms(s string) []string {
	var forms []string
	for _, hexed := range []string{"", "<>&", "<>&'=", "<>&'+`\""} {
		for _, format := range []string{`\u%04x`, `\u%04X`} {
			for _, ascii := range []bool{false, true} {
				escaped := jsonEscape(s, hexed, format, ascii)
				forms = append(forms, escaped, strings.ReplaceAll(escaped, "/", `\/`),
					strings.ReplaceAll(escaped, "/", fmt.Sprintf(format, '/')))
			}
		}
	}
	return forms
}

func jsonEscape(s, hexed, format string, ascii bool) string {
	if !utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, c := range s {
		switch {
		case strings.ContainsRune(hexed, c), ascii && 0x7f < c && c <= 0xffff:
			fmt.Fprintf(&b, format, c)
		case ascii && c > 0xffff:
			high, low := utf16.EncodeRune(c)
			fmt.Fprintf(&b, format+format, high, low)
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}
