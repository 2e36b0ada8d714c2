package tokens

import "bytes"

// clouds run machines and keep secrets.
var clouds = []format{
	// docs.aws.amazon.com, IAM, "Unique identifiers": AKIA is a user's, ASIA a
	// session's; 16 characters of base 32.
	{name: "AWS access key", literals: []string{"AKIA"}, body: upper | digit, min: 16, max: 16, check: base32ID},
	{
		name: "AWS access key", literals: []string{"ASIA"}, body: upper | digit, min: 16, max: 16,
		check: func(b []byte) bool { return count(b, digit) > 0 && base32ID(b) },
	},
	// The secret half has no form of its own: only beside one of its names, or
	// beside the key that it belongs to.
	{name: "AWS secret key", literals: []string{
		"aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "aws_secret_key", "AWS_SECRET_KEY",
		"secretAccessKey", "SecretAccessKey", "secret_access_key",
	}, match: awsSecret},
	{name: "AWS secret key", literals: []string{"AKIA", "ASIA"}, match: awsPair},
	// learn.microsoft.com, "Configure Azure Storage connection strings": 64
	// bytes in base64; 32 for the bus.
	{name: "Azure storage key", literals: []string{"AccountKey="}, match: azureKey(86, "==")},
	{name: "Azure bus key", literals: []string{"SharedAccessKey="}, match: azureKey(43, "=")},
	// learn.microsoft.com, "Purview: Azure AD client secret": three
	// characters, a digit, Q~, and 31 to 34 more.
	{name: "Azure client secret", literals: []string{
		"0Q~", "1Q~", "2Q~", "3Q~", "4Q~", "5Q~", "6Q~", "7Q~", "8Q~", "9Q~",
	}, match: azureClient},
	// cloud.google.com/docs/authentication/api-keys: 39 characters.
	{name: "Google API key", literals: []string{"AIza"}, match: googleKey},
	// developers.google.com/identity, OAuth 2.0 for web servers.
	{name: "Google client secret", literals: []string{"GOCSPX-"}, body: base64URL, min: 28, max: 28, check: mixed},
	{name: "Google access token", literals: []string{"ya29."}, body: base64URL, min: 60, max: 1024, check: mixed, alone: true},
	{name: "Google refresh token", literals: []string{"1//0"}, body: base64URL, min: 60, max: 256, check: mixed, alone: true},
	// docs.digitalocean.com/reference/api.
	{name: "DigitalOcean token", literals: []string{"dop_v1_", "doo_v1_", "dor_v1_"}, body: hex, min: 64, max: 64, check: plausible},
	// docs.databricks.com, "Personal access token authentication".
	{name: "Databricks token", literals: []string{"dapi"}, match: databricks},
	// developers.cloudflare.com/fundamentals/api/get-started/token-formats: 40
	// characters and a checksum whose function is not published.
	{name: "Cloudflare token", literals: []string{"cfut_", "cfat_", "cfk_"}, body: alnum, min: 46, max: 48, check: mixed},
	// fly.io/docs/security/tokens: macaroons.
	{name: "Fly token", literals: []string{"fm1_", "fm1r_", "fm1a_", "fm2_"}, body: base64Std | equals, min: 100, max: 3000, check: mixed},
	{name: "Fly token", literals: []string{"fo1_"}, body: base64URL, min: 43, max: 43, check: mixed},
	// developer.hashicorp.com/vault/docs/concepts/tokens.
	{name: "Vault token", literals: []string{"hvs."}, body: base64URL, min: 24, max: 300, check: mixed, alone: true},
	{name: "Vault token", literals: []string{"hvb.", "hvr."}, body: base64URL, min: 80, max: 400, check: mixed, alone: true},
	// developer.hashicorp.com/terraform/cloud-docs/users-teams-organizations/api-tokens.
	{name: "Terraform token", literals: []string{".atlasv1."}, match: atlas},
	// www.pulumi.com/docs/pulumi-cloud/access-management/access-tokens.
	{name: "Pulumi token", literals: []string{"pul-"}, body: hex, min: 40, max: 40, check: plausible, alone: true},
	// api-docs.render.com.
	{name: "Render key", literals: []string{"rnd_"}, body: alnum, min: 28, max: 32, check: mixed},
	// devcenter.heroku.com, "Platform API".
	{name: "Heroku key", literals: []string{"HRKU-AA"}, body: base64URL, min: 58, max: 58, check: mixed},
	// tailscale.com/kb, "Key prefixes".
	{name: "Tailscale key", literals: []string{
		"tskey-auth-", "tskey-api-", "tskey-client-", "tskey-webhook-", "tskey-scim-",
	}, body: alnum | dash, min: 30, max: 70, check: func(b []byte) bool { return count(b, dash) == 1 && mixed(b) }},
}

