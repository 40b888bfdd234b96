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

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
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
			// Install passes a func that gives the id alone; this host has more to say of an account.
			{"internal/authserver/config.go", "	SignedIn func(r *http.Request) (string, bool)\n", "	SignedIn func(r *http.Request) (lockspire.Account, bool)\n", 1},
			{"internal/web/router.go", `if _, err := authserver.Mount(mux, authserver.Host{DB: db, SignedIn: func(r *http.Request) (string, bool) {
		user, ok := Current(r)
		if !ok {
			return "", false
		}
		return user.UserID, true
	}}); err`, "provider, err := authserver.Mount(mux, authserver.Host{DB: db, SignedIn: signedIn})\n	if err", 1},
			{"internal/web/router.go", `	mux.HandleFunc("GET /", `, `	api := provider.Protect(lockspire.ForResource(authserver.API()), lockspire.RequireScope("notes:read"))
	mux.Handle("GET /api/notes", api(http.HandlerFunc(notes.Read)))
	mux.Handle("GET /api", api(http.HandlerFunc(notes.MCP)))
	mux.Handle("POST /api", api(http.HandlerFunc(notes.MCP)))
	mux.HandleFunc("GET /", `, 1},
			{"internal/web/router.go", "import (\n", "import (\n	\"example.com/shop/internal/notes\"\n	lockspire \"github.com/lockspire/lockspire/runtime\"\n", 1},
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
		edits: []edit{
			{"internal/server/server.go", "authserver.MustMount(s.router, authserver.Host{Pool: s.pool})\r\n", `provider := authserver.MustMount(s.router, authserver.Host{Pool: s.pool})
	api := provider.Protect(lockspire.ForResource(authserver.API()), lockspire.RequireScope("notes:read"))
	s.router.With(api).Get("/api/notes", notes.Read)
	s.router.With(api).HandleFunc("/api", notes.MCP)
`, 1},
			{"internal/server/server.go", "import (\r\n", "import (\n	\"example.com/clinic/internal/notes\"\n	lockspire \"github.com/lockspire/lockspire/runtime\"\n", 1},
		},
		database: func(t *testing.T, h *host) (string, string) {
			database := newDatabase(t)
			applyGoose(t, database, filepath.Join(h.dir, "db", "migrations"))
			return database, database
		},
	},
}

// apiEdits declare an API of the host's own, with a scope and an identifier,
// beside the default resource.
var apiEdits = []edit{
	{"internal/authserver/config.go", "			{Name: \"profile\",", "			{Name: \"notes:read\", Title: \"Read your notes\"},\n			{Name: \"profile\",", 1},
	{"internal/authserver/config.go", "		Secrets:  secrets,\n", `		Secrets:  secrets,
		Resources: []lockspire.Resource{
			{Identifier: strings.TrimSuffix(issuer, MountPath), Name: "Everything else"},
			{Identifier: API(), Name: "Notes", Scopes: []string{"notes:read"}},
		},
`, 1},
	{"internal/authserver/config.go", "// secretsFor reads", `// API identifies what third parties call.
func API() string { return strings.TrimSuffix(os.Getenv("LOCKSPIRE_ISSUER"), MountPath) + "/api" }

// secretsFor reads`, 1},
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
	for _, e := range append(apiEdits, app.edits...) {
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
