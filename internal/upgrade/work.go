package upgrade

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
	"golang.org/x/tools/go/packages"

	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
)

// work is one attempt: the plan and the report as they grow.
type work struct {
	Options
	root     string
	old      *manifest.Manifest // as read, with files followed to where the host moved them
	next     *manifest.Manifest // as it will be written
	plan     *plan.Plan
	changed  []InputChange
	outcomes []Outcome
	notes    []Note
	refusals plan.Refusals // each about one file, which stays as it is
	blockers plan.Refusals // whatever would be written without this would be wrong
	// unfit are files whose clean merge does not compile, with the errors.
	unfit map[string]plan.Refusals
	// conflicts are the files for .lockspire/conflicts.
	conflicts map[string][]byte
	// broken are the packages of a plan that does not compile.
	broken []*packages.Package
	stubs  []stub
}

// change plans new content for path; nil deletes it.
func (w *work) change(path string, owner plan.Owner, after []byte, why string) error {
	c, err := w.plan.File(path, owner, after, why)
	if err != nil {
		return err
	}
	if c.Before == nil && after == nil {
		return nil
	}
	w.plan.Add(c)
	return nil
}

// setBase plans the base copy that goes with a render of path.
func (w *work) setBase(path string, content []byte) error {
	return w.change(manifest.BasePath(path), plan.Managed, content, "base copy, for the next upgrade")
}

// record plans the manifest when anything that it says has changed. A
// development build alone is no reason to write: it has no version to record.
func (w *work) record(cli string) error {
	if cli != "" && (semver.IsValid(cli) || !w.plan.Empty()) {
		w.next.Generator = cli
	}
	disk, _, err := plan.ReadHost(w.root, manifest.Path)
	if err != nil {
		return err
	}
	is, err := w.next.Marshal()
	if err != nil {
		return err
	}
	if disk != nil {
		// What a person re-sorted or indented says the same: no reason to write.
		if was, err := manifest.Parse(disk); err == nil {
			if printed, err := was.Marshal(); err == nil && bytes.Equal(printed, is) {
				return nil
			}
		}
	}
	return w.change(manifest.Path, plan.Managed, inStyleOf(disk, is), "hashes of the new render")
}

// finish proves the plan, asks, and writes it.
func (w *work) finish(ctx context.Context) (*Report, error) {
	report := &Report{Plan: w.plan, Inputs: w.changed, Outcomes: w.outcomes, Notes: w.notes, Pending: !w.plan.Empty(), Partial: w.Partial}
	report.sort()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all := append(slices.Clone(w.blockers), w.refusals...)
	if len(all) > 0 && (!w.Partial || len(w.blockers) > 0 || !report.Pending || w.Check) {
		return report, w.leaveConflicts(all.Err())
	}
	if !report.Pending || w.Check {
		return report, w.settle()
	}
	if err := w.prove(ctx, report); err != nil {
		return report, err
	}
	if w.DryRun {
		return report, all.Err()
	}
	if w.Confirm != nil {
		yes, err := w.Confirm(ctx, report)
		if err != nil {
			return report, err
		}
		if !yes {
			return report, &plan.Refusal{Exit: 1, What: "nothing was written, as you asked", Next: "lockspire upgrade"}
		}
	}
	result, err := w.plan.Apply(ctx)
	if err != nil {
		return report, err
	}
	for _, note := range result.Notes {
		w.Warn(note)
	}
	report.Applied = &result
	if len(all) > 0 {
		return report, w.leaveConflicts(all.Err())
	}
	return report, w.settle()
}

// prove resolves and type-checks the plan.
func (w *work) prove(ctx context.Context, report *Report) error {
	if len(w.plan.Modules) > 0 {
		w.Progress("resolving " + strings.Join(moduleNames(w.plan.Modules), ", "))
		if err := w.plan.Resolve(ctx, w.Env); err != nil {
			return err
		}
	}
	w.Progress("type-checking the host with the new files")
	w.Env.MaxCompileErrors = 1000 // they are folded here, by what they say
	w.Env.Broken = func(pkgs []*packages.Package) { w.broken = pkgs }
	err := w.plan.Check(ctx, w.Env)
	if err == nil || len(w.merged()) > 0 && compileErrors(err) != nil {
		return err
	}
	return w.explain(ctx, report, err)
}

// leaveConflicts writes what the merge could not settle, and passes err on.
func (w *work) leaveConflicts(err error) error {
	if len(w.conflicts) == 0 || w.DryRun || w.Check {
		return err
	}
	kept := plan.KeepConflicts(w.root, w.conflicts)
	more, refused := plan.AsRefusals(kept)
	all, _ := plan.AsRefusals(err)
	if kept == nil || !refused {
		return errors.Join(err, kept)
	}
	return append(slices.Clone(all), more...).Err() // one list, or only its beginning would be shown
}

// settle removes what an earlier merge left, once nothing is in conflict.
func (w *work) settle() error {
	if w.DryRun || w.Check {
		return nil
	}
	return plan.KeepConflicts(w.root, nil)
}

func moduleNames(modules []plan.Module) []string {
	var names []string
	for _, m := range modules {
		names = append(names, m.Path+"@"+m.Version)
	}
	return names
}
