package upgrade

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// Verdict is what an upgrade does with one file.
type Verdict string

const (
	Current  Verdict = "current"  // already as the templates render it
	Updated  Verdict = "updated"  // unedited, rendered differently now: replaced
	Merged   Verdict = "merged"   // edited, and its template changed: both changes are in it
	Conflict Verdict = "conflict" // edited, and its template changed: the changes contradict each other
	Resolved Verdict = "resolved" // edited, and a person put the new template's changes into it
	Restored Verdict = "restored" // deleted by the host, and written again as asked
	Moved    Verdict = "moved"    // not at its place; the host has it elsewhere
	Added    Verdict = "added"    // new in this version
	Kept     Verdict = "kept"     // edited, and its template has not changed: left
	Refused  Verdict = "refused"  // edited, and its template changed too
	Deleted  Verdict = "deleted"  // deleted by the host: stays deleted
	Removed  Verdict = "removed"  // its template is gone and it is unedited
	Orphaned Verdict = "orphaned" // its template is gone and it is edited: the host's from now on
)

// compare decides about every file that either the manifest or the fresh
// render knows:
//
//	on disk                     template        verdict
//	equal to the fresh render   any             Current
//	equal to the last render    changed         Updated
//	edited                      unchanged       Kept
//	edited                      changed         Refused, with both diffs; with Merge, Merged or Conflict
//	deleted                     any             Deleted; Restored on demand; Moved where it is elsewhere
//	not in the manifest         new             Added, or Refused when the path is taken
//	unedited                    gone            Removed
//	edited                      gone            Orphaned
//	host-owned                  any             never touched; a changed template is a Note
//
// "Equal" compares normalized hashes, so a formatter or git is no edit.
func (w *work) compare(fresh Generation) error {
	rendered := map[string]bool{}
	for _, f := range fresh.Files {
		if rendered[f.Path] {
			return fmt.Errorf("upgrade: %s is rendered twice", f.Path)
		}
		rendered[f.Path] = true
		if err := w.decide(f); err != nil {
			return err
		}
	}
	for _, entry := range w.old.Files {
		if !rendered[entry.Path] && entry.Owner == plan.Managed {
			if err := w.retire(entry); err != nil {
				return err
			}
		}
	}
	w.unknownPaths("resolved", w.Resolved, func(path string) bool {
		// A file that holds exactly the new render, or is kept already, is resolved as well.
		return slices.Contains([]Verdict{Resolved, Refused, Current, Kept}, w.verdict(path))
	})
	w.unknownPaths("restore", w.Restore, func(path string) bool { return w.verdict(path) == Restored })
	if err := w.tellHooks(fresh); err != nil {
		return err
	}
	return w.migrations(fresh)
}

func (w *work) verdict(path string) Verdict {
	for _, o := range w.outcomes {
		if o.Path == path {
			return o.Verdict
		}
	}
	return ""
}

func (w *work) decide(f templates.File) error {
	entry := w.old.File(f.Path)
	disk, _, err := plan.ReadHost(w.root, f.Path)
	if err != nil {
		return err
	}
	switch {
	case entry == nil:
		return w.add(f, disk)
	case entry.Owner == plan.Host:
		return w.hostOwned(f, *entry, disk)
	case disk == nil:
		return w.missing(f, *entry)
	}
	now, next := manifest.Normalized(f.Path, disk), manifest.Normalized(f.Path, f.Content)
	switch {
	case now == next && entry.Normalized == next:
		w.outcome(f.Path, Current, "")
	case now == next:
		w.outcome(f.Path, Current, "already as this version renders it")
		return w.adopt(f)
	case now == entry.Normalized:
		w.outcome(f.Path, Updated, f.Why)
		if err := w.change(f.Path, plan.Managed, inStyleOf(disk, f.Content), f.Why); err != nil {
			return err
		}
		return w.adopt(f)
	case entry.Normalized == next:
		w.keep(f, disk)
	default:
		return w.bothChanged(f, *entry, disk)
	}
	return nil
}

// keep leaves an edited file whose template is the same.
func (w *work) keep(f templates.File, disk []byte) {
	if fixedByGo(f.Content, disk) {
		w.outcome(f.Path, Kept, "go fix edited it and its template has not changed")
		return
	}
	w.outcome(f.Path, Kept, "you edited it and its template has not changed")
}

// missing decides about a managed file that is not at its place.
func (w *work) missing(f templates.File, entry manifest.File) error {
	if !w.restores(f.Path) {
		if at := w.elsewhere(f, entry); at != "" {
			w.outcome(f.Path, Moved, "not at its place; it is at "+at)
			w.refusals = append(w.refusals, movedRefusal(f.Path, at))
			return nil
		}
		w.outcome(f.Path, Deleted, "you deleted it; it stays deleted")
		return nil
	}
	w.outcome(f.Path, Restored, f.Why)
	if err := w.change(f.Path, plan.Managed, f.Content, f.Why); err != nil {
		return err
	}
	return w.adopt(f)
}

// restores reports whether a deleted managed file is to be written again.
func (w *work) restores(path string) bool {
	return slices.Contains(w.Restore, "*") || slices.Contains(w.Restore, path)
}

