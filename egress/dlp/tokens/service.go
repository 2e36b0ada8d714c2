package tokens

import (
	"bytes"
	"hash/crc32"
	"math/bits"
)

// services are sold by the month.
var services = []format{
	// docs.stripe.com/keys. Keys of the test mode (sk_test_) move no money and
	// stand in every tutorial: they pass.
	{name: "Stripe key", literals: []string{"sk_live_", "rk_live_"}, body: alnum, min: 24, max: 247, check: mixed},
	// docs.stripe.com/webhooks.
	{name: "webhook secret", literals: []string{"whsec_"}, body: base64Std, min: 32, max: 64, check: mixed},
	// docs.doppler.com/docs/auth-token-formats.
	{
		name: "Doppler token", literals: []string{"dp.pt.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit.", "dp.st."},
		body: alnum, min: 40, max: 44, check: mixed, alone: true,
	},
	{name: "Doppler token", literals: []string{"dp.st."}, match: dopplerService},
	// grafana/grafana, satokengen: 32 characters, and the CRC-32 of all before
	// it, in hexadecimal with the lowest byte first.
	{name: "Grafana token", literals: []string{"glsa_"}, body: word, min: 41, max: 41, check: grafana},
	// grafana.com/docs/grafana-cloud, "Access policies": base64 of JSON.
	{name: "Grafana token", literals: []string{"glc_eyJ"}, body: base64Std | equals, min: 80, max: 400, check: mixed},
	// linear.app/developers, "API keys".
	{name: "Linear key", literals: []string{"lin_api_"}, body: alnum, min: 40, max: 40, check: mixed},
	{name: "Linear key", literals: []string{"lin_oauth_"}, body: hex, min: 64, max: 64, check: plausible},
	// developers.notion.com/changelog, 2024-09: ntn_; before: secret_.
	{
		name: "Notion token", literals: []string{"ntn_"}, body: alnum, min: 46, max: 46,
		check: func(b []byte) bool { return all(b[:11], digit) && mixed(b[11:]) },
	},
	{name: "Notion token", literals: []string{"secret_"}, body: alnum, min: 43, max: 43, check: mixed},
	// shopify.dev/changelog, "Length of access tokens and shared secrets".
	{
		name: "Shopify token", literals: []string{"shpat_", "shpca_", "shppa_", "shpss_", "shptka_"},
		body: anyHex, min: 32, max: 32, check: plausible,
	},
	// learning.postman.com, "Authenticate with the Postman API".
	{
		name: "Postman key", literals: []string{"PMAK-"}, body: anyHex | dash, min: 59, max: 59,
		check: func(b []byte) bool { return hexAndHex(b, 24) },
	},
	// planetscale.com/docs/concepts.
	{
		name: "PlanetScale token", literals: []string{"pscale_tkn_", "pscale_pw_", "pscale_oauth_"},
		body: base64URL, min: 32, max: 64, check: mixed,
	},
	// getsentry/rfcs, 0091 "CI upload tokens": base64 of JSON, and 43 more.
	{name: "Sentry token", literals: []string{"sntrys_eyJ"}, body: base64Std | equals | underscore, min: 80, max: 500, check: sentry},
	{name: "Sentry token", literals: []string{"sntryu_"}, body: hex, min: 64, max: 64, check: plausible},
	// supabase.com/docs/guides/api/api-keys.
	{name: "Supabase token", literals: []string{"sbp_"}, body: hex, min: 40, max: 40, check: plausible},
	{name: "Supabase key", literals: []string{"sb_secret_"}, body: base64URL, min: 31, max: 31, check: mixed},
	// www.figma.com/developers/api.
	{name: "Figma token", literals: []string{"figd_", "figu_"}, body: base64URL, min: 40, max: 60, check: mixed},
	// docs.newrelic.com, "API keys".
	{name: "New Relic key", literals: []string{"NRAK-"}, body: upper | digit, min: 27, max: 27, check: plausible},
	// developer.1password.com/docs/service-accounts: base64 of JSON.
	{name: "1Password token", literals: []string{"ops_eyJ"}, body: base64URL, min: 250, max: 2000, check: mixed, alone: true},
}

// dopplerService takes dp.st.CONFIG. and a body.
func dopplerService(text []byte, at, after int) (start, end int) {
	config := run(text, after, 36, lower|digit|underscore|dash)
	if config == after || config == len(text) || text[config] != '.' || !leftAlone(text, at) {
		return 0, 0
	}
	end = run(text, config+1, 45, alnum)
	if n := end - config - 1; n < 40 || n > 44 || !rightEdge(text, end) || !mixed(text[config+1:end]) {
		return 0, 0
	}
	return at, end
}

func grafana(body []byte) bool {
	if body[32] != '_' || !all(body[:32], alnum) {
		return false
	}
	said, ok := number(body[33:], base36Digits[:16])
	sum := crc32.Update(crc32.ChecksumIEEE([]byte("glsa_")), crc32.IEEETable, body[:32])
	return ok && bits.ReverseBytes32(uint32(said)) == sum
}

func sentry(body []byte) bool {
	cut := bytes.LastIndexByte(body, '_')
	return cut > 0 && len(body)-cut-1 == 43 && bytes.IndexByte(body[:cut], '_') < 0 && mixed(body[cut+1:])
}
