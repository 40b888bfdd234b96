package install

import (
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/hostrepo"
)

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
