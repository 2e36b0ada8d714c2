package tokens

import "bytes"

// models answer questions.
var models = []format{
	// docs.anthropic.com shows the prefixes; length and ending are those of
	// keys as issued: 95 characters, the last two AA.
	{
		name: "Anthropic key", literals: []string{"sk-ant-api03-", "sk-ant-admin01-"},
		body: base64URL, min: 95, max: 95, check: func(b []byte) bool { return bytes.HasSuffix(b, []byte("AA")) && mixed(b[:93]) },
	},
	{
		name: "Anthropic token", literals: []string{"sk-ant-oat01-", "sk-ant-ort01-", "sk-ant-sid01-"},
		body: base64URL, min: 80, max: 200, check: mixed,
	},
	// platform.openai.com shows the prefixes; every key has this in its
	// middle: base64 of "OpenAI".
	{name: "OpenAI key", literals: []string{"T3BlbkFJ"}, match: openAI},
	// huggingface.co/docs/hub, "User access tokens".
	{name: "Hugging Face token", literals: []string{"hf_", "api_org_"}, body: alnum, min: 34, max: 37, check: cased},
	{name: "OpenRouter key", literals: []string{"sk-or-v1-"}, body: hex, min: 64, max: 64, check: plausible},
	{name: "Groq key", literals: []string{"gsk_"}, body: alnum, min: 52, max: 52, check: mixed},
	{name: "xAI key", literals: []string{"xai-"}, body: alnum, min: 80, max: 80, check: mixed},
	{name: "Perplexity key", literals: []string{"pplx-"}, body: alnum, min: 48, max: 56, check: mixed},
	{name: "Replicate token", literals: []string{"r8_"}, body: alnum, min: 37, max: 37, check: mixed},
}

// openAI takes sk-[KIND-]HEAD T3BlbkFJ TAIL, given away by its middle: the
// prefix alone is a common beginning of names.
func openAI(text []byte, at, after int) (start, end int) {
	const most = 100
	end = run(text, after, most+1, base64URL)
	if n := end - after; n < 20 || n > most {
		return 0, 0
	}
	// The latest "sk-" that no word reaches up to begins the key.
	low := runBack(text, at, most+len("sk-svcacct-"), base64URL)
	for start = at - 20 - len("sk-"); start >= low; start-- {
		if string(text[start:start+3]) == "sk-" && leftEdge(text, start) {
			break
		}
	}
	if start < low || !mixed(text[at-20:at]) && !mixed(text[after:end]) || !plausible(text[after:end]) {
		return 0, 0
	}
	return start, end
}
