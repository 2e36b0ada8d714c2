package fakesmol

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// agentUID is the user whose processes bb bounds.
const agentUID = "1000"

// othersRoom is more than other tests begin at once, fork bombs among them.
const othersRoom = 8192

// ownKernel stands for the kernel that a machine has of its own: that one counts
// a user's processes in the machine alone, and this one all that there are. So a
// limit that bb's supervisor is told is raised by those of others, and by room for
// those that they begin later.
func ownKernel(argv []string, b *box, room int) []string {
	at := slices.Index(argv, "--processes") + 1
	if end := slices.Index(argv, "session"); at == 0 || end < 0 || at >= len(argv) {
		return argv
	}
	limit, err := strconv.Atoi(argv[at])
	if err != nil {
		return argv
	}
	argv = slices.Clone(argv)
	argv[at] = strconv.Itoa(limit + othersOf(b.pid) + room)
	return argv
}

// othersOf counts the threads of the agent's user outside of a box.
func othersOf(pid int) (n int) {
	inside, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		if ns, _ := os.Readlink(dir + "/ns/pid"); ns == inside {
			continue
		}
		b, _ := os.ReadFile(dir + "/status") // may have ended
		user, threads := "", 0
		for line := range strings.Lines(string(b)) {
			switch f := strings.Fields(line); {
			case len(f) > 1 && f[0] == "Uid:":
				user = f[1]
			case len(f) > 1 && f[0] == "Threads:":
				threads, _ = strconv.Atoi(f[1])
			}
		}
		if user == agentUID {
			n += threads
		}
	}
	return n
}
