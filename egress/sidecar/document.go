package sidecar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// maxDocument bounds one control document.
const maxDocument = 4 << 20

// plain keeps keys out that encoding/json would fold to another's letters.
var plain = regexp.MustCompile(`^[ -~]*$`)

// parseDocument reads exactly one document. Its errors say where, never what:
// the library's would quote the text, and the text holds token values.
func parseDocument(data []byte) (egress.Document, error) {
	var doc egress.Document
	if len(data) > maxDocument {
		return doc, fmt.Errorf("document is larger than %d bytes", maxDocument)
	}
	if err := uniqueKeys(data); err != nil {
		return doc, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return doc, fmt.Errorf("document: a value of the wrong type at byte %d", e.Offset)
		}
		return doc, errors.New("document: an unknown field or a malformed value")
	}
	return doc, checkDocument(doc)
}

// checkDocument judges what the sidecar itself relies on; routes are judged by
// the proxy that will enforce them.
func checkDocument(doc egress.Document) error {
	switch {
	case doc.Version != egress.DocumentVersion:
		return fmt.Errorf("document version %d is not supported, this sidecar reads %d", doc.Version, egress.DocumentVersion)
	case doc.Instance == "":
		return errors.New("document names no instance")
	case doc.Canary != "" && len(doc.Canary) < egress.MinSecret:
		return fmt.Errorf("document: canary %w", egress.ErrShort)
	}
	if p := doc.Parent; p != nil && p.Slot != "" {
		if _, ok := doc.Tokens[p.Slot]; !ok || strings.HasPrefix(p.Slot, egress.SlotGit) {
			return errors.New("parent: no token for its slot")
		}
	}
	for i, route := range doc.Routes {
		if route.Auth == nil {
			continue
		}
		if route.Auth.TokenRef != "" {
			return fmt.Errorf("route %d: token_ref must stay on the host", i)
		}
		if _, ok := doc.Tokens[route.Auth.Slot]; !ok || strings.HasPrefix(route.Auth.Slot, egress.SlotGit) {
			return fmt.Errorf("route %d: no token for its slot", i)
		}
	}
	for _, r := range doc.Remotes {
		if _, ok := doc.Tokens[r.Slot]; !ok {
			return errors.New("a remote has no token for its slot")
		}
	}
	return egress.CheckRemotes(doc.Remotes)
}

// uniqueKeys refuses what is not one JSON value, and an object that says the
// same thing twice: encoding/json takes the last, and folds case to match.
func uniqueKeys(data []byte) error {
	if !json.Valid(data) {
		var err *json.SyntaxError
		if errors.As(json.Unmarshal(data, new(any)), &err) {
			return fmt.Errorf("document: not one JSON value (at byte %d)", err.Offset)
		}
		return errors.New("document: not one JSON value")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var objects []map[string]bool // keys so far of each open object; nil for a list
	for isKey := false; ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("document: malformed at byte %d", dec.InputOffset())
		}
		switch token {
		case json.Delim('{'):
			objects = append(objects, map[string]bool{})
			isKey = true
			continue
		case json.Delim('['):
			objects = append(objects, nil)
			isKey = false
			continue
		case json.Delim('}'), json.Delim(']'):
			objects = objects[:len(objects)-1]
		default:
			if isKey {
				key := strings.ToLower(token.(string))
				if !plain.MatchString(key) {
					return fmt.Errorf("document: a key is not plain ASCII, at byte %d", dec.InputOffset())
				}
				seen := objects[len(objects)-1]
				if seen[key] {
					return fmt.Errorf("document: a key occurs twice, at byte %d", dec.InputOffset())
				}
				seen[key] = true
				isKey = false
				continue
			}
		}
		// A value has ended: in an object a key follows.
		isKey = len(objects) > 0 && objects[len(objects)-1] != nil
	}
}
