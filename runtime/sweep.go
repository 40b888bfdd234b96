package lockspire

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// The pace of Run.
const (
	keyRefresh   = time.Minute
	flushPeriod  = 30 * time.Second
	sweepPeriod  = time.Minute
	sweepTimeout = 30 * time.Second
)

// sweepBatch bounds how many rows one transaction deletes, so that the sweep
// never holds locks for long.
const sweepBatch = 500

// sweepMargin keeps rows a little past their time: the clocks of replicas
// differ (A183), and a token has a minute of leeway.
const sweepMargin = 5 * time.Minute

// sweeps are the tables with rows that end, children before parents. Each finds
// its rows by the index on expires_at, which for codes and refresh tokens is
// the family's absolute end: until then even a used one is evidence of replay
// (A181). A grant goes only after its last family. Audit rows are kept.
var sweeps = []struct{ table, key, only string }{
	{"keys", "kid", "AND state = 'retiring'"},
	{"interactions", "id_hash", ""},
	{"revoked_tokens", "jti", ""},
	{"access_tokens", "hash", ""},
	{"codes", "hash", ""},
	{"refresh_tokens", "id", ""},
	{"families", "id", ""},
	// A subquery that yields a value is asked for each row; PostgreSQL would
	// turn NOT EXISTS into a join that reads every family.
	{"grants", "id", "AND (SELECT 1 FROM @.lockspire_families f WHERE f.grant_id = lockspire_grants.id LIMIT 1) IS NULL"},
}

// oneOf is the condition that a key is one of those that a subquery finds, to
// be written for %s. What PostgreSQL finds for IN it joins, reading the whole
// table where the batch seems large; an array it looks up by the primary key.
func (s *store) oneOf() string {
	if s.dialect == SQLite {
		return "IN (%s)"
	}
	return "= ANY (ARRAY(%s))"
}

// sweepStatement deletes at most $2 rows of a table that ended before $1.
func (s *store) sweepStatement(table, key, only string) string {
	over := fmt.Sprintf("SELECT %s FROM @.lockspire_%s WHERE expires_at < $1 %s ORDER BY expires_at LIMIT $2", key, table, only)
	return fmt.Sprintf("DELETE FROM @.lockspire_%s WHERE %s "+s.oneOf(), table, key, over)
}

// sweep deletes what is over, in batches, until nothing is left or ctx ends.
// Replicas may sweep at once: each row is deleted by one of them.
func (p *Provider) sweep(ctx context.Context) error {
	before := micros(p.now().Add(-sweepMargin))
	for _, sweep := range sweeps {
		statement := p.store.sweepStatement(sweep.table, sweep.key, sweep.only)
		for {
			var deleted int64
			err := p.store.write(ctx, func(t tx) error {
				result, err := t.exec(ctx, statement, before, sweepBatch)
				if err != nil {
					return err
				}
				deleted, err = result.RowsAffected()
				return err
			})
			if err != nil {
				return err
			}
			if deleted < sweepBatch {
				break
			}
		}
	}
	return nil
}

// run is the background loop. Each task may fail on its own and is tried
// again at its next turn; nothing that correctness needs depends on it.
func (p *Provider) run(ctx context.Context) error {
	flush, sweep, keys := time.NewTicker(flushPeriod), time.NewTicker(sweepPeriod), time.NewTicker(keyRefresh)
	defer flush.Stop()
	defer sweep.Stop()
	defer keys.Stop()
	p.task(ctx, "sweep", p.sweep)
	p.task(ctx, "keys", p.tendKeys)
	for {
		select {
		case <-ctx.Done():
			// What was noted is worth one last statement.
			p.task(context.WithoutCancel(ctx), "last use", p.flushLastUse)
			return nil
		case <-flush.C:
			p.task(ctx, "last use", p.flushLastUse)
		case <-sweep.C:
			p.task(ctx, "sweep", p.sweep)
		case <-keys.C:
			p.task(ctx, "keys", p.tendKeys)
		}
	}
}

// task runs one of them. What a driver says about a statement that was stopped
// need not name the context, so whether Run was stopped is asked of that.
func (p *Provider) task(running context.Context, name string, fn func(context.Context) error) {
	ctx, cancel := context.WithTimeout(running, sweepTimeout)
	defer cancel()
	if err := fn(ctx); err != nil && running.Err() == nil {
		p.config.Logger.LogAttrs(ctx, slog.LevelWarn, "lockspire: background task failed; it will be tried again",
			slog.String("task", name), slog.String("cause", oneLine(err.Error())))
	}
}
