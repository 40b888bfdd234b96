package plan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// Resolve turns Modules into changes of go.mod, go.sum and vendor/, as go mod
// tidy and go mod vendor would write them. go get is never run: it would raise
// the go line and touch requirements that are none of our business. What must be
// downloaded is downloaded in a temporary directory. Add the code that imports
// the modules to the plan first: it decides which packages are vendored.
func (p *Plan) Resolve(ctx context.Context, env Env) (err error) {
	defer func() {
		if err == nil && len(p.ordered()) > 0 {
			p.askGit(ctx, env) // its warnings are part of what Write shows
		}
	}()
	if p.resolved || len(p.Modules) == 0 {
		p.resolved = true
		return nil
	}
	h, err := openHost(ctx, p.Root, env)
	if err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(p.Root, "go.sum"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read go.sum: %w", err)
	}
	d, err := newDownloader(h, sums)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()

	r := &resolver{plan: p, host: h, down: d, mod: h.modRaw, sum: sums, got: map[string]*fetched{}}
	if err := r.resolve(ctx); err != nil {
		return err
	}
	p.resolved = true
	return nil
}

// resolver is one Resolve.
type resolver struct {
	plan *Plan
	host *host
	down *downloader
	mod  []byte // go.mod as it will be
	sum  []byte // go.sum as it will be
	got  map[string]*fetched
	// stale are versions that a raised requirement leaves behind in go.sum.
	stale []module.Version
}

func (r *resolver) resolve(ctx context.Context) error {
	if r.host.strangerWork {
		r.plan.Warnings = append(r.plan.Warnings, "a go.work further up does not list this module; it is loaded with GOWORK=off")
	}
	if err := r.vendorConsistent(ctx); err != nil {
		return err
	}
	for _, m := range r.plan.Modules {
		if err := r.require(ctx, requirement{mod: module.Version{Path: m.Path, Version: m.Version}}); err != nil {
			return err
		}
	}
	if err := r.goLine(ctx); err != nil {
		return err
	}
	if err := r.dropStale(ctx); err != nil {
		return err
	}
	if err := r.change("go.mod", r.mod, "requires "+strings.Join(r.required(), ", ")); err != nil {
		return err
	}
	if err := r.change("go.sum", r.sum, "their checksums"); err != nil {
		return err
	}
	return r.vendor()
}

func (r *resolver) required() []string {
	var out []string
	for _, m := range r.plan.Modules {
		if f := r.got[m.Path]; f != nil {
			out = append(out, f.req.Path+" "+f.req.Version)
		}
	}
	return out
}

// change adds a change that differs from what is on disk.
func (r *resolver) change(path string, after []byte, why string) error {
	c, err := r.plan.File(path, Host, after, why)
	if err != nil {
		return err
	}
	c.Insert = true
	if !c.same() {
		r.plan.Add(c)
	}
	return nil
}

// require brings one module and what it needs into go.mod and go.sum. A version
// that the host has is never lowered.
func (r *resolver) require(ctx context.Context, want requirement) error {
	have, listed := r.have(want.mod.Path)
	if f := r.got[want.mod.Path]; f != nil && semver.Compare(f.req.Version, want.mod.Version) >= 0 {
		return nil
	}
	if listed && (r.isReplaced(want.mod.Path, have.mod.Version) || semver.Compare(have.mod.Version, want.mod.Version) > 0) {
		want.mod.Version = have.mod.Version
	}
	if !listed {
		want.mod.Version = r.graphVersion(ctx, want.mod)
	}
	settled := listed && have.mod.Version == want.mod.Version && hasSums(r.sum, want.mod)
	f, err := r.down.get(ctx, want.mod)
	if err != nil {
		if settled { // nothing new is asked for, so nothing must be had
			return nil
		}
		return err
	}
	r.got[want.mod.Path] = f
	if f.cached && !settled {
		r.plan.Warnings = append(r.plan.Warnings, fmt.Sprintf("GOPROXY=off: the checksum of %s comes from the module cache, not from the checksum database", want.mod))
	}
	if !listed || have.mod.Version != want.mod.Version || have.indirect && !want.indirect {
		if r.mod, err = setRequire(r.mod, want); err != nil {
			return err
		}
	}
	if listed && have.mod.Version != want.mod.Version {
		r.stale = append(r.stale, have.mod)
	}
	r.sum = addSums(r.sum, f.sums)
	// Our modules have no requirement that only their tests need, so each of
	// theirs provides a package and belongs into the host's go.mod.
	for _, need := range f.mod.Require {
		if err := r.require(ctx, requirement{mod: need.Mod, indirect: true}); err != nil {
			return err
		}
	}
	return nil
}

func (r *resolver) have(path string) (requirement, bool) {
	for _, have := range r.host.mod.Require {
		if have.Mod.Path == path {
			return requirement{have.Mod, have.Indirect}, true
		}
	}
	return requirement{}, false
}

