package provider

import (
	_ "embed"

	"github.com/bot-bottle/bb/engine/spec"
)

//go:embed shell.Dockerfile
var shellRecipe string

// shell is a plain user land: no model, no token, no route.
var shell = Template{Name: "shell", Make: func(Input) Provision {
	return Provision{
		Recipe:     shellRecipe,
		Program:    spec.Program{Interactive: []string{"bash", "-l"}, Resume: []string{"bash", "-l"}, Headless: []string{"bash", "-s"}},
		PromptFile: spec.PromptFile,
		SkillsDir:  spec.Home + "/.skills",
	}
}}
