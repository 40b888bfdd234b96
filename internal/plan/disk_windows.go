package plan

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// removableWhileOpen says that a name can be removed while a file is open under it.
const removableWhileOpen = false

// tryLock takes an exclusive lock on f, which ends with the process. It reports
// false when another process holds it.
func tryLock(f *os.File) (bool, error) {
	err := windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}

// isDiskFull reports that a write failed for want of space or quota.
func isDiskFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

// freeBytes is the space an ordinary user has left where dir lives.
func freeBytes(dir string) (uint64, bool) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, false
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(name, &free, nil, nil)
	return free, err == nil
}

// dirWritable cannot be told from an attribute here; the first write tells, and
// that comes before the commit point.
func dirWritable(string) bool { return true }

// sameFilesystem cannot be told from file info here; the first link falls back
// to a copy, and a volume mounted inside a module is not worth more code.
func sameFilesystem(fs.FileInfo, fs.FileInfo) bool { return true }

func keepOwner(string, fs.FileInfo) {}
