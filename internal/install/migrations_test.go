package install

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/templates"
)

func dirOf(tool, dir, engine string) hostrepo.MigrationDir {
	return hostrepo.MigrationDir{
		Dir: dir, Tool: tool, Naming: "sequence", Width: 5, Newest: 7, Files: 7, Engine: engine, Why: []string{dir + "/00007_x.sql:1 carries " + tool + " annotations"},
	}
}

// migratingHost is muxHost on an engine, with migrations.
func migratingHost(t *testing.T, engine string, dirs ...hostrepo.MigrationDir) *hostrepo.Repo {
	t.Helper()
	repo := muxHost(t)
	write(t, repo, "web.go", "package app\n")
	if engine == "postgres" {
		repo.Engines = []hostrepo.Engine{{Engine: "postgres", Driver: "pgx", Import: "github.com/jackc/pgx/v5/stdlib", Position: at3("main.go", 9)}}
		repo.Routers[0].Database = []hostrepo.Handle{{Kind: hostrepo.HandleSQL, Expr: "db", Engine: "postgres", Driver: "pgx", Import: "github.com/jackc/pgx/v5/stdlib"}}
	}
	repo.Migrations = dirs
	return repo
}

// written are the migration files of a plan.
func written(t *testing.T, j *job) []string {
	t.Helper()
	if err := j.build(); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range j.plan.Changes {
		if strings.HasSuffix(c.Path, ".sql") {
			out = append(out, c.Path)
		}
	}
	return out
}

// One directory of a tool is used, in its own terms; where there is none the tables come at start.
func TestM01ToM03AndM08TheToolOfTheHostIsUsed(t *testing.T) {
	for name, c := range map[string]struct {
		dirs []hostrepo.MigrationDir
		o    Options
		want string // mode dir naming
	}{
		"none":                   {nil, Options{}, "runtime  "},
		"goose":                  {[]hostrepo.MigrationDir{dirOf("goose", "db", "")}, Options{}, "goose db sequence"},
		"in the module root":     {[]hostrepo.MigrationDir{dirOf("goose", ".", "")}, Options{}, "goose . sequence"},
		"golang-migrate":         {[]hostrepo.MigrationDir{dirOf("golang-migrate", "db", "")}, Options{}, "golang-migrate db sequence"},
		"dbmate":                 {[]hostrepo.MigrationDir{{Dir: "db", Tool: "dbmate", Naming: "timestamp", Width: 14}}, Options{}, "dbmate db timestamp"},
		"tern elsewhere":         {[]hostrepo.MigrationDir{dirOf("tern", "db", "postgres")}, Options{}, "runtime  "},
		"sql-migrate":            {[]hostrepo.MigrationDir{dirOf("sql-migrate", "db", "")}, Options{}, "sql-migrate db sequence"},
		"atlas":                  {[]hostrepo.MigrationDir{dirOf("atlas", "db", "")}, Options{}, "atlas db sequence"},
		"plain, chosen":          {[]hostrepo.MigrationDir{dirOf("plain", "db", "")}, Options{Migrations: "plain"}, "plain db sequence"},
		"plain beside a tool":    {[]hostrepo.MigrationDir{dirOf("plain", "sql", ""), dirOf("goose", "db", "")}, Options{}, "goose db sequence"},
		"of other engine":        {[]hostrepo.MigrationDir{dirOf("goose", "my", "mysql"), dirOf("goose", "lite", "sqlite")}, Options{}, "goose lite sequence"},
		"runtime asked for":      {[]hostrepo.MigrationDir{dirOf("goose", "db", "")}, Options{Migrations: "runtime"}, "runtime  "},
		"print asked for":        {[]hostrepo.MigrationDir{dirOf("goose", "db", "")}, Options{Migrations: "print"}, "print  "},
		"chosen of two":          {[]hostrepo.MigrationDir{dirOf("goose", "a", ""), dirOf("goose", "b", "")}, Options{MigrationsDir: "b"}, "goose b sequence"},
		"tool chosen of two":     {[]hostrepo.MigrationDir{dirOf("goose", "a", ""), dirOf("dbmate", "a", "")}, Options{Migrations: "dbmate"}, "dbmate a sequence"},
		"directory still to be":  {nil, Options{Migrations: "dbmate", MigrationsDir: "db/migrations"}, "dbmate db/migrations timestamp"},
		"read as another tool's": {[]hostrepo.MigrationDir{dirOf("plain", "db", "")}, Options{Migrations: "goose", MigrationsDir: "db"}, "goose db sequence"},
	} {
		t.Run(name, func(t *testing.T) {
			j := decided(t, migratingHost(t, "sqlite", c.dirs...), c.o)
			if got := strings.Join([]string{j.in.Migrations, j.in.MigrationsDir, j.in.MigrationsNaming}, " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if files := written(t, j); !templates.WritesMigrations(j.in.Migrations) && len(files) > 0 {
				t.Errorf("writes %q", files)
			} else if templates.WritesMigrations(j.in.Migrations) && (len(files) == 0 || path.Dir(files[0]) != j.in.MigrationsDir) {
				t.Errorf("writes %q into %s", files, j.in.MigrationsDir)
			}
		})
	}
	j := decided(t, migratingHost(t, "postgres", dirOf("tern", "db", "postgres")), Options{})
	if files := written(t, j); !slices.Equal(files, []string{"db/00008_lockspire_init.sql"}) {
		t.Errorf("tern: %q", files)
	}
	_, err := decideOn(t, muxHost(t), Options{Migrations: "tern", MigrationsDir: "db"})
	refused(t, err, 2, "tern is for PostgreSQL")
}

