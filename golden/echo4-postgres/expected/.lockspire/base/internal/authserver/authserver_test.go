// The tests of this package: TestSmoke and TestSeam are in lockspire_gen_test.go and call the
// funcs below, which are yours.
package authserver_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/lockspire/lockspire/runtime/lockspiretest"
)

// openTestDB returns a pool on an empty schema that lives as long as the test, in the database
// of LOCKSPIRE_TEST_DATABASE_URL:
//
//	LOCKSPIRE_TEST_DATABASE_URL=postgres://postgres@localhost/postgres go test ./internal/authserver
//
// Without the variable the tests that need a database are skipped, since nothing else says
// where one is. Set it in CI, or replace this by the helper that your own tests use.
func openTestDB(t *testing.T) *sql.DB {
	t.Helper()
	base := os.Getenv("LOCKSPIRE_TEST_DATABASE_URL")
	if base == "" {
		t.Skip("LOCKSPIRE_TEST_DATABASE_URL is not set: give the URL of a PostgreSQL database for tests")
	}
	schema := "lockspire_test_" + strings.ToLower(rand.Text())
	admin, err := sql.Open("pgx", base)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	if _, err := admin.ExecContext(t.Context(), "CREATE SCHEMA "+schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.ExecContext(context.Background(), "DROP SCHEMA "+schema+" CASCADE"); err != nil {
			t.Error(err)
		}
	})
	target, err := url.Parse(base)
	if err != nil {
		t.Fatal("LOCKSPIRE_TEST_DATABASE_URL is not a URL")
	}
	query := target.Query()
	query.Set("search_path", schema)
	target.RawQuery = query.Encode()
	source := target.String()
	db, err := sql.Open("pgx", source)
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
