// The tests of this package: TestSmoke and TestSeam are in lockspire_gen_test.go and call the
// funcs below, which are yours.
package authserver_test

import (
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"example.com/sigra-host/internal/signin"
	"example.com/sigra-host/internal/web"
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

const (
	email    = "mira@harbour.example"
	password = "ebb-and-flood"
)

var totpSecret = []byte("a secret of the test")

// hostHandler returns the application's whole handler on db, with one user who
// can sign in.
func hostHandler(t *testing.T, db *sql.DB) http.Handler {
	t.Helper()
	t.Setenv("LOCKSPIRE_SECRETS", base64.StdEncoding.EncodeToString([]byte(rand.Text()+rand.Text())))
	handler, err := web.New(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signin.New(db).AddUser(t.Context(), email, "Mira Quay", password, totpSecret); err != nil {
		t.Fatal(err)
	}
	return handler
}

// signIn takes both steps: the password, then the code.
func signIn(browser *lockspiretest.Browser, login *lockspiretest.Page) (*lockspiretest.Page, error) {
	second, err := login.Form("password").Submit("email", email, "password", password)
	if err != nil {
		return nil, err
	}
	return second.Form("code").Submit("code", signin.Code(totpSecret, time.Now()))
}