// What cannot be decided is a question: every candidate with its evidence and the flags that choose it.
func TestM04WhatCannotBeDecidedIsAQuestion(t *testing.T) {
	embedded := dirOf("plain", "store/sql", "")
	embedded.Why = []string{"store/sql/1_x.sql is numbered SQL of no tool that is known", "embedded at store/store.go:9 as sql/*.sql"}
	for name, c := range map[string]struct {
		dirs      []hostrepo.MigrationDir
		migrators []hostrepo.Migrator
		o         Options
		exit      int
		pieces    []string
	}{
		"two directories": {[]hostrepo.MigrationDir{dirOf("goose", "a", ""), dirOf("goose", "b", "sqlite")}, nil, Options{}, 3, []string{
			"a: one of 2", "a/00007_x.sql:1", "--migrations goose --migrations-dir a", "b: one of 2", "--migrations goose --migrations-dir b"}},
		"two tools": {[]hostrepo.MigrationDir{dirOf("goose", "a", ""), dirOf("dbmate", "b", "")}, nil, Options{}, 3, []string{
			"--migrations goose --migrations-dir a", "--migrations dbmate --migrations-dir b"}},
		"embedded, custom runner": {[]hostrepo.MigrationDir{embedded}, nil, Options{}, 3, []string{
			"store/sql: ", "embedded at store/store.go:9", "--migrations plain --migrations-dir store/sql", "--migrations runtime", "--migrations print"}},
		"a tool and no directory": {nil, []hostrepo.Migrator{{Name: "goose", Position: at3("db.go", 7)}}, Options{}, 3, []string{
			"db.go:7:3: goose is imported", "--migrations goose --migrations-dir", "--migrations runtime", "--migrations print"}},
		"directory of nobody":    {nil, nil, Options{MigrationsDir: "db"}, 3, []string{"--migrations goose --migrations-dir db", "--migrations dbmate --migrations-dir db"}},
		"tool without directory": {nil, nil, Options{Migrations: "goose"}, 3, []string{"no goose directory", "--migrations-dir db/migrations"}},
		"no such tool":           {nil, nil, Options{Migrations: "flyway"}, 2, []string{"goose, golang-migrate, dbmate, tern, sql-migrate, atlas, plain, runtime, print"}},
	} {
		t.Run(name, func(t *testing.T) {
			repo := migratingHost(t, "sqlite", c.dirs...)
			repo.Migrators = c.migrators
			_, err := decideOn(t, repo, c.o)
			refused(t, err, c.exit, c.pieces...)
		})
	}
}

// A number is above every other of the directory; what an earlier run left is adopted and not written twice; half of it is
// completed under the same number.
func TestM05AMigrationOfAnEarlierRunIsAdopted(t *testing.T) {
	for tool, half := range map[string]string{"goose": "", "golang-migrate": "db/00008_lockspire_init.down.sql"} {
		repo := migratingHost(t, "sqlite", dirOf(tool, "db", ""))
		repo.Migrations[0].Newest = 8
		in := decided(t, repo, Options{}).in
		fresh, err := templates.Migrations(in, 0, 7, now())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fresh {
			write(t, repo, m.Path, strings.ReplaceAll(string(m.Content), "\n", "\r\n"))
		}
		j := decided(t, repo, Options{})
		if files := written(t, j); len(files) > 0 || !slices.Contains(j.adopted, fresh[0].Path) {
			t.Errorf("%s: writes %q, adopts %q", tool, files, j.adopted)
		}
		if half == "" {
			continue
		}
		remove(t, repo, half)
		if files := written(t, decided(t, repo, Options{})); !slices.Equal(files, []string{half}) {
			t.Errorf("%s: the other half is %q, want %q", tool, files, half)
		}
	}
	repo := migratingHost(t, "sqlite", dirOf("goose", "db", ""))
	if files := written(t, decided(t, repo, Options{})); !slices.Equal(files, []string{"db/00008_lockspire_init.sql"}) {
		t.Errorf("after 7 comes %q", files)
	}
}

