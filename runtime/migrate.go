package lockspire

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lockspire/lockspire/runtime/migrations"
)

// migrateTimeout bounds how long Migrate waits for another process that is
// migrating, when ctx has no deadline of its own.
const migrateTimeout = 2 * time.Minute

// Status is what [SchemaStatus] found.
type Status struct {
	// Version is the schema version in the database; 0 means that there are no
	// lockspire_* tables.
	Version int
	// Latest is the schema version that this runtime brings and needs.
	Latest int
	// MinRuntime is the oldest runtime, named by its Latest, that may use the
	// schema.
	MinRuntime int
	// Issuer is whom the tables belong to; "" until a provider has started.
	Issuer string
}

// Pending lists the versions that Migrate would apply, in order.
func (s Status) Pending() []int {
	var versions []int
	for v := s.Version + 1; v <= s.Latest; v++ {
		versions = append(versions, v)
	}
	return versions
}

// SchemaStatus reads the schema version. It changes nothing and needs no more
// than the right to read. A database without lockspire_* tables is no error:
// Version is 0.
func SchemaStatus(ctx context.Context, db *sql.DB, dialect Dialect, schema string) (Status, error) {
	if _, err := migrations.For(string(dialect), schema); err != nil {
		return Status{}, err
	}
	s := newStore(db, dialect, schema)
	return s.schemaStatus(ctx, s.read())
}

// Migrate brings the lockspire_* tables to the version this runtime needs, one
// transaction for each version, and creates the schema if one is named and
// missing. Replicas may call it at the same time: one works, the others wait.
// A database that is up to date, or newer, is left alone.
func Migrate(ctx context.Context, db *sql.DB, dialect Dialect, schema string) error {
	all, err := migrations.For(string(dialect), schema)
	if err != nil {
		return err
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, migrateTimeout)
		defer cancel()
	}
	s := newStore(db, dialect, schema)
	for _, migration := range all {
		if err := s.applyMigration(ctx, migration); err != nil {
			return fmt.Errorf("lockspire: migration %04d_%s: %w", migration.Version, migration.Name, err)
		}
	}
	return nil
}

