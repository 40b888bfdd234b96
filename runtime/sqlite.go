package lockspire

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// minBusyTimeout is how long a SQLite connection must be ready to wait for a
// lock that another process holds, in milliseconds.
const minBusyTimeout = 1000

// checkSQLite reads back the settings that correctness under concurrency needs.
// They belong to the host's connection string: set behind its back, they would
// hold for one connection of the pool and not for the next.
func checkSQLite(ctx context.Context, db *sql.DB) error {
	first, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("%w: opening a connection: %w", errUnavailable, err)
	}
	defer first.Close()
	if err := checkSQLiteConn(ctx, first, sqliteSpelling(db)); err != nil {
		return err
	}
	if db.Stats().MaxOpenConnections == 1 {
		return nil
	}
	// A second connection shows settings that were made on one connection
	// instead of in the connection string. A host that keeps its pool busy is
	// not made to wait for it.
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	second, err := db.Conn(ctx)
	if err != nil {
		return nil
	}
	defer second.Close()
	return checkSQLiteConn(ctx, second, sqliteSpelling(db))
}

func checkSQLiteConn(ctx context.Context, conn *sql.Conn, spell func(pragma, value string) string) error {
	var version, journal string
	var busy, foreignKeys int
	for _, read := range []struct {
		query  string
		target any
	}{
		{"SELECT sqlite_version()", &version},
		{"PRAGMA journal_mode", &journal},
		{"PRAGMA busy_timeout", &busy},
		{"PRAGMA foreign_keys", &foreignKeys},
	} {
		if err := conn.QueryRowContext(ctx, read.query).Scan(read.target); err != nil {
			return fmt.Errorf("%w: %s: %w", errUnavailable, read.query, err)
		}
	}
	inMemory, err := sqliteInMemory(ctx, conn)
	if err != nil {
		return fmt.Errorf("%w: PRAGMA database_list: %w", errUnavailable, err)
	}
	var problems []error
	refuse := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("Config.DB: "+format, args...))
	}
	if !atLeastVersion(version, 3, 35) {
		refuse("SQLite %s is too old; 3.35 or later is needed (RETURNING)", version)
	}
	if !inMemory && !strings.EqualFold(journal, "wal") {
		refuse("SQLite journal mode is %q and must be WAL; add %s to the connection string", journal, spell("journal_mode", "WAL"))
	}
	if busy < minBusyTimeout {
		refuse("SQLite busy timeout is %d ms and must be at least %d; add %s to the connection string", busy, minBusyTimeout, spell("busy_timeout", "5000"))
	}
	if foreignKeys != 1 {
		refuse("SQLite foreign keys are off; add %s to the connection string", spell("foreign_keys", "1"))
	}
	return errors.Join(problems...)
}

// sqliteInMemory reports whether the main database has no file. WAL does not
// exist there.
func sqliteInMemory(ctx context.Context, conn *sql.Conn) (bool, error) {
	rows, err := conn.QueryContext(ctx, "PRAGMA database_list")
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
		var sequence int
		var name string
		var file sql.NullString
		if err := rows.Scan(&sequence, &name, &file); err != nil {
			return false, err
		}
		if name == "main" {
			return file.String == "", rows.Err()
		}
	}
	return false, rows.Err()
}

// sqliteSpelling returns how the pool's driver spells a pragma in its
// connection string. A wrong spelling is silently ignored by all of them, so
// the error that asks for a setting has to get it right.
func sqliteSpelling(db *sql.DB) func(pragma, value string) string {
	modern := func(pragma, value string) string { return "_pragma=" + pragma + "(" + value + ")" }
	mattn := func(pragma, value string) string { return "_" + pragma + "=" + value }
	switch driver := fmt.Sprintf("%T", db.Driver()); {
	case strings.Contains(driver, "SQLiteDriver"):
		return mattn
	case strings.HasPrefix(driver, "*sqlite."), strings.HasPrefix(driver, "*driver.SQLite"):
		return modern
	}
	return func(pragma, value string) string {
		return modern(pragma, value) + " (modernc.org/sqlite) or " + mattn(pragma, value) + " (mattn/go-sqlite3)"
	}
}

func atLeastVersion(version string, major, minor int) bool {
	var gotMajor, gotMinor int
	if _, err := fmt.Sscanf(version, "%d.%d", &gotMajor, &gotMinor); err != nil {
		return false
	}
	return gotMajor > major || gotMajor == major && gotMinor >= minor
}
