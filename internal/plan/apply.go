package plan

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
)

// Result says what Apply, Recover or Undo did.
type Result struct {
	// Created, Updated and Deleted are module-relative paths, sorted.
	Created, Updated, Deleted []string
	// Recovered says that an interrupted run was finished.
	Recovered bool
	// Notes are sentences for the user, such as where a late edit was kept.
	Notes []string
}

// Apply writes the whole plan or nothing. Until the commit point any failure, a
// cancelled ctx and an interrupt leave the tree as it was; after it Apply goes
// through to the end whatever happens, and if the process dies, [Recover] does.
// The replaced files stay in .lockspire/undo until the next run.
func (p *Plan) Apply(ctx context.Context) (Result, error) { return p.apply(ctx, disk{}) }

func (p *Plan) apply(ctx context.Context, d disk) (Result, error) {
	if len(p.Modules) > 0 && !p.resolved {
		return Result{}, errors.New("apply a plan with modules before Resolve")
	}
	if len(p.ordered()) == 0 {
		return Result{}, nil
	}
	// Without this an interrupt would kill the process between two renames.
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()

	if err := p.preflight().Err(); err != nil {
		return Result{}, err
	}
	l, err := acquire(p.Root, d)
	if err != nil {
		return Result{}, writeFailed(p.Root, err, p.ordered())
	}
	defer l.release()
	if pending, err := Pending(p.Root); err != nil {
		return Result{}, err
	} else if pending {
		return Result{}, PendingRefusal("lockspire install")
	}
	if _, err := clearAway(p.Root, d); err != nil {
		return Result{}, err
	}
	return p.applyLocked(ctx, d)
}

// applyLocked is Apply with the lock held and no earlier run in the way.
func (p *Plan) applyLocked(ctx context.Context, d disk) (Result, error) {
	changes := p.ordered()
	t := txn{disk: d, root: p.Root, id: rand.Text()[:12]}
	if err := t.stage(ctx, changes, p.undoes); err != nil {
		return Result{}, errors.Join(writeFailed(p.Root, err, changes), t.discard())
	}
	if err := t.commit(); err != nil && !t.committed() {
		return Result{}, errors.Join(writeFailed(p.Root, err, changes), t.discard())
	}
	return t.forward()
}

// stage puts everything that needs space on disk: directories, new bytes, second
// names for old ones, and the journal under a name that does not count yet.
func (t txn) stage(ctx context.Context, changes []Change, undoes bool) error {
	txns := filepath.Join(t.root, stateDir, "txn")
	for _, dir := range []string{txns, t.dir(), filepath.Join(t.dir(), "new"), filepath.Join(t.dir(), "old"), filepath.Join(t.dir(), "gone")} {
		if err := t.mkdir(dir); err != nil {
			return err
		}
	}
	if err := t.makeDirs(changes); err != nil {
		return err
	}
	j := journal{Layout: 1, Undo: undoes}
	for i := range changes {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("interrupted before anything was written: %w", err)
		}
		e, err := t.stageFile(i, &changes[i])
		if err != nil {
			return err
		}
		j.Entries = append(j.Entries, e)
	}
	data, err := json.MarshalIndent(j, "", "\t")
	if err != nil {
		return err
	}
	if err := t.write(filepath.Join(t.dir(), journalFile+".tmp"), data, 0); err != nil {
		return err
	}
	for _, dir := range []string{filepath.Join(t.dir(), "new"), filepath.Join(t.dir(), "old"), txns, filepath.Dir(txns), t.root} {
		if err := t.syncDir(dir); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// stageFile stages change i. It reads the old file once more: a file that an
// editor saved since the plan was made stops the run.
func (t txn) stageFile(i int, c *Change) (entry, error) {
	target := t.target(c.Path)
	now, err := digestFile(target)
	if err != nil {
		return entry{}, err
	}
	e := entry{Path: c.Path, Old: digest(c.Before), New: digest(c.After)}
	if now != e.Old {
		return entry{}, staleRefusal(c.Path)
	}
	mode := c.mode
	if c.Before != nil {
		e.Mode = c.BeforeMode.Perm()
		mode = e.Mode
		if err := t.keep(target, t.file("old", i)); err != nil {
			return entry{}, err
		}
	}
	if c.After == nil {
		return e, nil
	}
	if err := t.write(t.file("new", i), c.After, mode); err != nil {
		return entry{}, err
	}
	if info, err := os.Stat(target); err == nil {
		keepOwner(t.file("new", i), info)
	}
	return e, t.checkFilesystem(i, c.Path)
}

// checkFilesystem refuses a target that a rename cannot reach, such as a vendor
// directory that is a mount of its own.
func (t txn) checkFilesystem(i int, path string) error {
	staged, err := os.Stat(t.file("new", i))
	if err != nil {
		return err
	}
	dir, err := os.Stat(filepath.Dir(t.target(path)))
	if err != nil {
		return err
	}
	if !sameFilesystem(staged, dir) {
		return &Refusal{Exit: 3, Path: path, What: "lies on another file system than " + stateDir + ", so it cannot be replaced in one step",
			Next: "run lockspire where the whole module is on one file system"}
	}
	return nil
}

// makeDirs makes the directories that new files need. Their list is on disk
// first, so that whoever clears away a dead run knows which were not there.
func (t txn) makeDirs(changes []Change) error {
	var dirs []string
	for _, c := range changes {
		if c.After == nil {
			continue
		}
		for dir := filepath.Dir(t.target(c.Path)); !exists(dir) && !slices.Contains(dirs, dir); dir = filepath.Dir(dir) {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) == 0 {
		return nil
	}
	slices.Sort(dirs) // a parent sorts before what is in it
	names := make([]string, len(dirs))
	for i, dir := range dirs {
		rel, err := filepath.Rel(t.root, dir)
		if err != nil {
			return err
		}
		names[i] = filepath.ToSlash(rel)
	}
	data, err := json.Marshal(names)
	if err != nil {
		return err
	}
	if err := t.write(filepath.Join(t.dir(), dirsFile), data, 0); err != nil {
		return err
	}
	if err := t.syncDir(t.dir()); err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := t.mkdir(dir); err != nil {
			return err
		}
		if err := t.syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

// commit is one rename. Everything before it can be taken back, nothing after it.
func (t txn) commit() error {
	name := filepath.Join(t.dir(), journalFile)
	if err := t.rename(name+".tmp", name); err != nil {
		return err
	}
	return t.syncDir(t.dir())
}

// writeFailed turns a failure before the commit point into the refusal a person
// can act on.
func writeFailed(root string, err error, changes []Change) error {
	if _, ok := AsRefusals(err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &Refusal{Exit: 3, What: "interrupted before the commit point; nothing was written"}
	}
	if isDiskFull(err) {
		const block = 4096 // what a short file takes on most file systems
		var need uint64
		for _, c := range changes {
			need += (uint64(len(c.After)) + block - 1) / block * block
		}
		what := fmt.Sprintf("no space left on the device: the plan needs about %d bytes", need)
		if free, ok := freeBytes(root); ok {
			what += fmt.Sprintf(" and %d are free", free)
		}
		return &Refusal{Exit: 3, What: what + "; nothing was written", Next: "df -h ."}
	}
	var pe *os.PathError
	if errors.As(err, &pe) {
		// The path inside is absolute and names a temporary file; the cause is what helps.
		err = fmt.Errorf("%s: %w", pe.Op, pe.Err)
	}
	return &Refusal{Exit: 3, What: fmt.Sprintf("the new files could not be staged below %s (%v); nothing was written", stateDir, err)}
}
