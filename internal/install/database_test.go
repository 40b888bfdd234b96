package install

import (
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/templates"
)

var (
	pgx       = hostrepo.Handle{Kind: hostrepo.HandlePgx, Expr: "s.pool", Import: "github.com/jackc/pgx/v5/pgxpool"}
	pgxEngine = hostrepo.Engine{Engine: "postgres", Import: "github.com/jackc/pgx/v5/pgxpool", Position: at3("main.go", 8)}
	sqlite    = hostrepo.Engine{Engine: "sqlite", Driver: "sqlite", Import: "modernc.org/sqlite", Position: at3("main.go", 9)}
	pq        = hostrepo.Engine{Engine: "postgres", Driver: "postgres", Import: "github.com/lib/pq", Position: at3("main.go", 10)}
	mysql     = hostrepo.Engine{Engine: "mysql", Driver: "mysql", Import: "github.com/go-sql-driver/mysql", Position: at3("main.go", 11)}
	gormLite  = hostrepo.Engine{Engine: "sqlite", Driver: "sqlite", Import: "github.com/glebarez/sqlite", Position: at3("main.go", 12)}
	gormPG    = hostrepo.Engine{Engine: "postgres", Driver: "pgx", Import: "gorm.io/driver/postgres", Position: at3("main.go", 13)}
)

// onDatabase is a host with these handles in scope at its router, and these drivers.
func onDatabase(t *testing.T, handles []hostrepo.Handle, engines ...hostrepo.Engine) *hostrepo.Repo {
	t.Helper()
	repo := muxHost(t)
	repo.Routers[0].Database, repo.Engines = handles, engines
	return repo
}

// One accessor per handle, and the host's own driver. Where nothing is in scope, or what is there is of no use, the
// generated package opens a pool of its own, and the plan says which line to change.
func TestI84AndI112DatabaseIsReachedThroughTheHandleInScopeElseAPoolOfItsOwn(t *testing.T) {
	gorm := hostrepo.Handle{Kind: hostrepo.HandleGorm, Library: "gorm", Expr: "db", Engine: "sqlite", Driver: "sqlite"}
	for name, c := range map[string]struct {
		handles []hostrepo.Handle
		engines []hostrepo.Engine
		o       Options
		want    string // database engine driver-name host-fields
	}{
		"pgxpool":                  {[]hostrepo.Handle{pgx}, []hostrepo.Engine{pgxEngine}, Options{}, "pgxpool postgres  Pool: s.pool"},
		"sqlx":                     {[]hostrepo.Handle{{Kind: hostrepo.HandleSQL, Library: "sqlx", Expr: "db.DB", Engine: "postgres"}}, []hostrepo.Engine{pq}, Options{}, "sql.DB postgres postgres DB: db.DB"},
		"gorm":                     {[]hostrepo.Handle{gorm}, []hostrepo.Engine{gormLite}, Options{}, "gorm sqlite sqlite Gorm: db"},
		"gorm, dialector unknown":  {[]hostrepo.Handle{gorm}, []hostrepo.Engine{sqlite}, Options{}, "own sqlite sqlite "},
		"unknown engine of handle": {[]hostrepo.Handle{{Kind: hostrepo.HandleSQL, Expr: "store.DB"}}, []hostrepo.Engine{pq}, Options{}, "sql.DB postgres postgres DB: store.DB"},
		"none in scope":            {nil, []hostrepo.Engine{sqlite}, Options{}, "own sqlite sqlite "},
		"none in scope, pgx":       {nil, []hostrepo.Engine{pgxEngine}, Options{}, "own postgres pgx "},
		"engine chosen":            {nil, []hostrepo.Engine{sqlite, pq}, Options{Engine: "postgres"}, "own postgres postgres "},
		"separate":                 {muxHost(t).Routers[0].Database, []hostrepo.Engine{sqlite}, Options{Database: "separate"}, "own sqlite sqlite "},
		"mysql beside sqlite": {
			[]hostrepo.Handle{{Kind: hostrepo.HandleSQL, Expr: "my", Engine: "mysql"}},
			[]hostrepo.Engine{mysql, sqlite}, Options{}, "own sqlite sqlite ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := decided(t, onDatabase(t, c.handles, c.engines...), c.o)
			if got := strings.Join([]string{j.in.Database, j.in.Engine, j.in.DriverName, j.hostFields("authserver.")}, " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			rendered, err := templates.Render(j.in)
			if err != nil {
				t.Fatal(err)
			}
			todo := strings.Join(j.todo(rendered), "\n")
			if own := j.in.Database == "own"; own != strings.Contains(todo, "pass your own pool instead (internal/authserver/database.go:") {
				t.Errorf("what is left to do:\n%s", todo)
			}
		})
	}
	refusals := map[string]struct {
		engines []hostrepo.Engine
		o       Options
		exit    int
		pieces  []string
	}{
		"two engines":    {[]hostrepo.Engine{sqlite, pq}, Options{}, 3, []string{"main.go:9:3", "main.go:10:3", "--engine sqlite", "--engine postgres"}},
		"none":           {nil, Options{}, 3, []string{"no database", "sqlite", "postgres"}}, // M13
		"none of chosen": {[]hostrepo.Engine{sqlite}, Options{Engine: "postgres"}, 1, []string{"no database/sql driver for postgres", "pgx"}},
	}
	for name, c := range refusals {
		t.Run(name, func(t *testing.T) {
			_, err := decideOn(t, onDatabase(t, nil, c.engines...), c.o)
			refused(t, err, c.exit, c.pieces...)
		})
	}
}

