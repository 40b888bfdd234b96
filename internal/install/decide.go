package install

import (
	"cmp"
	"context"
	"go/token"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

func keyword(name string) bool { return token.IsKeyword(name) }

// decide settles what the flags left open, for a host that has no manifest yet. It returns every reason not to go on.
func (j *job) decide(ctx context.Context) plan.Refusals {
	j.in = templates.Inputs{
		Module: j.repo.ModulePath, Package: cmp.Or(j.Package, defaultPackage), MountPath: cmp.Or(j.MountPath, defaultMountPath),
		Header: j.header, Issuer: j.Issuer, Schema: j.Schema, SchemaExists: j.SchemaExists, SigraHost: j.Sigra, Wire: !j.NoWire,
	}
	refusals := j.installedElsewhere()
	refusals = append(refusals, j.chooseRouter(ctx)...)
	if len(refusals) > 0 {
		return refusals // what follows is about the router that was chosen
	}
	refusals = append(refusals, j.chooseDatabase()...)
	if len(refusals) > 0 {
		return refusals
	}
	refusals = append(refusals, j.oldSQLite()...)
	refusals = append(refusals, j.chooseMigrations()...)
	refusals = append(refusals, j.chooseSession()...)
	j.chooseLogin()
	if j.in.Schema != "" && j.in.Engine != templates.EnginePG {
		refusals = append(refusals, &plan.Refusal{Exit: 2, What: "--schema is for PostgreSQL, and this host is on " + j.in.Engine, Next: "lockspire install"})
	}
	return append(refusals, j.inTheWay()...)
}

// installedElsewhere refuses a second package: two providers on one host share cookies, tables and metadata paths.
func (j *job) installedElsewhere() plan.Refusals {
	for _, m := range j.repo.Mounts {
		if m.Package != j.in.ImportPath() {
			return plan.Refusals{{
				Exit: 1, Path: m.File, Line: m.Line, Col: m.Col, What: "lockspire is installed already, as " + m.Package,
				Next: "lockspire install --package " + strings.TrimPrefix(m.Package, j.repo.ModulePath+"/"),
			}}
		}
	}
	return nil
}

// chooseRouter finds the router for the call, and its kind for the generated signature.
func (j *job) chooseRouter(ctx context.Context) plan.Refusals {
	router, refusals := j.repo.Root(j.Router)
	if len(refusals) > 1 && j.Router == "" && !j.NoWire {
		if choice := j.askRouter(ctx, refusals); choice != "" {
			router, refusals = j.repo.Root(choice)
		}
	}
	if len(refusals) > 0 && !j.NoWire {
		return refusals
	}
	j.in.Router, j.in.RouterImport = templates.RouterMux, "net/http"
	if len(refusals) > 0 {
		if router = j.sameKind(); router == nil && j.served() {
			j.in.Router = templates.RouterHandler
		}
	}
	if router != nil {
		j.router = router
		j.in.Router, j.in.RouterImport = router.Kind, router.TypePath
	}
	if router == nil || j.NoWire || j.wired() {
		return nil
	}
	j.leaveMethods()
	return append(j.unfitPlace(), j.routeConflicts()...)
}

// sameKind is for --no-wire where no router stands out: any one will do for the signature when all are of one kind.
func (j *job) sameKind() *hostrepo.Router {
	var found *hostrepo.Router
	for i := range j.repo.Routers {
		r := &j.repo.Routers[i]
		if r.Minor || r.Problem != "" && (r.Kind == hostrepo.KindHandler || r.Expr == "") {
			continue
		}
		if found != nil && (found.Kind != r.Kind || found.TypePath != r.TypePath) {
			return nil
		}
		found = r
	}
	return found
}

// served reports whether anything is served at all: a Mount that goes around a http.Handler then fits, whatever it is.
func (j *job) served() bool {
	return slices.ContainsFunc(j.repo.Routers, func(r hostrepo.Router) bool { return !r.Minor })
}

// unfitPlace refuses a place that a splice would break.
func (j *job) unfitPlace() plan.Refusals {
	r := j.router
	switch {
	case r.Insert.File == "":
		return plan.Refusals{{Exit: 1, Path: r.File, Line: r.Line, Col: r.Col, What: wordNoPlace, Next: "lockspire install --no-wire"}}
	case r.Insert.Generated:
		return plan.Refusals{{
			Exit: 1, Path: r.Insert.File, Line: r.Insert.Line, What: wordGeneratedRouter, Next: "lockspire install --no-wire",
		}}
	case r.Kind == hostrepo.KindServeMux && j.repo.GoMod.ServeMux121:
		return plan.Refusals{{
			Exit: 1, Path: "go.mod", What: wordServeMux121, Next: "go mod edit -dropgodebug=httpmuxgo121",
		}}
	}
	return nil
}

// wired reports whether the call is there already, by whatever name and formatting, also where what it calls was
// deleted: this run writes that again.
func (j *job) wired() bool {
	ours := func(m hostrepo.Mount) bool { return m.Package == j.in.ImportPath() }
	return slices.ContainsFunc(j.repo.Mounts, ours) || slices.ContainsFunc(j.repo.LostMounts, ours)
}

func (j *job) chooseLogin() {
	j.in.LoginPath = "/login"
	if j.LoginPath != "" {
		j.in.LoginPath = j.LoginPath
	} else if j.router != nil && j.router.Login != nil && templates.LocalPath(j.router.Login.Path) {
		j.in.LoginPath = j.router.Login.Path
	}
}

const unpublished = "v0.0.0-00010101000000-000000000000"

// chooseRuntime finds the version of the runtime module, and whether go.mod has to change for it.
func (j *job) chooseRuntime() (*plan.Module, plan.Refusals) {
	have := j.repo.GoMod.RuntimeVersion
	replaced := j.repo.GoMod.RuntimeReplace != "" || j.repo.GoMod.RuntimeUsed
	switch {
	case replaced:
		j.runtime = cmp.Or(have, unpublished)
	case j.RuntimeVersion != "":
		j.runtime = j.RuntimeVersion
	case semver.IsValid(j.Version) && !module.IsPseudoVersion(j.Version) && semver.Build(j.Version) == "":
		j.runtime = j.Version
	case have != "" && j.recorded != nil:
		j.runtime = have
	default:
		return nil, plan.Refusals{{
			Exit: 3, Path: "go.mod", What: wordDevelopmentBuild,
			Next: "go mod edit -replace=" + hostrepo.RuntimeModule + "=<lockspire checkout>/runtime",
		}}
	}
	if have != "" && (replaced || semver.Compare(have, j.runtime) >= 0) {
		j.runtime = have
		return nil, nil
	}
	return &plan.Module{Path: hostrepo.RuntimeModule, Version: j.runtime, Replaced: replaced}, nil
}

// inTheWay refuses a directory that holds a package of the host.
func (j *job) inTheWay() plan.Refusals {
	existing := j.repo.PackageAt(j.in.Package)
	if existing == nil || existing.Ours {
		return nil
	}
	rendered, err := templates.Render(j.in)
	if err != nil {
		return nil // reported where it is rendered for real
	}
	for _, f := range rendered {
		if path.Dir(f.Path) == j.in.Package && slices.Contains(existing.Files, path.Base(f.Path)) {
			return nil // at least partly ours: the files are compared one by one
		}
	}
	return plan.Refusals{{
		Exit: 1, Path: j.in.Package, What: wordPackageTaken(existing.Name), Next: strings.Join(j.freeNames(), "\n"),
	}}
}

// freeNames are three commands with package directories that do not exist yet.
func (j *job) freeNames() []string {
	var out []string
	for _, name := range []string{"oauthserver", "lockspireauth", "openidprovider", "authorization", "tokenserver"} {
		dir := path.Join(path.Dir(j.in.Package), name)
		if before, _, err := plan.ReadHost(j.repo.ModuleRoot, dir+"/lockspire_gen.go"); err != nil || before != nil {
			continue
		}
		if j.repo.PackageAt(dir) == nil && len(out) < 3 {
			out = append(out, "lockspire install --package "+dir)
		}
	}
	return out
}

// differs lists the flags that contradict what the manifest records.
func (j *job) differs() plan.Refusals {
	var refusals plan.Refusals
	contradict := func(key, flag, recorded string) {
		if flag != "" && flag != recorded {
			refusals = append(refusals, &plan.Refusal{
				Exit: 1, Path: manifest.Path, What: wordAlreadyInstalled(key, recorded),
				Next: "lockspire upgrade --set " + key + "=" + flag,
			})
		}
	}
	contradict("mount_path", j.MountPath, j.in.MountPath)
	contradict("package", j.Package, j.in.Package)
	contradict("issuer", j.Issuer, j.in.Issuer)
	contradict("engine", j.Engine, j.in.Engine)
	contradict("schema", j.Schema, j.in.Schema)
	contradict("migrations", j.Migrations, j.in.Migrations)
	contradict("migrations_dir", j.MigrationsDir, j.in.MigrationsDir)
	contradict("migrations_table", j.MigrationsTable, j.in.MigrationsTable)
	contradict("login_path", j.LoginPath, j.in.LoginPath)
	contradict("header", j.header, j.in.Header)
	if j.SchemaExists && !j.in.SchemaExists {
		contradict("schema_exists", "true", "false")
	}
	if j.Database == databaseSeparate && j.in.Database != templates.DatabaseOwn {
		contradict("database", templates.DatabaseOwn, j.in.Database)
	}
	if j.Sigra && !j.in.SigraHost {
		contradict("sigra_host", "true", "false")
	}
	return refusals
}
