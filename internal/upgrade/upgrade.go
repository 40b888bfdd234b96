// Package upgrade renders a host's managed files afresh, from the inputs that
// its manifest recorded, and plans what follows from that. What a person
// edited or deleted stays as it is; all or nothing is written.
//
// The table of what happens to a file is in decide.go.
package upgrade

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// Generation is one rendering: everything the templates of one version make
// from some inputs.
type Generation struct {
	Files []templates.File
	// Engine is the database engine of the migrations.
	Engine string
	// Migrations are those of the host's migration tool; empty when the host
	// runs lockspire.Migrate or pastes the SQL.
	Migrations []templates.Migration
}

// Renderer renders recorded inputs. known are the migrations that the host has
// already; a renderer returns the others, or all.
type Renderer func(root string, inputs json.RawMessage, known []manifest.Migration) (Generation, error)

// Options say what to upgrade and how. The zero value upgrades the module of
// the current directory and asks nobody, so it must be confirmed: see Confirm.
type Options struct {
	// Dir is a directory of the host. Defaults to the current directory.
	Dir string
	// CLIVersion is the version of the running command; anything that is not a
	// semantic version is a development build.
	CLIVersion string
	// RuntimeVersion is the version of the runtime module that the templates
	// need. Empty leaves the host's requirement alone.
	RuntimeVersion string
	// DryRun shows the plan and writes nothing.
	DryRun bool
	// Check only finds out whether something is pending: Report.Pending. It
	// writes nothing and uses no network.
	Check bool
	// Confirm is asked, with the plan made and proved, whether to write it.
	// Nil means yes.
	Confirm func(context.Context, *Report) (bool, error)
	// Render defaults to the templates of this version.
	Render Renderer
	// Env is the surroundings for go commands.
	Env plan.Env
	// Progress is told what is being done. Defaults to nil: nobody is told.
	Progress func(step string)
	// Warn is told what a person should know beside the report. Defaults to
	// nil: nobody is told.
	Warn func(sentence string)
}

// Run upgrades one module. The error holds every refusal (plan.AsRefusals); the
// report is there whenever the files could be compared, also beside an error.
// Nothing is written when there is an error.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Render == nil {
		o.Render = renderTemplates
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	root, err := plannedRoot(o)
	if err != nil {
		return nil, err
	}
	m, err := manifest.Read(root)
	if err != nil {
		return nil, err
	}
	if err := refuseDowngrade(o.CLIVersion, m.Generator); err != nil {
		return nil, err
	}
	fresh, err := o.Render(root, m.Inputs, m.Migrations)
	if err != nil {
		return nil, &plan.Refusal{Exit: 1, Path: manifest.Path, What: fmt.Sprintf("the recorded inputs cannot be rendered: %v", err),
			Next: "git log -p -- " + manifest.Path}
	}
	w := &work{root: root, old: m, next: m.Clone(), plan: &plan.Plan{Root: root}}
	if err := w.compare(fresh); err != nil {
		return nil, err
	}
	if err := w.requireRuntime(o.RuntimeVersion); err != nil {
		return nil, err
	}
	if err := w.record(o.CLIVersion); err != nil {
		return nil, err
	}
	return w.finish(ctx, o)
}

// plannedRoot finds the module and sees to what an interrupted run left there.
func plannedRoot(o Options) (string, error) {
	root, err := ModuleRoot(o.Dir)
	if err != nil {
		return "", err
	}
	if pending, err := plan.Pending(root); err != nil || !pending {
		return root, err
	}
	if o.DryRun || o.Check {
		return "", plan.PendingRefusal("lockspire upgrade")
	}
	result, err := plan.Recover(root)
	if err != nil {
		return "", err
	}
	o.Warn("an earlier run was interrupted while it wrote; it was finished first")
	for _, note := range result.Notes {
		o.Warn(note)
	}
	return root, nil
}

// ModuleRoot returns the absolute directory of the go.mod that dir belongs to.
func ModuleRoot(dir string) (string, error) {
	if dir == "" {
		dir = "."
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", &plan.Refusal{Exit: 3, What: fmt.Sprintf("the current directory is gone: %v", err), Next: "cd into the module"}
	}
	if info, err := os.Stat(abs); err != nil || !info.IsDir() {
		return "", &plan.Refusal{Exit: 3, What: fmt.Sprintf("%s is not a directory", filepath.ToSlash(dir)), Next: "give -C the directory of the module"}
	}
	if root := hostrepo.FindRoot(abs); root != "" {
		return root, nil
	}
	return "", &plan.Refusal{Exit: 3, What: "there is no go.mod in this directory or above it", Next: "run lockspire inside the host's module, or give its directory with -C"}
}

// refuseDowngrade stops a command that would render files older than the ones
// that are there.
func refuseDowngrade(cli, generator string) error {
	if !semver.IsValid(cli) || !semver.IsValid(generator) || semver.Compare(cli, generator) >= 0 {
		return nil
	}
	return &plan.Refusal{Exit: 1, Path: manifest.Path,
		What: fmt.Sprintf("lockspire %s generated these files and this is lockspire %s: it would take changes back", generator, cli),
		Next: "go run github.com/lockspire/lockspire/cmd/lockspire@" + generator + " upgrade"}
}

// work is one run: the plan and the report as they grow.
type work struct {
	root     string
	old      *manifest.Manifest // as read
	next     *manifest.Manifest // as it will be written
	plan     *plan.Plan
	outcomes []Outcome
	notes    []Note
	refusals plan.Refusals
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
	was, err := w.old.Marshal()
	if err != nil {
		return err
	}
	is, err := w.next.Marshal()
	if err != nil {
		return err
	}
	if bytes.Equal(was, is) {
		return nil
	}
	disk, _, err := plan.ReadHost(w.root, manifest.Path)
	if err != nil {
		return err
	}
	return w.change(manifest.Path, plan.Managed, inStyleOf(disk, is), "hashes of the new render")
}

// finish proves the plan, asks, and writes it.
func (w *work) finish(ctx context.Context, o Options) (*Report, error) {
	report := &Report{Plan: w.plan, Outcomes: w.outcomes, Notes: w.notes, Pending: !w.plan.Empty()}
	report.sort()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := w.refusals.Err(); err != nil {
		return report, err
	}
	if !report.Pending || o.Check {
		return report, nil
	}
	if len(w.plan.Modules) > 0 {
		o.Progress("resolving " + strings.Join(moduleNames(w.plan.Modules), ", "))
		if err := w.plan.Resolve(ctx, o.Env); err != nil {
			return report, err
		}
	}
	o.Progress("type-checking the host with the new files")
	if err := w.plan.Check(ctx, o.Env); err != nil {
		return report, err
	}
	if o.DryRun {
		return report, nil
	}
	if o.Confirm != nil {
		yes, err := o.Confirm(ctx, report)
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
		o.Warn(note)
	}
	report.Applied = &result
	return report, nil
}

func moduleNames(modules []plan.Module) []string {
	var names []string
	for _, m := range modules {
		names = append(names, m.Path+"@"+m.Version)
	}
	return names
}
