package dbtest

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
	"github.com/lockspire/lockspire/runtime/migrations"
)

func TestMigrateCreatesTheSchemaOnceAndRepeatsAsNothing(t *testing.T) {
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			db := openEmptyDB(t, engine)
			before := status(t, db, engine, "")
			if before.Version != 0 || fmt.Sprint(before.Pending()) != "[1]" {
				t.Fatalf("empty database: %+v, pending %v", before, before.Pending())
			}
			for range 2 {
				if err := lockspire.Migrate(t.Context(), db, engine, ""); err != nil {
					t.Fatal(err)
				}
			}
			after := status(t, db, engine, "")
			if after.Version != migrations.Latest || len(after.Pending()) != 0 || after.MinRuntime != 1 || after.Issuer != "" {
				t.Errorf("after Migrate: %+v", after)
			}
		})
	}
}

// M27: several replicas migrate at once.
func TestMigrateFromManyReplicasAtOnceAppliesOnce(t *testing.T) {
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			dsn := newDSN(t, engine)
			start := make(chan struct{})
			errs := make(chan error, 12)
			var replicas sync.WaitGroup
			for range 12 {
				db := openDSN(t, engine, dsn)
				replicas.Add(1)
				go func() {
					defer replicas.Done()
					<-start
					errs <- lockspire.Migrate(t.Context(), db, engine, "")
				}()
			}
			close(start)
			replicas.Wait()
			close(errs)
			for err := range errs {
				if err != nil {
					t.Error(err)
				}
			}
			if n := count(t, openDSN(t, engine, dsn), "SELECT COUNT(*) FROM lockspire_meta"); n != 1 {
				t.Errorf("lockspire_meta has %d rows", n)
			}
		})
	}
}

// M27, where the database's default isolation would give the waiting replica
// a snapshot from before the migration.
func TestMigrateWaitsForAnotherReplicaUnderSerializableDefault(t *testing.T) {
	dsn := newDSN(t, lockspire.PostgreSQL) + "&default_transaction_isolation=serializable"
	holder := openDSN(t, lockspire.PostgreSQL, dsn)
	waiter := openDSN(t, lockspire.PostgreSQL, dsn)
	errs := make(chan error, 2)
	for _, db := range []*sql.DB{holder, waiter} {
		go func() { errs <- lockspire.Migrate(t.Context(), db, lockspire.PostgreSQL, "") }()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// M23: a failure halfway leaves nothing behind.
func TestMigrateIsAllOrNothing(t *testing.T) {
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			db := openEmptyDB(t, engine)
			// M16: a table of that name stands in the way of the last one.
			mustExec(t, db, "CREATE TABLE lockspire_audit (id INTEGER)")
			if err := lockspire.Migrate(t.Context(), db, engine, ""); err == nil {
				t.Fatal("Migrate went over a table that is not ours")
			}
			if s := status(t, db, engine, ""); s.Version != 0 {
				t.Errorf("version is %d after a failed migration", s.Version)
			}
			mustExec(t, db, "DROP TABLE lockspire_audit")
			if err := lockspire.Migrate(t.Context(), db, engine, ""); err != nil {
				t.Errorf("after the obstacle is gone: %v", err)
			}
		})
	}
}

// M24: up, down, up again gives the same schema, and down leaves nothing.
func TestMigrationsRunDownAndUpAgain(t *testing.T) {
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			db := openDB(t, engine)
			first := objects(t, db, engine)
			all, err := migrations.For(string(engine), "")
			if err != nil {
				t.Fatal(err)
			}
			for i := len(all) - 1; i >= 0; i-- {
				// As a runner with CRLF checkouts and no splitting would.
				mustExec(t, db, strings.ReplaceAll(all[i].Down, "\n", "\r\n"))
			}
			if left := objects(t, db, engine); len(left) != 0 {
				t.Errorf("left after down: %v", left)
			}
			mustExec(t, db, strings.ReplaceAll(all[0].Up, "\n", "\r\n"))
			if again := objects(t, db, engine); fmt.Sprint(again) != fmt.Sprint(first) {
				t.Errorf("up again gives\n%v\nnot\n%v", again, first)
			}
		})
	}
}

// M14: a schema of its own, also for a role that may not create schemas.
func TestMigrateUsesANamedPostgresSchema(t *testing.T) {
	dsn := newDSN(t, lockspire.PostgreSQL)
	db := openDSN(t, lockspire.PostgreSQL, dsn)
	if err := lockspire.Migrate(t.Context(), db, lockspire.PostgreSQL, "auth_1"); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db, "SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE 'lockspire%'"); n != 0 {
		t.Errorf("%d tables went to the public schema", n)
	}
	config := baseConfig(db, lockspire.PostgreSQL)
	config.Schema = "auth_1"
	p := mustNew(t, config)
	// The provider's own pool does not have the schema on its search path.
	rows := openDSN(t, lockspire.PostgreSQL, dsn+"&search_path=auth_1")
	client, other := seed(t, p, rows, "Partner", time.Now()), seed(t, p, rows, "Other", time.Now())
	token := accessToken(t, rows, client.claimsOf(time.Now()))
	if w := callAPI(p, token); w.Code != 200 {
		t.Errorf("a token under a named schema: %d", w.Code)
	}
	if err := p.RevokeGrant(t.Context(), "alice", client.grantID); err != nil || callAPI(p, token).Code != 401 {
		t.Errorf("RevokeGrant: %v, or the token lives on", err)
	}
	if err := p.Clients().Disable(t.Context(), other.client.ID); err != nil {
		t.Error(err)
	}
	runFor(t, p, 0)
	for _, bad := range []string{"Auth", "a b", "a;drop table x", `"a"`, strings.Repeat("a", 64), "1a"} {
		if err := lockspire.Migrate(t.Context(), db, lockspire.PostgreSQL, bad); err == nil {
			t.Errorf("schema %q was accepted", bad)
		}
	}

	mustExec(t, db, "CREATE SCHEMA given")
	role := "r_" + filepath.Base(t.TempDir()) + strings.ToLower(strings.TrimPrefix(dsn[strings.LastIndex(dsn, "/t_")+3:], "_"))
	role = strings.Split(role, "?")[0]
	mustExec(t, db, "CREATE ROLE "+role+" LOGIN")
	t.Cleanup(func() {
		db.ExecContext(context.Background(), "DROP OWNED BY "+role)
		db.ExecContext(context.Background(), "DROP ROLE "+role)
	})
	mustExec(t, db, "GRANT USAGE, CREATE ON SCHEMA given TO "+role)
	limited := openDSN(t, lockspire.PostgreSQL, strings.Replace(dsn, "postgres@", role+"@", 1))
	if err := lockspire.Migrate(t.Context(), limited, lockspire.PostgreSQL, "given"); err != nil {
		t.Errorf("a role that owns its schema but may not create one: %v", err)
	}
}

