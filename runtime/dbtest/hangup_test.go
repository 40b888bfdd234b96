package dbtest

import (
	"context"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// Clients that hang up at any moment leave no transaction behind on a
// connection: the next request, on the same few connections, finds the database
// free and the tokens as they were.
func TestA179ClientsThatHangUpLeaveNoTransactionBehind(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		h.db.SetMaxOpenConns(2)
		partner := h.newApp()
		first := partner.firstTokens()
		// The window is open, so that each refresh is a write that may be cut
		// short, and none of them is a reuse.
		inParallel(8, func(int) {
			client := h.newBrowser().client
			for range 25 {
				ctx, cancel := context.WithTimeout(t.Context(), rand.N(12*time.Millisecond))
				request, err := http.NewRequestWithContext(ctx, "GET", partner.authorizeURL(), nil)
				if err != nil {
					t.Error(err)
				}
				if response, err := client.Do(request); err == nil {
					response.Body.Close()
				}
				cancel()
			}
		})
		start := time.Now()
		inParallel(4, func(int) {
			if got := partner.refresh(first.Refresh); got.status != http.StatusOK {
				t.Errorf("refresh: %s", got.raw)
			}
		})
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("a write took %v: somebody holds the lock", took)
		}
		for range 2 {
			conn, err := h.db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if h.config.Dialect == lockspire.SQLite {
				if _, err := conn.ExecContext(t.Context(), "BEGIN"); err != nil {
					t.Errorf("a connection of the pool is inside a transaction: %v", err)
				}
				conn.ExecContext(t.Context(), "ROLLBACK")
			}
		}
	})
}
