package dbtest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// The operations of a driver that may fail.
const (
	opConnect   = "connect"
	opBegin     = "begin"
	opStatement = "statement"
	opCommit    = "commit"
)

// fault is a way in which an operation fails.
type fault struct {
	name string
	// at are the operations that fail in this way, engine where they do; "" is
	// both.
	at     string
	engine lockspire.Dialect
	err    error
	// always says that all such operations fail from the first one on.
	always bool
	// lost says that the connection is gone after it.
	lost bool
	// done says that the operation took effect, and only its answer was lost.
	done bool
	// alone says that it is injected only outside of transactions, where a
	// statement that takes effect commits.
	alone bool
	// retried says that the runtime or database/sql has to hide the fault.
	retried bool
}

// faultCode is an error of a SQLite driver.
type faultCode int

func (faultCode) Error() string { return "SQLITE_BUSY" }
func (c faultCode) Code() int   { return int(c) }

var errFault = errors.New("fault injected: input/output error")

func sqlState(code string) error { return &pgconn.PgError{Severity: "ERROR", Code: code} }

// broken are faults that a transaction does not survive.
var faultsBroken = []fault{
	{name: "refused", at: "begin statement commit", err: errFault},
	{name: "connection lost", at: "begin statement commit", err: driver.ErrBadConn, lost: true},
	{name: "connection lost for good", at: "begin statement commit", err: errFault, lost: true, always: true},
	{name: "outcome unknown", at: opCommit, err: driver.ErrBadConn, lost: true, done: true},
	{name: "outcome unknown, said otherwise", at: opCommit, err: errFault, done: true},
	{name: "answer lost", at: opStatement, err: errFault, lost: true, done: true, alone: true},
	{name: "53300", at: "begin statement", engine: lockspire.PostgreSQL, err: sqlState("53300")},
	{name: "57P01", at: "statement commit", engine: lockspire.PostgreSQL, err: sqlState("57P01"), lost: true},
}

// faultsPassing are faults that are over when the transaction is run again.
var faultsPassing = []fault{
	{name: "40001", at: "statement commit", engine: lockspire.PostgreSQL, err: sqlState("40001"), retried: true},
	{name: "40P01", at: "statement", engine: lockspire.PostgreSQL, err: sqlState("40P01"), retried: true},
	{name: "40001 for ever", at: "statement commit", engine: lockspire.PostgreSQL, err: sqlState("40001"), always: true},
	{name: "SQLITE_BUSY", at: "begin statement commit", engine: lockspire.SQLite, err: faultCode(5), retried: true},
	{name: "SQLITE_BUSY_SNAPSHOT", at: "statement", engine: lockspire.SQLite, err: faultCode(517), retried: true},
	{name: "SQLITE_BUSY for ever", at: "begin statement commit", engine: lockspire.SQLite, err: faultCode(5), always: true},
}

// faultsConnecting are those of a server that takes no more connections.
var faultsConnecting = []fault{
	{name: "53300", at: opConnect, engine: lockspire.PostgreSQL, err: sqlState("53300")},
	{name: "53300 for ever", at: opConnect, engine: lockspire.PostgreSQL, err: sqlState("53300"), always: true},
}

// faultDriver counts the operations of the pool that the runtime uses, and has
// one of them fail.
type faultDriver struct {
	driver driver.Driver
	dsn    string

	mu    sync.Mutex
	armed bool
	fault *fault
	// nth is which operation fails, counted from 1.
	nth int
	ops []string
	hit bool
}

// openFaulty opens a pool that fails when it is told to.
func openFaulty(t testing.TB, engine lockspire.Dialect, dsn string) (*faultDriver, *sql.DB) {
	t.Helper()
	d := &faultDriver{driver: openDSN(t, engine, dsn).Driver(), dsn: dsn}
	db := sql.OpenDB(d)
	t.Cleanup(func() { db.Close() })
	return d, db
}