// No file is forged into a format that nobody knows: the tables come at start, and the plan says what was seen.
func TestM08AHomeGrownRunnerIsLeftAlone(t *testing.T) {
	for name, m := range map[string]hostrepo.Migrator{
		"gorm":     {Name: hostrepo.MigratorGORM, Position: at3("db.go", 4)},
		"ent":      {Name: hostrepo.MigratorEnt, Position: at3("db.go", 5)},
		"versions": {Name: hostrepo.MigratorVersions, Position: at3("store/migration/0.10/00__x.sql", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			repo := migratingHost(t, "sqlite")
			repo.Migrators = []hostrepo.Migrator{m}
			j := decided(t, repo, Options{})
			if files := written(t, j); j.in.Migrations != templates.MigrationsRuntime || len(files) > 0 {
				t.Errorf("mode %s, files %q", j.in.Migrations, files)
			}
			if found := strings.Join(j.plan.Found, "\n"); !strings.Contains(found, "lockspire.Migrate at start") || !strings.Contains(found, m.File) {
				t.Errorf("found:\n%s", found)
			}
			if gen := content(t, j, "internal/authserver/lockspire_gen.go"); !strings.Contains(gen, "lockspire.Migrate(ctx, config.DB") {
				t.Error("nothing calls lockspire.Migrate")
			}
			j = decided(t, repo, Options{Migrations: "print"})
			if files := written(t, j); len(files) > 0 || strings.Contains(content(t, j, "internal/authserver/lockspire_gen.go"), "lockspire.Migrate(") {
				t.Errorf("--migrations print writes %q, or migrates at start all the same", files)
			}
		})
	}
}

// gorm and ent only add; atlas drops what it is not told of, unless its configuration speaks of our tables.
func TestM09AToolThatDropsUnknownTablesGetsAWarning(t *testing.T) {
	repo := migratingHost(t, "postgres", dirOf("atlas", "db", ""))
	repo.Migrators = []hostrepo.Migrator{{Name: hostrepo.MigratorAtlas, Position: hostrepo.Position{File: "atlas.hcl", Line: 1, Col: 1}}}
	write(t, repo, "atlas.hcl", "env \"local\" {}\n")
	warned := func(o Options) string {
		j := decided(t, repo, o)
		written(t, j)
		return strings.Join(j.plan.Warnings, "\n")
	}
	if got := warned(Options{}); !strings.Contains(got, "atlas.hcl: atlas schema apply") || !strings.Contains(got, "exclude = [\"lockspire_*\"]") {
		t.Errorf("warnings:\n%s", got)
	}
	if got := warned(Options{Schema: "auth"}); !strings.Contains(got, "exclude = [\"auth.lockspire_*\"]") {
		t.Errorf("with a schema:\n%s", got)
	}
	write(t, repo, "atlas.hcl", "env \"local\" {\n  exclude = [\"lockspire_*\"]\n}\n")
	if got := warned(Options{}); strings.Contains(got, "atlas") {
		t.Errorf("warns of what is excluded:\n%s", got)
	}
}

// A pattern that does not take in the new file would be silent at run time.
func TestM12APatternThatMissesTheNewFileIsAnError(t *testing.T) {
	d := dirOf("goose", "db/migrations", "")
	d.Embeds = []hostrepo.Embed{{Position: at3("db/db.go", 9), Pattern: "migrations/0000*.sql", Base: "db"}}
	if files := written(t, decided(t, migratingHost(t, "sqlite", d), Options{})); len(files) != 1 {
		t.Fatalf("a pattern that fits: %q", files)
	}
	d.Embeds[0].Pattern = "migrations/00007_x.sql"
	err := decided(t, migratingHost(t, "sqlite", d), Options{}).build()
	refused(t, err, 1, "db/db.go:9:3: the pattern migrations/00007_x.sql does not take in db/migrations/00008_lockspire_init.sql", "//go:embed migrations/*.sql")
}

func TestM13WithoutADatabaseThereAreTwoChoices(t *testing.T) {
	repo := muxHost(t)
	repo.Engines, repo.Routers[0].Database = nil, nil
	_, err := decideOn(t, repo, Options{})
	refused(t, err, 3, "no database was found", "--engine sqlite", "--engine postgres")
}

