package docker

import (
	"regexp"
	"strings"
)

// instruction is one of a Dockerfile, its continued lines joined.
type instruction struct {
	word string // upper case
	args string
	end  int // index of the line after it
}

var (
	escapeDirective = regexp.MustCompile("(?i)^#[ \t]*escape[ \t]*=[ \t]*([`\\\\])[ \t]*$")
	directive       = regexp.MustCompile(`^#[ \t]*[A-Za-z][A-Za-z0-9]*[ \t]*=`)
)

// parseDockerfile finds the instructions of a Dockerfile's lines: comments,
// continuations and the escape directive are understood, nothing else needs
// to be.
func parseDockerfile(lines []string) []instruction {
	escape := `\`
	for _, l := range lines { // directives come first
		if !directive.MatchString(l) {
			break
		}
		if m := escapeDirective.FindStringSubmatch(l); m != nil {
			escape = m[1]
		}
	}
	var out []instruction
	for i := 0; i < len(lines); i++ {
		first := strings.TrimSpace(lines[i])
		if first == "" || strings.HasPrefix(first, "#") {
			continue
		}
		joined, more := continued(first, escape)
		for more && i+1 < len(lines) {
			i++
			next := strings.TrimSpace(lines[i])
			if next == "" || strings.HasPrefix(next, "#") {
				continue // both may stand inside a continued instruction
			}
			next, more = continued(next, escape)
			joined += " " + next
		}
		word, args, _ := strings.Cut(strings.ReplaceAll(joined, "\t", " "), " ")
		out = append(out, instruction{strings.ToUpper(word), strings.TrimSpace(args), i + 1})
	}
	return out
}

func continued(line, escape string) (text string, more bool) {
	text, more = strings.CutSuffix(line, escape)
	return strings.TrimSpace(text), more
}

// readsContext reports whether a Dockerfile takes files from its directory.
// One that does not gets none: a manifest edited beside it is no new image.
func readsContext(dockerfile string) bool {
	lines := strings.Split(strings.ReplaceAll(dockerfile, "\r\n", "\n"), "\n")
	for _, in := range parseDockerfile(lines) {
		word, args := in.word, in.args
		if word == "ONBUILD" {
			word, args, _ = strings.Cut(args, " ")
			word = strings.ToUpper(word)
		}
		if word == "ADD" || word == "COPY" && !strings.Contains(args, "--from=") {
			return true
		}
		// A parent's ONBUILD may copy too; --mount reads the context as well.
		if word == "RUN" && strings.Contains(args, "--mount") {
			return true
		}
	}
	return false
}

// trustInBuild puts the build's roots into every stage. ARG, not ENV: nothing
// of it stays in the image's configuration.
func trustInBuild(dockerfile string) string {
	const file = "/usr/local/share/ca-certificates/bb-build-ca.crt"
	trust := []string{"COPY " + buildCAName + " " + file}
	for _, name := range []string{
		"NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "CURL_CA_BUNDLE",
		"REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO", "npm_config_cafile",
	} {
		trust = append(trust, "ARG "+name+"="+file)
	}
	lines := strings.Split(strings.ReplaceAll(dockerfile, "\r\n", "\n"), "\n")
	var out []string
	at := 0
	for _, in := range parseDockerfile(lines) {
		if in.word != "FROM" {
			continue
		}
		out = append(append(out, lines[at:in.end]...), trust...)
		at = in.end
	}
	return strings.Join(append(out, lines[at:]...), "\n")
}

// fromImages lists the images that a Dockerfile builds on, without its own
// stages, scratch, and names that only the builder can expand.
func fromImages(dockerfile, base string) []string {
	args := map[string]string{}
	stages := map[string]bool{"scratch": true}
	var images []string
	for _, in := range parseDockerfile(strings.Split(strings.ReplaceAll(dockerfile, "\r\n", "\n"), "\n")) {
		switch in.word {
		case "ARG":
			name, value, _ := strings.Cut(in.args, "=")
			if len(images) == 0 && len(stages) == 1 { // before the first FROM
				args[name] = strings.Trim(value, `"'`)
				if name == "BASE" {
					args[name] = base
				}
			}
		case "FROM":
			words := strings.Fields(in.args)
			for len(words) > 0 && strings.HasPrefix(words[0], "--") {
				words = words[1:]
			}
			if len(words) == 0 {
				continue
			}
			image := expand(words[0], args)
			if image != "" && !stages[strings.ToLower(image)] {
				images = append(images, image)
			}
			stages["from"] = true
			if len(words) == 3 && strings.EqualFold(words[1], "as") {
				stages[strings.ToLower(words[2])] = true
			}
		}
	}
	return images
}

var variable = regexp.MustCompile(`\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))`)

// expand replaces variables, or returns "" when some form is not understood.
func expand(s string, args map[string]string) string {
	s = variable.ReplaceAllStringFunc(s, func(v string) string { return args[strings.Trim(v, "${}")] })
	if strings.Contains(s, "$") {
		return ""
	}
	return s
}