// during runs fn with a fault at the nth operation, and returns the operations
// that there were and whether one failed. Without a fault it only counts.
func (d *faultDriver) during(f *fault, nth int, fn func()) (ops []string, hit bool) {
	d.mu.Lock()
	d.armed, d.fault, d.nth, d.ops, d.hit = true, f, nth, nil, false
	d.mu.Unlock()
	fn()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armed = false
	return d.ops, d.hit
}

// fails counts an operation and returns the fault that it meets, if any.
func (d *faultDriver) fails(op string) *fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.armed {
		return nil
	}
	d.ops = append(d.ops, op)
	if d.fault == nil || !strings.Contains(d.fault.at, op) || len(d.ops) < d.nth || len(d.ops) > d.nth && !d.fault.always {
		return nil
	}
	d.hit = true
	return d.fault
}

func (d *faultDriver) Driver() driver.Driver { return d.driver }

func (d *faultDriver) Connect(context.Context) (driver.Conn, error) {
	if f := d.fails(opConnect); f != nil {
		return nil, f.err
	}
	conn, err := d.driver.Open(d.dsn)
	if err != nil {
		return nil, err
	}
	return &faultConn{Conn: conn, d: d}, nil
}

type faultConn struct {
	driver.Conn
	d *faultDriver
	// lost says that the connection was closed under database/sql.
	lost bool
}

// Close closes a connection once; SQLite's driver panics at the second.
func (c *faultConn) Close() error {
	if c.lost {
		return nil
	}
	c.lost = true
	return c.Conn.Close()
}

// meet runs an operation, or has it fail.
func (c *faultConn) meet(op string, run func() error) error {
	f := c.d.fails(op)
	if c.lost {
		return errFault
	}
	if f == nil {
		return run()
	}
	if f.done {
		if err := run(); err != nil {
			return err
		}
	}
	if f.lost {
		c.Close()
	}
	return f.err
}

// opOf says what a statement is: SQLite's transactions are statements.
func opOf(query string) string {
	switch {
	case strings.HasPrefix(query, "BEGIN"):
		return opBegin
	case query == "COMMIT":
		return opCommit
	}
	return opStatement
}

func (c *faultConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (result driver.Result, err error) {
	if query == "ROLLBACK" && c.lost {
		return nil, errFault
	}
	if query == "ROLLBACK" {
		return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
	}
	err = c.meet(opOf(query), func() error {
		result, err = c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
		return err
	})
	return result, err
}

func (c *faultConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (rows driver.Rows, err error) {
	err = c.meet(opStatement, func() error {
		rows, err = c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
		return err
	})
	return rows, err
}

func (c *faultConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	var tx driver.Tx
	err := c.meet(opBegin, func() (err error) {
		tx, err = c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
		return err
	})
	return &faultTx{Tx: tx, c: c}, err
}

func (c *faultConn) Prepare(query string) (driver.Stmt, error) { return asText{c, query}, nil }

func (c *faultConn) CheckNamedValue(value *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(value)
	}
	return driver.ErrSkip
}

func (c *faultConn) ResetSession(ctx context.Context) error {
	if resetter, ok := c.Conn.(driver.SessionResetter); ok && !c.lost {
		return resetter.ResetSession(ctx)
	}
	return nil
}

func (c *faultConn) IsValid() bool {
	validator, ok := c.Conn.(driver.Validator)
	return !c.lost && (!ok || validator.IsValid())
}

type faultTx struct {
	driver.Tx
	c *faultConn
}

// Commit rolls back where it fails without effect: database/sql thinks the
// transaction over.
func (t *faultTx) Commit() error {
	committed := false
	err := t.c.meet(opCommit, func() error { committed = true; return t.Tx.Commit() })
	if !committed && !t.c.lost {
		t.Tx.Rollback()
	}
	return err
}

func (t *faultTx) Rollback() error {
	if t.c.lost {
		return driver.ErrBadConn
	}
	return t.Tx.Rollback()
}