// The name of a schema is one that needs no quotes.
func TestM14ASchemaNeedsNoQuotesAndMayExist(t *testing.T) {
	for _, bad := range []string{"Auth", "a b", "a;drop table x", `"a"`, strings.Repeat("a", 64), "1a", "a-b", "ä"} {
		_, err := decideOn(t, migratingHost(t, "postgres"), Options{Schema: bad})
		refused(t, err, 2, "is not a schema name", "--schema auth")
	}
	_, err := decideOn(t, migratingHost(t, "postgres"), Options{SchemaExists: true})
	refused(t, err, 2, "--schema-exists needs the schema")
	_, err = decideOn(t, muxHost(t), Options{Schema: "auth"})
	refused(t, err, 2, "--schema is for PostgreSQL")
	j := decided(t, migratingHost(t, "postgres", dirOf("goose", "db", "")), Options{Schema: "auth", SchemaExists: true})
	written(t, j)
	if text := content(t, j, "db/00008_lockspire_init.sql"); strings.Contains(text, "CREATE SCHEMA") || !strings.Contains(text, "CREATE TABLE auth.lockspire_meta") {
		t.Errorf("--schema-exists writes\n%s", text)
	}
}

// One directory for each engine: both get the file, an engine that Lockspire does not run on gets none and is named.
func TestM20EachSupportedEngineGetsTheFile(t *testing.T) {
	repo := migratingHost(t, "sqlite", dirOf("goose", "db/db_sqlite3/migrations", "sqlite"), dirOf("goose", "db/db_mysql/migrations", "mysql"), dirOf("goose", "db/db_postgres/migrations", "postgres"))
	repo.Migrations[2].Newest = 9
	j := decided(t, repo, Options{})
	files := written(t, j)
	slices.Sort(files)
	if want := []string{"db/db_postgres/migrations/00010_lockspire_init.sql", "db/db_sqlite3/migrations/00010_lockspire_init.sql"}; !slices.Equal(files, want) {
		t.Errorf("writes %q, want %q", files, want)
	}
	if got := strings.Join(j.plan.Warnings, "\n"); !strings.Contains(got, "db/db_mysql/migrations is for mysql") {
		t.Errorf("warnings:\n%s", got)
	}
	var recorded []string
	for _, m := range manifestOf(t, j).Migrations {
		recorded = append(recorded, m.Engine)
	}
	slices.Sort(recorded)
	if !slices.Equal(recorded, []string{"postgres", "sqlite"}) {
		t.Errorf("the manifest records %q", recorded)
	}
}

// The plan gives the commands: golang-migrate's with the number that force takes after a failure, atlas's with its sum.
func TestM03AndM23ThePlanSaysHowToApply(t *testing.T) {
	hashed := dirOf("golang-migrate", "db", "")
	hashed.Hashed = true
	for _, c := range []struct {
		dir    hostrepo.MigrationDir
		pieces []string
	}{
		{dirOf("goose", "db", ""), []string{"goose -dir db postgres"}},
		{dirOf("golang-migrate", "db", ""), []string{"migrate -path db -database \"$DATABASE_URL\" up", "force 7\n"}},
		{hostrepo.MigrationDir{Dir: "db", Tool: "golang-migrate", Naming: "sequence", Width: 6}, []string{"force -1\n"}},
		{hashed, []string{"atlas migrate hash --dir \"file://db?format=golang-migrate\""}},
		{dirOf("dbmate", "db", ""), []string{"dbmate --migrations-dir db up"}},
		{dirOf("tern", "db", "postgres"), []string{"tern migrate --migrations db"}},
		{dirOf("sql-migrate", "db", ""), []string{"sql-migrate up"}},
		{dirOf("atlas", "db", ""), []string{"atlas migrate hash --dir \"file://db\"", "atlas migrate apply"}},
	} {
		j := decided(t, migratingHost(t, "postgres", c.dir), Options{})
		written(t, j)
		todo := strings.Join(j.plan.Todo, "\n") + "\n"
		for _, piece := range c.pieces {
			if !strings.Contains(todo, piece) {
				t.Errorf("%s: no %q in\n%s", c.dir.Tool, piece, todo)
			}
		}
	}
}

func manifestOf(t *testing.T, j *job) *manifest.Manifest {
	t.Helper()
	write(t, j.repo, manifest.Path, content(t, j, manifest.Path))
	m, err := manifest.Read(j.repo.ModuleRoot)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// content is what a plan writes.
func content(t *testing.T, j *job, name string) string {
	t.Helper()
	for _, c := range j.plan.Changes {
		if c.Path == name {
			return string(c.After)
		}
	}
	t.Fatalf("the plan does not write %s", name)
	return ""
}

func now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func remove(t *testing.T, repo *hostrepo.Repo, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(repo.ModuleRoot, filepath.FromSlash(name))); err != nil {
		t.Fatal(err)
	}
}
