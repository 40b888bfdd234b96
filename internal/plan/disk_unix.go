//go:build unix

package plan

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// removableWhileOpen says that a name can be removed while a file is open under it.
const removableWhileOpen = true

// tryLock takes an exclusive lock on f, which ends with the process. It reports
// false when another process holds it.
func tryLock(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// isDiskFull reports that a write failed for want of space or quota.
func isDiskFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// dirWritable asks the system, not only the mode bits, whether names can be
// made in dir.
func dirWritable(dir string) bool {
	return unix.Access(dir, unix.W_OK|unix.X_OK) == nil
}

// sameFilesystem reports whether a file can be renamed from one directory into
// the other.
func sameFilesystem(a, b fs.FileInfo) bool {
	sa, ok := a.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	sb, ok := b.Sys().(*syscall.Stat_t)
	return !ok || sa.Dev == sb.Dev
}

// keepOwner gives name the owner of the file it will replace, as far as the
// process may: a container's root must not take over a developer's files.
func keepOwner(name string, old fs.FileInfo) {
	if st, ok := old.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		// Losing the owner is not worth failing for; the content is what counts.
		_ = os.Lchown(name, int(st.Uid), int(st.Gid))
	}
}
