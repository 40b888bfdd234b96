// Ledger is the worst common host: everything in it is what careful people
// write, and each piece is known to break authorization servers.
//
//   - every response says form-action 'self';
//   - a CSRF library stands before every POST;
//   - the session cookie is SameSite=Strict, so a browser that arrives from
//     another site looks signed out;
//   - the pool holds one SQLite connection, so whoever asks for a second one
//     while holding the first waits for ever.
package main

import (
	"context"
	"database/sql"
	"log"
	"net/http"
	"os"

	_ "modernc.org/sqlite"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	db, err := sql.Open("sqlite", "file:"+os.Getenv("LEDGER_DATABASE")+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if err := createTables(ctx, db); err != nil {
		return err
	}
	handler, err := newRouter(db)
	if err != nil {
		return err
	}
	return http.ListenAndServe(os.Getenv("LEDGER_ADDR"), handler)
}
