package lockspire

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
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

// An exhausted pool makes database/sql wait for ever. The client is told to
// come back.
func TestA179ExhaustedPoolIs503AndNoEndlessWait(t *testing.T) {
	s, _ := newFaultyStore(t, func(string) error { return nil })
	s.db.SetMaxOpenConns(1)
	taken, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	config := goodConfig()
	config.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	p := &Provider{config: config, store: s, keys: memoryKeyring(t), now: time.Now, patience: 50 * time.Millisecond}
	p.clients = &Clients{store: s, now: time.Now}
	p.endpoints = map[string]endpoint{"/token": {methods: []string{"POST"}, handle: p.serveToken, form: true}}
	token := mustSign(t, p.keys, algES256, typAccessToken, map[string]any{
		"iss": config.Issuer, "sub": "alice", "client_id": "c", "scope": "", "jti": "j", "fid": "f",
		"aud": []string{"https://app.example"}, "iat": time.Now().Unix(), "exp": time.Now().Unix() + 60,
	})
	p.config.Resources = []Resource{{Identifier: "https://app.example"}}
	guarded := p.protect()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("admitted") }))

	post := httptest.NewRequest("POST", "/token", strings.NewReader("grant_type=authorization_code&client_id=c"))
	post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	get := httptest.NewRequest("GET", "/api", nil)
	get.Header.Set("Authorization", "Bearer "+token)
	for name, send := range map[string]func(w http.ResponseWriter, ctx context.Context){
		"token":   func(w http.ResponseWriter, ctx context.Context) { p.serve(w, post.WithContext(ctx)) },
		"protect": func(w http.ResponseWriter, ctx context.Context) { guarded.ServeHTTP(w, get.WithContext(ctx)) },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		giveUp := time.AfterFunc(10*time.Second, cancel)
		w := httptest.NewRecorder()
		send(w, ctx)
		if !giveUp.Stop() || w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		cancel()
	}
}
