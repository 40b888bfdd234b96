package dbtest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// off is a replica whose clock is off by d.
func (h *host) off(d time.Duration) *host {
	return h.replica(func(c *lockspire.Config) {
		now := c.Now
		c.Now = func() time.Time { return now().Add(d) }
	})
}

func TestA183NodesWhoseClocksDifferBy5SecondsAreOneServer(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		ahead, behind := h.off(5*time.Second/2), h.off(-5*time.Second/2)
		partner := h.newApp()
		for name, nodes := range map[string][2]*host{"from ahead to behind": {ahead, behind}, "from behind to ahead": {behind, ahead}} {
			first, second := partner.on(nodes[0]), partner.on(nodes[1])
			got := first.redeem(partner.code("scope", "openid notes:read offline_access"))
			if got.status != http.StatusOK {
				t.Fatalf("%s: %s", name, got.raw)
			}
			if claims := claimsIn(t, got.Access); claims["nbf"] != nil {
				t.Errorf("%s: nbf %v", name, claims["nbf"])
			}
			if claims := claimsIn(t, got.ID); claims["nbf"] != nil {
				t.Errorf("%s: nbf %v in the ID token", name, claims["nbf"])
			}
			if w := callAPIAt(nodes[1], got.Access); w != http.StatusOK {
				t.Errorf("%s: the token is refused: %d", name, w)
			}
			if w := second.introspect(got.Access); !strings.Contains(w.Body.String(), `"active":true`) {
				t.Errorf("%s: introspected %s", name, w.Body)
			}
			rotated := first.refresh(got.Refresh)
			if again := second.refresh(got.Refresh); again.status != http.StatusOK || again.Refresh != rotated.Refresh {
				t.Errorf("%s: the retry of a lost answer: %s", name, again.raw)
			}
			if next := second.refresh(rotated.Refresh); next.status != http.StatusOK {
				t.Errorf("%s: the successor: %s", name, next.raw)
			}
			// A double submission to a node that is behind is no theft.
			code := partner.code()
			won := first.redeem(code)
			wantToken(t, name+", submitted twice", second.redeem(code), 400, "invalid_grant")
			// To the node ahead it comes 5 s late: a replay, by A87. That errs on
			// the safe side.
			if status := callAPIAt(nodes[1], won.Access); (status == http.StatusOK) != (nodes[0] == ahead) {
				t.Errorf("%s: after a double submission the token answers %d", name, status)
			}
			// And what one node revokes, the other does not honour.
			live := first.redeem(partner.code("scope", "openid notes:read offline_access"))
			if w := first.post("/revoke", "token", live.Access); w.Code != http.StatusOK {
				t.Errorf("%s: revoke %d", name, w.Code)
			}
			if w := callAPIAt(nodes[1], live.Access); w != http.StatusUnauthorized {
				t.Errorf("%s: a revoked token: %d", name, w)
			}
		}
	})
}

func callAPIAt(h *host, token string) int {
	return send(api(h.provider, lockspire.RequireScope("notes:read")), "GET", h.server.URL+"/api", nil, "Authorization", "Bearer "+token).Code
}

// A sign-in whose time the host read from a clock that is 5 s behind is fresh.
func TestA183ASignInOnANodeThatIs5SecondsBehindIsFresh(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		for ago, fresh := range map[time.Duration]bool{0: true, 5 * time.Second: true, 6 * time.Second: false} {
			b := h.newBrowser()
			p := b.follow(b.get(partner.authorizeURL("prompt", "login")))
			_, query, _ := strings.Cut(p.at, "?")
			back := regexp.MustCompile(`return_to=([^&]*)`).FindStringSubmatch(query)[1]
			p = b.follow(b.signIn("alice", "return_to", strings.ReplaceAll(back, "%2F", "/"), "auth_time", strconv.FormatInt(h.clock.Now().Add(-ago).Unix(), 10)))
			if p.isConsent() != fresh {
				t.Errorf("signed in %v ago: at %s, %d", ago, p.at, p.status)
			}
		}
	})
}

// clockWords are how SQL asks the database what time it is.
var clockWords = regexp.MustCompile(`(?i)\b(now|clock_timestamp|statement_timestamp|transaction_timestamp|strftime|julianday|unixepoch|datetime)\s*\(|current_time|current_date|localtime|'now'`)

