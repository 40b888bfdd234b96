package plan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Check proves the plan without writing below Root, go.work.sum included. It
// returns every reason not to apply it as [Refusals]: targets that cannot be
// written, uncommitted changes in them, paths that git ignores, and compile
// errors that the host does not have now. Packages of the main module count, and
// the tests of packages into which the plan writes a test.
func (p *Plan) Check(ctx context.Context, env Env) error {
	if len(p.Modules) > 0 && !p.resolved {
		return errors.New("check a plan with modules before Resolve")
	}
	if len(p.ordered()) == 0 {
		return nil
	}
	refusals := p.preflight()
	refusals = append(refusals, p.askGit(ctx, env).refusals(p, env)...)
	if p.touchesBuild() {
		rs, err := p.typeCheck(ctx, env)
		if err != nil {
			return err
		}
		refusals = append(refusals, rs...)
	}
	return refusals.Err()
}

// askGit asks once per plan and puts what is only worth a warning into the plan.
func (p *Plan) askGit(ctx context.Context, env Env) *gitState {
	if p.gitKnown == nil {
		p.gitKnown = p.readGit(ctx, env)
		p.Warnings = append(p.Warnings, p.gitKnown.warnings(p, env)...)
	}
	return p.gitKnown
}

// touchesBuild reports that the plan changes more than our own records.
func (p *Plan) touchesBuild() bool {
	return slices.ContainsFunc(p.ordered(), func(c Change) bool { return !strings.HasPrefix(c.Path, stateDir+"/") })
}

// typeCheck compares the compile errors before and after the plan.
func (p *Plan) typeCheck(ctx context.Context, env Env) (rs Refusals, err error) {
	h, err := openHost(ctx, p.Root, env)
	if err != nil {
		return nil, err
	}
	after, err := h.after(ctx, p)
	if after != nil {
		defer func() { err = errors.Join(err, after.close()) }()
	}
	if err != nil {
		return nil, err
	}
	tests := p.newTests(after)
	pkgs, err := after.load(ctx, append([]string{"./..."}, tests.imports()...)...)
	if err != nil {
		return nil, err
	}
	problems := problemsOf(after.root, pkgs)
	baseline := env.Baseline
	if baseline == nil {
		baseline = NewBaseline(p.Root, nil)
	}
	added := baseline.added(problems)
	if len(added) > 0 {
		// Before anything is held against the plan the host is loaded in exactly
		// the same way: the caller's load may have been blind to some errors.
		if baseline, err = h.baseline(ctx); err != nil {
			return nil, err
		}
		added = baseline.added(problems)
	}
	added = append(added, tests.check(after, pkgs)...)
	if len(added) > 0 && env.Broken != nil {
		env.Broken(pkgs)
	}
	return compileRefusals(added, cmp.Or(env.MaxCompileErrors, maxCompileRefusals)), nil
}

// baseline loads the host as it is.
func (h *host) baseline(ctx context.Context) (b *Baseline, err error) {
	v, err := h.before(ctx)
	if v != nil {
		defer func() { err = errors.Join(err, v.close()) }()
	}
	if err != nil {
		return nil, err
	}
	pkgs, err := v.load(ctx, "./...")
	if err != nil {
		return nil, err
	}
	return NewBaseline(h.root, pkgs), nil
}

// maxCompileRefusals keeps one missing import from filling the screen.
const maxCompileRefusals = 30

func compileRefusals(added []problem, most int) Refusals {
	var rs Refusals
	seen := map[problem]bool{}
	for _, a := range added {
		where := a.file
		if where == "" {
			where = a.pkg // an error of the package as a whole
		}
		a.pkg = "" // a package and its test variant say the same
		if seen[a] {
			continue
		}
		seen[a] = true
		if len(rs) == most {
			continue
		}
		rs = append(rs, &Refusal{Exit: 1, Path: where, Line: a.line, Col: a.col,
			What: "the plan would bring a compile error: " + firstLines(a.msg), Compiler: a.msg,
			Next: "run the command again with --dry-run to see the planned file"})
	}
	if n := len(seen) - len(rs); n > 0 {
		rs = append(rs, &Refusal{Exit: 1, What: fmt.Sprintf("and %d more compile errors", n), Next: "mend the first ones and run the command again"})
	}
	return rs
}
