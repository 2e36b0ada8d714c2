package tokens

import (
	"bytes"
	"hash/crc32"
)

// forges keep code and packages.
var forges = []format{
	// github.blog, "Behind GitHub's new authentication token formats".
	{
		name: "GitHub token", literals: []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_"},
		body: alnum, min: 36, max: 36, check: crc62,
	},
	// github.blog/changelog, 2026-05-15: installation tokens hold a JWT.
	{name: "GitHub token", literals: []string{"ghs_", "ghu_"}, match: statelessGitHub},
	// docs.github.com, "GitHub's token formats". The checksum is not published.
	{
		name: "GitHub token", literals: []string{"github_pat_"},
		body: word, min: 82, max: 82, check: fineGrainedGitHub,
	},
	// docs.gitlab.com, "Token overview", and the handbook's "Cells: Routable Tokens".
	{name: "GitLab token", literals: []string{
		"glpat-", "gldt-", "glrt-", "glft-", "glsoat-", "glffct-", "glimt-", "glagent-", "glrtr-", "glwt-",
	}, match: gitLab},
	// docs.gitlab.com, "Token overview": job tokens carry a partition; trigger
	// tokens and secrets of applications are hexadecimal.
	{name: "GitLab token", literals: []string{"glcbt-"}, body: base64URL, min: 20, max: 30, check: mixed},
	{name: "GitLab token", literals: []string{"glptt-"}, body: hex, min: 40, max: 40, check: plausible},
	{name: "GitLab token", literals: []string{"gloas-"}, body: hex, min: 64, max: 64, check: plausible},
	// github.blog/changelog, 2021-09-23, "npm has a new access token format".
	{name: "npm token", literals: []string{"npm_"}, body: alnum, min: 36, max: 36, check: crc62},
	// PyPI's help: a macaroon; the literal is its version and location.
	{
		name: "PyPI token", literals: []string{"pypi-AgEIcHlwaS5vcmc", "pypi-AgENdGVzdC5weXBpLm9yZw"},
		body: base64URL, min: 60, max: 1000, check: mixed, alone: true,
	},
	// By the source of Rust's registry: a random text of 32 after "cio".
	{name: "crates.io token", literals: []string{"cio"}, match: cratesIO},
	// docs.docker.com, "Personal access tokens".
	{name: "Docker Hub token", literals: []string{"dckr_pat_", "dckr_oat_"}, body: base64URL, min: 27, max: 36, check: mixed},
	// guides.rubygems.org, "API key scopes".
	{name: "RubyGems token", literals: []string{"rubygems_"}, body: hex, min: 48, max: 48, check: plausible},
	// support.atlassian.com, "Manage API tokens".
	{name: "Atlassian token", literals: []string{"ATATT3xFf", "ATCTT3xFf"}, body: base64URL | equals, min: 150, max: 250, check: mixed},
}

func fineGrainedGitHub(body []byte) bool {
	return body[22] == '_' && count(body, underscore) == 1 && mixed(body)
}

// statelessGitHub takes ghs_APP_JWT, where APP is the number of an app.
func statelessGitHub(text []byte, at, after int) (start, end int) {
	jwt := run(text, after, 12, digit)
	if jwt == after || jwt == len(text) || text[jwt] != '_' || !leftEdge(text, at) {
		return 0, 0
	}
	end = jwtEnd(text, jwt+1)
	return at, end
}

// gitLab takes a classic body of 20, 25 or 50 characters, or a routable one:
// PAYLOAD.[VV.]LLCCCCCCC, where LL is the payload's length and C the CRC-32 of
// everything before it, all in base 36.
func gitLab(text []byte, at, after int) (start, end int) {
	if !leftAlone(text, at) {
		return 0, 0
	}
	payload := run(text, after, 301, base64URL)
	n := payload - after
	if n < 20 || n > 300 {
		return 0, 0
	}
	for _, version := range [...]int{3, 0} {
		length := payload + 1 + version
		end = length + 9
		if end > len(text) || text[payload] != '.' || version > 0 && text[length-1] != '.' || !rightEdge(text, end) {
			continue
		}
		said, ok1 := number(text[length:length+2], base36Digits)
		sum, ok2 := number(text[length+2:end], base36Digits)
		if ok1 && ok2 && said == uint64(n) && sum == uint64(crc32.ChecksumIEEE(text[at:length+2])) {
			return at, end
		}
	}
	// t1_ and the like say for whom a runner's token is.
	body := text[after:payload]
	if n == 23 && body[2] == '_' {
		body = body[3:]
	} else if n != 20 && n != 25 && n != 50 {
		return 0, 0
	}
	if !mixed(body) {
		return 0, 0
	}
	return at, payload
}

func cratesIO(text []byte, at, after int) (start, end int) {
	end = run(text, after, 33, alnum)
	if end-after != 32 || !leftAlone(text, at) || !rightEdge(text, end) || inBlob(text, at, end) || !mixed(text[after:end]) {
		return 0, 0
	}
	return at, end
}

// hexAndHex says whether body is two runs of hexadecimal digits, the first of
// n characters, with a hyphen between.
func hexAndHex(body []byte, n int) bool {
	head, tail, ok := bytes.Cut(body, []byte("-"))
	return ok && len(head) == n && all(head, anyHex) && all(tail, anyHex) && plausible(body)
}