// add plans a file that this version brings. A path that is taken is never
// overwritten.
func (w *work) add(f templates.File, disk []byte) error {
	switch {
	case disk == nil:
		w.outcome(f.Path, Added, f.Why)
		if err := w.change(f.Path, plan.Owner(f.Owner), f.Content, f.Why); err != nil {
			return err
		}
	case manifest.Normalized(f.Path, disk) == manifest.Normalized(f.Path, f.Content):
		w.outcome(f.Path, Current, "was there already; recorded as ours")
	default:
		w.outcome(f.Path, Refused, "a file of yours is where a new one goes")
		w.refusals = append(w.refusals, &plan.Refusal{Exit: 1, Path: f.Path,
			What: "this version brings a new file (" + f.Why + ") and the path is taken by a file of yours",
			Next: "git mv " + f.Path + " " + path.Join(path.Dir(f.Path), "host_"+path.Base(f.Path)) + " && lockspire upgrade"})
		return nil
	}
	return w.adopt(f)
}

// adopt records a fresh render as the last one.
func (w *work) adopt(f templates.File) error {
	w.next.Put(manifest.NewFile(f.Path, plan.Owner(f.Owner), f.Template, f.Content))
	return w.setBase(f.Path, f.Content)
}

// retire handles a managed file whose template is gone.
func (w *work) retire(entry manifest.File) error {
	disk, _, err := plan.ReadHost(w.root, entry.Path)
	if err != nil {
		return err
	}
	switch {
	case disk == nil:
		w.outcome(entry.Path, Deleted, "you deleted it, and this version has it no more")
		w.next.Remove(entry.Path)
	case manifest.Normalized(entry.Path, disk) == entry.Normalized:
		w.outcome(entry.Path, Removed, "this version has it no more")
		w.next.Remove(entry.Path)
		if err := w.change(entry.Path, plan.Managed, nil, "this version has it no more"); err != nil {
			return err
		}
	default:
		w.outcome(entry.Path, Orphaned, "this version has it no more; you edited it, so it is yours from now on")
		entry.Owner = plan.Host
		w.next.Put(entry)
	}
	return w.change(manifest.BasePath(entry.Path), plan.Managed, nil, "base copy of a file that is no longer managed")
}

// migrations adds the schema versions that the host does not have yet. What
// was generated before is never written again, not even when it is gone.
func (w *work) migrations(fresh Generation) error {
	if err := w.twiceMigrated(); err != nil {
		return err
	}
	type version struct {
		number int
		engine string
	}
	known := map[version]bool{}
	for _, m := range w.old.Migrations {
		known[version{m.Version, m.Engine}] = true
	}
	for _, m := range fresh.Migrations {
		engine := cmp.Or(m.Engine, fresh.Engine)
		if known[version{m.Version, engine}] {
			continue
		}
		disk, _, err := plan.ReadHost(w.root, m.Path)
		if err != nil {
			return err
		}
		switch {
		case disk == nil:
			w.outcome(m.Path, Added, m.Why)
			if err := w.change(m.Path, plan.Managed, m.Content, m.Why); err != nil {
				return err
			}
		case manifest.Normalized(m.Path, disk) == manifest.Normalized(m.Path, m.Content):
			w.outcome(m.Path, Current, "was there already; recorded as ours")
		default:
			w.outcome(m.Path, Refused, "another migration is where a new one goes")
			w.blockers = append(w.blockers, &plan.Refusal{Exit: 1, Path: m.Path,
				What: "another migration has the name of the next one", Next: "rename it if it was not applied anywhere yet, then: lockspire upgrade"})
			continue
		}
		w.next.Migrations = append(w.next.Migrations, manifest.NewMigration(m.Version, engine, m.Path, m.Content))
	}
	return nil
}

// twiceMigrated refuses a schema version that two branches brought in under
// numbers of their own: the second would fail, wherever the first was applied.
func (w *work) twiceMigrated() error {
	first := map[string]string{}
	for _, m := range w.old.Migrations {
		disk, _, err := plan.ReadHost(w.root, m.Path)
		if err != nil {
			return err
		}
		if disk == nil {
			continue
		}
		key := fmt.Sprint(m.Version, m.Engine, path.Dir(m.Path), strings.TrimLeft(path.Base(m.Path), "0123456789"))
		if other := first[key]; other != "" {
			w.blockers = append(w.blockers, &plan.Refusal{Exit: 1, Path: m.Path,
				What: fmt.Sprintf("brings schema version %d, and %s does so already: two branches each got one", m.Version, other),
				Next: "git rm " + m.Path + "    # the one that was applied nowhere; then lockspire upgrade --repair-manifest"})
			continue
		}
		first[key] = m.Path
	}
	return nil
}

func (w *work) outcome(path string, v Verdict, why string) {
	w.outcomes = append(w.outcomes, Outcome{Path: path, Verdict: v, Why: why})
}

func diff(path string, before, after []byte) string {
	c := plan.Change{Path: path, Before: before, After: after}
	return c.Diff()
}

// inStyleOf gives content the line endings and the byte order mark of old, so
// that replacing a file changes no line that did not change.
func inStyleOf(old, content []byte) []byte {
	bom := []byte("\ufeff")
	content = bytes.ReplaceAll(bytes.TrimPrefix(content, bom), []byte("\r\n"), []byte("\n"))
	if crlf := bytes.Count(old, []byte("\r\n")); crlf > 0 && 2*crlf >= bytes.Count(old, []byte("\n")) {
		content = bytes.ReplaceAll(content, []byte("\n"), []byte("\r\n"))
	}
	if bytes.HasPrefix(old, bom) {
		content = append(bom, content...)
	}
	return content
}
