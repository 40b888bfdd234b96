package lockspire

import (
	"context"
	"sync"
	"time"
)

const (
	// lastUsePrecision is how stale last_used_at may be before a token that is
	// issued or used makes it worth a write.
	lastUsePrecision = time.Hour
	// maxLastUse bounds what is noted between two flushes.
	maxLastUse = 4096
)

// lastUse notes which grants were used through Protect, for Run to write in
// the background. What is lost with the process is an hour of precision on a
// page. The zero value is ready.
type lastUse struct {
	mu      sync.Mutex
	pending map[string]time.Time
}

// note remembers that a grant is in use, unless its row says so already.
func (l *lastUse) note(grantID string, stored, now time.Time) {
	if now.Sub(stored) < lastUsePrecision {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending == nil {
		l.pending = map[string]time.Time{}
	}
	if _, noted := l.pending[grantID]; noted || len(l.pending) < maxLastUse {
		l.pending[grantID] = now
	}
}

// take returns what was noted and forgets it.
func (l *lastUse) take() map[string]time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	pending := l.pending
	l.pending = nil
	return pending
}

// flushLastUse writes what was noted. N replicas write once for each grant and
// hour.
func (p *Provider) flushLastUse(ctx context.Context) error {
	for grantID, at := range p.lastUse.take() {
		if err := p.store.writeStatement(ctx, func(t tx) error { return t.run(ctx, usedGrant(grantID, at)) }); err != nil {
			return err
		}
	}
	return nil
}

// usedGrant writes that a grant is in use, unless its row says so within
// lastUsePrecision. Every token of a user and an app would write that one row
// otherwise: under SERIALIZABLE no two of them could be issued at once.
func usedGrant(grantID string, at time.Time) step {
	return step{`UPDATE @.lockspire_grants SET last_used_at = $1
		WHERE id = $2 AND last_used_at <= $3`, []any{micros(at), grantID, micros(at.Add(-lastUsePrecision))}}
}