// A182: the schema is older, newer, or not there.
func TestA182NewChecksTheSchemaVersion(t *testing.T) {
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			db := openEmptyDB(t, engine)
			_, err := lockspire.New(t.Context(), baseConfig(db, engine))
			wantError(t, err, "no lockspire_* tables", "lockspire migrate up --database-url <url>")

			if err := lockspire.Migrate(t.Context(), db, engine, ""); err != nil {
				t.Fatal(err)
			}
			mustExec(t, db, "UPDATE lockspire_meta SET version = version + 1")
			mustNew(t, baseConfig(db, engine))
			if err := lockspire.Migrate(t.Context(), db, engine, ""); err != nil {
				t.Errorf("Migrate on a newer schema: %v", err)
			}
			mustExec(t, db, "UPDATE lockspire_meta SET min_runtime = version")
			_, err = lockspire.New(t.Context(), baseConfig(db, engine))
			wantError(t, err, "version 2", "go get github.com/lockspire/lockspire/runtime@latest")

			mustExec(t, db, "UPDATE lockspire_meta SET version = 0, min_runtime = 0")
			_, err = lockspire.New(t.Context(), baseConfig(db, engine))
			wantError(t, err, "lockspire migrate up --database-url <url>")
		})
	}
}

func TestNewRefusesTablesOfAnotherIssuer(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		mustNew(t, baseConfig(db, engine))
		if s := status(t, db, engine, ""); s.Issuer != testIssuer {
			t.Errorf("the issuer on record is %q", s.Issuer)
		}
		other := baseConfig(db, engine)
		other.Issuer = "https://other.example/lockspire"
		_, err := lockspire.New(t.Context(), other)
		wantError(t, err, "belong to "+testIssuer, "https://other.example/lockspire")
		mustNew(t, baseConfig(db, engine))
	})
}

// M31: SQLite settings are read back, and the error spells them for the driver.
func TestNewRefusesUnsafeSQLiteSettings(t *testing.T) {
	const journal, busy, keys = "_pragma=journal_mode(WAL)", "_pragma=busy_timeout(5000)", "_pragma=foreign_keys(1)"
	for _, missing := range []string{journal, busy, keys} {
		var kept []string
		for _, setting := range []string{journal, busy, keys} {
			if setting != missing {
				kept = append(kept, setting)
			}
		}
		db := openDSN(t, lockspire.SQLite, "file:"+filepath.Join(t.TempDir(), "t.db")+"?"+strings.Join(kept, "&"))
		if err := lockspire.Migrate(t.Context(), db, lockspire.SQLite, ""); err != nil {
			t.Fatal(err)
		}
		_, err := lockspire.New(t.Context(), baseConfig(db, lockspire.SQLite))
		wantError(t, err, missing)
	}
}

func TestNewSeesSQLiteSettingsMadeOnOneConnectionOnly(t *testing.T) {
	db := openDSN(t, lockspire.SQLite, "file:"+filepath.Join(t.TempDir(), "t.db")+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	if err := lockspire.Migrate(t.Context(), db, lockspire.SQLite, ""); err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, "PRAGMA foreign_keys = 1")
	_, err := lockspire.New(t.Context(), baseConfig(db, lockspire.SQLite))
	wantError(t, err, "_pragma=foreign_keys(1)")
}

func TestNewAcceptsAnInMemorySQLiteDatabase(t *testing.T) {
	db := openDSN(t, lockspire.SQLite, "file::memory:?_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)")
	db.SetMaxOpenConns(1)
	if err := lockspire.Migrate(t.Context(), db, lockspire.SQLite, ""); err != nil {
		t.Fatal(err)
	}
	mustNew(t, baseConfig(db, lockspire.SQLite))
}

func status(t *testing.T, db *sql.DB, engine lockspire.Dialect, schema string) lockspire.Status {
	t.Helper()
	s, err := lockspire.SchemaStatus(t.Context(), db, engine, schema)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// objects lists tables, columns and indexes named lockspire*.
func objects(t *testing.T, db *sql.DB, engine lockspire.Dialect) []string {
	t.Helper()
	query := `SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'lockspire%'
		UNION ALL SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable
		FROM information_schema.columns WHERE table_name LIKE 'lockspire%'`
	if engine == lockspire.SQLite {
		query = `SELECT COALESCE(sql, name) FROM sqlite_master WHERE tbl_name LIKE 'lockspire%'`
	}
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.ReplaceAll(s, "\r", ""))
	}
	sort.Strings(all)
	return all
}

// wantError demands an error that mentions each part.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error; want one about %q", parts)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not mention %q", err, part)
		}
	}
}
