package upgrade

import (
	"bytes"
	"slices"

	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/merge"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// bothChanged decides about a file that the host edited and whose template
// changed: merged where that was asked for, refused with both differences
// otherwise.
func (w *work) bothChanged(f templates.File, entry manifest.File, disk []byte) error {
	base, err := w.base(entry)
	if err != nil {
		return err
	}
	switch {
	case slices.Contains(w.Resolved, f.Path):
		return w.resolve(f, disk)
	case base == nil:
		w.refuseWithoutBase(f, disk)
		return nil
	case !w.Merge:
		w.refuseEdited(f, base, disk)
		return nil
	}
	result := merge.Three(plain(base), plain(disk), plain(f.Content),
		merge.Labels{Yours: "yours: " + f.Path, Base: "as rendered last", Ours: "as this version renders it"})
	if result.Conflicts > 0 || w.unfit[f.Path] != nil {
		w.conflict(f, base, disk, result)
		return nil
	}
	w.outcome(f.Path, Merged, "your edits and the new template, merged")
	if err := w.change(f.Path, plan.Managed, inStyleOf(disk, result.Text), f.Why); err != nil {
		return err
	}
	return w.adopt(f)
}

// base is the base copy of an entry, nil when it is missing or not the last
// render.
func (w *work) base(entry manifest.File) ([]byte, error) {
	copied, _, err := plan.ReadHost(w.root, manifest.BasePath(entry.Path))
	if err != nil || copied == nil || manifest.Normalized(entry.Path, copied) != entry.Normalized {
		return nil, err
	}
	return copied, nil
}

// refuseEdited refuses a file that both sides changed and shows both changes.
func (w *work) refuseEdited(f templates.File, base, disk []byte) {
	w.outcomes = append(w.outcomes, Outcome{Path: f.Path, Verdict: Refused, Why: "you edited it and its template changed",
		Yours: diff(f.Path, base, inStyleOf(base, disk)), Ours: diff(f.Path, base, inStyleOf(base, f.Content)), GoFix: fixedByGo(base, disk)})
	what := "you edited this managed file and its template changed as well"
	if fixedByGo(base, disk) {
		what = "go fix edited this managed file, and its template changed as well"
	}
	w.refusals = append(w.refusals, &plan.Refusal{Exit: 1, Path: f.Path, What: what,
		Next: "lockspire upgrade --merge    # or --partial, to write the other files"})
}

func (w *work) refuseWithoutBase(f templates.File, disk []byte) {
	w.outcomes = append(w.outcomes, Outcome{Path: f.Path, Verdict: Refused, Why: "you edited it and its template changed",
		Whole: diff(f.Path, disk, inStyleOf(disk, f.Content))})
	w.refusals = append(w.refusals, &plan.Refusal{Exit: 1, Path: f.Path,
		What: "you edited this managed file and its template changed as well; " + manifest.BasePath(f.Path) +
			" is missing or not the last render, so only the whole difference can be shown",
		Next: "lockspire upgrade --repair-manifest    # or git checkout -- " + manifest.BasePath(f.Path)})
}

// conflict leaves the file alone and keeps what a person needs to merge it.
func (w *work) conflict(f templates.File, base, disk []byte, result merge.Result) {
	if w.conflicts == nil {
		w.conflicts = map[string][]byte{}
	}
	for kind, text := range map[string][]byte{
		"merged": inStyleOf(disk, result.Text), "base": base, "yours": disk, "ours": inStyleOf(disk, f.Content),
	} {
		w.conflicts[f.Path+"."+kind] = text
	}
	merged := plan.ConflictsDir + "/" + f.Path + ".merged"
	why := "your edits and the new template contradict each other"
	if unfit := w.unfit[f.Path]; unfit != nil {
		why = "your edits and the new template do not compile together"
		w.refusals = append(w.refusals, unfit...)
	}
	w.outcome(f.Path, Conflict, why+"; see "+merged)
	w.refusals = append(w.refusals, &plan.Refusal{Exit: 1, Path: f.Path, What: why + ", and the file is left as it is",
		Next: "cp " + merged + " " + f.Path + "    # then settle it there\nlockspire upgrade --merge --resolved " + f.Path})
}

// resolve takes a person's word that the file holds what the new template brings.
func (w *work) resolve(f templates.File, disk []byte) error {
	for i, line := range bytes.Split(disk, []byte("\n")) {
		for _, mark := range []string{"<<<<<<<", "|||||||", ">>>>>>>"} {
			if bytes.HasPrefix(line, []byte(mark)) {
				w.outcome(f.Path, Refused, "it still has conflict markers")
				w.refusals = append(w.refusals, &plan.Refusal{Exit: 1, Path: f.Path, Line: i + 1,
					What: "is said to be resolved and has a conflict marker (" + mark + ")", Next: "lockspire upgrade --merge --resolved " + f.Path + "    # once it is settled"})
				return nil
			}
		}
	}
	w.outcome(f.Path, Resolved, "resolved by you")
	return w.adopt(f)
}

// merged are the files that this attempt merges.
func (w *work) merged() []string {
	var paths []string
	for _, o := range w.outcomes {
		if o.Verdict == Merged {
			paths = append(paths, o.Path)
		}
	}
	return paths
}

// demote makes conflicts of merges that do not compile: those in which an error
// stands, or all when none does. It reports whether there is another attempt.
func (w *work) demote(err error) bool {
	faults, merged := compileErrors(err), w.merged()
	if faults == nil || len(merged) == 0 {
		return false
	}
	found := false
	for _, path := range merged {
		for _, fault := range faults {
			if fault.Path == path {
				w.unfit[path] = append(w.unfit[path], fault)
				found = true
			}
		}
	}
	if !found {
		for _, path := range merged {
			w.unfit[path] = faults
		}
	}
	return true
}

// compileErrors are the refusals of err that quote a compiler.
func compileErrors(err error) plan.Refusals {
	all, _ := plan.AsRefusals(err)
	var out plan.Refusals
	for _, r := range all {
		if r.Compiler != "" {
			out = append(out, r)
		}
	}
	return out
}

// plain is a text without its byte order mark and with newlines alone, so that
// only words are merged.
func plain(text []byte) []byte { return inStyleOf(nil, text) }

// unknownPaths are arguments of a flag that name no file it could be about.
func (w *work) unknownPaths(flag string, paths []string, fits func(path string) bool) {
	for _, path := range paths {
		if path == "*" || fits(path) {
			continue
		}
		w.blockers = append(w.blockers, &plan.Refusal{Exit: 2, What: "--" + flag + " " + path + ": " + unfitting[flag],
			Next: "lockspire upgrade --dry-run    # lists the files"})
	}
}

var unfitting = map[string]string{
	"resolved": "this is no managed file that both you and its template changed",
	"restore":  "this is no generated file that you deleted",
}
