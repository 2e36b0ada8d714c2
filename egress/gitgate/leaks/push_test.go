package leaks

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"net/url"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"
)

func zipOf(t testing.TB, names ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(names); i += 2 {
		w, err := z.Create(names[i])
		if err != nil {
			t.Fatal(err)
		}
		must(w.Write([]byte(names[i+1])))
	}
	must(z.Close())
	return b.String()
}

func tarOf(t testing.TB, name, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	must(w.Write([]byte(content)))
	must(w.Close())
	return b.String()
}

func gzipOf(content string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	must(w.Write([]byte(content)))
	must(w.Close())
	return b.String()
}

func zlibOf(content string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	must(w.Write([]byte(content)))
	must(w.Close())
	return b.String()
}

func zstdOf(content string) string {
	w, _ := zstd.NewWriter(nil)
	return string(w.EncodeAll([]byte(content), nil))
}

func utf16Of(s string, order binary.ByteOrder) string {
	var b bytes.Buffer
	for _, u := range utf16.Encode([]rune(s)) {
		_ = binary.Write(&b, order, u)
	}
	return b.String()
}

func pngOf(kind, body string) string {
	chunk := func(kind, body string) string {
		b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
		b = append(b, kind+body...)
		return string(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE([]byte(kind+body))))
	}
	return "\x89PNG\r\n\x1a\n" + chunk("IHDR", "\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00") + chunk(kind, body) + chunk("IEND", "")
}

