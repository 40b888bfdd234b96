package lockspire

import (
	"context"
	"database/sql"
)

// poolReads runs single statements that read, on the pool. Under SERIALIZABLE a
// statement alone is a transaction too, and may be told to run again; it changes
// nothing, so that needs nobody's leave.
type poolReads struct{ s *store }

// pool is where reads go.
func (p poolReads) pool() runner {
	if p.s.prepared != nil {
		return p.s.prepared
	}
	return p.s.db
}

// ExecContext is sql.DB's.
func (p poolReads) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return p.s.db.ExecContext(ctx, query, args...)
}

// QueryContext is sql.DB's, run again where the database asks for that before
// the first row.
func (p poolReads) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := p.pool().QueryContext(ctx, query, args...)
	for attempt := 1; mayRetry(ctx, err, attempt); attempt++ {
		rows, err = p.pool().QueryContext(ctx, query, args...)
	}
	return rows, err
}

// QueryRowContext is QueryContext for one row.
func (p poolReads) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	row := p.pool().QueryRowContext(ctx, query, args...)
	for attempt := 1; mayRetry(ctx, row.Err(), attempt); attempt++ {
		row = p.pool().QueryRowContext(ctx, query, args...)
	}
	return row
}

// mayRetry reports whether a transaction that ended in err is to be run once
// more, and waits until then. attempt counts those that were run.
func mayRetry(ctx context.Context, err error, attempt int) bool {
	return err != nil && attempt < maxAttempts && retryable(err) && sleep(ctx, backoff(attempt)) == nil
}
