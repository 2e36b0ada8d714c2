package manifest

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/encoding/json"
	"cuelang.org/go/encoding/yaml"
)

// virtualName stands for the file inside CUE, so that a path never has to be
// cut out of an error again.
const virtualName = "user"

// mergeKey finds YAML's "<<". The decoder expands it silently, lets a merged
// key win over one written before it, and hides duplicates behind it.
var mergeKey = regexp.MustCompile(`(?m)^[^#\n]*?(?:^|[\s{,?-])(<<)\s*:|^\s*\?\s+(<<)`)

// oddLineBreak finds what YAML takes for the end of a line and most editors do
// not: a key behind one could hide in a comment.
var oddLineBreak = regexp.MustCompile("\r(?:[^\n]|$)|[\u0085\u2028\u2029]")

func (f *file) readYAML(src []byte) {
	if f.tooLarge(src) {
		return
	}
	if at := oddLineBreak.FindIndex(src); at != nil {
		line, col := placeOf(src, at[0])
		f.failFile(line, col, "end lines with LF or CRLF", "a line break that editors do not show")
		return
	}
	if line := secondDocument(src); line > 0 {
		f.failFile(line, 1, "keep one document", "a manifest is one YAML document")
		return
	}
	if at := mergeKey.FindSubmatchIndex(src); at != nil {
		line, col := placeOf(src, max(at[2], at[4]))
		f.failFile(line, col, "write the keys out, or use extends", "merge keys (<<) are not supported")
		return
	}
	syntax, err := extractYAML(src)
	if err != nil {
		f.syntaxError(src, err)
		return
	}
	f.build(syntaxRoot(syntax))
}

func (f *file) readJSON(src []byte) {
	if f.tooLarge(src) {
		return
	}
	if rest, ok := bytes.CutPrefix(src, byteOrderMark); ok {
		src = append([]byte("   "), rest...) // its places stay true
	}
	var syntax *stdjson.SyntaxError
	if err := stdjson.Unmarshal(src, new(stdjson.RawMessage)); errors.As(err, &syntax) {
		line, col := placeOf(src, max(int(syntax.Offset)-1, 0))
		f.failFile(line, col, "", "not valid JSON")
		return
	}
	expr, err := json.Extract(virtualName, src)
	if err != nil {
		f.failFile(1, 1, "", "not valid JSON")
		return
	}
	f.build(expr)
}

// extractYAML turns a panic of the decoder into an error: a manifest is
// untrusted, and one bad file must not stop the others.
func extractYAML(src []byte) (syntax *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: the decoder gave up", virtualName)
		}
	}()
	return yaml.Extract(virtualName, src)
}

// syntaxRoot is the one expression of a YAML document, or nil if it has none.
func syntaxRoot(syntax *ast.File) ast.Expr {
	root := &ast.StructLit{}
	for _, decl := range syntax.Decls {
		switch d := decl.(type) {
		case *ast.EmbedDecl:
			if _, none := d.Expr.(*ast.BinaryExpr); !none { // an empty document is "*null | _"
				return d.Expr
			}
		case *ast.Field:
			root.Elts = append(root.Elts, d)
		}
	}
	return root
}

// secondDocument is the line where another document begins, or 0.
func secondDocument(src []byte) int {
	content, ended, line := false, false, 0
	for text := range bytes.Lines(src) {
		line++
		text = bytes.TrimPrefix(bytes.TrimRight(text, " \t\r\n"), byteOrderMark)
		blank := len(bytes.TrimSpace(text)) == 0 || bytes.HasPrefix(bytes.TrimSpace(text), []byte("#"))
		switch {
		case string(text) == "...":
			ended = true
		case string(text) == "---" || bytes.HasPrefix(text, []byte("--- ")):
			if content {
				return line
			}
			content = true
		case !blank && !bytes.HasPrefix(text, []byte("%")):
			if ended {
				return line
			}
			content = true
		}
	}
	return 0
}

var yamlError = regexp.MustCompile(`^` + virtualName + `:(?:(\d+):)?\s*(.*)$`)

// syntaxError rewrites a decoder's message. Its quoted parts may hold a value,
// so they never reach the user.
func (f *file) syntaxError(src []byte, err error) {
	line, text := 1, err.Error()
	if m := yamlError.FindStringSubmatch(text); m != nil {
		text = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
	}
	m, col := explainYAML(text), firstColumn(src, line)
	if at := anchorPlace(src, text); at > 0 {
		line, col = placeOf(src, at)
	}
	f.failFile(line, col, m.hint, "%s", m.message)
}

var quoted = regexp.MustCompile(`"[^"]{2,}"|'[^']{2,}'`)

func explainYAML(text string) mistake {
	for _, known := range []struct{ contains, message, hint string }{
		{"unknown anchor", "unknown anchor", "put a value that begins with * in quotes"},
		{"aliases expand", "aliases expand to too much", "write the values out"},
		{"excessive aliasing", "aliases expand to too much", "write the values out"},
		{"contains itself", "an anchor contains itself", "write the values out"},
		{"cannot unmarshal tag", "unknown YAML tag", "put a value that begins with ! in quotes"},
		{"cannot decode", "a value does not fit its YAML tag", "remove the tag"},
		{"invalid map key", "a key must be a plain word", "put a value that begins with { or [ in quotes"},
		{"cannot start any token", "a value begins with a character that YAML reserves", "put it in quotes, and indent with blanks, not tabs"},
		{"did not find expected ',' or", "a list or map in brackets does not end", "close it, and put values with brackets or commas in quotes"},
		{"mapping values are not allowed", "a colon where YAML expects none", "put a value that contains a colon and a blank in quotes"},
		{"incompatible YAML document", "a %YAML line for another version", "remove it"},
		{"exceeded max depth", "nested too deeply", ""},
	} {
		if strings.Contains(text, known.contains) {
			return mistake{known.message, known.hint}
		}
	}
	return mistake{"not valid YAML: " + strings.TrimSpace(quoted.ReplaceAllString(text, "...")), "check the indentation and the quotes around here"}
}

// firstColumn is where the text of a line begins: YAML errors have no column.
func firstColumn(src []byte, line int) int {
	for text := range bytes.Lines(src) {
		if line--; line == 0 && len(bytes.TrimSpace(text)) > 0 {
			return 1 + len(text) - len(bytes.TrimLeft(text, " \t"))
		}
	}
	return 1
}

var unknownAnchor = regexp.MustCompile(`unknown anchor '([^']*)'`)

// anchorPlace finds the alias that an error names: that error has no line.
func anchorPlace(src []byte, text string) int {
	if m := unknownAnchor.FindStringSubmatch(text); m != nil {
		return bytes.Index(src, []byte("*"+m[1]))
	}
	return -1
}

func placeOf(src []byte, offset int) (line, col int) {
	line = 1 + bytes.Count(src[:offset], []byte("\n"))
	return line, offset - bytes.LastIndexByte(src[:offset], '\n')
}