// The host has a switch for its engine. It is not read: the database is asked when the provider starts, so that it cannot
// be read wrongly. --engine settles it.
func TestI113EngineThatTheHostChoosesAtStartIsAskedOfTheDatabase(t *testing.T) {
	either := hostrepo.Handle{Kind: hostrepo.HandleSQL, Expr: "db", Engines: []string{"mysql", "postgres", "sqlite"}}
	repo := onDatabase(t, []hostrepo.Handle{either}, sqlite, pq, mysql)
	j := decided(t, repo, Options{})
	if !j.in.EngineAtStart || j.in.Engine != "sqlite" || j.in.DriverName != "sqlite" || j.in.Migrations != "runtime" || j.hostFields("authserver.") != "DB: db" {
		t.Errorf("inputs %+v", j.in)
	}
	if found := strings.Join(j.found(), "\n"); !strings.Contains(found, "sql.DB db, sqlite or postgres: the database is asked at start") {
		t.Errorf("the plan says\n%s", found)
	}
	managed := source(t, j, "lockspire_gen.go")
	if !strings.Contains(managed, "setDialect(ctx, &config)") || strings.Contains(managed, "\tconfig.Dialect = lockspire.SQLite\n\tif") {
		t.Errorf("Mount settles on one engine:\n%s", managed)
	}
	if j := decided(t, repo, Options{Engine: "postgres"}); j.in.EngineAtStart || j.in.Engine != "postgres" || j.in.DriverName != "postgres" {
		t.Errorf("with --engine: %+v", j.in)
	}
	either.Kind, either.Engines = hostrepo.HandleGorm, []string{"postgres", "sqlite"}
	if j := decided(t, onDatabase(t, []hostrepo.Handle{either}, gormLite, gormPG), Options{}); !j.in.EngineAtStart || j.in.DriverImport != gormLite.Import {
		t.Errorf("gorm: %+v", j.in)
	}
	// One engine of ours beside one that is not: there is nothing to ask.
	either.Kind, either.Engines = hostrepo.HandleSQL, []string{"mysql", "postgres"}
	if j := decided(t, onDatabase(t, []hostrepo.Handle{either}, mysql, pq), Options{}); j.in.EngineAtStart || j.in.Engine != "postgres" {
		t.Errorf("mysql and postgres: %+v", j.in)
	}
}

func TestI114EngineThatIsNotSupportedEndsInADatabaseOfItsOwn(t *testing.T) {
	for _, engine := range []hostrepo.Engine{
		mysql,
		{Engine: "mssql", Driver: "sqlserver", Import: "github.com/microsoft/go-mssqldb", Position: at3("main.go", 11)},
		{Engine: "clickhouse", Driver: "clickhouse", Import: "github.com/ClickHouse/clickhouse-go/v2", Position: at3("main.go", 11)},
	} {
		handle := hostrepo.Handle{Kind: hostrepo.HandleSQL, Expr: "db", Engine: engine.Engine}
		repo := onDatabase(t, []hostrepo.Handle{handle}, engine)
		_, err := decideOn(t, repo, Options{})
		refused(t, err, 1, "main.go:11:3: this host is on "+engine.Engine, "PostgreSQL and SQLite",
			"go get modernc.org/sqlite && lockspire install --database separate --engine sqlite",
			"go get github.com/jackc/pgx/v5 && lockspire install --database separate --engine postgres")
		_, err = decideOn(t, repo, Options{Database: "separate", Engine: "sqlite"})
		refused(t, err, 1, "no database/sql driver for sqlite", "go get modernc.org/sqlite && lockspire install --engine sqlite --database separate")

		// What the command has got is in go.mod, and nothing of the host imports it.
		repo.Requires = []string{engine.Import, "modernc.org/sqlite"}
		j := decided(t, repo, Options{Database: "separate", Engine: "sqlite"})
		if j.in.Database != "own" || j.in.Engine != "sqlite" || j.in.DriverName != "sqlite" {
			t.Errorf("inputs %+v", j.in)
		}
		if own := source(t, j, "database.go"); !strings.Contains(own, `_ "modernc.org/sqlite"`) || !strings.Contains(own, `sql.Open("sqlite", source)`) {
			t.Errorf("database.go:\n%s", own)
		}
		if found := strings.Join(j.found(), "\n"); !strings.Contains(found, "separate from the application's") {
			t.Errorf("the plan says\n%s", found)
		}
	}
}

