package lockspire

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// store is the one way to the lockspire_* tables. Statements are written with
// PostgreSQL placeholders ($1) and the marker "@." before each table name.
//
// A host callback, network call or signature must never happen while a
// connection or transaction of the store is held: the host may run on a pool
// of one connection.
type store struct {
	db      *sql.DB
	dialect Dialect
	schema  string

	// writer admits one SQLite write transaction of this process at a time, so
	// that writers wait in order here and not in the busy handler.
	writer chan struct{}

	// rewritten caches statements in the dialect's spelling.
	rewritten sync.Map

	// joined caches the statements that chains are on PostgreSQL, by those of
	// their steps.
	joined sync.Map

	// prepared runs the reads of a provider on SQLite; nil elsewhere.
	prepared *preparedReads
}

func newStore(db *sql.DB, dialect Dialect, schema string) *store {
	s := &store{db: db, dialect: dialect, schema: schema}
	if dialect == SQLite {
		s.writer = make(chan struct{}, 1)
	}
	return s
}

// errUnavailable marks a database fault: the answer is 503 with Retry-After,
// never an OAuth error that a client would take for a refusal.
var errUnavailable = errors.New("lockspire: storage is unavailable")

// maxAttempts bounds how often a transaction is run when the database asks for
// a retry.
const maxAttempts = 4

// runner is what a statement runs on: the pool, or the transaction inside
// store.write.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// tx runs statements inside one write transaction. It may be run several
// times, so a func given to store.write has no effect outside of it and
// assigns its results afresh each time.
type tx struct {
	s *store
	r runner
}

func (t tx) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	result, err := t.r.ExecContext(ctx, t.s.sql(query), args...)
	return result, redactArgs(err, args)
}

func (t tx) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := t.r.QueryContext(ctx, t.s.sql(query), args...)
	return rows, redactArgs(err, args)
}

func (t tx) queryRow(ctx context.Context, query string, args ...any) oneRow {
	return oneRow{row: t.r.QueryRowContext(ctx, t.s.sql(query), args...), args: args}
}

// oneRow is a sql.Row whose error does not quote its statement's parameters.
type oneRow struct {
	row  *sql.Row
	args []any
}

// Scan is sql.Row's.
func (r oneRow) Scan(targets ...any) error {
	err := r.row.Scan(targets...)
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return redactArgs(err, r.args)
}

