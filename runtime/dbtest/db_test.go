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
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// defaultPostgres is where scripts/postgres start puts the server.
const defaultPostgres = "postgres://postgres@127.0.0.1:54329/postgres?sslmode=disable"

// isolationVariable names a PostgreSQL isolation level that every connection of
// these tests gets as its default. The suite passes with "serializable" too:
// that is what distributed databases that speak PostgreSQL's protocol give.
const isolationVariable = "LOCKSPIRE_TEST_ISOLATION"

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

// newDSN returns an empty database that is this test's alone.
func newDSN(t testing.TB, engine lockspire.Dialect) string {
	t.Helper()
	if engine == lockspire.SQLite {
		return sqliteDSN(filepath.Join(t.TempDir(), "test.db"))
	}
	name, err := postgres.take(t.Context())
	if err != nil {
		t.Fatalf("PostgreSQL is needed for this test (run: scripts/postgres start): %v", err)
	}
	t.Cleanup(func() {
		if err := postgres.give(name); err != nil {
			t.Errorf("cleaning %s: %v", name, err)
		}
	})
	return postgres.dsn(name)
}

// postgres hands out databases, each to one test at a time. Creating one costs
// a second of disk work where the server syncs, so they are emptied and used
// again.
var postgres databasePool

type databasePool struct {
	mu    sync.Mutex
	admin *sql.DB
	free  []string
	all   []string
}

func (p *databasePool) server() string {
	if server := os.Getenv("LOCKSPIRE_TEST_POSTGRES"); server != "" {
		return server
	}
	return defaultPostgres
}

func (p *databasePool) dsn(name string) string {
	u, err := url.Parse(p.server())
	if err != nil {
		panic(err)
	}
	u.Path = "/" + name
	if isolation := os.Getenv(isolationVariable); isolation != "" {
		query := u.Query()
		query.Set("default_transaction_isolation", isolation)
		u.RawQuery = query.Encode()
	}
	return u.String()
}

func (p *databasePool) take(ctx context.Context) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		name := p.free[n-1]
		p.free = p.free[:n-1]
		return name, nil
	}
	if p.admin == nil {
		admin, err := sql.Open("pgx", p.server())
		if err != nil {
			return "", err
		}
		p.admin = admin
	}
	var random [8]byte
	rand.Read(random[:])
	name := "t_" + hex.EncodeToString(random[:])
	if _, err := p.admin.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	p.all = append(p.all, name)
	// Nothing here survives a crash of the server, so no commit has to wait
	// for its disk.
	_, err := p.admin.ExecContext(ctx, "ALTER DATABASE "+name+" SET synchronous_commit = off")
	return name, err
}

// give ends what is still connected to a database, empties it, and takes it
// back.
func (p *databasePool) give(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := p.admin.ExecContext(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name); err != nil {
		return err
	}
	db, err := sql.Open("pgx", p.dsn(name))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, `DO $$ DECLARE s TEXT; BEGIN
		FOR s IN SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema' LOOP
			EXECUTE 'DROP SCHEMA ' || quote_ident(s) || ' CASCADE';
		END LOOP;
		CREATE SCHEMA public;
	END $$`)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, name)
	return nil
}

func (p *databasePool) close() {
	for _, name := range p.all {
		p.admin.Exec("DROP DATABASE " + name + " WITH (FORCE)")
	}
}

func TestMain(m *testing.M) {
	status := m.Run()
	postgres.close()
	os.Exit(status)
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
