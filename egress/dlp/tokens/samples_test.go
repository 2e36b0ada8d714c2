package tokens

import "strings"

// samples has every form that the tables describe.
var samples = []sample{
	summed("GitHub token", "ghp_"), summed("GitHub token", "gho_"), summed("GitHub token", "ghu_"),
	summed("GitHub token", "ghs_"), summed("GitHub token", "ghr_"),
	{form: "ghs_ stateless", name: "GitHub token", make: func(d draw) string {
		return "ghs_" + d.text(6, "123456789") + "_" + jwtOf(`{"alg":"RS256","typ":"JWT"}`, `{"iss":"1","exp":1790000000}`, 342)(d)
	}, open: true},
	{form: "github_pat_", name: "GitHub token", make: func(d draw) string {
		return "github_pat_" + d.text(22, alnumText) + "_" + d.text(59, alnumText)
	}},
	ranged("GitLab token", "glpat-", 20, urlText), ranged("GitLab token", "gldt-", 20, urlText),
	ranged("GitLab token", "glrt-t1_", 20, urlText), ranged("GitLab token", "glimt-", 25, urlText),
	ranged("GitLab token", "glagent-", 50, urlText), ranged("GitLab token", "glcbt-64_", 20, urlText),
	plain("GitLab token", "glptt-", 40, hexChars), plain("GitLab token", "gloas-", 64, hexChars),
	routable("glpat-", ""), routable("glpat-", ".01"), routable("glrt-", ".01"),
	summed("npm token", "npm_"),
	ranged("PyPI token", "pypi-AgEIcHlwaS5vcmc", 150, urlText), ranged("PyPI token", "pypi-AgENdGVzdC5weXBpLm9yZw", 150, urlText),
	plain("crates.io token", "cio", 32, alnumText), ranged("Docker Hub token", "dckr_pat_", 27, urlText),
	plain("RubyGems token", "rubygems_", 48, hexChars), ranged("Atlassian token", "ATATT3xFf", 184, urlText),

	{form: "sk-ant-api03-", name: "Anthropic key", make: func(d draw) string { return "sk-ant-api03-" + d.text(93, urlText) + "AA" }},
	ranged("Anthropic token", "sk-ant-oat01-", 95, urlText), ranged("Anthropic token", "sk-ant-ort01-", 95, urlText),
	openAIOf("sk-", 20), openAIOf("sk-proj-", 74), openAIOf("sk-svcacct-", 74), openAIOf("sk-admin-", 58),
	ranged("Hugging Face token", "hf_", 34, letters), ranged("Hugging Face token", "api_org_", 34, letters),
	plain("OpenRouter key", "sk-or-v1-", 64, hexChars), plain("Groq key", "gsk_", 52, alnumText),
	plain("xAI key", "xai-", 80, alnumText), ranged("Perplexity key", "pplx-", 48, alnumText),
	plain("Replicate token", "r8_", 37, alnumText),

	plain("AWS access key", "AKIA", 16, base32Text), plain("AWS access key", "ASIA", 16, base32Text),
	awsOf("aws_secret_access_key = "), awsOf(`"SecretAccessKey": "`), awsOf("AWS_SECRET_ACCESS_KEY="),
	awsOf(`\"secretAccessKey\":\"`),
	{form: "AKIA pair", name: "AWS secret key", make: func(d draw) string {
		return "AKIA" + d.text(16, base32Text) + "," + d.text(40, stdText)
	}, token: after(",")},
	{form: "AccountKey=", name: "Azure storage key", make: func(d draw) string { return "AccountKey=" + d.text(86, stdText) + "==" }, token: after("AccountKey="), open: true},
	{form: "SharedAccessKey=", name: "Azure bus key", make: func(d draw) string { return "SharedAccessKey=" + d.text(43, stdText) + "=" }, token: after("SharedAccessKey="), open: true},
	{form: "Q~", name: "Azure client secret", make: func(d draw) string { return d.text(3, alnumText) + "8Q~" + d.text(34, urlText) }},
	plain("Google API key", "AIza"+"Sy", 33, urlText), plain("Google client secret", "GOCSPX-", 28, urlText),
	ranged("Google access token", "ya29.a0", 180, urlText), ranged("Google refresh token", "1//0g", 100, urlText),
	plain("DigitalOcean token", "dop_v1_", 64, hexChars), plain("Databricks token", "dapi", 32, hexChars),
	{form: "dapi 2", name: "Databricks token", make: func(d draw) string { return "dapi" + d.text(32, hexChars) + "-2" }},
	{form: "cfut_", name: "Cloudflare token", make: func(d draw) string { return "cfut_" + d.text(40, alnumText) + d.text(8, hexChars) }},
	ranged("Fly token", "fm2_", 300, alnumText), plain("Fly token", "fo1_", 43, urlText),
	ranged("Vault token", "hvs.", 95, urlText), ranged("Vault token", "hvs.CAES", 24, alnumText), ranged("Vault token", "hvb.", 150, urlText),
	{form: ".atlasv1.", name: "Terraform token", make: func(d draw) string { return d.text(14, alnumText) + ".atlasv1." + d.text(67, urlText) }, open: true},
	plain("Pulumi token", "pul-", 40, hexChars), plain("Render key", "rnd_", 32, alnumText),
	plain("Heroku key", "HRKU-AA", 58, urlText),
	{form: "tskey-", name: "Tailscale key", make: func(d draw) string {
		return "tskey-auth-" + d.text(17, alnumText) + "-" + d.text(33, alnumText)
	}, open: true},

	{form: "xoxb-", name: "Slack token", make: func(d draw) string {
		return "xoxb-" + d.text(12, "123456789") + "-" + d.text(13, "123456789") + "-" + d.text(24, alnumText)
	}, open: true},
	{form: "xoxp-", name: "Slack token", make: func(d draw) string {
		return "xoxp-" + d.text(12, "123456789") + "-" + d.text(12, "123456789") + "-" + d.text(13, "123456789") + "-" + d.text(32, hexChars)
	}, open: true},
	{form: "xapp-", name: "Slack token", make: func(d draw) string {
		return "xapp-1-A" + d.text(10, capitals) + "-" + d.text(13, "123456789") + "-" + d.text(64, hexChars)
	}},
	ranged("Slack token", "xoxe.xoxp-1-", 163, alnumText), ranged("Slack token", "xoxe-1-", 147, alnumText),
	{form: "slack hook", name: "Slack webhook", make: func(d draw) string {
		return "hooks.slack" + ".com/services/T" + d.text(10, capitals) + "/B" + d.text(10, capitals) + "/" + d.text(24, alnumText)
	}, open: true},
	{form: "discord hook", name: "Discord webhook", make: func(d draw) string {
		return "/api/webhooks/" + d.text(18, "123456789") + "/" + d.text(68, urlText)
	}},
	{form: "discord bot", name: "Discord token", make: discordOf, open: true},
	{form: "telegram", name: "Telegram token", make: func(d draw) string { return d.text(10, "123456789") + ":AA" + d.text(33, urlText) }},
	{form: "twilio", name: "Twilio key", make: func(d draw) string { return "TWILIO_API_KEY=SK" + d.text(32, hexChars) }, token: after("=")},
	{form: "SG.", name: "SendGrid key", make: func(d draw) string { return "SG." + d.text(22, urlText) + "." + d.text(43, urlText) }},
	{form: "key-", name: "Mailgun key", make: func(d draw) string { return "MAILGUN_KEY=key-" + d.text(32, hexChars) }, token: after("=")},
	{form: "xkeysib-", name: "Brevo key", make: func(d draw) string { return "xkeysib-" + d.text(64, hexChars) + "-" + d.text(16, alnumText) }},

	ranged("Stripe key", "sk_live_", 99, alnumText), ranged("Stripe key", "rk_live_", 24, alnumText),
	ranged("webhook secret", "whsec_", 32, alnumText),
	ranged("Doppler token", "dp.pt.", 43, alnumText), ranged("Doppler token", "dp.st.dev_ci.", 43, alnumText),
	{form: "glsa_", name: "Grafana token", make: grafanaOf},
	ranged("Grafana token", "glc_eyJ", 150, alnumText), plain("Linear key", "lin_api_", 40, alnumText), plain("Linear key", "lin_oauth_", 64, hexChars),
	{form: "ntn_", name: "Notion token", make: func(d draw) string { return "ntn_" + d.text(11, decimal) + d.text(35, alnumText) }},
	plain("Notion token", "secret_", 43, alnumText), plain("Shopify token", "shpat_", 32, hexChars),
	{form: "PMAK-", name: "Postman key", make: func(d draw) string { return "PMAK-" + d.text(24, hexChars) + "-" + d.text(34, hexChars) }},
	ranged("PlanetScale token", "pscale_tkn_", 43, urlText),
	{form: "sntrys_", name: "Sentry token", make: func(d draw) string { return "sntrys_eyJ" + d.text(120, alnumText) + "_" + d.text(43, alnumText) }},
	plain("Sentry token", "sntryu_", 64, hexChars), plain("Supabase token", "sbp_", 40, hexChars), plain("Supabase key", "sb_secret_", 31, alnumText),
	ranged("Figma token", "figd_", 40, urlText), plain("New Relic key", "NRAK-", 27, capitals), ranged("1Password token", "ops_eyJ", 700, alnumText),

	{form: "JWT HS256", name: "JWT", make: jwtOf(`{"alg":"HS256","typ":"JWT"}`, `{"sub":"someone","iat":1790000000}`, 43), open: true},
	{form: "JWT spaced", name: "JWT", make: jwtOf("{\n  \"alg\": \"RS256\"\n}", `{ "sub":"someone"}`, 342), open: true},
	{form: "age", name: "age key", make: func(d draw) string { return "AGE-SECRET-KEY-1" + bech32Of("age-secret-key-", d) }},
	{form: "PEM", name: "private key", make: pemOf("RSA PRIVATE KEY", "\n", 12)},
	{form: "PEM in JSON", name: "private key", make: pemOf("PRIVATE KEY", `\n`, 3)},
	{form: "PEM in JSON twice", name: "private key", make: pemOf("OPENSSH PRIVATE KEY", `\\n`, 3)},
	{form: "PEM on one line", name: "private key", make: pemOf("EC PRIVATE KEY", " ", 3)},
	{form: "PEM in a diff", name: "private key", make: pemOf("PRIVATE KEY", "\n+", 3)},
	{form: "PEM in Go", name: "private key", make: pemOf("PRIVATE KEY", "\\n\" +\n\t\"", 3)},
	{form: "PEM with headers", name: "private key", make: func(d draw) string {
		return strings.Replace(pemOf("RSA PRIVATE KEY", "\n", 4)(d), "KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n", 1)
	}},
	{form: "PuTTY", name: "private key", make: func(d draw) string {
		return "PuTTY-User-Key-File-" + "3: ssh-ed25519\nEncryption: none\nComment: me\nPublic-Lines: 1\n" + d.text(64, stdText) +
			"\nPrivate-Lines: 1\n" + d.text(48, stdText)
	}},
	{form: "address", name: "password in an address", make: func(d draw) string {
		return "postgres://app:" + d.text(16, alnumText) + "@db.internal:5432/app"
	}, token: func(s string) string { return s[len("postgres://app:") : len("postgres://app:")+16] }, open: true},
}

func openAIOf(prefix string, n int) sample {
	return sample{form: prefix, name: "OpenAI key", make: func(d draw) string {
		return prefix + d.text(n, alnumText) + "T3Blbk" + "FJ" + d.text(n, alnumText)
	}, open: true}
}

func awsOf(before string) sample {
	return sample{form: before, name: "AWS secret key", make: func(d draw) string { return before + d.text(40, stdText) }, token: func(s string) string { return s[len(before):] }}
}
