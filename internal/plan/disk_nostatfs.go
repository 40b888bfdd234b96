//go:build unix && !(darwin || dragonfly || freebsd || linux)

package plan

// freeBytes is not told the same way on these systems; the message goes without.
func freeBytes(string) (uint64, bool) { return 0, false }
