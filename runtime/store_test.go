package lockspire

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
)

// faultyDriver is a database/sql driver that answers statements from a script,
// for faults that no real database shows on demand.
type faultyDriver struct {
	mu sync.Mutex
	// fails is asked what an Exec of a statement returns.
	fails      func(statement string) error
	statements []string
	closed     int
	// queried is called in each query, which finds no rows.
	queried func(ctx context.Context) error
}

func (d *faultyDriver) Connect(context.Context) (driver.Conn, error) {
	return &faultyConn{d}, nil
}

func (d *faultyDriver) Driver() driver.Driver { return nil }

func (d *faultyDriver) log() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.statements, "; ")
}

type faultyConn struct{ d *faultyDriver }

func (c *faultyConn) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	c.d.statements = append(c.d.statements, query)
	return driver.RowsAffected(1), c.d.fails(query)
}

func (c *faultyConn) QueryContext(ctx context.Context, _ string, _ []driver.NamedValue) (driver.Rows, error) {
	return noRows{}, c.d.queried(ctx)
}

// noRows is the answer of an empty table.
type noRows struct{}

func (noRows) Columns() []string         { return nil }
func (noRows) Close() error              { return nil }
func (noRows) Next([]driver.Value) error { return io.EOF }

func (c *faultyConn) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (c *faultyConn) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }
func (c *faultyConn) Close() error {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	c.d.closed++
	return nil
}

func newFaultyStore(t *testing.T, fails func(statement string) error) (*store, *faultyDriver) {
	t.Helper()
	d := &faultyDriver{fails: fails}
	db := sql.OpenDB(d)
	t.Cleanup(func() { db.Close() })
	return newStore(db, SQLite, ""), d
}

// A driver may report a BEGIN that took effect as failed, when the client hung
// up at that moment. The connection must not go back to the pool inside a
// transaction, with the write lock of the whole database.
func TestA179BeginThatFailedLateIsRolledBack(t *testing.T) {
	s, d := newFaultyStore(t, func(statement string) error {
		if strings.HasPrefix(statement, "BEGIN") {
			return context.Canceled
		}
		return nil
	})
	err := s.write(t.Context(), func(tx) error { t.Error("fn ran without a transaction"); return nil })
	if !errors.Is(err, errUnavailable) {
		t.Errorf("error %v", err)
	}
	if got := d.log(); got != "BEGIN IMMEDIATE; ROLLBACK" {
		t.Errorf("statements: %s", got)
	}
}

func TestA179ConnectionThatCannotRollBackIsDiscarded(t *testing.T) {
	for _, c := range []struct {
		name     string
		rollback error
		closed   int
	}{
		{"disk fault", io.ErrUnexpectedEOF, 1},
		// The database is in memory, perhaps, and the connection is all of it.
		{"ended by SQLite already", errors.New("SQL logic error: cannot rollback - no transaction is active (1)"), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, d := newFaultyStore(t, func(statement string) error {
				switch statement {
				case "COMMIT":
					return io.ErrUnexpectedEOF
				case "ROLLBACK":
					return c.rollback
				}
				return nil
			})
			if err := s.write(t.Context(), func(tx) error { return nil }); !errors.Is(err, errUnavailable) {
				t.Errorf("error %v", err)
			}
			if d.closed != c.closed {
				t.Errorf("%d connections were closed, want %d", d.closed, c.closed)
			}
		})
	}
}
