package tokens

import "bytes"

// chats carry messages between people.
var chats = []format{
	// docs.slack.dev, "Tokens".
	{name: "Slack token", literals: []string{"xoxb-", "xoxp-", "xoxa-", "xoxs-", "xoxr-", "xoxo-"}, body: alnum | dash, min: 30, max: 120, check: slackNumbers, alone: true},
	{name: "Slack token", literals: []string{"xapp-1-A"}, body: alnum | dash, min: 80, max: 110, check: slackApp},
	{name: "Slack token", literals: []string{"xoxe-1-", "xoxe.xoxp-1-", "xoxe.xoxb-1-"}, body: alnum, min: 120, max: 200, check: mixed},
	// docs.slack.dev, "Sending messages using incoming webhooks".
	{name: "Slack webhook", literals: []string{"hooks.slack.com"}, match: slackHook},
	// discord.com/developers/docs, "Webhook".
	{name: "Discord webhook", literals: []string{"/api/webhooks/"}, match: discordHook},
	// discord.com/developers/docs/reference, "Authentication": the number of
	// the account in base64, a time, and a signature.
	{name: "Discord token", literals: snowflakes(), match: discordToken},
	// core.telegram.org/bots/features: the number of the bot, a colon, and 35
	// characters of which the first two are AA.
	{name: "Telegram token", literals: []string{":AA"}, match: telegram},
	// www.twilio.com/docs/iam/api-keys: others have the same form.
	{name: "Twilio key", literals: []string{"twilio", "Twilio", "TWILIO"}, match: twilio},
	// www.twilio.com/docs/sendgrid, "API keys": 22 and 43 characters.
	{name: "SendGrid key", literals: []string{"SG."}, match: sendGrid},
	// documentation.mailgun.com, "Authentication".
	{name: "Mailgun key", literals: []string{"key-"}, body: hex, min: 32, max: 32, check: plausible, alone: true, context: "mailgun"},
	// developers.brevo.com.
	{
		name: "Brevo key", literals: []string{"xkeysib-"}, body: alnum | dash, min: 81, max: 81,
		check: func(b []byte) bool { return b[64] == '-' && all(b[:64], hex) && plausible(b) },
	},
}

// slackNumbers takes one to three numbers, and a random part.
func slackNumbers(body []byte) bool {
	head, rest, ok := bytes.Cut(body, []byte("-"))
	numbers := 0
	for ; ok && len(head) >= 8 && len(head) <= 15 && all(head, digit); head, rest, ok = bytes.Cut(rest, []byte("-")) {
		numbers++
	}
	return numbers > 0 && !ok && len(head) >= 20 && len(head) <= 64 && all(head, alnum) && plausible(head)
}

// slackApp takes the identifier of an app, a number, and 64 hexadecimal
// digits.
func slackApp(body []byte) bool {
	cut := len(body) - 64
	return count(body, dash) == 2 && body[cut-1] == '-' && all(body[cut:], hex) && plausible(body[cut:])
}

// slash reads the strokes of a path, which JSON may escape, and returns where
// they end, or 0.
func slash(text []byte, at int) int {
	if at < len(text) && text[at] == '\\' {
		at++
	}
	if at < len(text) && text[at] == '/' {
		return at + 1
	}
	return 0
}

func slackHook(text []byte, at, after int) (start, end int) {
	end = after
	for _, part := range [...]struct{ min, max int }{{7, 9}, {9, 13}, {9, 20}, {20, 48}} {
		from := slash(text, end)
		end = run(text, from, part.max+1, alnum)
		if n := end - from; from == 0 || n < part.min || n > part.max {
			return 0, 0
		}
		start = from
	}
	if !rightEdge(text, end) || !plausible(text[start:end]) {
		return 0, 0
	}
	return at, end
}

func discordHook(text []byte, at, after int) (start, end int) {
	id := run(text, after, 21, digit)
	from := slash(text, id)
	end = run(text, from, 69, base64URL)
	if n := id - after; n < 17 || n > 20 || from == 0 || end-from != 68 || !mixed(text[from:end]) {
		return 0, 0
	}
	return at, end
}

// snowflakes returns what base64 makes of the first digits of a number: the
// beginnings of a bot's token.
func snowflakes() []string {
	var all []string
	for _, a := range "MNO" {
		for _, b := range "DTjz" {
			for _, c := range "AEIMQUYcgk" {
				all = append(all, string([]rune{a, b, c}))
			}
		}
	}
	return all
}

func discordToken(text []byte, at, after int) (start, end int) {
	one := run(text, after, 26, base64URL)
	if n := one - at; n < 23 || n > 28 || !leftAlone(text, at) {
		return 0, 0
	}
	two := run(text, one+1, 8, base64URL)
	if text[min(one, len(text)-1)] != '.' || two-one != 7 || two == len(text) || text[two] != '.' {
		return 0, 0
	}
	end = run(text, two+1, 40, base64URL)
	var id [24]byte
	n, ok := decodeURL(id[:], text[at:one])
	if last := end - two - 1; last < 27 || last > 38 || !ok || n < 17 || n > 20 || !all(id[:n], digit) || !mixed(text[two+1:end]) {
		return 0, 0
	}
	return at, end
}

func telegram(text []byte, at, after int) (start, end int) {
	start = runBack(text, at, 11, digit)
	if n := at - start; n < 8 || n > 10 {
		return 0, 0
	}
	// In the address of a call the number stands behind "/bot".
	edge := leftEdge(text, start) || start >= 4 && string(text[start-4:start]) == "/bot"
	end = run(text, after, 34, base64URL)
	if end-after != 33 || !edge || !mixed(text[after:end]) {
		return 0, 0
	}
	return start, end
}

func twilio(text []byte, _, after int) (start, end int) {
	stop := min(len(text), after+nearby)
	for start = after; start+34 <= stop; start++ {
		if text[start] != 'S' || text[start+1] != 'K' || !leftEdge(text, start) {
			continue
		}
		end = run(text, start+2, 33, hex)
		if end-start == 34 && rightEdge(text, end) && plausible(text[start+2:end]) {
			return start, end
		}
	}
	return 0, 0
}

func sendGrid(text []byte, at, after int) (start, end int) {
	one := run(text, after, 23, base64URL)
	if one-after != 22 || one == len(text) || text[one] != '.' || !leftEdge(text, at) {
		return 0, 0
	}
	end = run(text, one+1, 44, base64URL)
	if end-one-1 != 43 || !mixed(text[one+1:end]) {
		return 0, 0
	}
	return at, end
}
