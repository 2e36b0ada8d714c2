package manifest

import (
	"slices"

	"github.com/bot-bottle/bb/engine/provider"
)

// customs are the providers of the home directory. A nil one has none.
type customs struct {
	files   map[string]*file
	made    map[string]*provider.Custom
	ignored []string // what only the repository ships
}

// readCustom reads and judges a provider.
func (f *file) readCustom(j *judge) {
	if f.read(); f.root == nil {
		return
	}
	j.check(f)
	f.custom = f.decodeCustom()
}

func newCustoms(files []*file, ignored []string) *customs {
	c := &customs{files: map[string]*file{}, made: map[string]*provider.Custom{}, ignored: ignored}
	for _, f := range files {
		if _, builtin := provider.Builtin(f.name); f.kind != providerKind || builtin {
			continue
		}
		c.files[f.name] = f
		if !f.broken() {
			c.made[f.name] = f.custom
		}
	}
	return c
}

// file is the one that declares a provider, broken or not.
func (c *customs) file(name string) *file {
	if c == nil {
		return nil
	}
	return c.files[name]
}

func (c *customs) names() []string {
	var names []string
	if c != nil {
		for name := range c.files {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (c *customs) ignores(name string) bool { return c != nil && slices.Contains(c.ignored, name) }
