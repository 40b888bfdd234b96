// Package upgrade renders a host's managed files afresh, from the inputs that
// its manifest recorded, and plans what follows from that. What a person
// edited or deleted stays as it is; all or nothing is written.
//
// The table of what happens to a file is in decide.go.
package upgrade

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

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
	// Hooks are what hosts may fill in. Each is told to a host once.
	Hooks []templates.Hook
	// Call gives a call to Mount the form that this version needs, and says
	// whether it was byte for byte what install once wrote. Nil means that Mount is
	// called as ever.
	Call func(old string) (text string, asWritten bool)
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
	// NoRuntime leaves the requirement alone whatever the templates need, and
	// refuses when it is too old for them.
	NoRuntime bool

	// Merge merges files that both sides changed, on their base copies.
	Merge bool
	// Partial writes the files that can be written where others are refused.
	Partial bool
	// Resolved are managed files that hold what the new template brings already,
	// put there by a person.
	Resolved []string
	// Restore are files to write again that the host deleted; "*" stands for every
	// managed one.
	Restore []string
	// Set are changes of recorded inputs, as key=value.
	Set []string
	// WriteStubs puts the methods that the host's types lack into a new file of
	// the host.
	WriteStubs bool

	// Yes permits changing the call to Mount where it is as install wrote it.
	Yes bool
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
	// Detect looks for recorded facts that are no longer so. Defaults to reading
	// the host with package hostrepo.
	Detect Detector
	// Recover finds the inputs of a host whose manifest is lost, for Repair. set is
	// what the caller decided, by key. Defaults to nil: a lost manifest is refused.
	Recover func(ctx context.Context, root string, set map[string]string) (json.RawMessage, error)
	// Removed are the names of the runtime's API that are gone, with what to use
	// instead. Defaults to those of this version.
	Removed map[string]string
	// Env is the surroundings for go commands.
	Env plan.Env
	// Progress is told what is being done. Defaults to nil: nobody is told.
	Progress func(step string)
	// Warn is told what a person should know beside the report. Defaults to
	// nil: nobody is told.
	Warn func(sentence string)
}

func (o Options) withDefaults() Options {
	if o.Render == nil {
		o.Render = renderTemplates
	}
	if o.Detect == nil {
		o.Detect = detect
	}
	if o.Removed == nil {
		o.Removed = removed
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	return o
}

// Run upgrades one module. The error holds every refusal (plan.AsRefusals); the
// report is there whenever the files could be compared, also beside an error.
// Nothing is written when there is an error, with two exceptions that were asked
// for: Merge leaves what it could not merge in .lockspire/conflicts, and Partial
// writes the files that can be, so that Report.Applied is set beside the error.
func Run(ctx context.Context, o Options) (*Report, error) {
	o = o.withDefaults()
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
	inputs, changed, err := chosenInputs(ctx, o, root, m)
	if err != nil {
		return nil, err
	}
	o.Env.Baseline = changed.baseline
	fresh, err := o.render(root, inputs, m)
	if err != nil {
		return nil, err
	}
	unfit := map[string]plan.Refusals{}
	for {
		w := &work{Options: o, root: root, old: m, next: m.Clone(), plan: &plan.Plan{Root: root}, unfit: unfit, changed: changed.changes}
		w.next.Inputs = inputs
		if err := w.follow(fresh); err != nil {
			return nil, err
		}
		if err := w.compare(fresh); err != nil {
			return nil, err
		}
		if err := w.calls(fresh, changed.mounts); err != nil {
			return nil, err
		}
		if err := w.requireRuntime(o.RuntimeVersion); err != nil {
			return nil, err
		}
		if err := w.record(o.CLIVersion); err != nil {
			return nil, err
		}
		report, err := w.finish(ctx)
		if !w.demote(err) {
			return report, err
		}
	}
}

func (o Options) render(root string, inputs json.RawMessage, m *manifest.Manifest) (Generation, error) {
	fresh, err := o.Render(root, inputs, m.Migrations)
	switch {
	case err == nil:
		return fresh, nil
	case len(o.Set) > 0:
		return fresh, &plan.Refusal{Exit: 2, What: fmt.Sprintf("--set %s: %v", strings.Join(o.Set, " --set "), err), Next: "lockspire upgrade --help"}
	}
	return fresh, &plan.Refusal{Exit: 1, Path: manifest.Path, What: fmt.Sprintf("the recorded inputs cannot be rendered: %v", err),
		Next: "git log -p -- " + manifest.Path}
}
