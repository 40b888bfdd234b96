package upgrade

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// Found is what a look at the host says about the recorded inputs.
type Found struct {
	// Values are inputs that are different now, by key; Why says where that was seen.
	Values, Why map[string]string
	// Baseline are the host's compile errors as it is.
	Baseline *plan.Baseline
	// Mounts are the host's calls to Mount.
	Mounts []hostrepo.Mount
}

// Detector looks for recorded facts that are no longer so. asked are the keys
// that the caller set and wants no second opinion on. A fact that cannot be
// decided is a refusal with exit code 1.
type Detector func(ctx context.Context, root string, o Options, inputs json.RawMessage, asked []string) (Found, error)

// detect loads the host.
func detect(ctx context.Context, root string, o Options, inputs json.RawMessage, asked []string) (Found, error) {
	var in templates.Inputs
	if err := json.Unmarshal(inputs, &in); err != nil {
		return Found{}, &plan.Refusal{Exit: 1, Path: manifest.Path, What: fmt.Sprintf("the recorded inputs do not read: %v", err), Next: "git log -p -- " + manifest.Path}
	}
	o.Progress("reading the host")
	repo, err := hostrepo.Load(ctx, hostrepo.Options{Dir: root, Tags: o.Env.Tags, Env: o.Env.Environ, Command: "lockspire upgrade"})
	if err != nil {
		return Found{}, err
	}
	found, err := compareFacts(repo.ModulePath, &repo.Facts, in, asked)
	found.Mounts = repo.Mounts
	found.Baseline = plan.NewBaseline(root, repo.Packages)
	return found, err
}

// compareFacts compares recorded inputs with the host. A recorded value that the
// host still has evidence for stays, whatever else was added since.
func compareFacts(module string, host *hostrepo.Facts, in templates.Inputs, asked []string) (Found, error) {
	f := Found{Values: map[string]string{}, Why: map[string]string{}}
	var refusals plan.Refusals
	if module != in.Module {
		f.set("module", module, "go.mod")
	}
	if !slices.Contains(asked, "router") {
		refusals = append(refusals, f.router(host, in)...)
	}
	if !slices.Contains(asked, "driver_import") && !slices.Contains(asked, "engine") {
		refusals = append(refusals, f.driver(host, in)...)
	}
	if !slices.Contains(asked, "migrations_dir") {
		f.migrationsDir(host, in)
	}
	return f, refusals.Err()
}

func (f *Found) set(key, value, why string) { f.Values[key], f.Why[key] = value, why }

// router follows a host that serves another kind of router now.
func (f *Found) router(host *hostrepo.Facts, in templates.Inputs) plan.Refusals {
	if in.Router == templates.RouterHandler {
		return nil // fits whatever serves
	}
	var others []hostrepo.Router
	for _, r := range host.Routers {
		switch {
		case r.Kind == in.Router && r.TypePath == in.RouterImport:
			return nil
		case r.Minor || r.Kind == hostrepo.KindHandler || r.Problem != "":
		case !slices.ContainsFunc(others, func(o hostrepo.Router) bool { return o.Kind == r.Kind && o.TypePath == r.TypePath }):
			others = append(others, r)
		}
	}
	switch len(others) {
	case 0:
		return nil // nothing was found at all: no reason to believe that it changed
	case 1:
		at := fmt.Sprintf("%s:%d serves %s", others[0].File, others[0].Line, others[0].Type)
		f.set("router", others[0].Kind, at)
		f.set("router_import", others[0].TypePath, at)
		return nil
	}
	var refusals plan.Refusals
	for _, r := range others {
		refusals = append(refusals, &plan.Refusal{Exit: 1, Path: r.File, Line: r.Line, Col: r.Col,
			What: fmt.Sprintf("the recorded router, %s, is served no more; this is one of %d others: %s", in.Router, len(others), r.Type),
			Next: "lockspire upgrade --set router=" + r.Kind + " --set router_import=" + r.TypePath})
	}
	return refusals
}

// driver follows a host that reaches the same engine through another driver.
// Another engine is another database, which nobody moves to unasked.
func (f *Found) driver(host *hostrepo.Facts, in templates.Inputs) plan.Refusals {
	if in.Database == templates.DatabasePgx {
		return nil
	}
	var same, engines []hostrepo.Engine
	for _, e := range host.Engines {
		switch {
		case strings.HasPrefix(e.File, in.Package+"/"):
			continue // our own import of it
		case e.Import == in.DriverImport && in.DriverImport != "" || e.Engine == in.Engine && e.Driver == in.DriverName:
			return nil
		case e.Engine != in.Engine:
			if !slices.ContainsFunc(engines, func(o hostrepo.Engine) bool { return o.Engine == e.Engine }) {
				engines = append(engines, e)
			}
		case e.Import != "" && e.Driver != "" && !slices.ContainsFunc(same, func(o hostrepo.Engine) bool { return o.Import == e.Import }):
			same = append(same, e)
		}
	}
	var refusals plan.Refusals
	switch {
	case len(same) == 1:
		at := fmt.Sprintf("%s:%d imports it", same[0].File, same[0].Line)
		f.set("driver_import", same[0].Import, at)
		f.set("driver_name", same[0].Driver, at)
	case len(same) > 1:
		for _, e := range same {
			refusals = append(refusals, &plan.Refusal{Exit: 1, Path: e.File, Line: e.Line, Col: e.Col,
				What: fmt.Sprintf("the recorded driver, %s, is imported no more; this is one of %d others: %s", in.DriverImport, len(same), e.Import),
				Next: "lockspire upgrade --set driver_import=" + e.Import + " --set driver_name=" + e.Driver})
		}
	default:
		for _, e := range engines {
			if e.Engine != templates.EngineSQLite && e.Engine != templates.EnginePG {
				continue
			}
			refusals = append(refusals, &plan.Refusal{Exit: 1, Path: e.File, Line: e.Line, Col: e.Col,
				What: fmt.Sprintf("the recorded engine is %s and the host has only %s now; that is another database, to which no client, grant or key comes along", in.Engine, e.Engine),
				Next: "lockspire upgrade --set engine=" + e.Engine + " --set driver_import=" + e.Import + " --set driver_name=" + e.Driver})
		}
	}
	return refusals
}

// migrationsDir follows a directory of migrations that was renamed.
func (f *Found) migrationsDir(host *hostrepo.Facts, in templates.Inputs) {
	if in.MigrationsDir == "" {
		return
	}
	var dirs []hostrepo.MigrationDir
	for _, d := range host.Migrations {
		if d.Dir == in.MigrationsDir {
			return
		}
		if d.Tool == in.Migrations && (d.Engine == "" || d.Engine == in.Engine) {
			dirs = append(dirs, d)
		}
	}
	if len(dirs) == 1 && templates.Below(dirs[0].Dir) {
		f.set("migrations_dir", dirs[0].Dir, "the only directory that "+dirs[0].Tool+" reads")
	}
}
