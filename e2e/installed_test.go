package e2e

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"golang.org/x/oauth2"

	lockspire "github.com/lockspire/lockspire/runtime"
	"github.com/lockspire/lockspire/runtime/lockspiretest"
)

// installed is one host of testdata with Lockspire installed, per engine.
type installed struct {
	name, main, router string
	// edits are what a person does beside writing the account resolver.
	edits []edit
	// database prepares one and returns its URL for the app and for the command.
	database func(t *testing.T, h *host) (app, command string)
}

var installedHosts = []installed{
	{
		// The session type lives in the router's package, which the resolver
		// cannot import: a func in Host carries it.
		name: "shop", main: ".", router: "internal/web/router.go",
		edits: []edit{
			{"internal/authserver/config.go", "	DB *sql.DB\n", "	DB *sql.DB\n\n	SignedIn func(r *http.Request) (lockspire.Account, bool)\n", 1},
			{"internal/web/router.go", "authserver.Host{DB: db}", "authserver.Host{DB: db, SignedIn: signedIn}", 1},
			{"internal/web/session.go", "\nvar form =", `
func signedIn(r *http.Request) (lockspire.Account, bool) {
	s, ok := Current(r)
	return lockspire.Account{Subject: s.UserID, DisplayName: "Alice", SessionID: s.ID, AuthTime: s.SignedInAt}, ok
}

var form =`, 1},
			{"internal/web/session.go", "import (\n", "import (\n	lockspire \"github.com/lockspire/lockspire/runtime\"\n", 1},
		},
		database: func(t *testing.T, h *host) (string, string) {
			file := "file:" + filepath.Join(h.dir, "shop.db") + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)"
			return file, file
		},
	},
	{
		name: "clinic", main: "./cmd/app", router: "internal/server/server.go",
		database: func(t *testing.T, h *host) (string, string) {
			database := newDatabase(t)
			applyGoose(t, database, filepath.Join(h.dir, "db", "migrations"))
			return database, database
		},
	},
}

// TestGoOIDCCompletesTheFlowOnAnInstalledHost installs into a ServeMux host on
// SQLite and a chi host on PostgreSQL, and signs in to each with
// coreos/go-oidc and x/oauth2.
func TestGoOIDCCompletesTheFlowOnAnInstalledHost(t *testing.T) {
	for _, app := range installedHosts {
		t.Run(app.name, func(t *testing.T) {
			h := app.start(t)
			id, secret := h.register("--name", "go-oidc", "--redirect-uri", "https://client.example/callback")
			completeFlow(t, h, id, secret)
		})
	}
}

// start installs, checks that the router's file only gained lines, fills in
// what a person must, verifies, builds and runs.
func (app installed) start(t *testing.T) *host {
	t.Helper()
	h := copyHost(t, app.name)
	before, err := os.ReadFile(filepath.Join(h.dir, app.router))
	if err != nil {
		t.Fatal(err)
	}
	h.command(h.dir, h.cli, "install", "--yes")
	after, err := os.ReadFile(filepath.Join(h.dir, app.router))
	if err != nil {
		t.Fatal(err)
	}
	onlyGainsLines(t, string(before), string(after))
	h.fillIn(app.name + "-filled")
	for _, e := range app.edits {
		h.edit(e.file, e.old, e.new, e.times)
	}
	h.command(h.dir, h.cli, "verify")
	h.command(h.dir, "go", "build", "-o", "app", app.main)

	database, command := app.database(t, h)
	address := freeAddress(t)
	h.run("app", address, "ADDR="+address, "DATABASE_URL="+database, "LOCKSPIRE_DATABASE_URL="+command)
	return h
}

// onlyGainsLines fails unless after is before with whole lines inserted.
func onlyGainsLines(t *testing.T, before, after string) {
	t.Helper()
	kept := strings.SplitAfter(before, "\n")
	for _, line := range strings.SplitAfter(after, "\n") {
		if len(kept) > 0 && line == kept[0] {
			kept = kept[1:]
		} else if strings.Contains(before, "\r\n") && !strings.HasSuffix(line, "\r\n") {
			t.Errorf("the inserted line %q does not end as the file's do", line)
		}
	}
	if len(kept) > 0 {
		t.Errorf("the line %q is gone or changed", kept[0])
	}
}

