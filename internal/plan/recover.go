package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Recover finishes an interrupted Apply, or clears away one that never reached
// its commit point. Result.Recovered is false when there was nothing to finish.
// A tree without leftovers is not touched at all.
func Recover(root string) (Result, error) { return recoverAll(root, disk{}) }

func recoverAll(root string, d disk) (Result, error) {
	if !exists(filepath.Join(root, stateDir, "txn")) && !exists(filepath.Join(root, stateDir, "lock")) {
		removeIfEmpty(d, filepath.Join(root, stateDir)) // killed before it had the lock
		return Result{}, nil
	}
	l, err := acquire(root, d)
	if err != nil {
		return Result{}, writeFailed(root, err, nil)
	}
	defer l.release()
	return clearAway(root, d)
}

// clearAway deals with every transaction that is there: a committed one is
// rolled forward, any other is taken back.
func clearAway(root string, d disk) (Result, error) {
	var res Result
	ids, err := transactions(root, "txn")
	if err != nil {
		return res, fmt.Errorf("look for an interrupted run: %w", err)
	}
	for _, id := range ids {
		t := txn{disk: d, root: root, id: id}
		if !t.committed() {
			if err := t.discard(); err != nil {
				return res, fmt.Errorf("clear away an interrupted run: %w", err)
			}
			continue
		}
		done, err := t.forward()
		if err != nil {
			return res, err
		}
		done.Recovered = true
		res = done
	}
	removeIfEmpty(d, filepath.Join(root, stateDir, "txn"))
	return res, nil
}

// forward does what the journal says. Apply and Recover both end here, and it
// may start any number of times: a staged file that is gone has been moved.
func (t txn) forward() (Result, error) {
	var res Result
	j, err := readJournal(t.root, t.dir())
	if err != nil {
		return res, err
	}
	unfinished := func(err error) (Result, error) {
		return res, &Refusal{Exit: 3, Path: stateDir + "/txn/" + t.id,
			What: fmt.Sprintf("the plan is committed but not all in place: %v", err),
			Next: "lockspire install   # finishes it once the cause is gone"}
	}
	dirs := map[string]bool{}
	for i, e := range j.Entries {
		if err := t.place(i, e, &res); err != nil {
			return unfinished(err)
		}
		dirs[filepath.Dir(t.target(e.Path))] = true
		res.count(e)
	}
	for _, dir := range sortedKeys(dirs) {
		if !exists(dir) {
			continue
		}
		if err := t.syncDir(dir); err != nil {
			return unfinished(err)
		}
	}
	t.removeEmptied(j)
	if err := t.retire(j.Undo); err != nil {
		return unfinished(err)
	}
	res.sort()
	return res, nil
}

// place moves one file into its place, or a deleted one out of it.
func (t txn) place(i int, e entry, res *Result) error {
	target := t.target(e.Path)
	if e.New != "" && !exists(t.file("new", i)) || e.New == "" && exists(t.file("gone", i)) {
		return nil // an earlier attempt did it
	}
	now, err := digestFile(target)
	if err != nil {
		return err
	}
	if now != "" && now != e.Old && now != e.New {
		if err := t.setLate(i, e, res); err != nil {
			return err
		}
		now = ""
	}
	if e.New == "" {
		if now == "" {
			return nil
		}
		return t.rename(target, t.file("gone", i))
	}
	err = t.rename(t.file("new", i), target)
	if errors.Is(err, fs.ErrNotExist) { // somebody removed the directory meanwhile
		if err := os.MkdirAll(filepath.Dir(target), 0o777); err != nil {
			return err
		}
		err = t.rename(t.file("new", i), target)
	}
	return err
}

// setLate moves aside what somebody wrote into a file between the commit point
// and now. Finishing is the promise, but no line of theirs may be lost.
func (t txn) setLate(i int, e entry, res *Result) error {
	dir := filepath.Join(t.dir(), "late")
	if err := t.mkdir(dir); err != nil {
		return err
	}
	name := fmt.Sprintf("%04d-%s", i, filepath.Base(e.Path))
	for exists(filepath.Join(dir, name)) {
		name += "~"
	}
	if err := t.rename(t.target(e.Path), filepath.Join(dir, name)); err != nil {
		return err
	}
	res.Notes = append(res.Notes, fmt.Sprintf("%s was edited while the plan was being written; that version is kept as %s/undo/%s/late/%s", e.Path, stateDir, t.id, name))
	return nil
}

// removeEmptied removes directories that deletions have left empty. Git does
// not keep them either, so a failure here is not worth a word.
func (t txn) removeEmptied(j journal) {
	for _, e := range j.Entries {
		if e.New != "" {
			continue
		}
		for dir := filepath.Dir(t.target(e.Path)); dir != t.root && len(dir) > len(t.root); dir = filepath.Dir(dir) {
			if !removeIfEmpty(t.disk, dir) && exists(dir) {
				break
			}
		}
	}
}

// retire makes the finished transaction the one that Undo restores, or removes
// it when it was itself an undo.
func (t txn) retire(undone bool) error {
	undo := filepath.Join(t.root, stateDir, "undo")
	earlier, err := transactions(t.root, "undo")
	if err != nil {
		return err
	}
	for _, id := range earlier {
		// The journal goes first: without it the rest is no longer an offer to undo.
		dir := filepath.Join(undo, id)
		if err := t.removeTree(dir, filepath.Join(dir, journalFile)); err != nil {
			return err
		}
	}
	if undone {
		removeIfEmpty(t.disk, undo)
		return t.discard()
	}
	if err := t.mkdir(undo); err != nil {
		return err
	}
	if err := t.rename(t.dir(), filepath.Join(undo, t.id)); err != nil {
		return err
	}
	if err := t.syncDir(undo); err != nil {
		return err
	}
	removeIfEmpty(t.disk, filepath.Join(t.root, stateDir, "txn"))
	return nil
}

// discard takes back a transaction that was never committed, and clears away
// what is left of a finished one.
func (t txn) discard() error {
	if err := t.remove(filepath.Join(t.dir(), journalFile)); err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(t.dir(), dirsFile))
	var made []string
	// A list cut short by the kill means that no directory was made yet.
	if err == nil && json.Unmarshal(data, &made) == nil {
		slices.Reverse(made)
		for _, dir := range made {
			if badPath(dir+"/x") == "" {
				removeIfEmpty(t.disk, t.target(dir))
			}
		}
	}
	if err := t.removeTree(t.dir(), ""); err != nil {
		return err
	}
	removeIfEmpty(t.disk, filepath.Join(t.root, stateDir, "txn"))
	return nil
}

// removeIfEmpty removes dir if nothing is in it and reports whether it did.
func removeIfEmpty(d disk, dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0 && d.remove(dir) == nil
}

func (r *Result) count(e entry) {
	switch {
	case e.New == "":
		r.Deleted = append(r.Deleted, e.Path)
	case e.Old == "":
		r.Created = append(r.Created, e.Path)
	default:
		r.Updated = append(r.Updated, e.Path)
	}
}

func (r *Result) sort() {
	slices.Sort(r.Created)
	slices.Sort(r.Updated)
	slices.Sort(r.Deleted)
}
