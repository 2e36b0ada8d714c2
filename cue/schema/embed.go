// Package schema holds the language of manifests as CUE definitions.
package schema

import (
	"embed"
	"fmt"
	"io/fs"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/parser"
)

// FilePrefix begins the name of every schema file in a CUE position, so that
// "ours or the user's" is a test of the name.
const FilePrefix = "bb:"

//go:embed *.cue
var files embed.FS

// NewContext is the only place that makes a CUE context. The empty CUE_DEBUG
// matters: "opendef" in the user's environment would switch off the check for
// unknown keys in every context made without it.
func NewContext() *cue.Context {
	return cuecontext.New(cuecontext.CUE_DEBUG(""))
}

// Build compiles the schema. It uses neither a loader nor the disk.
func Build(ctx *cue.Context) (cue.Value, error) { return compile(ctx, files) }

func compile(ctx *cue.Context, files fs.FS, mode ...parser.Option) (cue.Value, error) {
	names, err := fs.Glob(files, "*.cue")
	if err != nil {
		return cue.Value{}, err
	}
	inst := build.NewContext().NewInstance("", nil)
	for _, name := range names {
		src, err := fs.ReadFile(files, name)
		if err != nil {
			return cue.Value{}, err
		}
		file, err := parser.ParseFile(FilePrefix+name, src, mode...)
		if err != nil {
			return cue.Value{}, fmt.Errorf("parse schema: %w", err)
		}
		if err := inst.AddSyntax(file); err != nil {
			return cue.Value{}, fmt.Errorf("schema: %w", err)
		}
	}
	if err := inst.Complete(); err != nil {
		return cue.Value{}, fmt.Errorf("schema: %w", err)
	}
	v := ctx.BuildInstance(inst)
	// An unused import makes the whole schema an error that lookups hide.
	if err := v.Validate(); err != nil {
		return cue.Value{}, fmt.Errorf("schema: %w", err)
	}
	return v, nil
}
