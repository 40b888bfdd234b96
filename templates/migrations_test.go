package templates

import (
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Tools skip a file that is older than the newest one applied, so ours is always newer: the next free number, a time above
// every other.
func TestM05AndM07MigrationNumbersAreAboveTheNewest(t *testing.T) {
	for name, c := range map[string]struct {
		naming string
		width  int
		newest int64
		want   string
	}{
		"timestamp, clock ahead":      {NamingTimestamp, 14, 20250101000000, "20260301120000_lockspire_"},
		"timestamp, clock behind":     {NamingTimestamp, 14, 20261231235959, "20270101000000_lockspire_"},
		"timestamp, same second":      {NamingTimestamp, 14, 20260301120000, "20260301120001_lockspire_"},
		"timestamp, empty":            {NamingTimestamp, 14, 0, "20260301120000_lockspire_"},
		"sequence":                    {NamingSequence, 5, 41, "00042_lockspire_"},
		"sequence, empty":             {NamingSequence, 5, 0, "00001_lockspire_"},
		"sequence, width outgrown":    {NamingSequence, 2, 99, "100_lockspire_"},
		"timestamp that is no moment": {NamingTimestamp, 14, 99999999999999, "100000000000000_lockspire_"},
		"seconds, clock ahead":        {NamingUnix, 10, 1700000000, "1772366400_lockspire_"},
		"seconds, clock behind":       {NamingUnix, 10, 1999999999, "2000000000_lockspire_"},
	} {
		in := chiInputs()
		in.MigrationsNaming, in.MigrationsWidth = c.naming, c.width
		files, err := Migrations(in, 0, c.newest, noon)
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != LatestSchema || !strings.HasPrefix(files[0].Path, "db/migrations/"+c.want) {
			t.Errorf("%s: %d files, the first %s; want %s", name, len(files), files[0].Path, c.want)
		}
		if content, ok := MigrationFile(in, in.Engine, files[0].Version, path.Base(files[0].Path)); !ok || string(content) != string(files[0].Content) {
			t.Errorf("%s: %s is not recognised as ours", name, files[0].Path)
		}
	}
}

func TestMigrationsAreOnlyThoseAbove(t *testing.T) {
	files, err := Migrations(chiInputs(), LatestSchema, 1, noon)
	if err != nil || len(files) != 0 {
		t.Errorf("%d files, %v; want none", len(files), err)
	}
}

// A directory of each engine gets a file of the same number, in its own SQL.
func TestM20EachEngineGetsAFileOfTheSameVersion(t *testing.T) {
	in := chiInputs()
	in.MigrationsDir, in.MigrationsOther = "db/db_postgres/migrations", "db/db_sqlite3/migrations"
	files, err := Migrations(in, 0, 20250101000000, noon)
	if err != nil || len(files) != 2*LatestSchema {
		t.Fatalf("%d files, %v", len(files), err)
	}
	if path.Base(files[0].Path) != path.Base(files[1].Path) || path.Dir(files[0].Path) != in.MigrationsDir || path.Dir(files[1].Path) != in.MigrationsOther {
		t.Errorf("%s and %s", files[0].Path, files[1].Path)
	}
	if files[0].Engine != EnginePG || files[1].Engine != EngineSQLite ||
		!strings.Contains(string(files[0].Content), "BYTEA") || strings.Contains(string(files[1].Content), "BYTEA") {
		t.Errorf("engines %s and %s, or each has the other's SQL", files[0].Engine, files[1].Engine)
	}
}

// The directions of each tool, in its own words.
func TestM01ToM03EachToolGetsItsOwnForm(t *testing.T) {
	for tool, want := range map[string][]string{
		MigrationsGoose:         {".sql: -- +goose Up … -- +goose Down"},
		MigrationsGolangMigrate: {".up.sql: ", ".down.sql: "},
		MigrationsDbmate:        {".sql: -- migrate:up … -- migrate:down"},
		MigrationsTern:          {".sql: ---- create above / drop below ----"},
		MigrationsSQLMigrate:    {".sql: -- +migrate Up … -- +migrate Down"},
		MigrationsAtlas:         {".sql: "},
		MigrationsPlain:         {".sql: "},
	} {
		in := chiInputs()
		in.Migrations = tool
		files, err := Migrations(in, 0, 0, noon)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range files {
			_, suffix, _ := strings.Cut(path.Base(f.Path), ".")
			var marks []string
			for line := range strings.Lines(string(f.Content)) {
				if strings.HasPrefix(line, "-- +") || strings.HasPrefix(line, "-- migrate:") || strings.HasPrefix(line, "----") {
					marks = append(marks, strings.TrimSpace(line))
				}
			}
			got = append(got, "."+suffix+": "+strings.Join(marks, " … "))
			up, down := strings.Contains(string(f.Content), "CREATE TABLE lockspire_meta"), strings.Contains(string(f.Content), "DROP TABLE lockspire_meta")
			if up == strings.HasSuffix(f.Path, ".down.sql") || down == (strings.HasSuffix(f.Path, ".up.sql") || tool == MigrationsAtlas || tool == MigrationsPlain) {
				t.Errorf("%s: creates %v, drops %v", f.Path, up, down)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", tool, got, want)
		}
	}
}

// For runners that split on semicolons, have no transactions and know no dollar quotes: a semicolon is nowhere but at the
// end of a statement.
func TestM22EverySemicolonEndsAStatement(t *testing.T) {
	for _, tool := range MigrationTools {
		for _, engine := range []string{EngineSQLite, EnginePG} {
			in := chiInputs()
			in.Migrations, in.Engine, in.Database, in.DriverName = tool, engine, DatabaseSQL, "any"
			if engine == EnginePG {
				in.Schema = "auth"
			} else if tool == MigrationsTern {
				continue
			}
			files, err := Migrations(in, 0, 0, noon)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				text := string(f.Content)
				if strings.Contains(text, "@.") || strings.Contains(text, "$$") || strings.Contains(text, "{{") {
					t.Errorf("%s, %s: a marker is left, or something that a tool would interpret", tool, f.Path)
				}
				for _, line := range strings.Split(text, "\n") {
					if i := strings.Index(line, ";"); i >= 0 && (i != len(line)-1 || strings.HasPrefix(line, "--")) {
						t.Errorf("%s, %s: a semicolon that ends no statement: %s", tool, f.Path, line)
					}
					for _, word := range []string{"BEGIN", "COMMIT", "CONCURRENTLY", "VACUUM", "PRAGMA", "EXTENSION"} {
						if !strings.HasPrefix(line, "--") && strings.Contains(line, word) {
							t.Errorf("%s, %s: %s", tool, f.Path, line)
						}
					}
				}
			}
		}
	}
}

// A named schema is made by the first file, unless it is there already and the role may not.
func TestM14TheFirstFileMakesTheSchemaUnlessItExists(t *testing.T) {
	in := chiInputs()
	in.Schema = "auth"
	files, err := Migrations(in, 0, 0, noon)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(files[0].Content); !strings.HasPrefix(text, "-- +goose Up\nCREATE SCHEMA IF NOT EXISTS auth;\n") || !strings.Contains(text, "CREATE TABLE auth.lockspire_meta") {
		t.Errorf("does not make its schema:\n%s", text)
	}
	in.SchemaExists = true
	if files, err = Migrations(in, 0, 0, noon); err != nil {
		t.Fatal(err)
	}
	if text := string(files[0].Content); strings.Contains(text, "CREATE SCHEMA") || !strings.Contains(text, "CREATE TABLE auth.lockspire_meta") {
		t.Errorf("makes a schema that exists:\n%s", text)
	}
	if text, err := SQL(in); err != nil || strings.Contains(text, "CREATE SCHEMA") {
		t.Errorf("the printed SQL makes a schema that exists, or %v", err)
	}
	for _, bad := range []string{"Auth", "a b", "a;drop table x", `"a"`, "a-b", strings.Repeat("a", 64), "1a"} {
		in.Schema = bad
		if err := in.Validate(); err == nil {
			t.Errorf("schema %q is taken", bad)
		}
	}
}

// Without a schema no name is qualified, so that one file serves every tenant's search path; down names what is lost.
func TestM21AndM24TablesAreUnqualifiedAndDownNamesTheLoss(t *testing.T) {
	files, err := Migrations(chiInputs(), 0, 0, noon)
	if err != nil {
		t.Fatal(err)
	}
	text := string(files[0].Content)
	if strings.Contains(text, ".lockspire_") || strings.Contains(text, "SCHEMA") {
		t.Errorf("a name is qualified:\n%s", text)
	}
	_, down, _ := strings.Cut(text, "-- +goose Down\n")
	if !strings.HasPrefix(down, "-- Drops every Lockspire table: all clients, grants, tokens and keys are lost.\n") {
		t.Errorf("down does not say what is lost:\n%s", down)
	}
	for line := range strings.Lines(down) {
		if !strings.HasPrefix(line, "--") && !strings.HasPrefix(line, "DROP TABLE lockspire_") {
			t.Errorf("down does more than drop our tables: %s", line)
		}
	}
}
