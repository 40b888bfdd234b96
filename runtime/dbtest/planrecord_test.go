package dbtest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// What a statement is sent for.
const (
	forRequest    = "request"
	forBackground = "background"
	forOperator   = "operator"
)

// planned is one statement of the runtime and what the engine does with it.
type planned struct {
	// statement is the text with white space and lists of placeholders made one.
	statement string
	// caller is the function of the runtime that sends it.
	caller string
	uses   map[string]bool
	// touched is the most rows that one execution looked at, by how many rows
	// the tables have.
	touched map[int]int
	// indexes and flaws are what its plans say on the large tables.
	indexes map[string]bool
	flaws   map[string]bool
}

// planRecorder keeps every statement on the lockspire_* tables, and has the
// engine explain each before it is run, with the same parameters, in the same
// transaction.
type planRecorder struct {
	engine lockspire.Dialect

	mu   sync.Mutex
	use  string
	rows int
	seen map[string]*planned
	// fault is the first thing that went wrong in here.
	fault error
}

// newPlanRecorder returns a recorder and a pool that it listens on.
func newPlanRecorder(t *testing.T, engine lockspire.Dialect, dsn string) (*planRecorder, *sql.DB) {
	t.Helper()
	r := &planRecorder{engine: engine, use: forOperator, seen: map[string]*planned{}}
	return r, openSpied(t, engine, dsn, r.record)
}

// during says what the statements of fn are sent for.
func (r *planRecorder) during(use string, fn func()) {
	r.mu.Lock()
	before := r.use
	r.use = use
	r.mu.Unlock()
	fn()
	r.mu.Lock()
	r.use = before
	r.mu.Unlock()
}

var (
	planVerb  = regexp.MustCompile(`^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b`)
	planSpace = regexp.MustCompile(`\s+`)
	planList  = regexp.MustCompile(`IN \([$?]\d+(, [$?]\d+)+\)`)
)

// record keeps query and its plan. Schema changes are no statement of a
// running server.
func (r *planRecorder) record(ctx context.Context, c *spiedConn, query string, args []driver.NamedValue) error {
	if !strings.Contains(query, "lockspire_") || !planVerb.MatchString(query) {
		return nil
	}
	caller := planCaller()
	if caller == "" {
		return nil
	}
	text := planList.ReplaceAllString(planSpace.ReplaceAllString(query, " "), "IN (…)")
	r.mu.Lock()
	rows := r.rows
	p := r.seen[text]
	if p == nil {
		p = &planned{statement: text, caller: caller, uses: map[string]bool{}, touched: map[int]int{}, indexes: map[string]bool{}, flaws: map[string]bool{}}
		r.seen[text] = p
	}
	p.uses[r.use] = true
	r.mu.Unlock()
	if rows == 0 {
		return nil
	}
	explain := c.explainPostgres
	if r.engine == lockspire.SQLite {
		explain = c.explainSQLite
	}
	// Also where the statement is cut short: Run is stopped by its context.
	plan, err := explain(context.WithoutCancel(ctx), query, args)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && r.fault == nil {
		r.fault = fmt.Errorf("explaining %s: %w", text, err)
	}
	p.touched[rows] = max(p.touched[rows], plan.touched)
	if rows == planLarge {
		for _, name := range plan.indexes {
			p.indexes[name] = true
		}
		for _, flaw := range plan.flaws {
			p.flaws[flaw] = true
		}
	}
	return nil
}

// planPassesOn matches the functions that send what others wrote.
var planPassesOn = regexp.MustCompile(`^(tx\.(exec|query|queryRow|run|runAll)$|\(\*store\)\.(chain|attempt|write)|\(\*preparedReads\)\.|poolReads\.)`)

const planPackage = "github.com/lockspire/lockspire/runtime."

// planCaller names the function of the runtime that sends a statement, or is ""
// where a test sends it.
func planCaller() string {
	var counters [40]uintptr
	frames := runtime.CallersFrames(counters[:runtime.Callers(2, counters[:])])
	for {
		frame, more := frames.Next()
		if name, ok := strings.CutPrefix(frame.Function, planPackage); ok {
			switch {
			case planPassesOn.MatchString(name):
			default:
				name, _, _ = strings.Cut(name, ".func")
				name = strings.NewReplacer("(*Provider).", "", "(*", "", ")", "").Replace(name)
				return strings.TrimPrefix(name, "tx.")
			}
		}
		if !more {
			return ""
		}
	}
}
