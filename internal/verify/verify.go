// Package verify checks a host's wiring, seam, migrations and managed files against what Lockspire needs.
//
// Run loads the host once and hands it to every rule. A rule reports findings; it never writes, and what it cannot
// decide it reports as unproven, with the generated smoke test that decides it. A rule's number, words and run
// function are one struct, so that the check, `lockspire explain` and the documentation cannot drift apart.
package verify

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
)

// Options say what to check.
type Options struct {
	Dir        string            // any directory of the host; defaults to the current one
	Tags       []string          // extra build tags
	Env        []string          // defaults to os.Environ()
	Overlay    map[string][]byte // contents that stand in for Go files, by absolute path
	CLIVersion string            // version of this command, "" or "dev" for a development build
	NoSuppress bool              // //lockspire:ignore comments accept nothing
}

// Run checks the host around Options.Dir. The error is a plan.Refusals when the host cannot be loaded or an interrupted
// run must be finished first: no statement about the wiring is made then.
func Run(ctx context.Context, opts Options) (Report, error) {
	if root := hostrepo.FindRoot(opts.Dir); root != "" {
		pending, err := plan.Pending(root)
		if err != nil {
			return Report{}, err
		}
		if pending { // the tree is between two states: nothing said about it would last
			return Report{}, plan.Refusals{plan.PendingRefusal("lockspire install")}
		}
	}
	repo, err := hostrepo.Load(ctx, hostrepo.Options{
		Dir: opts.Dir, Tags: opts.Tags, Env: opts.Env, Overlay: opts.Overlay, Command: "lockspire verify",
	})
	if err != nil {
		return Report{}, err
	}
	h, err := newHost(repo, opts)
	if err != nil {
		return Report{}, err
	}
	r := Report{
		Module: repo.ModulePath, Go: repo.GoVersion, Packages: len(repo.Packages),
		Notes: repo.Notes, LoadErrors: repo.Errors, Tool: release(opts.CLIVersion), Dir: belowGit(repo.ModuleRoot), root: repo.ModuleRoot,
		environ: repo.Env, baseline: plan.NewBaseline(repo.ModuleRoot, repo.Packages),
	}
	for _, rule := range Rules {
		if err := ctx.Err(); err != nil {
			return Report{}, err
		}
		if rule.run == nil {
			continue
		}
		p := &pass{host: h, rule: rule}
		rule.run(p)
		r.Findings = append(r.Findings, p.findings...)
	}
	src := newSources(repo.ModuleRoot, opts.Overlay)
	lines := outline(repo, src)
	if !opts.NoSuppress {
		r.Findings = append(r.Findings, suppress(h, lines, r.Findings)...)
	}
	r.sort()
	r.identify(lines, src)
	return r, nil
}

// newHost prepares what the rules share.
func newHost(repo *hostrepo.Repo, opts Options) (*host, error) {
	h := &host{repo: repo, cli: opts.CLIVersion}
	h.raw, _ = os.ReadFile(filepath.Join(repo.ModuleRoot, filepath.FromSlash(manifest.Path)))
	m, err := manifest.Read(repo.ModuleRoot)
	var refusal *plan.Refusal
	var refusals plan.Refusals
	switch {
	case err == nil:
		h.manifest = m
	case errors.Is(err, fs.ErrNotExist):
		h.noManifest = true
	case errors.As(err, &refusals):
		h.badManifest = refusals
	case errors.As(err, &refusal):
		h.badManifest = plan.Refusals{refusal}
	default:
		return nil, err
	}
	if h.badManifest.ExitCode() == 3 {
		return nil, h.badManifest // written by a newer version: nothing in it may be judged by this one
	}
	if h.manifest != nil {
		if err := h.readInputs(); err != nil {
			return nil, err
		}
	}
	h.index()
	return h, nil
}

// sort puts findings in the order of the tree, so that the same tree gives the same bytes.
func (r *Report) sort() {
	sort.SliceStable(r.Findings, func(i, j int) bool {
		a, b := r.Findings[i], r.Findings[j]
		switch {
		case a.File != b.File:
			return a.File < b.File
		case a.Line != b.Line:
			return a.Line < b.Line
		case a.Col != b.Col:
			return a.Col < b.Col
		case a.Rule != b.Rule:
			return a.Rule < b.Rule
		}
		return a.Message < b.Message
	})
}