// completeFlow is a relying party as its library's documentation writes one.
func completeFlow(t *testing.T, h *host, id, secret string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	provider, err := oidc.NewProvider(ctx, h.issuer)
	if err != nil {
		t.Fatal(err)
	}
	config := oauth2.Config{
		ClientID: id, ClientSecret: secret, RedirectURL: "https://client.example/callback",
		Endpoint: provider.Endpoint(), Scopes: []string{oidc.ScopeOpenID, "profile", oidc.ScopeOfflineAccess},
	}
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	answer := signInAndAllow(t, h, config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)))
	if answer.Get("state") != state || answer.Get("iss") != h.issuer {
		t.Fatalf("the answer is %v", answer)
	}
	token, err := config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	checkIDToken(t, ctx, provider, id, token, nonce)

	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Name string }
	if err := info.Claims(&claims); err != nil || info.Subject != "user-7" || claims.Name != "Alice" {
		t.Errorf("userinfo is %q %q (%v)", info.Subject, claims.Name, err)
	}

	expired := &oauth2.Token{RefreshToken: token.RefreshToken, Expiry: time.Now().Add(-time.Minute)}
	refreshed, err := config.TokenSource(ctx, expired).Token()
	if err != nil {
		t.Fatal(err)
	}
	if refreshed.AccessToken == token.AccessToken || refreshed.RefreshToken == token.RefreshToken {
		t.Error("refresh returned a token that was there before")
	}
	checkIDToken(t, ctx, provider, id, refreshed, "")
}

func checkIDToken(t *testing.T, ctx context.Context, provider *oidc.Provider, clientID string, token *oauth2.Token, nonce string) {
	t.Helper()
	raw, _ := token.Extra("id_token").(string)
	idToken, err := provider.Verifier(&oidc.Config{ClientID: clientID}).Verify(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	if idToken.Subject != "user-7" || idToken.Nonce != nonce {
		t.Errorf("the ID token has sub %q and nonce %q, want user-7 and %q", idToken.Subject, idToken.Nonce, nonce)
	}
	if err := idToken.VerifyAccessToken(token.AccessToken); err != nil {
		t.Errorf("at_hash: %v", err)
	}
}

// signInAndAllow is the person: sign in at the host, allow the client.
func signInAndAllow(t *testing.T, h *host, authorize string) url.Values {
	t.Helper()
	browser := lockspiretest.Open(t, h.url)
	page, err := browser.Get(authorize)
	if err != nil {
		t.Fatal(err)
	}
	form := page.Form("password")
	if form == nil {
		t.Fatalf("the browser is on %s (%d), not at sign-in", page.URL, page.Status)
	}
	if page, err = form.Submit("user", "alice", "password", "wonderland"); err != nil {
		t.Fatal(err)
	}
	consent := page.Form(lockspire.FieldDecision)
	for _, f := range page.Forms() {
		for _, button := range f.Buttons {
			if button.Value == lockspire.DecisionApprove {
				consent = f
			}
		}
	}
	if consent == nil {
		t.Fatalf("the browser is on %s (%d), not at consent", page.URL, page.Status)
	}
	if page, err = consent.Submit(lockspire.FieldDecision, lockspire.DecisionApprove); err != nil {
		t.Fatal(err)
	}
	target := page.Leaving()
	if target == nil {
		t.Fatalf("the browser stays on %s (%d)", page.URL, page.Status)
	}
	return target.Query()
}

// newDatabase creates a PostgreSQL database for the test and returns its URL.
func newDatabase(t *testing.T) string {
	t.Helper()
	base := os.Getenv("LOCKSPIRE_TEST_POSTGRES")
	if base == "" {
		base = "postgres://postgres@127.0.0.1:54329/postgres?sslmode=disable"
	}
	admin, err := sql.Open("pgx", base)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Close() })
	name := "e2e_" + strings.ToLower(rand.Text())
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatalf("no PostgreSQL for tests (%v); run: scripts/postgres start", err)
	}
	t.Cleanup(func() { admin.Exec("DROP DATABASE " + name + " WITH (FORCE)") })
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// applyGoose runs the host's migrations with the real goose, up, down to
// before ours, and up again.
func applyGoose(t *testing.T, database, dir string) {
	t.Helper()
	db, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for _, step := range []func() error{
		func() error { _, err := provider.Up(ctx); return err },
		func() error { _, err := provider.DownTo(ctx, 1); return err },
		func() error { _, err := provider.Up(ctx); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}
