// Package dlp finds secrets in what an agent sends: values that the sidecar
// holds, in every spelling that can be undone, and texts that have the form of
// a credential. It implements egress.Inspector.
package dlp
