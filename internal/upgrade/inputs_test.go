package upgrade

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// rendersPath makes the mount path a part of the render.
func rendersPath(_ string, inputs json.RawMessage, _ []manifest.Migration) (Generation, error) {
	var in struct {
		MountPath string `json:"mount_path"`
	}
	err := json.Unmarshal(inputs, &in)
	return withMount("const Path = `" + in.MountPath + "`"), err
}

func sets(pairs ...string) func(*Options) { return func(o *Options) { o.Set = pairs } }

func TestU18RecordedInputsAreUsedAndSetChangesThem(t *testing.T) {
	root := host(t, withMount("const Path = `/lockspire`"))
	path := func(o *Options) { o.Render = rendersPath }
	if report, err := run(t, root, Generation{}, path); err != nil || report.Pending {
		t.Fatalf("with the recorded inputs something is pending: %v", err)
	}
	report, err := run(t, root, Generation{}, path, sets("mount-path=auth/"))
	if err != nil || !strings.Contains(get(t, root, mount), "`/auth`") {
		t.Fatalf("%v\n%s", err, get(t, root, mount))
	}
	var shown strings.Builder
	if err := report.Write(&shown); err != nil || !strings.Contains(shown.String(), "input     mount_path: /lockspire -> /auth  (--set)") {
		t.Errorf("the change is not shown:\n%s", shown.String())
	}
	if m, err := manifest.Read(root); err != nil || !strings.Contains(string(m.Inputs), `"/auth"`) {
		t.Errorf("not recorded: %v", err)
	}
	settled(t, root, Generation{}, path)
	settled(t, root, Generation{}, path, sets("mount_path=/auth")) // as it is already
}

func TestU18SetIsHeldToWhatInputsAre(t *testing.T) {
	root := host(t, generation())
	for set, want := range map[string]struct {
		exit int
		what string
	}{
		"mount_path":               {2, "has no ="},
		"mount_pth=/x":             {2, "there is no input mount_pth"},
		"mount_path=/x%2f":         {2, "may not contain an escape"},
		"module=example.com/other": {2, "go.mod"},
		"wire=perhaps":             {2, "neither true nor false"},
		"migrations_width=wide":    {2, "not a whole number"},
		"engine=postgres":          {1, "migrations that are there"},
		"schema=auth":              {1, "migrations that are there"},
	} {
		_, err := run(t, root, generation(), sets(set))
		refusals, ok := plan.AsRefusals(err)
		if !ok || refusals.ExitCode() != want.exit || !strings.Contains(err.Error(), want.what) || refusals[0].Next == "" {
			t.Errorf("--set %s: %v", set, err)
		}
	}
	_, err := run(t, root, generation(), sets("a", "b", "engine=x"))
	if refusals, _ := plan.AsRefusals(err); len(refusals) != 3 {
		t.Errorf("not all at once: %v", err)
	}
	_, err = run(t, root, Generation{}, sets("mount_path=/x"), func(o *Options) { o.Render = nil })
	if refusals, _ := plan.AsRefusals(err); refusals.ExitCode() != 2 || !strings.Contains(err.Error(), "--set mount_path=/x") {
		t.Errorf("inputs that do not render: %v", err)
	}
}

func TestU19ChangedFactIsShownRenderedAndRecorded(t *testing.T) {
	root := host(t, withMount("const Path = `/lockspire`"))
	detected := func(o *Options) {
		o.Render = rendersPath
		o.Detect = func(context.Context, string, Options, json.RawMessage, []string) (Found, error) {
			return Found{Values: map[string]string{"mount_path": "/new"}, Why: map[string]string{"mount_path": "main.go:7"}}, nil
		}
	}
	report, err := run(t, root, Generation{}, detected)
	if err != nil || !strings.Contains(get(t, root, mount), "`/new`") {
		t.Fatalf("%v\n%s", err, get(t, root, mount))
	}
	var shown strings.Builder
	if err := report.Write(&shown); err != nil || !strings.Contains(shown.String(), "/lockspire -> /new  (main.go:7)") {
		t.Errorf("old and new are not shown:\n%s", shown.String())
	}
	settled(t, root, Generation{}, detected)
}

