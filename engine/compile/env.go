package compile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/provider"
	"github.com/bot-bottle/bb/engine/spec"
)

// bbEnv is the environment of every bottle: the proxy, and trust in the
// sidecar's certificate for every library that does not read the system store.
func bbEnv() []spec.Env {
	proxy := fmt.Sprintf("http://%s:%d", egress.ProxyHost, egress.ProxyPort)
	none := strings.Join([]string{"localhost", "127.0.0.1", "::1", egress.GitHost, egress.SuperviseHost}, ",")
	pairs := [][2]string{
		{"HTTP_PROXY", proxy},
		{"HTTPS_PROXY", proxy},
		{"NO_PROXY", none},
		{"http_proxy", proxy},
		{"https_proxy", proxy},
		{"no_proxy", none},
		{"NODE_EXTRA_CA_CERTS", spec.CAFile},
		{"SSL_CERT_FILE", spec.CABundle},
		{"REQUESTS_CA_BUNDLE", spec.CABundle},
		{"GIT_SSL_CAINFO", spec.CABundle},
		{"CURL_CA_BUNDLE", spec.CABundle},
		{"HOME", spec.Home},
		{"USER", spec.User},
	}
	env := make([]spec.Env, len(pairs))
	for i, p := range pairs {
		env[i] = spec.Env{Name: p[0], Kind: spec.EnvBB, Value: p[1]}
	}
	return env
}

// withCanary is an environment with the canary in it, sorted by name.
func withCanary(env []spec.Env, value string) []spec.Env {
	if value == "" {
		return env
	}
	e := spec.Env{Name: spec.CanaryEnv, Kind: spec.EnvBB, Value: value}
	i, _ := slices.BinarySearchFunc(env, e, func(a, b spec.Env) int { return strings.Compare(a.Name, b.Name) })
	return slices.Insert(slices.Clone(env), i, e)
}

// env is bb's, the provider's and the bottle's, sorted by name. Names that bb
// or the provider sets are not the manifest's to change: a token set beside
// auth_token would be in the agent's hands.
func (c *compiler) env(p provider.Provision) []spec.Env {
	all := append(bbEnv(), p.Env...)
	own := len(all)
	for _, e := range c.bottle.Env {
		if e.Name == spec.CanaryEnv || slices.ContainsFunc(all[:own], func(have spec.Env) bool { return have.Name == e.Name }) {
			c.problem(e.From, diag.Errorf("env.%s is set by bb or the provider", e.Name).
				WithHint("remove it; credentials go into agent_provider.auth_token or a route's auth"))
			continue
		}
		all = append(all, spec.Env{Name: e.Name, Kind: string(e.Kind), Value: e.Value})
	}
	slices.SortFunc(all, func(a, b spec.Env) int { return strings.Compare(a.Name, b.Name) })
	return all
}