func TestA183NoTimeIsTheDatabases(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			statements := map[string]bool{}
			db := openSpied(t, engine, newDSN(t, engine), func(_ context.Context, _ *spiedConn, query string, _ []driver.NamedValue) error {
				mu.Lock()
				defer mu.Unlock()
				statements[query] = true
				return nil
			})
			if err := lockspire.Migrate(t.Context(), db, engine, ""); err != nil {
				t.Fatal(err)
			}
			far := 5 * 365 * 24 * time.Hour
			h := newHost(t, db, engine, func(c *lockspire.Config) {
				now := c.Now
				c.Now = func() time.Time { return now().Add(far) }
			})
			now := h.clock.Now().Add(far)
			partner := h.newApp()
			got := partner.firstTokens()
			partner.post("/revoke", "token", partner.refresh(got.Refresh).Access)
			partner.post("/revoke", "token", got.Refresh)
			runFor(t, h.provider, 0)
			mu.Lock()
			seen := maps.Clone(statements)
			mu.Unlock()
			if len(seen) < 20 {
				t.Fatalf("%d statements were seen", len(seen))
			}
			for statement := range seen {
				if strings.Contains(statement, "lockspire_") && clockWords.MatchString(statement) {
					t.Errorf("asks the database for the time: %s", statement)
				}
			}
			for _, column := range []string{"families.created_at", "grants.created_at", "codes.created_at", "codes.redeemed_at", "refresh_tokens.created_at",
				"refresh_tokens.rotated_at", "audit.at", "keys.created_at", "clients.created_at", "families.revoked_at"} {
				table, name, _ := strings.Cut(column, ".")
				var least, most sql.NullInt64
				if err := db.QueryRowContext(t.Context(), fmt.Sprintf("SELECT MIN(%s), MAX(%s) FROM lockspire_%s", name, name, table)).Scan(&least, &most); err != nil {
					t.Fatalf("%s: %v", column, err)
				}
				if !least.Valid || least.Int64 != now.UnixMicro() || most != least {
					t.Errorf("%s is %v to %v; want %v", column, time.UnixMicro(least.Int64), time.UnixMicro(most.Int64), now)
				}
			}
		})
	}
}

// There is one handle, so nothing that was written is read from somewhere that
// has not heard of it.
func TestA180ThereIsOneHandle(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		var handles []string
		for field := range fieldsOf(lockspire.Config{}) {
			if f, _ := reflect.TypeOf(lockspire.Config{}).FieldByName(field); strings.Contains(f.Type.String(), "sql.DB") {
				handles = append(handles, field)
			}
		}
		if len(handles) != 1 || handles[0] != "DB" {
			t.Errorf("Config has the handles %v", handles)
		}
		// What one replica wrote, another knows at its next request.
		other := h.replica()
		partner := h.newApp()
		there := partner.on(other)
		for range 10 {
			code := partner.code("scope", "openid notes:read offline_access")
			got := there.redeem(code)
			wantToken(t, "redeemed elsewhere", partner.redeem(code), 400, "invalid_grant")
			next := partner.refresh(got.Refresh)
			partner.post("/revoke", "token", next.Access)
			wantInactive(t, "revoked elsewhere", there.introspect(next.Access))
			grants, err := other.provider.Grants(t.Context(), "alice")
			if err != nil || len(grants) != 1 {
				t.Fatalf("grants %v %v", grants, err)
			}
			if err := other.provider.RevokeGrant(t.Context(), "alice", grants[0].ID); err != nil {
				t.Fatal(err)
			}
			if callAPIAt(h, got.Access) != http.StatusUnauthorized {
				t.Error("consent withdrawn elsewhere: the token is honoured")
			}
			wantToken(t, "consent withdrawn elsewhere", partner.refresh(next.Refresh), 400, "invalid_grant")
		}
	})
}

// A handle on a copy that cannot be written to is a fault: nothing is issued from
// what it says, and no client is told that its grant is bad.
func TestA180AHandleOnAReadOnlyCopyIssuesNothing(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			dsn := newDSN(t, engine)
			db := openDSN(t, engine, dsn)
			if err := lockspire.Migrate(t.Context(), db, engine, ""); err != nil {
				t.Fatal(err)
			}
			h := newHost(t, db, engine)
			readOnly := map[lockspire.Dialect]string{lockspire.PostgreSQL: "&default_transaction_read_only=on", lockspire.SQLite: "&_pragma=query_only(1)"}[engine]
			partner := h.newApp()
			got, code := partner.firstTokens(), partner.code("scope", "openid notes:read offline_access")
			copied := partner.on(h.replica(func(c *lockspire.Config) { c.DB = openDSN(t, engine, dsn+readOnly) }))
			for name, refused := range map[string]tokens{"code": copied.redeem(code), "refresh": copied.refresh(got.Refresh)} {
				wantToken(t, name, refused, 503, "temporarily_unavailable")
				if refused.header.Get("Retry-After") == "" {
					t.Errorf("%s: no Retry-After", name)
				}
			}
			if w := copied.post("/revoke", "token", got.Access); w.Code != http.StatusServiceUnavailable {
				t.Errorf("revoke: %d", w.Code)
			}
			if again := partner.redeem(code); again.status != http.StatusOK {
				t.Errorf("the code, at the primary: %s", again.raw)
			}
			if again := partner.refresh(got.Refresh); again.status != http.StatusOK {
				t.Errorf("the refresh token, at the primary: %s", again.raw)
			}
		})
	}
}
