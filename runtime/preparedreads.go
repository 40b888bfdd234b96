package lockspire

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
)

// preparedReads is the pool with its reads prepared. SQLite parses and plans a
// statement each time that it is sent as text, which costs more than most reads;
// PostgreSQL's drivers keep statements by themselves, or must not where a
// connection pooler is between. A statement that cannot be prepared is sent as
// text, so the error is the one that the statement has anyway. It is safe for
// concurrent use.
type preparedReads struct {
	*sql.DB
	statements sync.Map
	// count bounds the statements: few are made at run time, when keys change.
	count  atomic.Int32
	closed atomic.Bool
}

// maxPrepared is several times what the runtime has.
const maxPrepared = 200

// QueryContext is sql.DB's.
func (p *preparedReads) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if statement := p.prepare(ctx, query); statement != nil {
		rows, err := statement.QueryContext(ctx, args...)
		if err == nil || !p.closed.Load() {
			return rows, err
		}
	}
	return p.DB.QueryContext(ctx, query, args...)
}

// QueryRowContext is sql.DB's.
func (p *preparedReads) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if statement := p.prepare(ctx, query); statement != nil {
		row := statement.QueryRowContext(ctx, args...)
		if row.Err() == nil || !p.closed.Load() {
			return row
		}
	}
	return p.DB.QueryRowContext(ctx, query, args...)
}

// prepare returns the statement of a query, or nil where there is none.
func (p *preparedReads) prepare(ctx context.Context, query string) *sql.Stmt {
	if known, ok := p.statements.Load(query); ok {
		return known.(*sql.Stmt)
	}
	if p.closed.Load() || p.count.Load() >= maxPrepared {
		return nil
	}
	statement, err := p.DB.PrepareContext(ctx, query)
	if err != nil {
		return nil
	}
	if first, taken := p.statements.LoadOrStore(query, statement); taken {
		statement.Close()
		return first.(*sql.Stmt)
	}
	p.count.Add(1)
	if p.closed.Load() {
		p.close()
		return nil
	}
	return statement
}

// close gives the statements back; reads go on as text. The pool is the host's.
func (p *preparedReads) close() {
	p.closed.Store(true)
	p.statements.Range(func(query, statement any) bool {
		p.statements.Delete(query)
		statement.(*sql.Stmt).Close()
		return true
	})
}
