package manifest

import (
	"encoding/json"
	"strings"
)

// tokenRef is a reference in one string: NAME, "file:PATH", or "command:" with
// the arguments as JSON.
func (f *file) tokenRef(n *node) string {
	if !n.is(isMap) {
		return n.str()
	}
	command := n.get("command")
	argv := []string{}
	for i, arg := range f.filled(command) {
		argv = append(argv, arg.str())
		if i == 0 && strings.Contains(arg.str(), "/") && !strings.HasPrefix(arg.str(), "/") {
			f.fail(arg, "write an absolute path, or a name that PATH finds", "%s is a relative path", arg.path)
		}
	}
	if refresh := n.get("refresh"); refresh != nil {
		f.failKey(refresh, "remove it; bb apply --refresh-tokens runs the command again", "%s is not supported yet: nothing of bb runs between two commands", refresh.path)
	}
	text, err := json.Marshal(argv)
	if err != nil {
		return ""
	}
	return "command:" + string(text)
}
