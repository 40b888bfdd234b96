package dbtest

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// faultBackground is what Run does at its start. Nobody is answered: it says in
// the log what failed, and does it at its next turn.
var faultBackground = []faultFlow{{"sweep, and make a key", func(r *faultRig) faultStep {
	mustExec(r.t, r.db, "DELETE FROM lockspire_keys WHERE alg = 'ES256' AND state = 'next'")
	mustExec(r.t, r.db, "INSERT INTO lockspire_revoked_tokens (jti, expires_at) VALUES ($1, 1)", r.user())
	mustExec(r.t, r.db, `INSERT INTO lockspire_interactions (id_hash, client_id, browser_hash, request, state, created_at, expires_at)
		VALUES ($1, $2, $3, '{}', 'pending', 1, 1)`, []byte(r.user()), r.partner.ID, []byte("browser"))
	return faultStep{changes: true, many: true, loose: true, act: r.runOnce,
		good: func(a faultAnswer) bool { return isDone(a) && r.swept() && r.keyed() },
		works: func(faultAnswer) string {
			if got := r.job.ownToken("scope", "notes:read"); got.status != http.StatusOK {
				return "no token afterwards: " + got.raw
			}
			return ""
		}}
}}}

func (r *faultRig) swept() bool {
	return count(r.t, r.db, "SELECT COUNT(*) FROM lockspire_revoked_tokens WHERE expires_at = 1")+
		count(r.t, r.db, "SELECT COUNT(*) FROM lockspire_interactions WHERE expires_at = 1") == 0
}

func (r *faultRig) keyed() bool {
	return count(r.t, r.db, "SELECT COUNT(*) FROM lockspire_keys WHERE alg = 'ES256' AND state = 'next'") == 1
}

// runOnce is one turn of Run, until each of its tasks is done or in the log as
// failed.
func (r *faultRig) runOnce() faultAnswer {
	before := len(r.logs.String())
	failed := func(task string) bool { return strings.Contains(r.logs.String()[before:], "task="+task) }
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.provider.Run(ctx) }()
	deadline := time.Now().Add(30 * time.Second)
	for !(r.swept() || failed("sweep")) || !(r.keyed() || failed("keys")) {
		if time.Now().After(deadline) {
			r.t.Error("Run neither did its work nor said that it failed")
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	cancel()
	a := faultAnswer{err: <-ended}
	if a.err == nil && (failed("sweep") || failed("keys")) {
		a.status, a.retryAfter = http.StatusServiceUnavailable, "the next turn"
	}
	return a
}
