package migrationtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	atlas "ariga.io/atlas/sql/migrate"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	lockspire "github.com/lockspire/lockspire/runtime"
	"github.com/lockspire/lockspire/templates"
)

// database is an empty database of one engine.
type database struct {
	*sql.DB
	engine    string
	url       string // of PostgreSQL
	path      string // of SQLite
	revisions revisions
}

var engines = []string{templates.EngineSQLite, templates.EnginePG}

func newDatabase(t *testing.T, engine string) *database {
	t.Helper()
	d := &database{engine: engine}
	driver, dsn := "sqlite", ""
	if engine == templates.EngineSQLite {
		d.path = filepath.Join(t.TempDir(), "app.db")
		dsn = "file:" + d.path + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)"
	} else {
		driver, d.url = "pgx", newPostgres(t)
		dsn = d.url
	}
	d.DB = open(t, driver, dsn)
	return d
}

func open(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.PingContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

// newPostgres makes a database on the test server, which lives as long as the test.
func newPostgres(t *testing.T) string {
	t.Helper()
	server := os.Getenv("LOCKSPIRE_TEST_POSTGRES")
	if server == "" {
		t.Fatal("LOCKSPIRE_TEST_POSTGRES is not set: scripts/postgres start")
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	name := "m_" + strings.ToLower(rand.Text())
	admin := open(t, "pgx", server)
	mustExec(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() {
		if _, err := admin.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	u.Path = "/" + name
	return u.String()
}

func mustExec(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// inputs are those of a host that uses the tool.
func inputs(tl tool, engine string) templates.Inputs {
	in := templates.Inputs{
		Database: templates.DatabaseSQL, DriverImport: "github.com/jackc/pgx/v5/stdlib", DriverName: "pgx", Engine: engine,
		LoginPath: "/login", Migrations: tl.name, MigrationsDir: "db/migrations", Module: "example.com/host", MountPath: "/lockspire",
		Package: "internal/authserver", Router: templates.RouterMux, RouterImport: "net/http", Wire: true,
	}
	in.MigrationsNaming, in.MigrationsWidth = templates.MigrationNaming(tl.name)
	return in
}

// directory is a migration directory with the host's own first file and ours. edit may change ours; nil leaves them.
func directory(t *testing.T, tl tool, in templates.Inputs, edit func(string) string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range tl.files {
		write(t, filepath.Join(dir, name), text)
	}
	newest := int64(20240105093000)
	if in.MigrationsNaming == templates.NamingSequence {
		newest = 1
	}
	files, err := templates.Migrations(in, 0, newest, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text := string(f.Content)
		if edit != nil {
			text = edit(text)
		}
		write(t, filepath.Join(dir, path.Base(f.Path)), text)
	}
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// catalogue describes every object of ours: tables, columns, constraints and indexes.
func catalogue(t *testing.T, d *database) string {
	t.Helper()
	query := `SELECT format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default)
			FROM information_schema.columns WHERE table_name LIKE 'lockspire%'
		UNION ALL SELECT format('%s %s', c.conrelid::regclass, pg_get_constraintdef(c.oid))
			FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid WHERE r.relname LIKE 'lockspire%'
		UNION ALL SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'lockspire%'`
	if d.engine == templates.EngineSQLite {
		query = `SELECT COALESCE(sql, name) FROM sqlite_master WHERE tbl_name LIKE 'lockspire%'`
	}
	rows, err := d.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.Join(strings.Fields(s), " "))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	sort.Strings(all)
	return strings.Join(all, "\n")
}

// starts makes a provider on the tables and stores something through it.
func starts(t *testing.T, d *database, schema string) {
	t.Helper()
	dialect := lockspire.PostgreSQL
	if d.engine == templates.EngineSQLite {
		dialect = lockspire.SQLite
	}
	p, err := lockspire.New(t.Context(), lockspire.Config{
		Issuer: "https://app.example/lockspire", DB: d.DB, Dialect: dialect, Schema: schema, Accounts: nobody{},
		Pages: lockspire.Pages{
			Consent:        func(http.ResponseWriter, *http.Request, lockspire.ConsentPage) {},
			AuthorizedApps: func(http.ResponseWriter, *http.Request, lockspire.AuthorizedAppsPage) {},
		},
		Secrets: [][]byte{[]byte("a secret of at least thirty-two bytes, for tests")},
		Logger:  slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatalf("the runtime does not start on the tables: %v", err)
	}
	defer p.Close()
	if _, _, err := p.Clients().Create(t.Context(), lockspire.NewClient{Name: "Partner", RedirectURIs: []string{"https://partner.example/callback"}}); err != nil {
		t.Fatal(err)
	}
}

// nobody is a host that no one signs in to.
type nobody struct{}

func (nobody) CurrentAccount(*http.Request) (lockspire.Account, error) {
	return lockspire.Account{}, lockspire.ErrNotSignedIn
}

func (nobody) AccountBySubject(context.Context, string) (lockspire.Account, error) {
	return lockspire.Account{}, lockspire.ErrAccountGone
}

func (nobody) Claims(context.Context, lockspire.Account, lockspire.ClaimsRequest) (lockspire.Claims, error) {
	return nil, nil
}

func (nobody) LoginURL(*http.Request, lockspire.Interaction) string { return "/login" }

// splitUp is the simplest runner of a host's own: every file in order, cut at each semicolon, without a transaction.
func splitUp(t *testing.T, d *database, dir string) error {
	mustExec(t, d.DB, "CREATE TABLE IF NOT EXISTS applied (name TEXT PRIMARY KEY)")
	files, err := filepath.Glob(filepath.Join(dir, "*.sql"))
	if err != nil {
		return err
	}
	for _, file := range files {
		var n int
		if err := d.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM applied WHERE name = $1", filepath.Base(file)).Scan(&n); err != nil || n > 0 {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, statement := range strings.Split(string(text), ";") {
			if strings.TrimSpace(statement) == "" {
				continue
			}
			if _, err := d.ExecContext(t.Context(), statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		mustExec(t, d.DB, "INSERT INTO applied VALUES ('"+filepath.Base(file)+"')")
	}
	return nil
}

// revisions is where atlas keeps what it has applied.
type revisions map[string]*atlas.Revision

func (revisions) Ident() *atlas.TableIdent { return &atlas.TableIdent{} }

func (r revisions) ReadRevisions(context.Context) ([]*atlas.Revision, error) {
	var all []*atlas.Revision
	for _, rev := range r {
		all = append(all, rev)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Version < all[j].Version })
	return all, nil
}

func (r revisions) ReadRevision(_ context.Context, version string) (*atlas.Revision, error) {
	if rev, ok := r[version]; ok {
		return rev, nil
	}
	return nil, atlas.ErrRevisionNotExist
}

func (r revisions) WriteRevision(_ context.Context, rev *atlas.Revision) error {
	r[rev.Version] = rev
	return nil
}

func (r revisions) DeleteRevision(_ context.Context, version string) error {
	delete(r, version)
	return nil
}