// applyMigration applies one version unless it is there already. The version
// is read under the lock, in the transaction that would apply it.
func (s *store) applyMigration(ctx context.Context, m migrations.Migration) error {
	for attempt := 1; ; attempt++ {
		err := s.exclusively(ctx, func(t tx) error {
			status, err := s.schemaStatus(ctx, t)
			if err != nil || status.Version >= m.Version {
				return err
			}
			for _, statement := range splitStatements(m.Up) {
				if err := s.runStatement(ctx, t, statement); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil || !retryable(err) {
			return err
		}
		if waitErr := sleep(ctx, backoff(min(attempt, 6))); waitErr != nil {
			return err
		}
	}
}

func (s *store) runStatement(ctx context.Context, t tx, statement string) error {
	if s.schema != "" && strings.HasPrefix(statement, "CREATE SCHEMA") {
		// PostgreSQL demands the right to create schemas even where IF NOT
		// EXISTS has nothing to do.
		var exists bool
		err := t.queryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)`, s.schema).Scan(&exists)
		if err != nil || exists {
			return err
		}
	}
	_, err := t.r.ExecContext(ctx, statement)
	return err
}

// exclusively runs fn in a transaction that no other process's migration
// overlaps: an advisory lock on PostgreSQL, the write lock on SQLite.
func (s *store) exclusively(ctx context.Context, fn func(tx) error) error {
	if s.dialect == SQLite {
		return s.writeSQLite(ctx, fn)
	}
	// READ COMMITTED whatever the default is: under a stricter level the
	// snapshot would be older than the lock, and hide what was just applied.
	t, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer t.Rollback()
	if _, err := t.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, advisoryKey(s.schema)); err != nil {
		return err
	}
	if err := fn(tx{s: s, r: t}); err != nil {
		return err
	}
	return t.Commit()
}

// advisoryKey is the same in every process for one schema, and unlikely to be
// anybody else's.
func advisoryKey(schema string) int64 {
	sum := sha256.Sum256([]byte("lockspire/migrate/" + schema))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// splitStatements cuts a migration at each ";" that ends a line: some drivers
// run one statement at a time.
func splitStatements(text string) []string {
	var statements []string
	for _, part := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n")+"\n", ";\n") {
		lines := strings.Split(part, "\n")
		for len(lines) > 0 && (strings.TrimSpace(lines[0]) == "" || strings.HasPrefix(lines[0], "--")) {
			lines = lines[1:]
		}
		if statement := strings.TrimSpace(strings.Join(lines, "\n")); statement != "" {
			statements = append(statements, statement)
		}
	}
	return statements
}

// schemaStatus reads the status through t.
func (s *store) schemaStatus(ctx context.Context, t tx) (Status, error) {
	status := Status{Latest: migrations.Latest}
	exists, err := s.metaExists(ctx, t)
	if err != nil || !exists {
		return status, err
	}
	var issuer sql.NullString
	err = t.queryRow(ctx, `SELECT version, min_runtime, issuer FROM @.lockspire_meta WHERE id = 1`).
		Scan(&status.Version, &status.MinRuntime, &issuer)
	if errors.Is(err, sql.ErrNoRows) {
		return status, errors.New("lockspire_meta exists but is empty: a migration was cut short or its row was deleted")
	}
	status.Issuer = issuer.String
	return status, err
}

// metaExists asks the catalogue: selecting from a table that does not exist
// would abort the transaction on PostgreSQL.
func (s *store) metaExists(ctx context.Context, t tx) (bool, error) {
	query, arg := `SELECT to_regclass($1) IS NOT NULL`, s.sql("@.lockspire_meta")
	if s.dialect == SQLite {
		query, arg = `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1)`, "lockspire_meta"
	}
	var exists bool
	err := t.queryRow(ctx, query, arg).Scan(&exists)
	return exists, err
}

// ready checks what New needs of the database, in the order in which a host
// can mend it: connection settings, schema, owner.
func (s *store) ready(ctx context.Context, issuer string) error {
	if s.dialect == SQLite {
		if err := checkSQLite(ctx, s.db); err != nil {
			return err
		}
	}
	if err := checkSchema(ctx, s); err != nil {
		return err
	}
	return claimIssuer(ctx, s, issuer)
}

// checkSchema refuses to start on a schema that this runtime cannot use, with
// the command that mends it (A182).
func checkSchema(ctx context.Context, s *store) error {
	status, err := s.schemaStatus(ctx, s.read())
	if err != nil {
		return fmt.Errorf("%w: reading the schema version: %w", errUnavailable, err)
	}
	command := "lockspire migrate up --database-url <url>"
	if s.schema != "" {
		command += " --schema " + s.schema
	}
	switch {
	case status.Version == 0:
		return fmt.Errorf("Config.DB: there are no lockspire_* tables; run your migrations, or: %s", command)
	case status.Version < status.Latest:
		return fmt.Errorf("Config.DB: the lockspire_* tables are at version %d and this runtime needs %d; run your migrations, or: %s",
			status.Version, status.Latest, command)
	case status.MinRuntime > status.Latest:
		return fmt.Errorf("Config.DB: the lockspire_* tables are at version %d, for runtimes that bring schema %d or later; this one (%s) brings %d; upgrade it: go get github.com/lockspire/lockspire/runtime@latest",
			status.Version, status.MinRuntime, Version, status.Latest)
	}
	return nil
}

// claimIssuer writes issuer into tables that are nobody's yet, and refuses
// tables of another: its clients and subjects would be mixed up with ours.
func claimIssuer(ctx context.Context, s *store, issuer string) error {
	read := func() (string, error) {
		status, err := s.schemaStatus(ctx, s.read())
		if err != nil {
			return "", fmt.Errorf("%w: reading the issuer of the tables: %w", errUnavailable, err)
		}
		return status.Issuer, nil
	}
	owner, err := read()
	if err != nil {
		return err
	}
	if owner == "" {
		err := s.write(ctx, func(t tx) error {
			_, err := t.exec(ctx, `UPDATE @.lockspire_meta SET issuer = $1 WHERE id = 1 AND issuer IS NULL`, issuer)
			return err
		})
		if err != nil {
			return err
		}
		if owner, err = read(); err != nil {
			return err
		}
	}
	if owner != issuer {
		return fmt.Errorf("Config.Issuer: the lockspire_* tables belong to %s; %s needs tables of its own (another database, or Config.Schema)", owner, issuer)
	}
	return nil
}
