package gitgate

// nowhere is what HEAD names when the upstream has no default branch.
const nowhere = "refs/none/none"

// limits hold git's memory and threads down, several of it at a time: half a
// GiB and 256 processes and threads are all that a sidecar has.
const limits = `[core]
	packedGitLimit = 64m
	packedGitWindowSize = 8m
	deltaBaseCacheLimit = 16m
	bigFileThreshold = 16m
	preferSymlinkRefs = false
	fsmonitor = false
	logAllRefUpdates = false
[pack]
	threads = 1
	windowMemory = 24m
	deltaCacheSize = 16m
	packSizeLimit = 0
[index]
	threads = 1
[gc]
	auto = 0
[maintenance]
	auto = false
`

// mirrorConfig is the whole configuration of a mirror. Nothing includes another
// file, runs a program, or lets a mirror be written to but by a fetch.
func mirrorConfig(format string) string {
	version, extensions := "0", ""
	if format != formatSHA1 {
		version, extensions = "1", "[extensions]\n\tobjectFormat = "+format+"\n"
	}
	return "[core]\n\trepositoryFormatVersion = " + version + "\n\tbare = true\n\thooksPath = /dev/null\n" +
		extensions + limits + `[protocol]
	version = 2
	allow = never
[protocol "ssh"]
	allow = always
[protocol "https"]
	allow = always
[fetch]
	parallel = 1
	recurseSubmodules = false
	writeCommitGraph = false
[transfer]
	bundleURI = false
	advertiseSID = false
[uploadpack]
	allowFilter = true
	allowAnySHA1InWant = true
[lsrefs]
	unborn = ignore
[receive]
	advertisePushOptions = false
	advertiseAtomic = true
	autogc = false
[repack]
	writeBitmaps = true
[gc]
	autoDetach = false
	autoPackLimit = 20
	bigPackThreshold = 256m
	pruneExpire = 1.day.ago
	writeCommitGraph = true
`
}
