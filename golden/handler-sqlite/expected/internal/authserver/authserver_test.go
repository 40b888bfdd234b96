// The tests of this package: TestSmoke and TestSeam are in lockspire_gen_test.go and call the
// funcs below, which are yours.
package authserver_test

import (
	"database/sql"
	"errors"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/lockspire/lockspire/runtime/lockspiretest"
	_ "modernc.org/sqlite"
)

// openTestDB returns an empty database that lives as long as the test.
func openTestDB(t *testing.T) *sql.DB {
	t.Helper()
	source := "file:" + filepath.ToSlash(filepath.Join(t.TempDir(), "test.db")) +
		"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)"
	db, err := sql.Open("sqlite", source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// hostHandler returns the application's whole handler on db, as main serves it, with its own
// sessions and one user who can sign in. TestSeam takes a client through it. As long as it
// returns nil, TestSeam only says so.
//
//	return app.NewRouter(db)
//
// Where the router is in package main, which cannot be imported, call lockspiretest.Walk from
// a test there instead.
func hostHandler(t *testing.T, db *sql.DB) http.Handler {
	t.Helper()
	return nil
}

// signIn takes the browser through your sign-in, from the login page on which an authorization
// request ended:
//
//	return login.Form("password").Submit("email", "alice@example.com", "password", "correct horse")
//
// It returns the page on which the browser ends after your last step redirected to return_to:
// the consent page.
func signIn(browser *lockspiretest.Browser, login *lockspiretest.Page) (*lockspiretest.Page, error) {
	return nil, errors.New("authserver_test.go: signIn is not written yet")
}
