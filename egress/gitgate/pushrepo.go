package gitgate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// pushPrefix begins the names of the directories of pushes under way.
const pushPrefix = "push-"

// pushConfig is how git receives. What git fsck knows to be harmless in old
// honest history is only told: who changes a branch of such history pushes such
// objects anew. Every push is received as a pack, so that nothing of its size
// becomes files.
const pushConfig = `[core]
	bare = true
	logAllRefUpdates = false
	useReplaceRefs = false
[receive]
	fsckObjects = true
	unpackLimit = 1
	autogc = false
	updateServerInfo = false
	advertiseAtomic = true
	advertisePushOptions = false
	shallowUpdate = false
	denyCurrentBranch = ignore
	denyDeleteCurrent = ignore
	keepAlive = 5
[receive "fsck"]
	zeroPaddedFilemode = warn
	missingSpaceBeforeDate = warn
	missingNameBeforeEmail = warn
	missingSpaceBeforeEmail = warn
	missingEmail = warn
	badEmail = warn
	badName = warn
	badTimezone = warn
	badDate = warn
	zeroPaddedDate = warn
	multipleAuthors = warn
	missingTaggerEntry = warn
[pack]
	threads = 2
	windowMemory = 64m
[transfer]
	advertiseSID = false
[gc]
	auto = 0
[protocol]
	allow = never
`

// newPushRepo makes the repository that receives one push: bare, empty, with
// the objects of a mirror behind it.
func (g *Gate) newPushRepo(mirrorDir, format string) (dir string, err error) {
	if dir, err = os.MkdirTemp(g.o.Dir, pushPrefix); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if dir, err = filepath.EvalSymlinks(dir); err != nil { // as git will name it
		return dir, err
	}
	config := "[core]\n\trepositoryFormatVersion = 0\n"
	if format == "sha256" {
		config = "[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tobjectFormat = sha256\n"
	}
	hooks := filepath.Join(dir, "hooks")
	config += "[core]\n\thooksPath = " + configValue(hooks) + "\n" + pushConfig
	for _, sub := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags", "hooks"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return dir, err
		}
	}
	objects, err := filepath.Abs(filepath.Join(mirrorDir, "objects"))
	if err != nil {
		return dir, err
	}
	for name, content := range map[string]string{
		"HEAD": "ref: refs/heads/none\n", "config": config, "objects/info/alternates": objects + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return dir, err
		}
	}
	return dir, os.Symlink(g.o.Self, filepath.Join(hooks, hookName))
}

// configValue quotes for a git configuration file.
func configValue(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
