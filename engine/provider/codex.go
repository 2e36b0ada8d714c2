package provider

import (
	_ "embed"
	"fmt"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

//go:embed codex.Dockerfile
var codexRecipe string

// codexRef is the reference of the host's access token. Its value comes from
// the login file and never from a variable.
const codexRef = "BOT_BOTTLE_CODEX_HOST_ACCESS_TOKEN"

// codexLogin is the name under which the login file is asked for.
const codexLogin = "login"

const codexHome = spec.Home + "/.codex"

var codex = Template{
	Name: "codex", Takes: []string{KeyForward}, Make: makeCodex,
	Asks: func(in Input) []Ask {
		if !in.Forward {
			return nil
		}
		return []Ask{{Name: codexLogin, DirVar: "CODEX_HOME", Dir: "~/.codex", File: "auth.json"}}
	},
}

func makeCodex(in Input) Provision {
	const bypass = "--dangerously-bypass-approvals-and-sandbox" // the bottle is the sandbox
	p := Provision{
		// A rustls program: it reads neither the system's roots nor Node's.
		Env: []spec.Env{{Name: "CODEX_CA_CERTIFICATE", Kind: spec.EnvProvider, Value: spec.CABundle}},
		Files: []spec.File{
			{Path: codexHome, Dir: true, Mode: 0o700},
			{Path: codexHome + "/config.toml", Mode: 0o600, Content: codexConfig(in.Supervise)},
		},
		Program: spec.Program{
			Interactive:    []string{"codex", bypass},
			Resume:         []string{"codex", bypass, "resume", "--last", "--include-non-interactive"},
			Headless:       []string{"codex", "exec", bypass, "--skip-git-repo-check", "-"},
			HeadlessResume: []string{"codex", "exec", bypass, "--skip-git-repo-check", "resume", "--last", "-"},
			Transcript:     codexHome + "/sessions",
			Talks:          "*/*/*/rollout-*", // by date
		},
		PromptFile: codexHome + "/AGENTS.md",
		Recipe:     codexRecipe,
		SkillsDir:  spec.Home + "/.agents/skills", // codexHome/skills is its old place
	}
	p.Routes = []egress.Route{
		{Host: "api.openai.com", Port: 443, TLSPassthrough: true, WebSocket: true},
		{Host: "chatgpt.com", Port: 443, TLSPassthrough: true, WebSocket: true},
	}
	if in.Forward {
		p.lend(in)
	}
	return p
}

// lend puts the host's login on the routes and its stand-in into the bottle.
func (p *Provision) lend(in Input) {
	for i := range p.Routes {
		p.Routes[i].Auth = &egress.Auth{Scheme: "Bearer", TokenRef: codexRef}
	}
	answer := in.Answers[codexLogin]
	login, err := readCodexLogin(answer, in.Now)
	if err != nil {
		p.Problems = append(p.Problems, *err)
		return
	}
	p.Values = map[string]string{codexRef: login.access}
	p.Logins = []spec.Login{{From: answer.Path, Expires: login.expires}}
	p.Files = append(p.Files, spec.File{
		Path: codexHome + "/auth.json", Mode: 0o600, Content: login.standIn(), Part: spec.PartLogin,
	})
	p.Program.Verify = [][]string{{"codex", "login", "status"}}
}

// codexConfig is config.toml: home and workspace are trusted, nothing is sent
// that no turn needs, and nothing outlives the program: a daemon would keep the
// environment that it was started with, and a copy of the whole program.
func codexConfig(supervise bool) []byte {
	text := "check_for_update_on_startup = false\n\n[analytics]\nenabled = false\n\n[features]\ndaemon_auto_start = false\n"
	for _, dir := range []string{spec.Home, spec.Workdir} {
		text += fmt.Sprintf("\n[projects.%q]\ntrust_level = \"trusted\"\n", dir)
	}
	if supervise {
		text += fmt.Sprintf("\n[mcp_servers.%s]\nurl = %q\ntool_timeout_sec = 60\n", superviseName, superviseURL)
	}
	return []byte(text)
}
