package migrationtest

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	atlas "ariga.io/atlas/sql/migrate"
	atlaspostgres "ariga.io/atlas/sql/postgres"
	atlassqlite "ariga.io/atlas/sql/sqlite"
	"github.com/golang-migrate/migrate/v4"
	_ "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	_ "github.com/golang-migrate/migrate/v4/database/sqlite"
	_ "github.com/golang-migrate/migrate/v4/source/file"
	"github.com/jackc/pgx/v5"
	tern "github.com/jackc/tern/v2/migrate"
	"github.com/pressly/goose/v3"
	sqlmigrate "github.com/rubenv/sql-migrate"

	"github.com/lockspire/lockspire/templates"
)

// tool is a migration tool as hosts run it. down takes the newest version back; it is nil where a tool knows no way back.
type tool struct {
	name     string
	up, down func(t *testing.T, d *database, dir string) error
	engines  []string // nil means both
	files    map[string]string
}

const (
	makeNotes = "CREATE TABLE notes (id BIGINT PRIMARY KEY);\n"
	dropNotes = "DROP TABLE notes;\n"
)

var tools = []tool{
	{
		name: templates.MigrationsGoose, up: gooseUp, down: gooseDown,
		files: map[string]string{"20240105093000_notes.sql": "-- +goose Up\n" + makeNotes + "-- +goose Down\n" + dropNotes},
	},
	{
		name: templates.MigrationsGolangMigrate, up: golangMigrateUp, down: golangMigrateDown,
		files: map[string]string{"20240105093000_notes.up.sql": makeNotes, "20240105093000_notes.down.sql": dropNotes},
	},
	{
		name: templates.MigrationsDbmate, up: dbmateUp, down: dbmateDown,
		files: map[string]string{"20240105093000_notes.sql": "-- migrate:up\n" + makeNotes + "-- migrate:down\n" + dropNotes},
	},
	{
		name: templates.MigrationsTern, up: ternUp, down: ternDown, engines: []string{templates.EnginePG},
		files: map[string]string{"001_notes.sql": makeNotes + "---- create above / drop below ----\n" + dropNotes},
	},
	{
		name: templates.MigrationsSQLMigrate, up: sqlMigrateUp, down: sqlMigrateDown,
		files: map[string]string{"20240105093000-notes.sql": "-- +migrate Up\n" + makeNotes + "-- +migrate Down\n" + dropNotes},
	},
	{
		name: templates.MigrationsAtlas, up: atlasUp,
		files: map[string]string{"20240105093000_notes.sql": makeNotes},
	},
	{
		name: templates.MigrationsPlain, up: splitUp,
		files: map[string]string{"20240105093000_notes.sql": makeNotes},
	},
}

func (tl tool) on(engine string) bool {
	for _, e := range tl.engines {
		if e == engine {
			return true
		}
	}
	return tl.engines == nil
}

func gooseProvider(d *database, dir string) (*goose.Provider, error) {
	dialect := goose.DialectPostgres
	if d.engine == templates.EngineSQLite {
		dialect = goose.DialectSQLite3
	}
	return goose.NewProvider(dialect, d.DB, os.DirFS(dir))
}

func gooseUp(t *testing.T, d *database, dir string) error {
	p, err := gooseProvider(d, dir)
	if err != nil {
		return err
	}
	_, err = p.Up(t.Context())
	return err
}

func gooseDown(t *testing.T, d *database, dir string) error {
	p, err := gooseProvider(d, dir)
	if err != nil {
		return err
	}
	_, err = p.Down(t.Context())
	return err
}

// golangMigrate runs the tool on connections of its own, as its command does.
func golangMigrate(d *database, dir string, do func(*migrate.Migrate) error) error {
	url := "sqlite://" + d.path
	if d.engine == templates.EnginePG {
		url = "pgx5" + d.url[len("postgres"):]
	}
	m, err := migrate.New("file://"+dir, url)
	if err != nil {
		return err
	}
	defer m.Close()
	return do(m)
}

func golangMigrateUp(_ *testing.T, d *database, dir string) error {
	return golangMigrate(d, dir, (*migrate.Migrate).Up)
}

