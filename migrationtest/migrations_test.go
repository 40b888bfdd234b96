package migrationtest

import (
	"context"
	"strings"
	"testing"

	"github.com/golang-migrate/migrate/v4"

	lockspire "github.com/lockspire/lockspire/runtime"
	"github.com/lockspire/lockspire/templates"
)

// forEach runs f with every tool on every engine that it is for.
func forEach(t *testing.T, f func(t *testing.T, tl tool, engine string)) {
	t.Helper()
	for _, tl := range tools {
		for _, engine := range engines {
			if tl.on(engine) {
				t.Run(tl.name+"/"+engine, func(t *testing.T) { f(t, tl, engine) })
			}
		}
	}
}

// Up gives what lockspire.Migrate gives, and the runtime starts on it. Down, with live data, leaves nothing of ours and
// everything of the host's; up again gives the same, and so does all the way down and up.
func TestM01ToM03AndM24UpDownUpGivesTheSameSchema(t *testing.T) {
	want := map[string]string{}
	for _, engine := range engines {
		d := newDatabase(t, engine)
		dialect := lockspire.PostgreSQL
		if engine == templates.EngineSQLite {
			dialect = lockspire.SQLite
		}
		if err := lockspire.Migrate(t.Context(), d.DB, dialect, ""); err != nil {
			t.Fatal(err)
		}
		want[engine] = catalogue(t, d)
	}
	forEach(t, func(t *testing.T, tl tool, engine string) {
		d := newDatabase(t, engine)
		dir := directory(t, tl, inputs(tl, engine), nil)
		up := func() {
			t.Helper()
			if err := tl.up(t, d, dir); err != nil {
				t.Fatal(err)
			}
			if got := catalogue(t, d); got != want[engine] {
				t.Fatalf("up gives\n%s\nand lockspire.Migrate gives\n%s", got, want[engine])
			}
			starts(t, d, "")
		}
		up()
		mustExec(t, d.DB, "INSERT INTO notes (id) VALUES (7)")
		if tl.down == nil {
			return
		}
		down := func(left string) {
			t.Helper()
			if err := tl.down(t, d, dir); err != nil {
				t.Fatal(err)
			}
			if got := catalogue(t, d); got != "" {
				t.Fatalf("down leaves\n%s", got)
			}
			var notes int
			err := d.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM notes").Scan(&notes)
			if (err == nil) != (left == "notes") || err == nil && notes != 1 {
				t.Fatalf("down leaves %d notes, %v", notes, err)
			}
		}
		down("notes")
		up()
		down("notes")
		down("nothing")
		up()
	})
}

// A checkout with CRLF line ends runs as well; the plain runner cuts at every semicolon and has no transaction.
func TestM22CRLFRunsAndSoDoesARunnerThatSplits(t *testing.T) {
	forEach(t, func(t *testing.T, tl tool, engine string) {
		d := newDatabase(t, engine)
		dir := directory(t, tl, inputs(tl, engine), func(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") })
		if err := tl.up(t, d, dir); err != nil {
			t.Fatal(err)
		}
		starts(t, d, "")
	})
}

// A table in the way of the last statement fails loudly, and nothing of ours is left. When it is out of the way the same
// command goes on; golang-migrate first wants to be told the number that the plan prints.
func TestM16AndM23AFailureHalfwayLeavesNothing(t *testing.T) {
	forEach(t, func(t *testing.T, tl tool, engine string) {
		if tl.name == templates.MigrationsPlain {
			return // no transaction, so no promise
		}
		d := newDatabase(t, engine)
		dir := directory(t, tl, inputs(tl, engine), nil)
		mustExec(t, d.DB, "CREATE TABLE lockspire_audit (id INTEGER)")
		before := catalogue(t, d)
		if err := tl.up(t, d, dir); err == nil {
			t.Fatal("goes over a table that is not ours")
		}
		if got := catalogue(t, d); got != before {
			t.Errorf("half a schema is left:\n%s", got)
		}
		mustExec(t, d.DB, "DROP TABLE lockspire_audit")
		if tl.name == templates.MigrationsGolangMigrate {
			if err := tl.up(t, d, dir); err == nil || !strings.Contains(err.Error(), "Dirty") {
				t.Errorf("golang-migrate goes on by itself, or stops for another reason: %v", err)
			}
			if err := golangMigrate(d, dir, func(m *migrate.Migrate) error { return m.Force(20240105093000) }); err != nil {
				t.Fatal(err)
			}
		}
		if err := tl.up(t, d, dir); err != nil {
			t.Fatal(err)
		}
		starts(t, d, "")
	})
}

// One file, applied once for each tenant on a search path of its own.
func TestM21OneFileServesASchemaForEachTenant(t *testing.T) {
	tl := tools[0]
	d := newDatabase(t, templates.EnginePG)
	dir := directory(t, tl, inputs(tl, templates.EnginePG), nil)
	for _, tenant := range []string{"tenant_a", "tenant_b"} {
		mustExec(t, d.DB, "CREATE SCHEMA "+tenant)
		of := &database{DB: open(t, "pgx", d.url+"&search_path="+tenant), engine: d.engine, url: d.url}
		if err := tl.up(t, of, dir); err != nil {
			t.Fatal(err)
		}
		starts(t, of, "")
		var clients int
		if err := d.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+tenant+".lockspire_clients").Scan(&clients); err != nil || clients != 1 {
			t.Errorf("%s has %d clients, %v", tenant, clients, err)
		}
	}
}

// A named schema that is missing is made; one that exists is used by a role that may make neither schemas nor extensions.
func TestM14ANamedSchemaMissingOrThere(t *testing.T) {
	for _, tl := range tools {
		t.Run(tl.name, func(t *testing.T) {
			d := newDatabase(t, templates.EnginePG)
			in := inputs(tl, templates.EnginePG)
			in.Schema = "auth_1"
			if err := tl.up(t, d, directory(t, tl, in, nil)); err != nil {
				t.Fatal(err)
			}
			starts(t, d, "auth_1")

			in.Schema, in.SchemaExists = "given", true
			d = newDatabase(t, templates.EnginePG)
			limited := limitedRole(t, d, "given")
			if err := tl.up(t, limited, directory(t, tl, in, nil)); err != nil {
				t.Fatal(err)
			}
			starts(t, limited, "given")
		})
	}
}

// limitedRole is d as a role sees it that may create tables in two schemas and nothing else.
func limitedRole(t *testing.T, d *database, schema string) *database {
	t.Helper()
	role := strings.Replace(d.url[strings.LastIndex(d.url, "/m_")+1:], "m_", "r_", 1)
	role, _, _ = strings.Cut(role, "?")
	mustExec(t, d.DB, "CREATE ROLE "+role+" LOGIN")
	t.Cleanup(func() {
		for _, s := range []string{"DROP OWNED BY " + role + " CASCADE", "DROP ROLE " + role} {
			if _, err := d.ExecContext(context.Background(), s); err != nil {
				t.Log(err) // the database goes anyway
			}
		}
	})
	mustExec(t, d.DB, "CREATE SCHEMA "+schema)
	mustExec(t, d.DB, "GRANT USAGE, CREATE ON SCHEMA "+schema+", public TO "+role)
	url := strings.Replace(d.url, "postgres@", role+"@", 1)
	return &database{DB: open(t, "pgx", url), engine: d.engine, url: url}
}