// TestPushIsRefused has each way by which a secret came past the usual scan of
// pushes, with the real git.
func TestPushIsRefused(t *testing.T) {
	key, token := awsKey(1), forge(2)
	line := "aws_access_key_id = " + key + "\n"
	file := func(name, content string) func(*repo) {
		return func(r *repo) { r.write(name, content); r.commit("add") }
	}
	for _, c := range []struct {
		name  string
		do    func(r *repo)
		path  string
		line  int
		rules string
		kind  string
	}{
		{name: "plain", do: file("a.ini", "x\n"+line), path: "a.ini", line: 2, rules: "AWS access key"},
		{name: "allow comment", do: file("a.py", "k = \""+key+"\" # gitleaks:allow\n"), path: "a.py", line: 1},
		{name: "own configuration", do: func(r *repo) {
			r.write(".gitleaks.toml", "[allowlist]\npaths = ['''.*''']\n")
			r.write("a.ini", line)
			r.commit("add")
		}, path: "a.ini", line: 1},
		{name: "own ignore file", do: func(r *repo) {
			r.write(".gitleaksignore", "a.ini:aws-access-token:1\n")
			r.write("a.ini", line)
			r.commit("add")
		}, path: "a.ini", line: 1},
		{name: "only in a merge", do: func(r *repo) {
			r.git("checkout", "-q", "-b", "side")
			r.commit("side")
			r.git("checkout", "-q", "main")
			r.commit("main")
			r.git("merge", "-q", "--no-commit", "--no-ff", "side")
			r.write("evil.ini", line)
			r.commit("merge")
		}, path: "evil.ini", line: 1},
		{name: "binary by attribute", do: func(r *repo) {
			r.write(".gitattributes", "*.py binary\n")
			r.write("a.py", line)
			r.commit("add")
		}, path: "a.py", line: 1},
		{name: "NUL byte", do: file("a.dat", "\x00\x01\n\x00"+line), path: "a.dat", line: 2},
		{name: "zip", do: file("a.zip", zipOf(t, "b/c.env", "x\n"+line)), path: "a.zip!b/c.env", line: 2},
		{name: "zip in zip", do: file("a.bin", zipOf(t, "in.jar", zipOf(t, "c.env", line))), path: "a.bin!in.jar!c.env", line: 1},
		{name: "tar.gz", do: file("a.tgz", gzipOf(tarOf(t, "c.env", "1\n2\n"+line))), path: "a.tgz!c.env", line: 3},
		{name: "zstd", do: file("a.zst", zstdOf(line)), path: "a.zst", line: 1},
		{name: "behind a script", do: file("a.sh", "#!/bin/sh\n"+zipOf(t, "c.env", line)), path: "a.sh!c.env", line: 1},
		{name: "node_modules", do: file("node_modules/x/index.js", line), path: "node_modules/x/index.js", line: 1},
		{name: "lock file", do: file("package-lock.json", line), path: "package-lock.json", line: 1},
		{name: "vendor", do: file("vendor/github.com/a/b.go", line), path: "vendor/github.com/a/b.go", line: 1},
		{name: "bin", do: file("a.bin", "\x7fELF\x00"+line), path: "a.bin", line: 1},
		{name: "pdf", do: file("a.pdf", "%PDF-1.4\n"+line), path: "a.pdf", line: 2},
		{name: "pdf stream", do: file("a.pdf", "%PDF-1.4\n1 0 obj\n<< /Filter /FlateDecode >>\nstream\r\n"+zlibOf(line)+"\nendstream\n"), path: "a.pdf", line: 1},
		{name: "png", do: file("a.png", pngOf("tEXt", "Comment\x00"+key)), path: "a.png", line: 3},
		{name: "png zTXt", do: file("a.png", pngOf("zTXt", "Comment\x00\x00"+zlibOf(line))), path: "a.png", line: 1},
		{name: "commit message", do: func(r *repo) { r.commit("with " + token) }, kind: "commit", line: 6},
		{name: "tag message", do: func(r *repo) { r.git("tag", "-a", "v1", "-m", "with "+token) }, kind: "tag", path: "v1", line: 6},
		{name: "author", do: func(r *repo) { r.commit("add", "--author", token+" <x@example.com>") }, kind: "commit", line: 3},
		{name: "extra header", do: func(r *repo) {
			tree := strings.TrimSpace(r.git("write-tree"))
			id := r.input("tree "+tree+"\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\nnote "+token+"\n\nx\n", "hash-object", "-t", "commit", "-w", "--stdin")
			r.git("update-ref", "refs/heads/x", strings.TrimSpace(id))
		}, kind: "commit", line: 4},
		{name: "file name", do: file(key+".txt", "x\n"), path: "****", line: 1},
		{name: "directory name", do: file("a/"+key+"/b.txt", "x\n"), path: "a/****/b.txt", line: 1},
		{name: "base64 of the line", do: file("a.txt", "x\n"+base64.StdEncoding.EncodeToString([]byte(line))+"\n"), path: "a.txt", line: 2},
		{name: "hex of the line", do: file("a.txt", hex.EncodeToString([]byte(line))), path: "a.txt", line: 1},
		{name: "percent", do: file("a.txt", strings.ReplaceAll(url.QueryEscape(line), "A", "%41")), path: "a.txt", line: 1},
		{name: "base64 of gzip", do: file("a.txt", base64.StdEncoding.EncodeToString([]byte(gzipOf(line)))), path: "a.txt", line: 1},
		{name: "added then removed", do: func(r *repo) {
			r.write("a.ini", line)
			r.commit("add")
			r.git("rm", "-q", "a.ini")
			r.commit("remove")
		}, path: "a.ini", line: 1},
		{name: "UTF-16 LE", do: file("a.txt", "\xff\xfe"+utf16Of("one\ntwo\n"+line, binary.LittleEndian)), path: "a.txt", line: 3},
		{name: "UTF-16 BE", do: file("a.txt", utf16Of("one\ntwo\n"+line, binary.BigEndian)), path: "a.txt", line: 3},
		{name: "long line", do: file("a.min.js", strings.Repeat("var a=1;", 1<<20)+line), path: "a.min.js", line: 1},
		{name: "CRLF", do: file("a.ini", "x\r\n"+key+"\r\n"), path: "a.ini", line: 2},
		{name: "key file", do: file("deploy", pemKey(9)), path: "deploy", line: 1, rules: "private key"},
		{name: "key file with words", do: file("deploy", strings.Replace(pemKey(9), "KEY-----\n", "KEY-----\nComment: false abcdefghijklmnopqrstuvwxyz\n\n", 1)), path: "deploy", line: 1},
		{name: "slack", do: file("a.yml", "bot: "+slackBot(5)+"\n"), path: "a.yml", line: 1},
		{name: "password", do: file("a.yml", "db_password: "+draw(11, 32, alnumText)+"\n"), path: "a.yml", line: 1, rules: "assigned-secret"},
		{name: "key store", do: file("keys/a.p12", "x"), path: "keys/a.p12", line: 1, rules: "pkcs12-file"},
		{name: "symbolic link", do: func(r *repo) {
			id := strings.TrimSpace(r.input(token, "hash-object", "-w", "--stdin"))
			r.git("update-index", "--add", "--cacheinfo", "120000,"+id+",link")
			r.git("commit", "-q", "-m", "x")
		}, path: "link", line: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRepo(t)
			c.do(r)
			report := r.push(Request{})
			if report.Refused != "" {
				t.Fatalf("refused: %s", report.Refused)
			}
			kind := c.kind
			if kind == "" {
				kind = "blob"
			}
			ok := false
			for _, f := range report.Findings {
				ok = ok || f.Type == kind && f.Path == c.path && f.Line == c.line && (c.rules == "" || f.Rule == c.rules)
				for _, secret := range []string{key, token} {
					if strings.Contains(f.Excerpt+f.Path, secret[:10]) {
						t.Errorf("%q and %q show the secret", f.Excerpt, f.Path)
					}
				}
			}
			if !ok {
				t.Errorf("want %s %q line %d %s, got %+v", kind, c.path, c.line, c.rules, report.Findings)
			}
		})
	}
}

func TestRefNames(t *testing.T) {
	token := forge(3)
	report := run(t, Request{Refs: []string{"refs/heads/main", "refs/heads/" + token}}, strings.NewReader(""))
	if len(report.Findings) != 1 || report.Findings[0].Type != "ref" || strings.Contains(report.Findings[0].Excerpt, token[:8]) {
		t.Errorf("got %+v", report.Findings)
	}
}

func reversed(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}
