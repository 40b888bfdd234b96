package plan

import (
	"errors"
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

// acquire takes the lock or refuses with exit 3 when another run has it. A
// failure leaves nothing behind.
func acquire(root string, d disk) (*lock, error) {
	for range 100 {
		l, err := tryAcquire(root, d)
		if err != nil {
			removeIfEmpty(d, filepath.Join(root, stateDir))
			return nil, err
		}
		if l != nil {
			return l, nil
		}
	}
	return nil, &Refusal{Exit: 3, Path: stateDir + "/lock", What: "other lockspire runs keep starting in this module", Next: "run the command again"}
}

// tryAcquire is (nil, nil) when a run that just ended took the name away.
func tryAcquire(root string, d disk) (*lock, error) {
	name := filepath.Join(root, stateDir, "lock")
	if err := d.mkdir(filepath.Dir(name)); err != nil {
		return nil, err
	}
	if err := d.step("lock", name); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ok, err := tryLock(f)
	if err == nil && !ok {
		err = &Refusal{Exit: 3, Path: stateDir + "/lock", What: "another lockspire run is in progress in this module", Next: "wait for it to end and run the command again"}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	held, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if there, err := os.Stat(name); err != nil || !os.SameFile(held, there) {
		return nil, f.Close()
	}
	return &lock{disk: d, root: root, file: f}, nil
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