func golangMigrateDown(_ *testing.T, d *database, dir string) error {
	return golangMigrate(d, dir, func(m *migrate.Migrate) error { return m.Steps(-1) })
}

// dbmate is the program itself, from its npm package (scripts/deps).
func dbmate(t *testing.T, d *database, dir, verb string) error {
	program, err := filepath.Abs("node_modules/@dbmate/linux-x64/bin/dbmate")
	if err != nil {
		return err
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("dbmate is not installed, run scripts/deps: %v", err)
	}
	url := "sqlite:" + d.path
	if d.engine == templates.EnginePG {
		url = d.url
	}
	cmd := exec.CommandContext(t.Context(), program, "--no-dump-schema", "--migrations-dir", dir, "--url", url, verb)
	if out, err := cmd.CombinedOutput(); err != nil {
		return &runError{string(out), err}
	}
	return nil
}

type runError struct {
	out string
	err error
}

func (e *runError) Error() string { return e.err.Error() + ": " + e.out }

func dbmateUp(t *testing.T, d *database, dir string) error   { return dbmate(t, d, dir, "migrate") }
func dbmateDown(t *testing.T, d *database, dir string) error { return dbmate(t, d, dir, "rollback") }

func ternRun(t *testing.T, d *database, dir string, do func(*tern.Migrator) error) error {
	conn, err := pgx.Connect(t.Context(), d.url)
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	m, err := tern.NewMigrator(t.Context(), conn, "schema_version")
	if err != nil {
		return err
	}
	if err := m.LoadMigrations(os.DirFS(dir)); err != nil {
		return err
	}
	return do(m)
}

func ternUp(t *testing.T, d *database, dir string) error {
	return ternRun(t, d, dir, func(m *tern.Migrator) error { return m.Migrate(t.Context()) })
}

func ternDown(t *testing.T, d *database, dir string) error {
	return ternRun(t, d, dir, func(m *tern.Migrator) error {
		at, err := m.GetCurrentVersion(t.Context())
		if err != nil {
			return err
		}
		return m.MigrateTo(t.Context(), at-1)
	})
}

func sqlMigrateRun(d *database, dir string, way sqlmigrate.MigrationDirection, most int) error {
	dialect := "postgres"
	if d.engine == templates.EngineSQLite {
		dialect = "sqlite3"
	}
	_, err := sqlmigrate.ExecMax(d.DB, dialect, &sqlmigrate.FileMigrationSource{Dir: dir}, way, most)
	return err
}

func sqlMigrateUp(_ *testing.T, d *database, dir string) error {
	return sqlMigrateRun(d, dir, sqlmigrate.Up, 0)
}

func sqlMigrateDown(_ *testing.T, d *database, dir string) error {
	return sqlMigrateRun(d, dir, sqlmigrate.Down, 1)
}

// atlasUp renews the sum, as atlas migrate hash does, and executes the pending files with atlas's own reader.
func atlasUp(t *testing.T, d *database, name string) error {
	dir, err := atlas.NewLocalDir(name)
	if err != nil {
		return err
	}
	sum, err := dir.Checksum()
	if err != nil {
		return err
	}
	if err := atlas.WriteSumFile(dir, sum); err != nil {
		return err
	}
	if err := atlas.Validate(dir); err != nil {
		return err
	}
	tx, err := d.BeginTx(t.Context(), nil) // as its command does: --tx-mode file
	if err != nil {
		return err
	}
	defer tx.Rollback()
	open := func() (atlas.Driver, error) { return atlaspostgres.Open(tx) }
	if d.engine == templates.EngineSQLite {
		open = func() (atlas.Driver, error) { return atlassqlite.Open(tx) }
	}
	driver, err := open()
	if err != nil {
		return err
	}
	known := maps.Clone(d.revisions)
	if known == nil {
		known = revisions{}
	}
	executor, err := atlas.NewExecutor(driver, dir, known, atlas.WithAllowDirty(true))
	if err != nil {
		return err
	}
	if err := executor.ExecuteN(t.Context(), 0); err != nil {
		return err
	}
	d.revisions = known
	return tx.Commit()
}
