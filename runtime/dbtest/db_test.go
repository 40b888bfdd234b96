// Package dbtest holds the suites that need a database. Each test runs on
// PostgreSQL and on SQLite.
package dbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// defaultPostgres is where scripts/postgres start puts the server.
const defaultPostgres = "postgres://postgres@127.0.0.1:54329/postgres?sslmode=disable"

var engines = []lockspire.Dialect{lockspire.SQLite, lockspire.PostgreSQL}

// forEachEngine runs fn as a subtest with a migrated database of each engine.
func forEachEngine(t *testing.T, fn func(t *testing.T, db *sql.DB, engine lockspire.Dialect)) {
	t.Helper()
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) { fn(t, openDB(t, engine), engine) })
	}
}

// openDB returns a pool on a fresh database with the lockspire_* tables.
func openDB(t testing.TB, engine lockspire.Dialect) *sql.DB {
	t.Helper()
	db := openEmptyDB(t, engine)
	if err := lockspire.Migrate(t.Context(), db, engine, ""); err != nil {
		t.Fatal(err)
	}
	return db
}

// openEmptyDB returns a pool on a fresh database with nothing in it.
func openEmptyDB(t testing.TB, engine lockspire.Dialect) *sql.DB {
	t.Helper()
	return openDSN(t, engine, newDSN(t, engine))
}

// openDSN opens a pool as a host would, and closes it with the test.
func openDSN(t testing.TB, engine lockspire.Dialect, dsn string) *sql.DB {
	t.Helper()
	driver := "pgx"
	if engine == lockspire.SQLite {
		driver = "sqlite"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// newDSN creates a database that goes away with the test.
func newDSN(t testing.TB, engine lockspire.Dialect) string {
	t.Helper()
	if engine == lockspire.SQLite {
		return sqliteDSN(filepath.Join(t.TempDir(), "test.db"))
	}
	server := os.Getenv("LOCKSPIRE_TEST_POSTGRES")
	if server == "" {
		server = defaultPostgres
	}
	admin, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	var random [8]byte
	rand.Read(random[:])
	name := "t_" + hex.EncodeToString(random[:])
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatalf("PostgreSQL is needed for this test (run: scripts/postgres start): %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if _, err := admin.ExecContext(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("dropping %s: %v", name, err)
		}
		admin.Close()
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func sqliteDSN(path string) string {
	return "file:" + path + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)"
}

// mustExec runs a statement written with $1 placeholders on either engine.
func mustExec(t testing.TB, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// count returns the one number that a query yields.
func count(t testing.TB, db *sql.DB, query string, args ...any) int {
	t.Helper()
	var n int
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}
