package oauthsrv

import (
	"database/sql"
	"errors"
	"os"

	_ "modernc.org/sqlite"
)

// openDatabase opens the pool for the lockspire_* tables. No database handle was in scope
// where the router is built, so Lockspire has a pool of its own, on the application's driver.
//
// If you can pass your own pool, do: add a field DB *sql.DB to Host, return host.DB here, and
// set it in the call to Mount.
//
// On SQLite open it with write-ahead logging, a busy timeout and foreign keys:
//
//	LOCKSPIRE_DATABASE_URL='file:app.db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)'
func openDatabase(host Host) (*sql.DB, error) {
	source := os.Getenv("LOCKSPIRE_DATABASE_URL")
	if source == "" {
		return nil, errors.New("LOCKSPIRE_DATABASE_URL is not set: it names the database with the lockspire_* tables")
	}
	return sql.Open("sqlite", source)
}
