package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ConflictsDir holds what a merge could not settle. Git ignores it, and no build
// reads below a directory whose name begins with a dot.
const ConflictsDir = stateDir + "/conflicts"

// KeepConflicts makes files, by names below [ConflictsDir], the whole content of
// that directory; none removes it. It is no part of a plan: nothing of the host
// changes by it, so there is nothing to undo, and the last run stays undoable.
func KeepConflicts(root string, files map[string][]byte) error {
	dir := filepath.Join(root, filepath.FromSlash(ConflictsDir))
	if len(files) == 0 && !exists(dir) {
		return nil
	}
	for _, name := range []string{filepath.Dir(dir), dir} {
		info, err := os.Lstat(name)
		if err == nil && !info.IsDir() {
			return &Refusal{Exit: 1, Path: ConflictsDir, What: "is not a directory of this module, so that nothing is written below it", Next: "ls -ld " + stateDir + " " + ConflictsDir}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look at %s: %w", ConflictsDir, err)
		}
	}
	l, err := acquire(root, disk{})
	if err != nil {
		return writeFailed(root, err, nil)
	}
	defer l.release()
	if err := os.RemoveAll(dir); err != nil {
		return writeFailed(root, err, nil)
	}
	for _, name := range sortedKeys(files) {
		if why := badPath(name); why != "" {
			return &Refusal{Exit: 1, Path: name, What: "this path " + why}
		}
		if err := replaceFile(filepath.Join(dir, filepath.FromSlash(name)), files[name]); err != nil {
			return writeFailed(root, err, nil)
		}
	}
	return nil
}
