package verify

import (
	"context"
	"fmt"
	"slices"

	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
)

// Edit is one piece of a fix that is safe to make unseen: it changes nothing that the program does, or brings back what
// was there. Wiring is never fixed this way, since it decides what the host serves to the world: `lockspire install`
// shows it first. An edited managed file is not either: the edit is somebody's work.
type Edit struct {
	Path       string // module-relative, with slashes
	Start, End int    // byte offsets of what is replaced
	Old, New   string // Old is what stands there; the edit is off when it no longer does
	Create     bool   // the file is not there, and New is all of it
}

// Fixes are the safe fixes of a report as one plan.
type Fixes struct {
	Plan    *plan.Plan
	Fixed   []Finding
	Dropped []Dropped

	environ  []string
	baseline *plan.Baseline
}

// Dropped is a finding whose fix is not made, none of its edits.
type Dropped struct {
	Finding
	Why string
}

// Fixes collects the safe fixes of the findings that are open. A fix that touches what an earlier one changes is dropped
// whole: half a fix is none, and both together are a text that nobody has looked at. It writes nothing.
func (r Report) Fixes() (*Fixes, error) {
	out := &Fixes{Plan: &plan.Plan{Root: r.root}, environ: r.environ, baseline: r.baseline}
	contents := map[string][]byte{}
	edits := map[string][]Edit{}
	for _, f := range r.Findings {
		if len(f.Edits) == 0 || !f.Open() {
			continue
		}
		for _, e := range f.Edits {
			if _, read := contents[e.Path]; read {
				continue
			}
			data, _, err := plan.ReadHost(r.root, e.Path)
			if err != nil {
				return nil, err
			}
			contents[e.Path] = data
		}
		if why := out.obstacle(f.Edits, contents); why != "" {
			out.Dropped = append(out.Dropped, Dropped{f, why})
			continue
		}
		for _, e := range f.Edits {
			edits[e.Path] = append(edits[e.Path], e)
		}
		out.Fixed = append(out.Fixed, f)
	}
	return out, out.fill(edits, contents)
}

// obstacle says why edits cannot be made beside those that are taken already, "" when they can.
func (x *Fixes) obstacle(edits []Edit, contents map[string][]byte) string {
	for _, e := range edits {
		if !e.fits(contents[e.Path]) {
			return e.Path + " is not as it was when it was read"
		}
		for _, f := range x.Fixed {
			if slices.ContainsFunc(f.Edits, func(earlier Edit) bool { return e.overlaps(earlier) }) {
				return fmt.Sprintf("the fix of %s at %s changes the same place; run --fix again after it", f.Rule, place(f.Position))
			}
		}
	}
	return ""
}

// Apply proves that the host compiles as well as before with the fixes, and makes all of them or, with an error, none.
func (x *Fixes) Apply(ctx context.Context, env plan.Env) (plan.Result, error) {
	env.Environ, env.Baseline = x.environ, x.baseline
	if err := x.Plan.Check(ctx, env); err != nil {
		return plan.Result{}, err
	}
	return x.Plan.Apply(ctx)
}

// fill makes the edits into the plan's changes.
func (x *Fixes) fill(edits map[string][]Edit, contents map[string][]byte) error {
	paths := make([]string, 0, len(edits))
	for path := range edits {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		list := edits[path]
		slices.SortFunc(list, func(a, b Edit) int { return b.Start - a.Start }) // from the end, so that offsets stay true
		data, owner, why := contents[path], plan.Host, "fixed by lockspire verify --fix"
		for _, e := range list {
			if e.Create {
				owner, why = plan.Managed, "as it was last generated"
			}
			data = slices.Concat(data[:e.Start], []byte(e.New), data[e.End:])
		}
		change, err := x.Plan.File(path, owner, data, why)
		if err != nil {
			return err
		}
		change.Insert = owner == plan.Host
		x.Plan.Add(change)
	}
	return nil
}

func (e Edit) fits(data []byte) bool {
	if e.Create {
		return data == nil && e.Start == 0 && e.End == 0
	}
	return 0 <= e.Start && e.Start <= e.End && e.End <= len(data) && string(data[e.Start:e.End]) == e.Old
}

// overlaps reports whether two edits have a byte in common, or both write at one place.
func (e Edit) overlaps(o Edit) bool {
	return e.Path == o.Path && (e.Create || o.Create || e.Start < o.End && o.Start < e.End || e.Start == o.Start)
}

// restore brings back a managed file that was deleted, from the copy of its last render. Nothing is lost by it.
func (h *host) restore(file manifest.File) []Edit {
	data, err := h.read(manifest.BasePath(file.Path))
	if err != nil || manifest.Sum(data) != file.SHA256 {
		return nil // the copy is gone as well, or is of another render
	}
	return []Edit{{Path: file.Path, New: string(data), Create: true}}
}
