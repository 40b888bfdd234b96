// Package pool opens databases for the servers under load as a host would: both
// engines as durable as they come, which for SQLite is synchronous=FULL, its
// default.
package pool

import (
	"database/sql"
	"fmt"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// connections is how many a pool keeps: as many as the load generator has.
const connections = 16

// Open opens a pool. dsn is a file's name for SQLite.
func Open(engine lockspire.Dialect, dsn string) (*sql.DB, error) {
	driver := "pgx"
	if engine == lockspire.SQLite {
		driver, dsn = "sqlite", "file:"+dsn+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, durable(db, engine)
}

// durable refuses a database that would answer before the disk has it.
func durable(db *sql.DB, engine lockspire.Dialect) error {
	settings := map[string]string{"SHOW fsync": "on", "SHOW synchronous_commit": "on", "SHOW full_page_writes": "on"}
	if engine == lockspire.SQLite {
		settings = map[string]string{"PRAGMA synchronous": "2"}
	}
	for query, want := range settings {
		var got string
		if err := db.QueryRow(query).Scan(&got); err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
		if got != want {
			return fmt.Errorf("%s says %s and has to say %s", query, got, want)
		}
	}
	return nil
}
