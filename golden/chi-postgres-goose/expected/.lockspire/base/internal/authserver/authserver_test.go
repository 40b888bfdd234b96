// The tests of this package: TestSmoke and TestSeam are in lockspire_gen_test.go and call the
// funcs below, which are yours.
package authserver_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/lockspire/lockspire/runtime/lockspiretest"
)

// openTestDB returns a pool on an empty schema that lives as long as the test, in the database
// of LOCKSPIRE_TEST_DATABASE_URL:
//
//	LOCKSPIRE_TEST_DATABASE_URL=postgres://postgres@localhost/postgres go test ./internal/authserver
//
// Without the variable the tests that need a database are skipped, since nothing else says
// where one is. Set it in CI, or replace this by the helper that your own tests use.
func openTestDB(t *testing.T) *pgxpool.Pool {
	t.Helper()
	base := os.Getenv("LOCKSPIRE_TEST_DATABASE_URL")
	if base == "" {
		t.Skip("LOCKSPIRE_TEST_DATABASE_URL is not set: give the URL of a PostgreSQL database for tests")
	}
	schema := "lockspire_test_" + strings.ToLower(rand.Text())
	admin, err := pgxpool.New(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	if _, err := admin.Exec(t.Context(), "CREATE SCHEMA "+schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec(context.Background(), "DROP SCHEMA "+schema+" CASCADE"); err != nil {
			t.Error(err)
		}
	})
	config, err := pgxpool.ParseConfig(base)
	if err != nil {
		t.Fatal("LOCKSPIRE_TEST_DATABASE_URL is not the URL of a PostgreSQL database")
	}
	config.ConnConfig.RuntimeParams["search_path"] = schema
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// hostHandler returns the application's whole handler on db, as main serves it, with its own
// sessions and one user who can sign in. TestSeam takes a client through it. As long as it
// returns nil, TestSeam only says so.
//
//	if err := goose.UpContext(t.Context(), stdlib.OpenDBFromPool(db), "../../db/migrations"); err != nil {
//		t.Fatal(err)
//	}
//	return app.NewRouter(db)
//
// Where the router is in package main, which cannot be imported, call lockspiretest.Walk from
// a test there instead.
func hostHandler(t *testing.T, db *pgxpool.Pool) http.Handler {
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
