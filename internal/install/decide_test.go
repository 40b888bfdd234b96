package install

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// muxHost is a host as hostrepo describes it: a ServeMux with a login form, and a *sql.DB on SQLite in scope.
func muxHost(t *testing.T) *hostrepo.Repo {
	t.Helper()
	repo := &hostrepo.Repo{ModuleRoot: t.TempDir(), ModulePath: "example.com/app", GoVersion: "go1.26"}
	repo.GoMod.RuntimeReplace = "../runtime"
	repo.Engines = []hostrepo.Engine{{Engine: "sqlite", Driver: "sqlite", Import: "modernc.org/sqlite", Position: at3("main.go", 9)}}
	repo.Routers = []hostrepo.Router{{
		Kind: hostrepo.KindServeMux, Type: "*http.ServeMux", TypePath: "net/http", File: "web.go", Line: 12, Func: "newRouter", Expr: "mux",
		Insert:   hostrepo.Insertion{File: "web.go", Line: 20, EOL: "\n", Indent: "\t", Returns: hostrepo.ReturnsNone},
		Database: []hostrepo.Handle{{Kind: hostrepo.HandleSQL, Expr: "db", Engine: "sqlite", Driver: "sqlite", Import: "modernc.org/sqlite"}},
		Routes:   []hostrepo.Route{route("GET", "/login", 13), {Method: "GET", Pattern: "/", Known: true, Subtree: true, Position: at3("web.go", 14)}},
		Login:    &hostrepo.Login{Path: "/login", Method: "GET", Position: at3("web.go", 13)},
	}}
	return repo
}

func at3(file string, line int) hostrepo.Position {
	return hostrepo.Position{File: file, Line: line, Col: 3}
}

func route(method, pattern string, line int) hostrepo.Route {
	return hostrepo.Route{Method: method, Pattern: pattern, Known: true, Position: at3("web.go", line)}
}

// decideOn runs the decisions for flags on a host.
func decideOn(t *testing.T, repo *hostrepo.Repo, o Options) (*job, error) {
	t.Helper()
	if o.Version == "" {
		o.Version = "(devel)"
	}
	o, err := o.normalise()
	if err != nil {
		return nil, err
	}
	o.Err = io.Discard
	return prepare(repo, o)
}

