// Command control is what a server could be at best, for the load generator: bare
// handlers that do the SQL statements of a request of the runtime and one
// signature, and nothing else. Nothing is parsed, checked or logged.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"database/sql"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"

	"github.com/go-jose/go-jose/v4"

	lockspire "github.com/lockspire/lockspire/runtime"

	"github.com/lockspire/lockspire/bench/internal/pool"
	"github.com/lockspire/lockspire/bench/internal/ready"
)

const form = "application/x-www-form-urlencoded"

func main() {
	engine := flag.String("engine", string(lockspire.SQLite), "sqlite or postgres")
	dsn := flag.String("dsn", "", "a file, or a PostgreSQL URL")
	workload := flag.String("workload", "", "what will be asked")
	writes := flag.Bool("writes", false, "leave the reads out")
	flag.Parse()
	if err := run(lockspire.Dialect(*engine), *dsn, *workload, *writes); err != nil {
		log.Fatal(err)
	}
}

func run(engine lockspire.Dialect, dsn, workload string, writes bool) error {
	listener, err := ready.Listen()
	if err != nil {
		return err
	}
	handler, offered, err := newControl(engine, dsn, workload, writes)
	if err != nil {
		return err
	}
	return ready.Serve(listener, handler, map[string]ready.Workload{workload: offered})
}

func newControl(engine lockspire.Dialect, dsn, workload string, writes bool) (http.Handler, ready.Workload, error) {
	if workload == "empty" {
		post := ready.Request{Method: "POST", Path: "/", Header: map[string]string{"Content-Type": form}, Body: "grant_type=client_credentials"}
		return http.HandlerFunc(empty), ready.Workload{Want: "{}", Requests: []ready.Request{post}}, nil
	}
	db, err := pool.Open(engine, dsn)
	if err != nil {
		return nil, ready.Workload{}, err
	}
	c, err := newTables(db, engine)
	if err != nil {
		return nil, ready.Workload{}, err
	}
	if err := c.sign(); err != nil {
		return nil, ready.Workload{}, err
	}
	switch kind, _, _ := strings.Cut(workload, "/"); kind {
	case "client_credentials":
		return c.clientCredentials(writes)
	case "introspection":
		return c.introspection()
	case "protect":
		return c.protect()
	}
	return nil, ready.Workload{}, fmt.Errorf("no workload %q", workload)
}

func empty(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, "{}")
}

// control is the tables of the runtime with a few rows in them, and a key.
type control struct {
	db     *sql.DB
	engine lockspire.Dialect
	key    *ecdsa.PrivateKey
	signer jose.Signer
	writer sync.Mutex
}

func (c *control) sign() error {
	var err error
	if c.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	c.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: c.key}, (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", keyID))
	return err
}

// prepare prepares a statement written with PostgreSQL's placeholders.
func (c *control) prepare(query string) (*sql.Stmt, error) {
	if c.engine == lockspire.SQLite {
		query = strings.ReplaceAll(query, "$", "?")
	}
	return c.db.Prepare(query)
}

func (c *control) prepareAll(queries ...string) ([]*sql.Stmt, error) {
	var all []*sql.Stmt
	for _, query := range queries {
		statement, err := c.prepare(query)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", query, err)
		}
		all = append(all, statement)
	}
	return all, nil
}
