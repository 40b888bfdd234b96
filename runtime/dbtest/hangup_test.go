package dbtest

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// countdown is a context that ends when it is asked for the nth time whether it
// has: at each n another step of database/sql or the driver finds it over.
type countdown struct {
	context.Context
	cancel context.CancelFunc
	left   atomic.Int32
}

func newCountdown(parent context.Context, n int) *countdown {
	c := &countdown{}
	c.Context, c.cancel = context.WithCancel(parent)
	c.left.Store(int32(n))
	return c
}

func (c *countdown) Done() <-chan struct{} {
	if c.left.Add(-1) == 0 {
		c.cancel()
	}
	return c.Context.Done()
}

// A client may hang up at any moment. No connection goes back to the pool
// inside a transaction, and what was cut short left nothing, or all of itself.
func TestA179HangingUpLeavesNoTransactionBehind(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		h.db.SetMaxOpenConns(1)
		finished := false
		for n := 1; n < 500 && !finished; n++ {
			ctx := newCountdown(t.Context(), n)
			_, _, err := h.provider.Clients().Create(ctx, lockspire.NewClient{
				Name: fmt.Sprint("App ", n), RedirectURIs: []string{"https://partner.example/cb"},
			})
			finished = err == nil && ctx.left.Load() > 0
			over := ctx.Err() != nil
			ctx.cancel()
			if err != nil && !over {
				t.Errorf("step %d: %v", n, err)
			}
			if h.config.Dialect == lockspire.SQLite {
				if _, err := h.db.ExecContext(t.Context(), "BEGIN"); err != nil {
					t.Fatalf("step %d: the connection is inside a transaction: %v", n, err)
				}
				mustExec(t, h.db, "ROLLBACK")
			}
		}
		if !finished {
			t.Error("the context ended in every case")
		}
		// In one statement: a COMMIT whose client is gone may take effect late.
		var clients, secrets, audited int
		if err := h.db.QueryRowContext(t.Context(), `SELECT (SELECT COUNT(*) FROM lockspire_clients),
			(SELECT COUNT(*) FROM lockspire_client_secrets),
			(SELECT COUNT(*) FROM lockspire_audit WHERE name = 'client.created')`).Scan(&clients, &secrets, &audited); err != nil {
			t.Fatal(err)
		}
		if clients != secrets || clients != audited || clients == 0 {
			t.Errorf("%d clients, %d secrets, %d audit rows", clients, secrets, audited)
		}
		if got := h.newApp().redeem("x"); got.status != http.StatusBadRequest {
			t.Errorf("afterwards: %s", got.raw)
		}
	})
}