func (r *resolver) isReplaced(path, version string) bool {
	_, ok := r.host.replaced(module.Version{Path: path, Version: version})
	return ok
}

// graphVersion is the version of a module that go.mod does not list but the
// module graph selects, if it is higher: some dependency requires it without
// using it. Where the graph cannot be loaded the go command cannot load it
// either, and the question does not arise.
func (r *resolver) graphVersion(ctx context.Context, m module.Version) string {
	out, err := r.host.run(ctx, r.host.root, []string{"GOWORK=off"}, "list", "-m", "-mod=readonly", "-f", "{{.Version}}", m.Path)
	if v := strings.TrimSpace(string(out)); err == nil && semver.IsValid(v) && semver.Compare(v, m.Version) > 0 {
		return v
	}
	return m.Version
}

// goLine compares the go lines. A dependency's may not be above the host's.
func (r *resolver) goLine(ctx context.Context) error {
	need, who := "", ""
	for _, path := range sortedKeys(r.got) {
		if f := r.got[path]; f.mod.Go != nil && (need == "" || olderGo(need, f.mod.Go.Version)) {
			need, who = f.mod.Go.Version, f.req.String()
		}
	}
	if need == "" {
		return nil
	}
	if w := r.host.work; w != nil && (w.Go == nil || olderGo(w.Go.Version, need)) {
		return &Refusal{Exit: 1, Path: r.rel(r.host.workFile), What: fmt.Sprintf("the workspace is below go %s, which %s needs", need, who), Next: "go work edit -go=" + need}
	}
	have, line := "", 0
	if g := r.host.mod.Go; g != nil {
		have, line = g.Version, g.Syntax.Start.Line
	}
	if !olderGo(have, need) {
		return nil
	}
	if have == "" || !sameLanguage(have, need) {
		if !r.host.env.RaiseGo {
			return &Refusal{Exit: 1, Path: "go.mod", Line: line, What: raiseText(have, need, who), Next: "go mod edit -go=" + need + "\ngo mod tidy    # or lockspire install --raise-go"}
		}
	}
	r.plan.Warnings = append(r.plan.Warnings, fmt.Sprintf("the go line rises from %s to %s, which %s needs%s", orNone(have), need, who, raiseNote(have, need)))
	var err error
	if r.mod, err = setGo(r.mod, need); err != nil {
		return err
	}
	return r.complete(ctx)
}

func raiseText(have, need, who string) string {
	return fmt.Sprintf("the go line is %s, and %s needs %s%s", orNone(have), who, need, raiseNote(have, need))
}

// raiseNote says what a raised go line does to the host's own code.
func raiseNote(have, need string) string {
	switch {
	case have != "" && sameLanguage(have, need):
		return "; the language stays the same"
	case olderGo(have, "1.22"):
		return "; raising it changes what the code means (since 1.22 each iteration of a loop has its own variable)"
	default:
		return "; raising it can change what the code means (see the notes on compatibility at https://go.dev/doc/godebug)"
	}
}

func orNone(v string) string {
	if v == "" {
		return "missing (1.16)"
	}
	return v
}

// rel is name as the listing shows it.
func (r *resolver) rel(name string) string {
	rel, err := filepath.Rel(r.host.root, name)
	if err != nil {
		return filepath.Base(name)
	}
	return filepath.ToSlash(rel)
}

// dropStale removes from go.sum what go mod tidy would remove after a
// requirement was raised: the old version itself, and the sum of its go.mod
// unless the module graph still reads that file, which the go command decides.
func (r *resolver) dropStale(ctx context.Context) error {
	if len(r.stale) == 0 {
		return nil
	}
	trial := r.sum
	for _, old := range r.stale {
		r.sum = dropSum(r.sum, old.Path, old.Version)
		trial = dropSum(dropSum(trial, old.Path, old.Version), old.Path, old.Version+"/go.mod")
	}
	mod, sum := filepath.Join(r.down.dir, "trial.mod"), filepath.Join(r.down.dir, "trial.sum")
	if err := os.WriteFile(mod, r.mod, 0o666); err != nil {
		return err
	}
	if err := os.WriteFile(sum, trial, 0o666); err != nil {
		return err
	}
	flags, err := r.host.goflags(ctx, "mod", "modfile", "overlay")
	if err != nil {
		return err
	}
	if _, err := r.host.run(ctx, r.host.root, []string{"GOWORK=off", "GOFLAGS=" + flags}, "mod", "graph", "-modfile="+mod); err != nil {
		return nil // a line too many does no harm
	}
	after, err := os.ReadFile(sum)
	if err != nil {
		return err
	}
	for _, old := range r.stale {
		needed := slices.ContainsFunc(strings.Split(string(after), "\n"), func(l string) bool {
			return strings.HasPrefix(l, old.Path+" "+old.Version+"/go.mod ")
		})
		if !needed {
			r.sum = dropSum(r.sum, old.Path, old.Version+"/go.mod")
		}
	}
	return nil
}