// A second driver that registers the same name panics when the program starts. Where the host passes its pool, nothing that
// is linked into it imports a driver; where the package opens one, it imports the very package that the host has.
func TestI115OnlyTheDriverThatTheHostHasIsImported(t *testing.T) {
	for importPath, driver := range map[string]string{
		"github.com/mattn/go-sqlite3": "sqlite3", "modernc.org/sqlite": "sqlite", "github.com/glebarez/go-sqlite": "sqlite",
		"github.com/ncruces/go-sqlite3/driver": "sqlite3",
	} {
		engine := hostrepo.Engine{Engine: "sqlite", Driver: driver, Import: importPath, Position: at3("main.go", 9)}
		handle := hostrepo.Handle{Kind: hostrepo.HandleSQL, Expr: "db", Engine: "sqlite"}
		for own, repo := range map[bool]*hostrepo.Repo{
			false: onDatabase(t, []hostrepo.Handle{handle}, engine), true: onDatabase(t, nil, engine),
		} {
			j := decided(t, repo, Options{})
			if j.in.DriverImport != importPath || j.in.DriverName != driver {
				t.Errorf("%s: recorded %s %s", importPath, j.in.DriverImport, j.in.DriverName)
			}
			rendered, err := templates.Render(j.in)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range rendered {
				if path.Ext(f.Path) != ".go" {
					continue
				}
				parsed, err := parser.ParseFile(token.NewFileSet(), f.Path, f.Content, parser.ImportsOnly)
				if err != nil {
					t.Fatal(err)
				}
				var drivers []string
				for _, s := range parsed.Imports {
					if p, _ := strconv.Unquote(s.Path.Value); strings.Contains(p, "sqlite") {
						drivers = append(drivers, p)
					}
				}
				var want []string
				if name := path.Base(f.Path); name == "authserver_test.go" || own && name == "database.go" {
					want = []string{importPath}
				}
				if !slices.Equal(drivers, want) {
					t.Errorf("%s, own pool %v: %s imports %v", importPath, own, f.Path, drivers)
				}
			}
		}
	}
}

// source is one rendered file of the generated package.
func source(t *testing.T, j *job, name string) string {
	t.Helper()
	rendered, err := templates.Render(j.in)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range rendered {
		if path.Base(f.Path) == name {
			return string(f.Content)
		}
	}
	t.Fatalf("no %s is rendered", name)
	return ""
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

// I115: the host's driver brings its own SQLite; one without RETURNING would stop the host at start.
func TestI115DriverWithAnOldSQLiteIsRefusedWithTheCommand(t *testing.T) {
	for version, old := range map[string]bool{"v2.0.3+incompatible": true, "v1.14.6": true, "v1.14.7": false, "v1.14.53": false, "": false} {
		repo := muxHost(t)
		repo.GoMod.MattnSQLite, repo.GoMod.MattnLine = version, 7
		repo.Routers[0].Database[0].Import, repo.Routers[0].Database[0].Driver = "gorm.io/driver/sqlite", "sqlite3"
		_, err := decideOn(t, repo, Options{})
		if old {
			refused(t, err, 1, "go.mod:7", version, "go get github.com/mattn/go-sqlite3@v1.14")
		} else if err != nil {
			t.Errorf("%s: %v", version, err)
		}
		if _, err := decideOn(t, repo, Options{Tags: []string{"libsqlite3"}}); err != nil {
			t.Errorf("%s with the system's SQLite: %v", version, err)
		}
		repo.Routers[0].Database[0].Import, repo.Routers[0].Database[0].Driver = "modernc.org/sqlite", "sqlite"
		if _, err := decideOn(t, repo, Options{}); err != nil {
			t.Errorf("%s beside another driver in use: %v", version, err)
		}
	}
}
