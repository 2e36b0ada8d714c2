package manifest

import (
	"regexp"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/engine/spec"
)

// reservedEnv are the names that bb itself sets in every bottle.
var reservedEnv = []string{
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
	"http_proxy", "https_proxy", "no_proxy", "all_proxy",
	"NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO",
	"CURL_CA_BUNDLE", "HOME", "USER", spec.CanaryEnv,
}

// nearReference is what people write who mean a host reference.
var nearReference = regexp.MustCompile(`^["“”']?\$[{]?[A-Za-z_][A-Za-z0-9_]*[}]?["“”']?$|\$\{`)

var hostReference = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)

func (f *file) decodeEnv(n *node) map[string]part[EnvVar] {
	env := map[string]part[EnvVar]{}
	for _, entry := range n.entries() {
		f.checkEnvName(entry, entry.key)
		if nearReference.MatchString(entry.str()) && !hostReference.MatchString(entry.str()) {
			f.warnAt(entry, "a host variable is exactly ${NAME}, without anything around it",
				"env.%s looks like a reference and is taken literally", entry.key)
		}
		if strings.ContainsRune(entry.str(), 0) {
			f.fail(entry, "", "env.%s holds a NUL byte", entry.key)
		}
		v := envVar(entry.key, entry.str())
		v.From = f.pos(entry)
		env[entry.key] = declare(f, entry, v)
	}
	return env
}

// checkEnvName reports a variable that is not the manifest's to set.
func (f *file) checkEnvName(n *node, name string) {
	if slices.Contains(reservedEnv, name) {
		f.failKey(n, "remove it", "%s is set by bb itself", n.path)
	}
	if strings.HasPrefix(name, "BB_") {
		f.failKey(n, "choose another name", "%s: names that begin with BB_ are bb's", n.path)
	}
}

// envVar reads the three kinds of values.
func envVar(name, value string) EnvVar {
	if m := hostReference.FindStringSubmatch(value); m != nil {
		return EnvVar{Name: name, Kind: EnvHost, Value: m[1]}
	}
	if question, ok := strings.CutPrefix(value, "?"); ok {
		return EnvVar{Name: name, Kind: EnvAsk, Value: question}
	}
	return EnvVar{Name: name, Kind: EnvLiteral, Value: value}
}
