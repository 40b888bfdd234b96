package lockspire

import (
	"context"
	"errors"
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

// sweeps are the deletions, children before parents. Each finds its rows by
// the index on expires_at, which for codes and refresh tokens is the family's
// absolute end: until then even a used one is evidence of replay (A181). A
// grant goes only after its last family. Audit rows are kept.
var sweeps = []struct{ table, statement string }{
	{"keys", `DELETE FROM @.lockspire_keys WHERE kid IN
		(SELECT kid FROM @.lockspire_keys WHERE expires_at < $1 AND state = 'retiring' ORDER BY expires_at LIMIT $2)`},
	{"interactions", `DELETE FROM @.lockspire_interactions WHERE id_hash IN
		(SELECT id_hash FROM @.lockspire_interactions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)`},
	{"revoked_tokens", `DELETE FROM @.lockspire_revoked_tokens WHERE jti IN
		(SELECT jti FROM @.lockspire_revoked_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)`},
	{"codes", `DELETE FROM @.lockspire_codes WHERE hash IN
		(SELECT hash FROM @.lockspire_codes WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)`},
	{"refresh_tokens", `DELETE FROM @.lockspire_refresh_tokens WHERE id IN
		(SELECT id FROM @.lockspire_refresh_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)`},
	{"families", `DELETE FROM @.lockspire_families WHERE id IN
		(SELECT id FROM @.lockspire_families WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)`},
	{"grants", `DELETE FROM @.lockspire_grants WHERE id IN
		(SELECT g.id FROM @.lockspire_grants g WHERE g.expires_at < $1
			AND NOT EXISTS (SELECT 1 FROM @.lockspire_families f WHERE f.grant_id = g.id)
			ORDER BY g.expires_at LIMIT $2)`},
}

// sweep deletes what is over, in batches, until nothing is left or ctx ends.
// Replicas may sweep at once: each row is deleted by one of them.
func (p *Provider) sweep(ctx context.Context) error {
	before := micros(p.now().Add(-sweepMargin))
	for _, sweep := range sweeps {
		for {
			var deleted int64
			err := p.store.write(ctx, func(t tx) error {
				result, err := t.exec(ctx, sweep.statement, before, sweepBatch)
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

func (p *Provider) task(ctx context.Context, name string, fn func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	if err := fn(ctx); err != nil && !errors.Is(err, context.Canceled) {
		p.config.Logger.LogAttrs(ctx, slog.LevelWarn, "lockspire: background task failed; it will be tried again",
			slog.String("task", name), slog.String("cause", err.Error()))
	}
}
