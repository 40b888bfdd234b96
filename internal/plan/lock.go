package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// lock is the right to write below root. The system takes it back when the
// process dies, so a crash never leaves a lock that a person must remove.
type lock struct {
	disk
	root string
	file *os.File
}

// acquire takes the lock or refuses with exit 3 when another run has it.
func acquire(root string, d disk) (*lock, error) {
	name := filepath.Join(root, stateDir, "lock")
	for range 100 {
		if err := d.mkdir(filepath.Dir(name)); err != nil {
			return nil, fmt.Errorf("lock the module: %w", err)
		}
		if err := d.step("lock", name); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another run ended and took the directory with it
		}
		if err != nil {
			return nil, fmt.Errorf("lock the module: %w", err)
		}
		ok, err := tryLock(f)
		if err != nil || !ok {
			_ = f.Close()
			if err != nil {
				return nil, fmt.Errorf("lock the module: %w", err)
			}
			return nil, &Refusal{Exit: 3, Path: stateDir + "/lock", What: "another lockspire run is in progress in this module", Next: "wait for it to end and run the command again"}
		}
		if held, err1 := f.Stat(); err1 == nil {
			if there, err2 := os.Stat(name); err2 == nil && os.SameFile(held, there) {
				return &lock{disk: d, root: root, file: f}, nil
			}
		}
		_ = f.Close() // the run before removed this name after we had opened it
	}
	return nil, &Refusal{Exit: 3, Path: stateDir + "/lock", What: "other lockspire runs keep starting in this module", Next: "run the command again"}
}

// release gives the lock back and leaves no trace of it.
func (l *lock) release() {
	name := l.file.Name()
	if !removableWhileOpen {
		_ = l.file.Close()
	}
	// While we hold it nobody else can mistake the name for theirs.
	_ = l.remove(name)
	_ = l.file.Close()
	removeIfEmpty(l.disk, filepath.Join(l.root, stateDir))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
