package plan

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Undo restores the files of the last applied plan if none of them has changed
// since; otherwise the error lists those that have. Like Apply it does all of it
// or nothing. An undone run leaves nothing behind that could be undone again.
func Undo(root string) (Result, error) { return undo(root, disk{}) }

// Undoable is what [Undo] would do, to be shown first. It writes nothing.
func Undoable(root string) (*Plan, error) {
	dir, err := lastRun(root)
	if err != nil {
		return nil, err
	}
	return reversed(root, dir)
}

// lastRun is the directory of the run that Undo takes back.
func lastRun(root string) (string, error) {
	if pending, err := Pending(root); err != nil {
		return "", err
	} else if pending {
		return "", PendingRefusal("lockspire install")
	}
	ids, err := transactions(root, "undo")
	if err != nil {
		return "", fmt.Errorf("look for a run to undo: %w", err)
	}
	if len(ids) == 0 {
		return "", &Refusal{Exit: 1, What: "there is no run to undo in this module", Next: "git log --stat -- " + stateDir}
	}
	return filepath.Join(root, stateDir, "undo", ids[len(ids)-1]), nil
}

func undo(root string, d disk) (Result, error) {
	dir, err := lastRun(root)
	if err != nil {
		return Result{}, err
	}
	l, err := acquire(root, d)
	if err != nil {
		return Result{}, writeFailed(root, err, nil)
	}
	defer l.release()
	if _, err := clearAway(root, d); err != nil {
		return Result{}, err
	}
	p, err := reversed(root, dir)
	if err != nil {
		return Result{}, err
	}
	if err := p.preflight().Err(); err != nil {
		return Result{}, err
	}
	return p.applyLocked(context.Background(), d)
}

// reversed is the plan that takes back the journal in dir.
func reversed(root, dir string) (*Plan, error) {
	j, err := readJournal(root, dir)
	if err != nil {
		return nil, err
	}
	p := &Plan{Root: root, undoes: true}
	var rs Refusals
	for i, e := range j.Entries {
		now, mode, err := ReadHost(root, e.Path)
		if err != nil {
			return nil, err
		}
		if digest(now) != e.New {
			rs = append(rs, &Refusal{Exit: 1, Path: e.Path, What: "has changed since the run that would be undone",
				Next: "git diff -- " + e.Path})
			continue
		}
		c := Change{Path: e.Path, Owner: Host, Why: "as it was before the last run", Before: now, BeforeMode: mode, mode: e.Mode}
		if e.Old != "" {
			c.After, err = os.ReadFile(filepath.Join(dir, "old", fmt.Sprintf("%04d", i)))
			if err == nil && c.After == nil {
				c.After = []byte{}
			}
			if err != nil || digest(c.After) != e.Old {
				rs = append(rs, &Refusal{Exit: 1, Path: e.Path, What: "the copy kept of it is damaged", Next: "git checkout -- " + e.Path})
			}
		}
		p.Changes = append(p.Changes, c)
	}
	return p, rs.Err()
}