func TestU19FactsAreComparedWithEvidence(t *testing.T) {
	router := func(kind, path, file string) hostrepo.Router {
		return hostrepo.Router{Kind: kind, TypePath: path, Type: kind, File: file, Line: 3}
	}
	engine := func(engine, name, path, file string) hostrepo.Engine {
		return hostrepo.Engine{Engine: engine, Driver: name, Import: path, Position: hostrepo.Position{File: file, Line: 5}}
	}
	in := templates.Inputs{
		Database: templates.DatabaseSQL, DriverImport: "modernc.org/sqlite", DriverName: "sqlite", Engine: templates.EngineSQLite,
		Module: "example.com/app", Package: "internal/authserver", Router: templates.RouterMux, RouterImport: "net/http",
		Migrations: templates.MigrationsGoose, MigrationsDir: "db/migrations",
	}
	mux, modernc := router("servemux", "net/http", "main.go"), engine("sqlite", "sqlite", "modernc.org/sqlite", "main.go")
	chi := router("chi", "github.com/go-chi/chi/v5", "routes.go")
	mattn := engine("sqlite", "sqlite3", "github.com/mattn/go-sqlite3", "db.go")
	for _, tc := range []struct {
		name   string
		module string
		host   hostrepo.Facts
		asked  string
		want   string // key=value of what changes, or "!" and a command of the refusal
	}{
		{"nothing", "", hostrepo.Facts{Routers: []hostrepo.Router{mux}, Engines: []hostrepo.Engine{modernc}}, "", ""},
		{"a second router", "", hostrepo.Facts{Routers: []hostrepo.Router{chi, mux}, Engines: []hostrepo.Engine{modernc}}, "", ""},
		{"a second database", "", hostrepo.Facts{Engines: []hostrepo.Engine{engine("postgres", "pgx", "pgx", "a.go"), modernc}}, "", ""},
		{"nothing was found", "", hostrepo.Facts{}, "", ""},
		{"the module was renamed", "example.com/new", hostrepo.Facts{}, "", "module=example.com/new"},
		{"the router moved to chi", "", hostrepo.Facts{Routers: []hostrepo.Router{chi}}, "", "router=chi router_import=github.com/go-chi/chi/v5"},
		{"one of two other routers", "", hostrepo.Facts{Routers: []hostrepo.Router{chi, router("gin", "github.com/gin-gonic/gin", "g.go")}}, "", "!--set router=gin --set router_import=github.com/gin-gonic/gin"},
		{"the same, decided", "", hostrepo.Facts{Routers: []hostrepo.Router{chi, router("gin", "github.com/gin-gonic/gin", "g.go")}}, "router", ""},
		{"another driver", "", hostrepo.Facts{Engines: []hostrepo.Engine{mattn}}, "", "driver_import=github.com/mattn/go-sqlite3 driver_name=sqlite3"},
		{"our own import is no evidence", "", hostrepo.Facts{Engines: []hostrepo.Engine{mattn, engine("sqlite", "sqlite", "modernc.org/sqlite", "internal/authserver/database.go")}}, "", "driver_import=github.com/mattn/go-sqlite3 driver_name=sqlite3"},
		{"one of two other drivers", "", hostrepo.Facts{Engines: []hostrepo.Engine{mattn, engine("sqlite", "sqlite3", "github.com/ncruces/go-sqlite3/driver", "n.go")}}, "", "!--set driver_import=github.com/mattn/go-sqlite3 --set driver_name=sqlite3"},
		{"another engine", "", hostrepo.Facts{Engines: []hostrepo.Engine{engine("postgres", "pgx", "github.com/jackc/pgx/v5/stdlib", "db.go")}}, "", "!--set engine=postgres --set driver_import=github.com/jackc/pgx/v5/stdlib"},
		{"migrations moved", "", hostrepo.Facts{Migrations: []hostrepo.MigrationDir{{Dir: "migrate", Tool: "goose"}}}, "", "migrations_dir=migrate"},
		{"migrations stayed", "", hostrepo.Facts{Migrations: []hostrepo.MigrationDir{{Dir: "other", Tool: "goose"}, {Dir: "db/migrations", Tool: "goose"}}}, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			module := tc.module
			if module == "" {
				module = in.Module
			}
			found, err := compareFacts(module, &tc.host, in, []string{tc.asked})
			if command, refused := strings.CutPrefix(tc.want, "!"); refused {
				refusals, _ := plan.AsRefusals(err)
				if refusals.ExitCode() != 1 || !strings.Contains(err.Error(), command) || refusals[0].Line == 0 {
					t.Errorf("got %v", err)
				}
				return
			}
			var got []string
			for _, key := range []string{"driver_import", "driver_name", "migrations_dir", "module", "router", "router_import"} {
				if value, ok := found.Values[key]; ok {
					got = append(got, key+"="+value)
				}
			}
			if err != nil || strings.Join(got, " ") != tc.want {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestU13MovedFileIsReportedAndNotCreatedAgain(t *testing.T) {
	move := func(t *testing.T, root, from, to, pkg string) {
		t.Helper()
		text := strings.Replace(get(t, root, from), "package authserver", "package "+pkg, 1)
		remove(t, root, from)
		put(t, root, to, text)
	}
	next := withMount("const Routes = 8")
	t.Run("package renamed", func(t *testing.T) {
		root := host(t, generation())
		move(t, root, mount, "internal/oauth/lockspire_gen.go", "oauth")
		move(t, root, extra, "internal/oauth/extra_gen.go", "oauth")
		move(t, root, seam, "internal/oauth/operator.go", "oauth")
		report, err := run(t, root, next)
		if verdict(report, mount) != Moved || refusal(t, err, mount).Next != "lockspire upgrade --set package=internal/oauth" {
			t.Errorf("%s: %v", verdict(report, mount), err)
		}
		if _, err := run(t, root, next, partially); err == nil {
			t.Error("partial says nothing")
		}
		if exists(root, mount) {
			t.Error("it was created again")
		}
	})
	t.Run("file renamed", func(t *testing.T) {
		root := host(t, generation())
		move(t, root, mount, "internal/authserver/routes.go", "authserver")
		_, err := run(t, root, next)
		if r := refusal(t, err, mount); !strings.HasPrefix(r.Next, "git mv internal/authserver/routes.go ") {
			t.Errorf("next: %s", r.Next)
		}
	})
	t.Run("split off and edited", func(t *testing.T) {
		root := host(t, generation())
		move(t, root, mount, "web/lockspire_gen.go", "web")
		edit(t, root, "web/lockspire_gen.go", "7", "70")
		if report, _ := run(t, root, next); verdict(report, mount) != Moved {
			t.Errorf("%s", verdict(report, mount))
		}
	})
	t.Run("a package of another module is none of this one's", func(t *testing.T) {
		root := host(t, generation())
		remove(t, root, mount)
		put(t, root, "example/go.mod", "module example.com/app/example\n")
		put(t, root, "example/internal/authserver/lockspire_gen.go", string(goFile("const Routes = 7")))
		if report, err := run(t, root, next); err != nil || verdict(report, mount) != Deleted {
			t.Errorf("%s, %v", verdict(report, mount), err)
		}
	})
	t.Run("a generated file of another tool is none of ours", func(t *testing.T) {
		root := host(t, generation())
		remove(t, root, mount)
		put(t, root, "other/lockspire_gen.go", "// Code generated by stringer; DO NOT EDIT.\n\npackage other\n")
		if report, err := run(t, root, next); err != nil || verdict(report, mount) != Deleted {
			t.Errorf("%s, %v", verdict(report, mount), err)
		}
	})
}

func TestU13SetPackageFollowsAMove(t *testing.T) {
	renderIn := func(content string) Renderer {
		return func(_ string, inputs json.RawMessage, _ []manifest.Migration) (Generation, error) {
			dir := packageOf(inputs)
			g := generation()
			for i, f := range g.Files {
				name := filepath.Base(dir)
				g.Files[i].Path = dir + "/" + filepath.Base(f.Path)
				g.Files[i].Content = []byte(strings.ReplaceAll(string(f.Content), "package authserver", "package "+name))
			}
			g.Files[0].Content = []byte("// Code generated by lockspire; DO NOT EDIT.\n\npackage " + filepath.Base(dir) + "\n\n" + content + "\n")
			return g, nil
		}
	}
	prepare := func(t *testing.T) string {
		root := host(t, generation())
		edit(t, root, manifest.Path, `"mount_path": "/lockspire"`, `"mount_path": "/lockspire", "package": "internal/authserver"`)
		return root
	}
	t.Run("moved by the host", func(t *testing.T) {
		root := prepare(t)
		edit(t, root, seam, "return false", "return true")
		for _, name := range []string{"lockspire_gen.go", "extra_gen.go", "operator.go"} {
			put(t, root, "internal/oauth/"+name, strings.Replace(get(t, root, "internal/authserver/"+name), "package authserver", "package oauth", 1))
			remove(t, root, "internal/authserver/"+name)
		}
		with := func(o *Options) { o.Render = renderIn("const Routes = 8"); o.Set = []string{"package=internal/oauth"} }
		report, err := run(t, root, Generation{}, with)
		if err != nil || verdict(report, "internal/oauth/lockspire_gen.go") != Updated {
			t.Fatalf("%v, %+v", err, report)
		}
		if !strings.Contains(get(t, root, "internal/oauth/lockspire_gen.go"), "= 8") || !strings.Contains(get(t, root, "internal/oauth/operator.go"), "true") {
			t.Error("not upgraded where it is, or a file of the host changed")
		}
		if exists(root, mount) || exists(root, manifest.BasePath(mount)) || !exists(root, manifest.BasePath("internal/oauth/lockspire_gen.go")) {
			t.Error("something is left at the old place")
		}
		settled(t, root, Generation{}, func(o *Options) { o.Render = renderIn("const Routes = 8") })
	})
	t.Run("not moved", func(t *testing.T) {
		root := prepare(t)
		_, err := run(t, root, Generation{}, func(o *Options) { o.Render = renderIn("const Routes = 8"); o.Set = []string{"package=internal/oauth"} })
		if r := refusal(t, err, mount); !strings.HasPrefix(r.Next, "git mv internal/authserver internal/oauth") {
			t.Errorf("got %v", err)
		}
	})
}

func TestU20HooksAreToldOnceEachWithAParagraph(t *testing.T) {
	hook := templates.Hook{Name: "EndSession", Template: "operator", Text: "EndSession ends the session. Without it nothing happens."}
	root := host(t, generation())
	next := generation()
	next.Hooks = []templates.Hook{hook, {Name: "guard", Template: "operator", Text: "known before"}, {Name: "Elsewhere", Template: "operator", Text: "not mentioned"}}
	next.Files[2].Content = []byte("package authserver\n\n// EndSession is new.\nvar EndSession func()\n\nfunc guard() bool { return false }\n")
	mine := get(t, root, seam)
	report, err := run(t, root, next)
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	if err := report.Write(&shown); err != nil {
		t.Fatal(err)
	}
	for want, n := range map[string]int{"new: EndSession": 1, hook.Text: 1, "+var EndSession func()": 1, "known before": 0, "not mentioned": 0} {
		if strings.Count(shown.String(), want) != n {
			t.Errorf("%q is there %d times in\n%s", want, strings.Count(shown.String(), want), shown.String())
		}
	}
	if get(t, root, seam) != mine {
		t.Error("the host's file changed")
	}
	report, err = run(t, root, next)
	if err != nil || len(report.Notes) != 0 {
		t.Errorf("told again: %+v, %v", report.Notes, err)
	}
}

func TestU20EveryHookIsMentionedByItsTemplate(t *testing.T) {
	in := templates.Inputs{
		Database: templates.DatabaseSQL, DriverImport: "modernc.org/sqlite", DriverName: "sqlite", Engine: templates.EngineSQLite,
		LoginPath: "/login", Migrations: templates.MigrationsRuntime, Module: "example.com/app", MountPath: "/lockspire", Package: "internal/authserver",
	}
	mentioned := map[string]bool{}
	for router, path := range map[string]string{
		templates.RouterMux: "net/http", templates.RouterGin: "github.com/gin-gonic/gin", templates.RouterEcho: "github.com/labstack/echo/v4", templates.RouterFiber: "github.com/gofiber/fiber/v3",
	} {
		in.Router, in.RouterImport = router, path
		files, err := templates.Render(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			for _, hook := range templates.Hooks {
				mentioned[hook.Name] = mentioned[hook.Name] || hook.Template == f.Template && strings.Contains(string(f.Content), hook.Name)
			}
		}
	}
	for _, hook := range templates.Hooks {
		if !mentioned[hook.Name] || strings.Count(hook.Text, "\n") > 0 || len(hook.Text) < 80 {
			t.Errorf("%s: mentioned %v, text %q", hook.Name, mentioned[hook.Name], hook.Text)
		}
	}
}

func TestU19HostIsReadAgain(t *testing.T) {
	root := t.TempDir()
	put(t, root, "go.mod", "module example.com/renamed\n\ngo 1.24\n\nrequire github.com/go-chi/chi/v5 v5.0.0\n\nreplace github.com/go-chi/chi/v5 => ./chi\n")
	put(t, root, "chi/go.mod", "module github.com/go-chi/chi/v5\n\ngo 1.24\n")
	put(t, root, "chi/chi.go", `package chi

import "net/http"

type Mux struct{}

func NewRouter() *Mux                                    { return &Mux{} }
func (*Mux) Get(pattern string, h http.HandlerFunc)       {}
func (*Mux) ServeHTTP(http.ResponseWriter, *http.Request) {}
`)
	put(t, root, "main.go", `package main

import (
	"net/http"

	"github.com/go-chi/chi/v5"
)

func main() {
	r := chi.NewRouter()
	r.Get("/login", func(http.ResponseWriter, *http.Request) {})
	_ = http.ListenAndServe("localhost:8080", r)
}
`)
	inputs := mustJSON(templates.Inputs{
		Database: templates.DatabaseSQL, DriverImport: "modernc.org/sqlite", DriverName: "sqlite", Engine: templates.EngineSQLite,
		Module: "example.com/app", Package: "internal/authserver", Router: templates.RouterMux, RouterImport: "net/http",
	})
	found, err := detect(t.Context(), root, Options{}.withDefaults(), inputs, nil)
	if err != nil {
		t.Fatal(err)
	}
	if found.Values["router"] != "chi" || found.Values["router_import"] != "github.com/go-chi/chi/v5" || found.Values["module"] != "example.com/renamed" ||
		!strings.HasPrefix(found.Why["router"], "main.go:") {
		t.Errorf("%v %v", found.Values, found.Why)
	}
	found, err = detect(t.Context(), root, Options{}.withDefaults(), inputs, []string{"router"})
	if err != nil || found.Values["router"] != "" {
		t.Errorf("what was set is looked for all the same: %v, %v", found.Values, err)
	}
}
