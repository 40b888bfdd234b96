package dbtest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// spy is told of each statement before it is run, and may have it fail.
type spy func(ctx context.Context, c *spiedConn, query string, args []driver.NamedValue) error

// openSpied opens a pool whose statements tell is told of.
func openSpied(t *testing.T, engine lockspire.Dialect, dsn string, tell spy) *sql.DB {
	t.Helper()
	db := sql.OpenDB(&spiedConnector{driver: openDSN(t, engine, dsn).Driver(), dsn: dsn, tell: tell})
	t.Cleanup(func() { db.Close() })
	return db
}

type spiedConnector struct {
	driver driver.Driver
	dsn    string
	tell   spy
}

func (c *spiedConnector) Driver() driver.Driver { return c.driver }

func (c *spiedConnector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	return &spiedConn{Conn: conn, tell: c.tell}, nil
}

// spiedConn is the driver's connection.
type spiedConn struct {
	driver.Conn
	tell spy
	inTx bool
}

func (c *spiedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.tell(ctx, c, query, args); err != nil {
		return nil, err
	}
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c *spiedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.tell(ctx, c, query, args); err != nil {
		return nil, err
	}
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c *spiedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	c.inTx = err == nil
	return &spiedTx{Tx: tx, c: c}, err
}

// Prepare has what is prepared told of each time that it is run.
func (c *spiedConn) Prepare(query string) (driver.Stmt, error) { return asText{c, query}, nil }

// asText is a prepared statement that a connection of these tests runs as text.
type asText struct {
	conn interface {
		driver.ExecerContext
		driver.QueryerContext
		driver.NamedValueChecker
	}
	query string
}

func (asText) Close() error  { return nil }
func (asText) NumInput() int { return -1 }

func (asText) Exec([]driver.Value) (driver.Result, error) { return nil, driver.ErrSkip }
func (asText) Query([]driver.Value) (driver.Rows, error)  { return nil, driver.ErrSkip }

func (s asText) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.conn.ExecContext(ctx, s.query, args)
}

func (s asText) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.conn.QueryContext(ctx, s.query, args)
}

func (s asText) CheckNamedValue(value *driver.NamedValue) error { return s.conn.CheckNamedValue(value) }

func (c *spiedConn) CheckNamedValue(value *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(value)
	}
	return driver.ErrSkip
}

func (c *spiedConn) ResetSession(ctx context.Context) error {
	if resetter, ok := c.Conn.(driver.SessionResetter); ok {
		return resetter.ResetSession(ctx)
	}
	return nil
}

type spiedTx struct {
	driver.Tx
	c *spiedConn
}

func (t *spiedTx) Commit() error   { t.c.inTx = false; return t.Tx.Commit() }
func (t *spiedTx) Rollback() error { t.c.inTx = false; return t.Tx.Rollback() }
