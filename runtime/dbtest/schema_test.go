package dbtest

import (
	"net/http"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// A pooler in transaction mode (pgbouncer) hands each statement to a connection whose search_path is somebody else's. With a
// schema of its own the provider needs none: here each connection has one on which nothing of Lockspire is.
func TestI116EveryStatementNamesItsSchemaWhateverTheSearchPath(t *testing.T) {
	dsn := newDSN(t, lockspire.PostgreSQL)
	db := openDSN(t, lockspire.PostgreSQL, dsn+"&search_path=nowhere")
	if err := lockspire.Migrate(t.Context(), db, lockspire.PostgreSQL, "auth_2"); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, db, lockspire.PostgreSQL, func(c *lockspire.Config) { c.Schema = "auth_2" })
	partner := h.newApp()
	got := partner.redeem(partner.code("scope", "openid profile notes:read offline_access"))
	if got.status != http.StatusOK {
		t.Fatalf("tokens: %s", got.raw)
	}
	refreshed := partner.refresh(got.Refresh)
	if refreshed.status != http.StatusOK || h.api(refreshed.Access) != http.StatusOK {
		t.Fatalf("refresh: %s", refreshed.raw)
	}
	if status, _ := h.bearer("/lockspire/userinfo", refreshed.Access); status != http.StatusOK {
		t.Errorf("userinfo: %d", status)
	}
	if w := partner.post("/introspect", "token", refreshed.Access); w.Code != http.StatusOK {
		t.Errorf("introspection: %d", w.Code)
	}
	if w := partner.post("/revoke", "token", refreshed.Refresh); w.Code != http.StatusOK || h.api(refreshed.Access) != http.StatusUnauthorized {
		t.Errorf("revocation: %d, or the access token lives on", w.Code)
	}
	runFor(t, h.provider, 0)
	if n := count(t, db, "SELECT COUNT(*) FROM pg_tables WHERE schemaname <> 'auth_2' AND tablename LIKE 'lockspire%'"); n != 0 {
		t.Errorf("%d tables are in another schema", n)
	}
}
