package upgrade

import (
	"bytes"
	"slices"

	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// hostOwned only speaks: the seam is the host's. Its recorded hash moves on, so
// that each change of a template is told once.
func (w *work) hostOwned(f templates.File, entry manifest.File, disk []byte) error {
	if disk == nil && slices.Contains(w.Restore, f.Path) {
		w.outcome(f.Path, Restored, f.Why)
		if err := w.change(f.Path, plan.Host, f.Content, f.Why); err != nil {
			return err
		}
		return w.renew(f)
	}
	if entry.Normalized == manifest.Normalized(f.Path, f.Content) {
		return nil
	}
	note := Note{Path: f.Path, Text: "the template of this file of yours changed; your file is left as it is"}
	base, err := w.base(entry)
	if err != nil {
		return err
	}
	if base != nil {
		note.Diff = diff(f.Path, base, inStyleOf(base, f.Content))
	}
	w.notes = append(w.notes, note)
	return w.renew(f)
}

// renew records a fresh render of a host-owned file.
func (w *work) renew(f templates.File) error {
	w.next.Put(manifest.NewFile(f.Path, plan.Host, f.Template, f.Content))
	return w.setBase(f.Path, f.Content)
}

// tellHooks notes what this version offers and the last one did not: the name is
// in the fresh render of its template, and not in the last one. A host whose base
// copy is missing is told nothing, rather than everything again each time.
func (w *work) tellHooks(fresh Generation) error {
	for _, f := range fresh.Files {
		entry := w.old.File(f.Path)
		if entry == nil || entry.Normalized == manifest.Normalized(f.Path, f.Content) {
			continue
		}
		base, err := w.base(*entry)
		if err != nil {
			return err
		}
		for _, hook := range fresh.Hooks {
			word := []byte(hook.Name)
			if base != nil && hook.Template == f.Template && bytes.Contains(f.Content, word) && !bytes.Contains(base, word) {
				w.notes = append(w.notes, Note{Path: f.Path, Text: "new: " + hook.Name, Hook: hook.Text})
			}
		}
	}
	return nil
}
