package main

import (
	"context"
	"database/sql"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// app-runs: a host's provider starts on $LOCKSPIRE_DATABASE_URL with
// $LOCKSPIRE_SECRETS, and runs until it has done what it does about its keys.
func appRuns(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: app-runs")
	}
	url := ts.Getenv(databaseEnv)
	driver, dialect := "pgx", lockspire.PostgreSQL
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, dialect = "sqlite", lockspire.SQLite
		url = "file:" + filepath.Join(ts.Getenv("WORK"), path) + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)"
	}
	db, err := sql.Open(driver, url)
	ts.Check(err)
	defer db.Close()
	config := lockspire.Config{
		Issuer: "https://app.example/lockspire", DB: db, Dialect: dialect, Accounts: noAccounts{},
		Pages: lockspire.Pages{
			Consent:        func(http.ResponseWriter, *http.Request, lockspire.ConsentPage) {},
			AuthorizedApps: func(http.ResponseWriter, *http.Request, lockspire.AuthorizedAppsPage) {},
		},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for _, entry := range strings.Fields(ts.Getenv(secretsEnv)) {
		secret, err := base64.StdEncoding.DecodeString(entry)
		ts.Check(err)
		config.Secrets = append(config.Secrets, secret)
	}
	provider, err := lockspire.New(context.Background(), config)
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- provider.Run(ctx) }()
	for !settled(ts, ctx, provider) {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	ts.Check(<-done)
	// Leave the file as a stopped host does.
	if dialect == lockspire.SQLite {
		_, err = db.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
		ts.Check(err)
	}
}

// settled reports whether each algorithm has its two keys, sealed with the
// current secret.
func settled(ts *testscript.TestScript, ctx context.Context, provider *lockspire.Provider) bool {
	status, err := provider.Keys().Status(ctx)
	ts.Check(err)
	next := 0
	for _, key := range status.Keys {
		if key.SecretID != status.Secrets[0].ID {
			return false
		}
		if key.State == lockspire.KeyNext {
			next++
		}
	}
	return next == 2
}

// noAccounts is a host that nobody signs in to.
type noAccounts struct{}

func (noAccounts) CurrentAccount(*http.Request) (lockspire.Account, error) {
	return lockspire.Account{}, lockspire.ErrNotSignedIn
}

func (noAccounts) AccountBySubject(context.Context, string) (lockspire.Account, error) {
	return lockspire.Account{}, lockspire.ErrAccountGone
}

func (noAccounts) Claims(context.Context, lockspire.Account, lockspire.ClaimsRequest) (lockspire.Claims, error) {
	return lockspire.Claims{}, nil
}

func (noAccounts) LoginURL(_ *http.Request, i lockspire.Interaction) string {
	return i.AppendTo("/login")
}