// claimed reports whether a conditional statement changed exactly one row:
// the caller won.
func claimed(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// read returns a tx on the pool itself, for single statements that change
// nothing. Everything is read on the primary handle (a lagging replica would
// let a used code pass again).
func (s *store) read() tx { return tx{s: s, r: poolReads{s}} }

// write runs fn in one transaction and commits it, retrying the whole of it
// when the database reports a serialization failure, a deadlock or a busy
// lock. Errors of fn that are not the database's own come back unchanged;
// the database's come back wrapped in errUnavailable. Nothing is committed on
// error.
func (s *store) write(ctx context.Context, fn func(tx) error) error {
	return s.attempt(ctx, func() error { return s.writeOnce(ctx, fn) })
}

// writeStatement is write for a fn that runs one statement: that is a
// transaction by itself, as durable as any, without the two round trips that
// begin and end one.
func (s *store) writeStatement(ctx context.Context, fn func(tx) error) error {
	if s.dialect == SQLite {
		// Its BEGIN takes no trip, and leaves the wait for the lock in order.
		return s.write(ctx, fn)
	}
	return s.attempt(ctx, func() error { return fn(tx{s: s, r: s.db}) })
}

// attempt runs a transaction until the database has no reason to retry.
func (s *store) attempt(ctx context.Context, once func() error) error {
	err := once()
	for attempt := 1; mayRetry(ctx, err, attempt); attempt++ {
		err = once()
	}
	return s.classify(err)
}

// classify keeps refusals of fn as they are and marks all else as a fault of
// the storage.
func (s *store) classify(err error) error {
	var refusal *oauthError
	switch {
	case err == nil, errors.As(err, &refusal), errors.Is(err, sql.ErrNoRows), errors.Is(err, errUnavailable):
		return err
	}
	var keep interface{ keepForCaller() }
	if errors.As(err, &keep) {
		return err
	}
	return fmt.Errorf("%w: %w", errUnavailable, err)
}

// fault marks an error of a read as a fault of the storage.
func (s *store) fault(err error) error {
	if err == nil || errors.Is(err, errUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", errUnavailable, err)
}

func (s *store) writeOnce(ctx context.Context, fn func(tx) error) error {
	if s.dialect == SQLite {
		return s.writeSQLite(ctx, fn)
	}
	t, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer t.Rollback()
	if err := fn(tx{s: s, r: t}); err != nil {
		return err
	}
	return t.Commit()
}

// writeSQLite takes the write lock at the start: a transaction that begins as
// a reader and then writes cannot wait for the lock and fails at once.
func (s *store) writeSQLite(ctx context.Context, fn func(tx) error) error {
	select {
	case s.writer <- struct{}{}:
		defer func() { <-s.writer }()
	case <-ctx.Done():
		return ctx.Err()
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	done := false
	defer func() {
		if !done {
			abandonSQLite(context.WithoutCancel(ctx), conn)
		}
	}()
	// A BEGIN that took effect may still be reported as failed, when the client
	// hung up meanwhile: whatever fails from here on is rolled back.
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := fn(tx{s: s, r: conn}); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		return err
	}
	done = true
	return nil
}

// abandonSQLite makes sure that conn goes back to the pool without a
// transaction: one that is left open holds the write lock of the whole
// database, and the next user of the connection would write into it. ctx is not
// the request's, which may be over.
func abandonSQLite(ctx context.Context, conn *sql.Conn) {
	_, err := conn.ExecContext(ctx, "ROLLBACK")
	// SQLite ends a transaction by itself after some faults.
	if err != nil && !strings.Contains(err.Error(), "no transaction is active") {
		conn.Raw(func(any) error { return driver.ErrBadConn })
	}
}

// sql spells query for the dialect: "@." becomes the schema, and SQLite gets
// numbered "?1" placeholders, which every driver of it understands.
func (s *store) sql(query string) string {
	if cached, ok := s.rewritten.Load(query); ok {
		return cached.(string)
	}
	prefix := ""
	if s.schema != "" {
		prefix = s.schema + "."
	}
	out := strings.ReplaceAll(query, "@.", prefix)
	if s.dialect == SQLite {
		out = strings.ReplaceAll(out, "$", "?")
	}
	s.rewritten.Store(query, out)
	return out
}

// retryable reports whether running the transaction again may succeed:
// PostgreSQL 40001 (serialization failure) and 40P01 (deadlock), and SQLite's
// busy and locked codes. Drivers are recognised by method, not by type, since
// the runtime imports none.
func retryable(err error) bool {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		return state.SQLState() == "40001" || state.SQLState() == "40P01"
	}
	var code interface{ Code() int }
	if errors.As(err, &code) {
		primary := code.Code() & 0xff
		return primary == 5 || primary == 6
	}
	text := err.Error()
	return strings.Contains(text, "database is locked") || strings.Contains(text, "database table is locked")
}

// backoff is about 10, 20, 40 ms with jitter.
func backoff(attempt int) time.Duration {
	base := 5 * time.Millisecond << attempt
	return base/2 + rand.N(base)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// micros is how a time is stored; the zero time is stored as NULL by nullTime.
func micros(t time.Time) int64 { return t.UnixMicro() }

func nullTime(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

func fromMicros(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMicro(n.Int64).UTC()
}

// jsonList is how a list of strings is stored.
func jsonList(list []string) (string, error) {
	if list == nil {
		list = []string{}
	}
	encoded, err := json.Marshal(list)
	return string(encoded), err
}

func parseList(stored string) ([]string, error) {
	if list, ok := plainList(stored); ok {
		return list, nil
	}
	var list []string
	if err := json.Unmarshal([]byte(stored), &list); err != nil {
		return nil, fmt.Errorf("reading a stored list: %w", err)
	}
	return list, nil
}

// plainList reads a list whose strings have no escapes, which is nearly every
// stored one: several are read for each request, and encoding/json takes ten times
// as long. It reports false for what it leaves to encoding/json.
func plainList(stored string) ([]string, bool) {
	inner, opened := strings.CutPrefix(stored, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if !opened || !closed || strings.Contains(inner, `\`) {
		return nil, false
	}
	list := []string{}
	for rest := inner; rest != ""; {
		text, quoted := strings.CutPrefix(rest, `"`)
		end := strings.IndexByte(text, '"')
		if !quoted || end < 0 || !clean(text[:end]) {
			return nil, false
		}
		list = append(list, text[:end])
		if rest = text[end+1:]; rest == "" {
			return list, true
		}
		if rest = strings.TrimPrefix(rest, ","); rest == "" || rest == text[end+1:] {
			return nil, false
		}
	}
	return list, true
}
