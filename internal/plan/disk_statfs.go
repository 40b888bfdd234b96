//go:build darwin || dragonfly || freebsd || linux

package plan

import "golang.org/x/sys/unix"

// freeBytes is the space an ordinary user has left where dir lives.
func freeBytes(dir string) (uint64, bool) {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 0, false
	}
	return uint64(st.Bavail) * uint64(st.Bsize), true
}
