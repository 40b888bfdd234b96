package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/spf13/cobra"
	"modernc.org/sqlite"

	"github.com/lockspire/lockspire/internal/plan"
	lockspire "github.com/lockspire/lockspire/runtime"
)

const databaseEnv = "LOCKSPIRE_DATABASE_URL"

// connectTimeout bounds the first connection when the URL does not.
const connectTimeout = 10 * time.Second

// databaseFlags are the flags of every command that opens the host's database.
type databaseFlags struct{ url, schema string }

func (f *databaseFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.url, "database-url", "", "`<url>` of the host's database; defaults to $"+databaseEnv+" (lockspire help database-url)")
	cmd.Flags().StringVar(&f.schema, "schema", "", "PostgreSQL `<schema>` of the lockspire_* tables")
}

// database is an open connection to the host's database.
type database struct {
	*sql.DB
	dialect lockspire.Dialect
	schema  string
}

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// open connects to the database. create says that a SQLite file which is not
// there may be made.
func (f *databaseFlags) open(cmd *cobra.Command, t *terminal, create bool) (*database, error) {
	given := f.url
	if given == "" {
		given = os.Getenv(databaseEnv)
	}
	if scheme, _, _ := strings.Cut(given, ":"); scheme != "sqlite" && scheme != "file" {
		t.secrets.hide(given) // a file name is no secret, and helps
	}
	if f.schema != "" && !schemaName.MatchString(f.schema) {
		return nil, usage(cmd, "--schema %q is not a plain schema name: [a-z_][a-z0-9_]{0,62}", f.schema)
	}
	switch scheme, _, _ := strings.Cut(given, ":"); {
	case given == "":
		return nil, usage(cmd, "no database is named: give --database-url or set %s", databaseEnv)
	case scheme == "postgres", scheme == "postgresql":
		return openPostgres(cmd.Context(), t, given, f.schema)
	case (scheme == "sqlite" || scheme == "file") && len(given) > len(scheme)+1:
		if f.schema != "" {
			return nil, usage(cmd, "--schema is for PostgreSQL; SQLite has none")
		}
		return openSQLite(cmd.Context(), given, create)
	}
	// What was given may hold a password in a form that nobody foresaw.
	return nil, usage(cmd, "the database URL begins neither with postgres:// nor with sqlite: or file:")
}

func openPostgres(ctx context.Context, t *terminal, given, schema string) (*database, error) {
	config, err := pgx.ParseConfig(given)
	if err != nil {
		// pgx quotes parts of the URL in its error, so none of it is shown.
		return nil, &plan.Refusal{Exit: exitEnvironment, What: "the database URL does not parse as a PostgreSQL URL",
			Next: "lockspire help database-url   (a password needs %-escapes for @ : / ? # %)"}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	t.secrets.hidePassword(config.Password) // may come from a pass file or the environment
	db := stdlib.OpenDB(*config)
	t.step("connecting to " + config.Host)
	if err := db.PingContext(ctx); err != nil {
		db.Close()
		return nil, databaseRefusal(err, "psql "+quoteURL(config))
	}
	return &database{db, lockspire.PostgreSQL, schema}, nil
}

// quoteURL is the address without the secret, for a command to paste.
func quoteURL(c *pgx.ConnConfig) string {
	u := url.URL{Scheme: "postgres", User: url.User(c.User), Host: fmt.Sprintf("%s:%d", c.Host, c.Port), Path: "/" + c.Database}
	return "'" + strings.ReplaceAll(u.String(), "'", "%27") + "'"
}

func openSQLite(ctx context.Context, given string, create bool) (*database, error) {
	path, query, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(given, "sqlite:"), "file:"), "?")
	path = strings.TrimPrefix(path, "//") // sqlite://x.db and file:///x.db
	memory := path == ":memory:" || strings.Contains(query, "mode=memory")
	if info, err := os.Stat(path); !memory && err != nil && !create {
		return nil, &plan.Refusal{Exit: exitEnvironment, What: fmt.Sprintf("SQLite file %s: %v", path, cause(err)),
			Next: "lockspire migrate up --database-url sqlite:" + path}
	} else if err == nil && info.IsDir() {
		return nil, &plan.Refusal{Exit: exitEnvironment, What: fmt.Sprintf("SQLite file %s is a directory", path), Next: "lockspire help database-url"}
	}
	// Both pragmas belong to a connection. The journal mode belongs to the file,
	// and so to the host.
	for _, pragma := range []struct{ name, value string }{{"busy_timeout", "5000"}, {"foreign_keys", "1"}} {
		if !strings.Contains(query, pragma.name) {
			query += "&_pragma=" + pragma.name + "(" + pragma.value + ")"
		}
	}
	db, err := sql.Open("sqlite", "file:"+path+"?"+strings.TrimPrefix(query, "&"))
	if err != nil {
		return nil, databaseRefusal(err, "")
	}
	// Pinging opens the file without reading it.
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA schema_version").Scan(&version); err != nil {
		db.Close()
		return nil, databaseRefusal(err, "sqlite3 "+path+" 'PRAGMA integrity_check'")
	}
	return &database{db, lockspire.SQLite, ""}, nil
}

// databaseRefusal is a fault of the database in words that leave the
// connection string out.
func databaseRefusal(err error, next string) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	what := "the database cannot be used: "
	var server *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &server):
		what += fmt.Sprintf("%s (SQLSTATE %s)", server.Message, server.Code)
	case errors.As(err, &connect):
		// Its own text has user and database as well; the cause is enough, once:
		// it has a line for each address, and for each with and without TLS.
		var causes []string
		for line := range strings.Lines(connect.Unwrap().Error()) {
			if line = strings.TrimSpace(line); !slices.Contains(causes, line) {
				causes = append(causes, line)
			}
		}
		what += strings.Join(causes, "; ")
	default:
		what += err.Error()
	}
	return &plan.Refusal{Exit: exitEnvironment, What: what, Next: next}
}

// isDatabaseFault tells a fault of the database from a refusal of the runtime.
func isDatabaseFault(err error) bool {
	var coded interface{ SQLState() string }
	var connect *pgconn.ConnectError
	var network interface{ Timeout() bool }
	var lite *sqlite.Error
	return errors.As(err, &coded) || errors.As(err, &connect) || errors.As(err, &network) || errors.As(err, &lite) ||
		errors.Is(err, sql.ErrConnDone) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// ready refuses to work on tables that this runtime does not know.
func (d *database) ready(ctx context.Context) (lockspire.Status, error) {
	status, err := lockspire.SchemaStatus(ctx, d.DB, d.dialect, d.schema)
	if err != nil {
		return status, databaseRefusal(err, "lockspire migrate status")
	}
	flag := ""
	if d.schema != "" {
		flag = " --schema " + d.schema
	}
	switch {
	case status.Version == 0:
		return status, &plan.Refusal{Exit: exitFindings, What: "there are no lockspire_* tables in this database", Next: "lockspire migrate up" + flag + "   (or your own migration tool)"}
	case status.Version < status.Latest:
		return status, &plan.Refusal{Exit: exitFindings, What: fmt.Sprintf("the lockspire_* tables have schema %d and this command needs %d", status.Version, status.Latest), Next: "lockspire migrate up" + flag + "   (or your own migration tool)"}
	case status.MinRuntime > status.Latest:
		return status, &plan.Refusal{Exit: exitEnvironment, What: fmt.Sprintf("the lockspire_* tables need a runtime that knows schema %d and this command knows %d", status.MinRuntime, status.Latest), Next: "go run github.com/lockspire/lockspire/cmd/lockspire@latest version"}
	}
	return status, nil
}