func decided(t *testing.T, repo *hostrepo.Repo, o Options) *job {
	t.Helper()
	j, err := decideOn(t, repo, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.in.Validate(); err != nil {
		t.Fatal(err)
	}
	return j
}

// refused wants an exit code and, in order, a piece of each refusal as it is printed.
func refused(t *testing.T, err error, exit int, pieces ...string) {
	t.Helper()
	refusals, ok := plan.AsRefusals(err)
	if !ok {
		t.Fatalf("got %v, want a refusal", err)
	}
	if refusals.ExitCode() != exit {
		t.Errorf("exit %d, want %d:\n%v", refusals.ExitCode(), exit, refusals)
	}
	for _, piece := range pieces {
		if !strings.Contains(refusals.Error(), piece) {
			t.Errorf("no %q in:\n%v", piece, refusals)
		}
	}
	for _, r := range refusals {
		if r.What == "" || r.Next == "" {
			t.Errorf("a refusal without a reason or a next step: %+v", r)
		}
	}
}

func TestDefaultsComeFromTheHost(t *testing.T) {
	j := decided(t, muxHost(t), Options{})
	want := templates.Inputs{
		Database: "sql.DB", DriverImport: "modernc.org/sqlite", DriverName: "sqlite", Engine: "sqlite", LoginPath: "/login",
		Migrations: "runtime", Module: "example.com/app", MountPath: "/lockspire", Package: "internal/authserver",
		Router: "servemux", RouterImport: "net/http", Wire: true,
	}
	if j.in != want {
		t.Errorf("inputs are\n%+v, want\n%+v", j.in, want)
	}
	if call := strings.Join(j.call("authserver."), "\n"); call != "authserver.MustMount(mux, authserver.Host{DB: db})" {
		t.Errorf("the call is\n%s", call)
	}
}

// I77, M14, I116: what is wrong with the command line is said before the host is read, all of it at once.
func TestWrongFlagsAreUsageErrors(t *testing.T) {
	for name, c := range map[string]struct {
		o      Options
		pieces []string
	}{
		"several":                      {Options{MountPath: "/a//b", Package: "../x", Engine: "mysql"}, []string{"empty segment", "--package", "--engine mysql"}},
		"package main":                 {Options{Package: "cmd/main"}, []string{"--package cmd/main"}},
		"package with a dash":          {Options{Package: "internal/auth-server"}, []string{"--package"}},
		"keyword":                      {Options{Package: "internal/func"}, []string{"--package"}},
		"schema":                       {Options{Schema: `auth"; DROP`}, []string{"--schema"}},
		"issuer with a query":          {Options{Issuer: "https://app.example/lockspire?x"}, []string{"no query"}},
		"issuer over http":             {Options{Issuer: "http://app.example/lockspire"}, []string{"https"}},
		"issuer with a slash":          {Options{Issuer: "https://app.example/lockspire/"}, []string{"slash"}},
		"issuer in capitals":           {Options{Issuer: "https://App.example/lockspire"}, []string{"lower case"}},
		"issuer with the default port": {Options{Issuer: "https://app.example:443/lockspire"}, []string{"default port"}},
		"issuer without a path":        {Options{Issuer: "https://app.example"}, []string{"has no path", "--issuer https://app.example/lockspire"}},
		"login elsewhere":              {Options{LoginPath: "//evil.example"}, []string{"--login-path"}},
		"migrations":                   {Options{Migrations: "magic"}, []string{"goose, runtime, print"}},
		"migrations outside":           {Options{MigrationsDir: "../db"}, []string{"--migrations-dir ../db"}},
		"runtime version":              {Options{RuntimeVersion: "latest"}, []string{"--runtime-version latest"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decideOn(t, muxHost(t), c.o)
			refused(t, err, 2, c.pieces...)
		})
	}
}

// I76: the issuer's path is the mount path, unless both are given because a proxy changes it.
func TestIssuerAndMountPath(t *testing.T) {
	j := decided(t, muxHost(t), Options{Issuer: "https://app.example/oauth"})
	if j.in.MountPath != "/oauth" || len(j.warnings()) != 0 {
		t.Errorf("mounted at %s with warnings %q", j.in.MountPath, j.warnings())
	}
	j = decided(t, muxHost(t), Options{Issuer: "https://app.example/app/oauth", MountPath: "/oauth"})
	if j.in.MountPath != "/oauth" || len(j.warnings()) != 1 {
		t.Errorf("mounted at %s with warnings %q", j.in.MountPath, j.warnings())
	}
}

// I49, I50, I52, I56: what would panic at start, or take a route of the host away, is refused before anything is planned.
func TestRouteConflicts(t *testing.T) {
	for name, c := range map[string]struct {
		kind   string
		route  hostrepo.Route
		reason string // "" when it is compatible
	}{
		"catch-all with a method":      {"servemux", route("GET", "/", 30), ""},
		"catch-all without":            {"servemux", route("", "/", 30), ""},
		"wildcard catch-all":           {"servemux", route("GET", "/{path...}", 30), ""},
		"tenant pages":                 {"servemux", route("", "/{tenant}/settings", 30), ""},
		"tenant tokens":                {"servemux", route("GET", "/{user}/token", 30), ""},
		"well-known by name":           {"servemux", route("GET", "/.well-known/{file}", 30), ""},
		"subtree at the mount path":    {"servemux", route("", "/lockspire/", 30), ""},
		"another host":                 {"servemux", route("", "example.com/lockspire/", 30), ""},
		"callback below":               {"servemux", route("GET", "/lockspire/callback", 30), ""},
		"same path and method":         {"servemux", route("POST", "/lockspire/token", 30), "the provider needs that path"},
		"same path, every method":      {"servemux", route("", "/lockspire/token", 30), "the provider needs that path"},
		"same metadata path":           {"servemux", route("GET", "/.well-known/oauth-authorization-server/lockspire", 30), "needs that path"},
		"neither is more specific":     {"servemux", route("GET", "/{tenant}/interactions/new", 30), "would panic at start"},
		"wildcards of the same shape":  {"servemux", route("GET", "/lockspire/interactions/{name}", 30), "would panic at start"},
		"pattern that is not constant": {"servemux", hostrepo.Route{Pattern: "prefix + \"/token\"", Position: at3("web.go", 30)}, ""},
		"chi callback below":           {"chi", route("GET", "/lockspire/callback", 30), ""},
		"chi same path":                {"chi", route("POST", "/lockspire/token", 30), "needs that path"},
		"chi same shape":               {"chi", route("GET", "/lockspire/interactions/{name}", 30), "needs that path"},
		"chi sub-router there":         {"chi", hostrepo.Route{Pattern: "/lockspire/*", Known: true, Subtree: true, Position: at3("web.go", 30)}, "is a sub-router"},
		"chi catch-all":                {"chi", hostrepo.Route{Method: "GET", Pattern: "/*", Known: true, Subtree: true, Position: at3("web.go", 30)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			repo := muxHost(t)
			repo.Routers[0].Kind = c.kind
			if c.kind == "chi" {
				repo.Routers[0].TypePath = "github.com/go-chi/chi/v5"
			}
			repo.Routers[0].Routes = append(repo.Routers[0].Routes, c.route)
			_, err := decideOn(t, repo, Options{})
			if c.reason == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			refused(t, err, 1, c.reason, "web.go:30:3: ", "--mount-path")
		})
	}
}

// A2: every conflict is reported, not the first.
func TestAllConflictsAreReported(t *testing.T) {
	repo := muxHost(t)
	repo.Routers[0].Routes = append(repo.Routers[0].Routes, route("POST", "/lockspire/token", 30), route("GET", "/lockspire/jwks", 31))
	_, err := decideOn(t, repo, Options{})
	refused(t, err, 1, "web.go:30:3", "web.go:31:3")
}

func TestMountAtTheRootNeedsNoCatchAll(t *testing.T) {
	_, err := decideOn(t, muxHost(t), Options{MountPath: "/"})
	refused(t, err, 1, "GET / answers everything", "web.go:14:3")
	repo := muxHost(t)
	repo.Routers[0].Routes = repo.Routers[0].Routes[:1]
	if j := decided(t, repo, Options{MountPath: "/"}); j.in.MountPath != "/" {
		t.Errorf("mounted at %s", j.in.MountPath)
	}
}

func TestPlacesThatCannotBeEdited(t *testing.T) {
	repo := muxHost(t)
	repo.GoMod.ServeMux121 = true
	_, err := decideOn(t, repo, Options{})
	refused(t, err, 1, "go.mod: ", "httpmuxgo121") // I54
	repo = muxHost(t)
	repo.Routers[0].Insert.Generated = true
	_, err = decideOn(t, repo, Options{})
	refused(t, err, 1, "web.go:20: ", "generated file", "--no-wire") // I48
	repo = muxHost(t)
	repo.Routers[0].Insert = hostrepo.Insertion{}
	_, err = decideOn(t, repo, Options{})
	refused(t, err, 1, "web.go:12", "--no-wire")
	repo = muxHost(t)
	repo.Routers[0].Kind, repo.Routers[0].Type, repo.Routers[0].TypePath = "gin", "*gin.Engine", "github.com/gin-gonic/gin"
	_, err = decideOn(t, repo, Options{})
	refused(t, err, 1, "*gin.Engine cannot be wired", "--no-wire")
}

// I45, A3: several routers are a question. A terminal gets a choice, a script an error that lists the flags.
func TestSeveralRouters(t *testing.T) {
	two := func() *hostrepo.Repo {
		repo := muxHost(t)
		admin := repo.Routers[0]
		admin.File, admin.Line = "admin.go", 40
		repo.Routers = append(repo.Routers, admin)
		return repo
	}
	_, err := decideOn(t, two(), Options{})
	refused(t, err, 3, "--router web.go:12", "--router admin.go:40")
	if j := decided(t, two(), Options{Router: "admin.go:40"}); j.router.File != "admin.go" {
		t.Errorf("chose %s", j.router.File)
	}
	_, err = decideOn(t, two(), Options{Router: "web.go:99"})
	refused(t, err, 2, "--router web.go:99")
	if j := decided(t, two(), Options{IsTerminal: true, In: strings.NewReader("2\nrest")}); j.router.File != "admin.go" {
		t.Errorf("chose %s", j.router.File)
	}
	_, err = decideOn(t, two(), Options{IsTerminal: true, In: strings.NewReader("x\n")})
	refused(t, err, 3, "--router")
	if j := decided(t, two(), Options{NoWire: true}); j.in.Router != "servemux" || j.in.Wire {
		t.Errorf("--no-wire gives %+v", j.in)
	}
}

// I112, I84, I115, I114, M13: one accessor per handle, the host's own driver, and honest limits.
func TestDatabase(t *testing.T) {
	pgx := hostrepo.Handle{Kind: hostrepo.HandlePgx, Expr: "s.pool", Import: "github.com/jackc/pgx/v5/pgxpool"}
	pgxEngine := hostrepo.Engine{Engine: "postgres", Import: "github.com/jackc/pgx/v5/pgxpool", Position: at3("main.go", 8)}
	pq := hostrepo.Engine{Engine: "postgres", Driver: "postgres", Import: "github.com/lib/pq", Position: at3("main.go", 10)}
	mysql := hostrepo.Engine{Engine: "mysql", Driver: "mysql", Import: "github.com/go-sql-driver/mysql", Position: at3("main.go", 11)}
	sqlite := muxHost(t).Engines[0]
	for name, c := range map[string]struct {
		handles []hostrepo.Handle
		engines []hostrepo.Engine
		o       Options
		want    string // database engine driver-name host-fields
	}{
		"pgxpool":                  {[]hostrepo.Handle{pgx}, []hostrepo.Engine{pgxEngine}, Options{}, "pgxpool postgres  Pool: s.pool"},
		"unknown engine of handle": {[]hostrepo.Handle{{Kind: hostrepo.HandleSQL, Expr: "store.DB"}}, []hostrepo.Engine{pq}, Options{}, "sql.DB postgres postgres DB: store.DB"},
		"none in scope":            {nil, []hostrepo.Engine{sqlite}, Options{}, "own sqlite sqlite "},
		"none in scope, pgx":       {nil, []hostrepo.Engine{pgxEngine}, Options{}, "own postgres pgx "},
		"engine chosen":            {nil, []hostrepo.Engine{sqlite, pq}, Options{Engine: "postgres"}, "own postgres postgres "},
		"mysql beside sqlite": {
			[]hostrepo.Handle{{Kind: hostrepo.HandleSQL, Expr: "my", Engine: "mysql"}},
			[]hostrepo.Engine{mysql, sqlite}, Options{}, "own sqlite sqlite ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			repo := muxHost(t)
			repo.Routers[0].Database, repo.Engines = c.handles, c.engines
			j := decided(t, repo, c.o)
			if got := strings.Join([]string{j.in.Database, j.in.Engine, j.in.DriverName, j.hostFields()}, " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	for name, c := range map[string]struct {
		engines []hostrepo.Engine
		o       Options
		exit    int
		pieces  []string
	}{
		"two engines":    {[]hostrepo.Engine{sqlite, pq}, Options{}, 3, []string{"main.go:9:3", "main.go:10:3", "--engine sqlite", "--engine postgres"}},
		"mysql only":     {[]hostrepo.Engine{mysql}, Options{}, 1, []string{"main.go:11:3", "PostgreSQL and SQLite"}},
		"none":           {nil, Options{}, 3, []string{"no database", "sqlite", "postgres"}},
		"none of chosen": {[]hostrepo.Engine{sqlite}, Options{Engine: "postgres"}, 1, []string{"no database/sql driver for postgres", "pgx"}},
	} {
		t.Run(name, func(t *testing.T) {
			repo := muxHost(t)
			repo.Routers[0].Database, repo.Engines = nil, c.engines
			_, err := decideOn(t, repo, c.o)
			refused(t, err, c.exit, c.pieces...)
		})
	}
}

// M01, M04, M08: a goose directory is used, several are a question, another tool's is left alone.
func TestMigrationsMode(t *testing.T) {
	goose := func(dir, engine string) hostrepo.MigrationDir {
		return hostrepo.MigrationDir{Dir: dir, Tool: "goose", Naming: "sequence", Width: 5, Newest: 7, Engine: engine, Why: []string{dir + "/00007_x.sql"}}
	}
	for name, c := range map[string]struct {
		dirs []hostrepo.MigrationDir
		o    Options
		want string // mode dir naming
	}{
		"none":                   {nil, Options{}, "runtime  "},
		"goose":                  {[]hostrepo.MigrationDir{goose("db", "")}, Options{}, "goose db sequence"},
		"goose of other engine":  {[]hostrepo.MigrationDir{goose("pg", "postgres"), goose("lite", "sqlite")}, Options{}, "goose lite sequence"},
		"runtime asked for":      {[]hostrepo.MigrationDir{goose("db", "")}, Options{Migrations: "runtime"}, "runtime  "},
		"print":                  {nil, Options{Migrations: "print"}, "print  "},
		"chosen of two":          {[]hostrepo.MigrationDir{goose("a", ""), goose("b", "")}, Options{MigrationsDir: "b"}, "goose b sequence"},
		"directory still to be":  {nil, Options{MigrationsDir: "db/migrations"}, "goose db/migrations timestamp"},
		"another tool's":         {[]hostrepo.MigrationDir{{Dir: "db", Tool: "dbmate", Naming: "timestamp"}}, Options{}, "runtime  "},
		"another tool's, beside": {[]hostrepo.MigrationDir{{Dir: "db", Tool: "dbmate"}, goose("x", "")}, Options{}, "goose x sequence"},
	} {
		t.Run(name, func(t *testing.T) {
			repo := muxHost(t)
			repo.Migrations = c.dirs
			j := decided(t, repo, c.o)
			if got := strings.Join([]string{j.in.Migrations, j.in.MigrationsDir, j.in.MigrationsNaming}, " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	repo := muxHost(t)
	repo.Migrations = []hostrepo.MigrationDir{goose("a", ""), goose("b", "")}
	_, err := decideOn(t, repo, Options{})
	refused(t, err, 3, "a: one of 2", "b: one of 2", "--migrations-dir a", "--migrations-dir b")
	_, err = decideOn(t, muxHost(t), Options{Migrations: "goose"})
	refused(t, err, 3, "--migrations-dir")
	_, err = decideOn(t, muxHost(t), Options{Schema: "auth"})
	refused(t, err, 2, "--schema is for PostgreSQL")
}

// I120: a development build has no runtime version of its own.
func TestRuntimeVersion(t *testing.T) {
	for name, c := range map[string]struct {
		mod     hostrepo.GoMod
		o       Options
		version string // "" when refused
		require bool
	}{
		"release":                     {hostrepo.GoMod{}, Options{Version: "v0.2.0"}, "v0.2.0", true},
		"development":                 {hostrepo.GoMod{}, Options{}, "", false},
		"pseudo-version":              {hostrepo.GoMod{}, Options{Version: "v0.2.1-0.20260101000000-abcdefabcdef"}, "", false},
		"flag":                        {hostrepo.GoMod{}, Options{RuntimeVersion: "v0.3.0"}, "v0.3.0", true},
		"replaced":                    {hostrepo.GoMod{RuntimeReplace: "../runtime"}, Options{Version: "v0.2.0"}, unpublished, true},
		"replaced and required":       {hostrepo.GoMod{RuntimeReplace: "../runtime", RuntimeVersion: "v0.1.0"}, Options{}, "v0.1.0", false},
		"in the workspace":            {hostrepo.GoMod{RuntimeUsed: true}, Options{}, unpublished, true},
		"required already":            {hostrepo.GoMod{RuntimeVersion: "v0.2.0"}, Options{Version: "v0.2.0"}, "v0.2.0", false},
		"older one required":          {hostrepo.GoMod{RuntimeVersion: "v0.1.0"}, Options{Version: "v0.2.0"}, "v0.2.0", true},
		"newer one required is kept":  {hostrepo.GoMod{RuntimeVersion: "v0.9.0"}, Options{Version: "v0.2.0"}, "v0.9.0", false},
		"required, development build": {hostrepo.GoMod{RuntimeVersion: "v0.2.0"}, Options{}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			repo := muxHost(t)
			repo.GoMod = c.mod
			j, err := decideOn(t, repo, c.o)
			if c.version == "" {
				refused(t, err, 3, "go mod edit -replace=github.com/lockspire/lockspire/runtime=", "--runtime-version")
				return
			}
			if err != nil || j.runtime != c.version || len(j.plan.Modules) == 1 != c.require {
				t.Fatalf("runtime %v, modules %v, %v", j, j.plan.Modules, err)
			}
		})
	}
}

// I85: the call follows the enclosing function.
func TestCallFollowsTheFunction(t *testing.T) {
	for name, c := range map[string]struct {
		insert hostrepo.Insertion
		want   string
	}{
		"error": {
			hostrepo.Insertion{Returns: hostrepo.ReturnsError, Zeros: []string{"nil", `""`}},
			"if _, err := a.Mount(mux, a.Host{DB: db}); err != nil {\n\treturn nil, \"\", err\n}",
		},
		"error, err in scope": {
			hostrepo.Insertion{Returns: hostrepo.ReturnsError, ErrName: "err"},
			"if _, err = a.Mount(mux, a.Host{DB: db}); err != nil {\n\treturn err\n}",
		},
		"nothing":  {hostrepo.Insertion{Returns: hostrepo.ReturnsNone}, "a.MustMount(mux, a.Host{DB: db})"},
		"no error": {hostrepo.Insertion{Returns: hostrepo.ReturnsOther}, "a.MustMount(mux, a.Host{DB: db})"},
		"main":     {hostrepo.Insertion{Returns: hostrepo.ReturnsNone, InMain: true}, "a.MustMount(mux, a.Host{DB: db})"},
	} {
		t.Run(name, func(t *testing.T) {
			repo := muxHost(t)
			c.insert.File = "web.go"
			repo.Routers[0].Insert = c.insert
			j := decided(t, repo, Options{})
			if got := strings.Join(j.call("a."), "\n"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// I78, I79: what is installed is recognised, and never installed a second time.
func TestInstalledAlready(t *testing.T) {
	repo := muxHost(t)
	repo.Mounts = []hostrepo.Mount{{Package: "example.com/app/internal/idp", Callee: "Mount", Position: at3("web.go", 15)}}
	_, err := decideOn(t, repo, Options{})
	refused(t, err, 1, "web.go:15:3", "installed already, as example.com/app/internal/idp", "--package internal/idp")

	repo.Mounts[0].Package = "example.com/app/internal/authserver"
	repo.Routers[0].Routes = append(repo.Routers[0].Routes, route("POST", "/lockspire/token", 30)) // ours, as hostrepo sees it
	if j := decided(t, repo, Options{}); !j.wired() {
		t.Error("the hand-written call is not recognised")
	}
}

func TestSecondRunTakesItsDecisionsFromTheManifest(t *testing.T) {
	repo := muxHost(t)
	repo.Mounts = []hostrepo.Mount{{Package: "example.com/app/internal/authserver", Callee: "Mount"}}
	in := decided(t, repo, Options{}).in
	m := &manifest.Manifest{Schema: manifest.Schema, Runtime: unpublished}
	if err := m.SetInputs(in); err != nil {
		t.Fatal(err)
	}
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	write(t, repo, manifest.Path, string(data))

	repo.Routers[0].Database = nil // a fact has changed: upgrade's business
	if j := decided(t, repo, Options{}); j.in != in || j.router != nil {
		t.Errorf("inputs are %+v, router %v", j.in, j.router)
	}
	_, err = decideOn(t, repo, Options{MountPath: "/other", Package: "internal/idp", Sigra: true})
	refused(t, err, 1, "with mount_path=/lockspire", "upgrade --set mount_path=", "with package=internal/authserver", "sigra_host")

	// I80: the host took the call out again.
	repo.Mounts = nil
	if j := decided(t, repo, Options{}); j.router == nil {
		t.Error("the call is not offered again")
	}
	repo.Routers[0].Kind, repo.Routers[0].TypePath, repo.Routers[0].Type = "chi", "github.com/go-chi/chi/v5", "chi.Router"
	_, err = decideOn(t, repo, Options{})
	refused(t, err, 1, "the router is chi.Router now")

	in.Wire = false
	if err := m.SetInputs(in); err != nil {
		t.Fatal(err)
	}
	if data, err = m.Marshal(); err != nil {
		t.Fatal(err)
	}
	write(t, repo, manifest.Path, string(data))
	if j := decided(t, repo, Options{}); j.router != nil {
		t.Error("the call is offered although --no-wire was recorded")
	}
}

// A pull request can edit the manifest; what it says is checked before any path of it is opened.
func TestManifestWithBadInputsIsRefused(t *testing.T) {
	repo := muxHost(t)
	in := decided(t, repo, Options{}).in
	in.Package = "../../outside"
	m := &manifest.Manifest{Schema: manifest.Schema}
	if err := m.SetInputs(in); err != nil {
		t.Fatal(err)
	}
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	write(t, repo, manifest.Path, string(data))
	_, err = decideOn(t, repo, Options{})
	refused(t, err, 1, manifest.Path, "inputs: package")
}

// I90: a package of the host is never merged into; three free names are given.
func TestPackageOfTheHostIsInTheWay(t *testing.T) {
	repo := muxHost(t)
	write(t, repo, "internal/authserver/oauth.go", "package authserver\n")
	write(t, repo, "internal/oauthserver/x.go", "package oauthserver\n")
	_, err := decideOn(t, repo, Options{})
	refused(t, err, 1, "internal/authserver: package authserver of yours is here", "--package internal/lockspireauth")
	if strings.Contains(err.Error(), "oauthserver") {
		t.Errorf("suggests a name that is taken:\n%v", err)
	}
	if n := strings.Count(err.Error(), "lockspire install --package"); n != 3 {
		t.Errorf("%d names, want 3:\n%v", n, err)
	}
}

// I92, I93: files that are ours already are adopted; others in their place are listed, all of them.
func TestFilesInTheWay(t *testing.T) {
	repo := muxHost(t)
	write(t, repo, "web.go", "package app\n")
	rendered, err := templates.Render(decided(t, repo, Options{}).in)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range rendered {
		write(t, repo, f.Path, strings.ReplaceAll(string(f.Content), "\n", "\r\n")) // another checkout's line ends
	}
	j := decided(t, repo, Options{})
	if err := j.build(); err != nil {
		t.Fatal(err)
	}
	if len(j.adopted) != len(rendered) {
		t.Errorf("adopted %d of %d: %q", len(j.adopted), len(rendered), j.adopted)
	}

	write(t, repo, "internal/authserver/config.go", "package authserver // mine\n")
	write(t, repo, "internal/authserver/pages/consent.html", "mine")
	err = decided(t, repo, Options{}).build()
	refused(t, err, 1, "internal/authserver/config.go: ", "internal/authserver/pages/consent.html: ", "--adopt-existing")

	j = decided(t, repo, Options{AdoptExisting: true})
	if err := j.build(); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(j.plan.Changes, func(c plan.Change) bool { return c.Path == "internal/authserver/config.go" }) {
		t.Error("--adopt-existing overwrites config.go")
	}
}

// M05, I92: a migration that an earlier run left is adopted, not written a second time.
func TestMigrationOfAnEarlierRunIsAdopted(t *testing.T) {
	repo := muxHost(t)
	write(t, repo, "web.go", "package app\n")
	repo.Migrations = []hostrepo.MigrationDir{{Dir: "db", Tool: "goose", Naming: "sequence", Width: 5, Newest: 8}}
	content, ok := templates.GooseSQL(decided(t, repo, Options{}).in, 1)
	if !ok {
		t.Fatal("no schema 1")
	}
	write(t, repo, "db/00008_lockspire_init.sql", string(content))
	j := decided(t, repo, Options{})
	if err := j.build(); err != nil {
		t.Fatal(err)
	}
	for _, c := range j.plan.Changes {
		if strings.HasPrefix(c.Path, "db/") {
			t.Errorf("writes %s", c.Path)
		}
	}
	if !slices.Contains(j.adopted, "db/00008_lockspire_init.sql") {
		t.Errorf("adopted %q", j.adopted)
	}
}

// A3: nobody to ask is an error that names the flag; only "y" or "yes" writes.
func TestConfirm(t *testing.T) {
	ask := func(o Options) error {
		o.Err = io.Discard
		return (&job{Options: o}).confirm(context.Background())
	}
	refused(t, ask(Options{}), 3, "--yes")
	refused(t, ask(Options{IsTerminal: true, In: strings.NewReader("\n")}), 1, "nothing was written")
	refused(t, ask(Options{IsTerminal: true, In: strings.NewReader("")}), 1, "nothing was written")
	for _, o := range []Options{{Yes: true}, {IsTerminal: true, In: strings.NewReader("y\n")}, {IsTerminal: true, In: strings.NewReader("YES\n")}} {
		if err := ask(o); err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	silent, writer := io.Pipe()
	defer writer.Close()
	err := (&job{Options: Options{IsTerminal: true, In: silent, Err: &bytes.Buffer{}}}).confirm(ctx)
	refused(t, err, 3, "interrupted")
}

// I53: legal together, but a reader should know which wins.
func TestPatternWithAHostNameIsAWarning(t *testing.T) {
	repo := muxHost(t)
	repo.Routers[0].Routes = append(repo.Routers[0].Routes, route("", "example.com/lockspire/", 30))
	if got := decided(t, repo, Options{}).warnings(); len(got) != 1 || !strings.Contains(got[0], "web.go:30 example.com/lockspire/ goes before") {
		t.Errorf("warnings: %q", got)
	}
}

func TestCSRFAroundTheWholeRouterIsAWarning(t *testing.T) {
	repo := muxHost(t)
	repo.Routers[0].Wrappers = []hostrepo.Wrapper{{Func: "csrf.Protect(key)", Position: at3("main.go", 44)}}
	j := decided(t, repo, Options{})
	if got := strings.Join(j.warnings(), "\n"); !strings.Contains(got, "main.go:44 csrf.Protect(key)") || !strings.Contains(got, "/lockspire/token") {
		t.Errorf("warnings: %s", got)
	}
}

func write(t *testing.T, repo *hostrepo.Repo, path, content string) {
	t.Helper()
	writeFile(t, filepath.Join(repo.ModuleRoot, filepath.FromSlash(path)), content)
}
