package spec

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// hashVersion prefixes every hash, so that a later form never equals it.
const hashVersion = "v1:"

// Key is 32 random bytes of the state directory. It never leaves the host.
type Key []byte

// Digest identifies a secret value without revealing it: HMAC-SHA256 over
// instance, reference and value, in hex. A rotated value is noticed without
// being stored. An empty key or value gives "".
func (k Key) Digest(instance, ref, value string) string {
	if len(k) == 0 || value == "" {
		return ""
	}
	mac := hmac.New(sha256.New, k)
	fmt.Fprintf(mac, "%d:%s%d:%s%s", len(instance), instance, len(ref), ref, value)
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// Canary is the canary of an instance: always the same one, so that nothing
// need be stored, and in the form of a credential that no service issues, so
// that it is found as this very value. An empty key gives "".
func (k Key) Canary(instance string) string {
	if len(k) == 0 {
		return ""
	}
	mac := hmac.New(sha256.New, k)
	fmt.Fprintf(mac, "canary\x00%s", instance)
	return "bkadm_" + strings.ToLower(base32.StdEncoding.EncodeToString(mac.Sum(nil)[:20]))
}

// redactedFixed is the fixed half as it is stored in a label: literal
// environment values are digests. The canary has no part in it: it differs
// only with the instance and the key, and a bottle that was made without one
// need not be made anew.
func (s *Spec) redactedFixed(k Key) Fixed {
	f := s.Fixed
	f.Env = slices.DeleteFunc(slices.Clone(f.Env), func(e Env) bool { return e.Name == CanaryEnv })
	for i, e := range f.Env {
		if e.Kind == EnvLiteral {
			f.Env[i].Value = k.Digest(s.ID.Name(), "env."+e.Name, "="+e.Value)
		}
	}
	return f
}

// FixedJSON is the canonical JSON of redactedFixed, and Hash is over it: what
// is compared is what is stored.
func (s *Spec) FixedJSON(k Key) string { return canonical(s.redactedFixed(k)) }

// Hash is the hash of the fixed half.
func (s *Spec) Hash(k Key) string { return hash(s.FixedJSON(k)) }

// LiveHashes returns the hash of every live part. Parts that are empty have
// none, so that "nothing declared" needs nothing done.
func (s *Spec) LiveHashes() map[string]string {
	l := s.Live
	routes := slices.Clone(l.Routes)
	for i := range routes {
		routes[i].Source = "" // a line that moved in a manifest is no change
	}
	out := map[string]string{
		PartEgress: hash(canonical(struct {
			Routes     []egress.Route
			Tokens     map[string]string
			UpstreamCA string
			Parent     *egress.Parent         `json:",omitempty"`
			Pipelock   bool                   `json:",omitempty"`
			Values     []egress.ApprovedValue `json:",omitempty"`
		}{routes, tokensOf(l.Tokens, false), l.UpstreamCA, l.Parent, s.Gate.Pipelock, l.Values})),
	}
	if len(l.Remotes) > 0 {
		remotes := slices.Clone(l.Remotes)
		for i := range remotes {
			remotes[i].Source = ""
		}
		out[PartGit] = hash(canonical(struct {
			Remotes []egress.Remote
			Tokens  map[string]string
		}{remotes, tokensOf(l.Tokens, true)}))
	}
	if s.HasSecretEnv() {
		secret := slices.DeleteFunc(slices.Clone(s.Fixed.Env), func(e Env) bool { return !e.Secret() })
		out[PartEnv] = hash(canonical(secret))
	}
	if l.GitUser.Name != "" || l.GitUser.Email != "" {
		out[PartIdentity] = hash(canonical([]string{l.GitUser.Name, l.GitUser.Email}))
	}
	if l.Prompt != "" {
		out[PartPrompt] = hash(l.Prompt)
	}
	if len(l.Skills) > 0 {
		out[PartSkills] = hash(canonical(l.Skills))
	}
	if l.Login != "" {
		out[PartLogin] = l.Login
	}
	return out
}

// tokensOf are the references of the git gate's slots, or of all others.
func tokensOf(tokens map[string]string, git bool) map[string]string {
	out := maps.Clone(tokens)
	maps.DeleteFunc(out, func(slot, _ string) bool { return strings.HasPrefix(slot, egress.SlotGit) != git })
	return out
}

// FilesDigest is the digest of the files of one part; "" is the fixed half.
func FilesDigest(files []File, part string) string {
	var b strings.Builder
	for _, f := range files {
		if f.Part == part {
			fmt.Fprintf(&b, "%s %o %v %v %x\n", f.Path, f.Mode, f.Dir, f.Root, sha256.Sum256(f.Content))
		}
	}
	return hash(b.String())
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hashVersion + hex.EncodeToString(sum[:])
}

// canonical marshals structs (fields in order) and maps (keys sorted).
func canonical(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("spec: " + err.Error()) // only plain data reaches this
	}
	return string(b)
}