// base32ID takes the alphabet of RFC 4648, section 6, without the keys of the
// vendor's documentation, which end in EXAMPLE.
func base32ID(b []byte) bool {
	return !bytes.ContainsAny(b, "0189") && plausible(b)
}

// awsSecret takes 40 characters of base64 behind a name, with what stands
// between a name and its value in any notation.
func awsSecret(text []byte, _, after int) (start, end int) {
	start = after
	for start < len(text) && start < after+16 && bytes.IndexByte([]byte(" \t\"':=>\\,"), text[start]) >= 0 {
		start++
	}
	end = run(text, start, 41, base64Std)
	if start == after || end-start != 40 || !rightEdge(text, end) || end < len(text) && text[end] == '=' || !mixed(text[start:end]) {
		return 0, 0
	}
	return start, end
}

// awsPair takes the secret behind its key, as in a list of keys.
func awsPair(text []byte, at, after int) (start, end int) {
	if id := after + 16; id <= len(text) && leftEdge(text, at) && all(text[after:id], upper|digit) && base32ID(text[after:id]) {
		return awsSecret(text, at, id)
	}
	return 0, 0
}

// azureKey takes n characters of base64 and their padding. The key of the
// storage emulator is documentation, the same everywhere.
func azureKey(n int, padding string) func([]byte, int, int) (int, int) {
	return func(text []byte, _, after int) (start, end int) {
		end = run(text, after, n+1, base64Std)
		body := text[after:end]
		if len(body) != n || !bytes.HasPrefix(text[end:], []byte(padding)) || bytes.HasPrefix(body, []byte("Eby8vdM02x")) || !mixed(body) {
			return 0, 0
		}
		return after, end + len(padding)
	}
}

func azureClient(text []byte, at, after int) (start, end int) {
	const body = word | dash | dot | tilde
	start = at - 3
	end = run(text, after, 36, body)
	if end > after && text[end-1] == '.' {
		end-- // of the sentence
	}
	if n := end - after; n < 31 || n > 34 || start < 0 || !all(text[start:at], body) || !leftEdge(text, start) ||
		!rightEdge(text, end) || !mixed(text[after:end]) {
		return 0, 0
	}
	return start, end
}

func googleKey(text []byte, at, after int) (start, end int) {
	end = run(text, after, 36, base64URL)
	if end-after != 35 || !leftEdge(text, at) || inBlob(text, at, end) || !mixed(text[after:end]) {
		return 0, 0
	}
	return at, end
}

// databricks takes 32 hexadecimal digits, and the number of a generation.
func databricks(text []byte, at, after int) (start, end int) {
	end = run(text, after, 33, hex)
	if end-after != 32 || !leftEdge(text, at) || !plausible(text[after:end]) {
		return 0, 0
	}
	if end+1 < len(text) && text[end] == '-' && run(text, end+1, 2, digit) == end+2 {
		end += 2
	}
	if !rightEdge(text, end) {
		return 0, 0
	}
	return at, end
}

// atlas takes 14 characters, the literal, and 60 to 70 more.
func atlas(text []byte, at, after int) (start, end int) {
	start = at - 14
	end = run(text, after, 71, base64URL|equals)
	if n := end - after; n < 60 || n > 70 || start < 0 || !all(text[start:at], alnum) || !leftEdge(text, start) || !mixed(text[after:end]) {
		return 0, 0
	}
	return start, end
}
