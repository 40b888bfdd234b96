package install

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/hostrepo"
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
	return prepare(t.Context(), repo, o)
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
		"migrations":                   {Options{Migrations: "magic"}, []string{"goose, golang-migrate", "runtime, print"}},
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
func TestI76IssuerAndMountPath(t *testing.T) {
	j := decided(t, muxHost(t), Options{Issuer: "https://app.example/oauth"})
	if j.in.MountPath != "/oauth" || len(j.warnings()) != 0 {
		t.Errorf("mounted at %s with warnings %q", j.in.MountPath, j.warnings())
	}
	j = decided(t, muxHost(t), Options{Issuer: "https://app.example/app/oauth", MountPath: "/oauth"})
	if j.in.MountPath != "/oauth" || len(j.warnings()) != 1 {
		t.Errorf("mounted at %s with warnings %q", j.in.MountPath, j.warnings())
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

func TestI48AndI54PlacesThatCannotBeEdited(t *testing.T) {
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
	repo.Routers[0].Kind, repo.Routers[0].Problem, repo.Routers[0].Exit = "echo", "this is github.com/labstack/echo", 1
	repo.Routers[0].Expr, repo.Routers[0].Next = "", "lockspire install --no-wire"
	_, err = decideOn(t, repo, Options{})
	refused(t, err, 1, "web.go:12: this is github.com/labstack/echo", "--no-wire")
	if j := decided(t, repo, Options{NoWire: true}); j.in.Router != "handler" {
		t.Errorf("--no-wire gives a Mount for %s", j.in.Router)
	}
}

// I45, A3: several routers are a question. A terminal gets a choice, a script an error that lists the flags.
func TestI45SeveralRouters(t *testing.T) {
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
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	silent, writer := io.Pipe()
	defer writer.Close()
	o := Options{IsTerminal: true, In: silent, Err: io.Discard, Version: "(devel)"}
	_, err = prepare(ctx, two(), o) // an interrupt ends the question, here and in confirm
	refused(t, err, 3, "--router")
	if j := decided(t, two(), Options{NoWire: true}); j.in.Router != "servemux" || j.in.Wire {
		t.Errorf("--no-wire gives %+v", j.in)
	}
}

// I85: the call follows the enclosing function.
func TestI85CallFollowsTheFunction(t *testing.T) {
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

// I47: what is served came from where it cannot be seen. The call can still be printed, for any http.Handler.
func TestI47HandlerThatCannotBeFollowedIsRefusedWithTheCallToPaste(t *testing.T) {
	repo := muxHost(t)
	repo.Routers[0] = hostrepo.Router{
		Kind: hostrepo.KindHandler, Type: "http.Handler", TypePath: "net/http", File: "main.go", Line: 7, Exit: 1,
		Problem: "the handler that is served here comes from where it cannot be followed", Next: "lockspire install --no-wire",
	}
	_, err := decideOn(t, repo, Options{})
	refused(t, err, 1, "main.go:7: the handler", "--no-wire")
	j := decided(t, repo, Options{NoWire: true})
	if todo := strings.Join(j.todo(nil), "\n"); j.in.Router != "handler" || !strings.Contains(todo, "around the handler that you serve") ||
		!strings.Contains(todo, "authserver.MustMount(handler, authserver.Host{DB: db})") {
		t.Errorf("a Mount for %s:\n%s", j.in.Router, todo)
	}
}

// I53: legal together, but a reader should know which wins.
func TestI53PatternWithAHostNameIsAWarning(t *testing.T) {
	repo := muxHost(t)
	repo.Routers[0].Routes = append(repo.Routers[0].Routes, route("", "example.com/lockspire/", 30))
	if got := decided(t, repo, Options{}).warnings(); len(got) != 1 || !strings.Contains(got[0], "web.go:30 example.com/lockspire/ goes before") {
		t.Errorf("warnings: %q", got)
	}
}

func write(t *testing.T, repo *hostrepo.Repo, path, content string) {
	t.Helper()
	writeFile(t, filepath.Join(repo.ModuleRoot, filepath.FromSlash(path)), content)
}

// I46: the application is mounted under a base path of its configuration. The provider stands beside it, on what is served.
func TestI46BasePathOfTheConfigurationIsNamedWithTheWayOut(t *testing.T) {
	repo := muxHost(t)
	if got := decided(t, repo, Options{}).warnings(); len(got) != 0 {
		t.Errorf("warnings without a base path: %q", got)
	}
	repo.Routers[0].Routes = append(repo.Routers[0].Routes, hostrepo.Route{Pattern: `base + "/"`, Position: at3("web.go", 25)})
	j := decided(t, repo, Options{})
	if got := j.warnings(); len(got) != 1 || !strings.Contains(got[0], "web.go:25 serves under base, ") || !strings.Contains(got[0], "--mount-path /base/lockspire") {
		t.Errorf("warnings: %q", got)
	}
	for _, p := range templates.Paths(j.in) {
		if !strings.HasPrefix(p, "/lockspire/") && !strings.HasPrefix(p, "/.well-known/") {
			t.Errorf("%s is neither below the mount path nor a well-known at the root", p)
		}
	}
	if got := decided(t, repo, Options{MountPath: "/app/lockspire"}).warnings(); len(got) != 0 {
		t.Errorf("warnings with the path given: %q", got)
	}
}
