package dbtest

import (
	"context"
	"database/sql/driver"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	lockspire "github.com/lockspire/lockspire/runtime"
)

func TestA110AFamilyHasOneLiveRefreshTokenHoweverOftenItIsUsed(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		live := func() int {
			return count(t, h.db, "SELECT COUNT(*) FROM lockspire_refresh_tokens WHERE rotated_at IS NULL")
		}
		current := partner.firstTokens()
		for n := range 25 {
			next := partner.refresh(current.Refresh)
			// Lost answers, other scopes and parallel retries make no branches.
			partner.refresh(current.Refresh, "scope", "notes:read")
			inParallel(4, func(int) { partner.refresh(current.Refresh) })
			if next.status != http.StatusOK || live() != 1 {
				t.Fatalf("after %d refreshes: %s, %d live tokens", n+1, next.raw, live())
			}
			current = next
			h.clock.advance(time.Hour)
		}
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_families"); n != 1 {
			t.Errorf("%d families", n)
		}
		// What is over leaves the table with its family.
		h.clock.advance(366 * 24 * time.Hour)
		runFor(t, h.provider, 0)
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_refresh_tokens"); n != 0 {
			t.Errorf("%d rows are left when the family is over", n)
		}
	})
}

// However many tokens there are, ending them is one statement on the family.
func TestA110RevocationIsOneUpdateOfTheFamily(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var changes []string
			db := openSpied(t, engine, newDSN(t, engine), func(_ context.Context, _ *spiedConn, query string, _ []driver.NamedValue) error {
				mu.Lock()
				defer mu.Unlock()
				if strings.HasPrefix(query, "UPDATE") || strings.HasPrefix(query, "DELETE") {
					changes = append(changes, query)
				}
				return nil
			})
			if err := lockspire.Migrate(t.Context(), db, engine, ""); err != nil {
				t.Fatal(err)
			}
			h := newHost(t, db, engine)
			partner := h.newApp()
			for _, rotations := range []int{0, 10} {
				current := partner.firstTokens()
				for range rotations {
					current = partner.refresh(current.Refresh)
				}
				mu.Lock()
				changes = nil
				mu.Unlock()
				if w := partner.post("/revoke", "token", current.Refresh); w.Code != http.StatusOK {
					t.Fatalf("revoke: %d", w.Code)
				}
				mu.Lock()
				if len(changes) != 1 || !strings.HasPrefix(changes[0], "UPDATE lockspire_families") {
					t.Errorf("after %d rotations: %q", rotations, changes)
				}
				mu.Unlock()
				if h.api(current.Access) != http.StatusUnauthorized {
					t.Error("the access token lives on")
				}
			}
		})
	}
}

// Bearer tokens can be replayed by who steals one. What bounds the harm is their
// life, that they are for one resource, and that they end with their grant.
func TestA143AStolenTokenIsShortLivedForOneResourceAndEndsWithItsGrant(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		for name, got := range map[string]tokens{"code": partner.redeem(partner.code()), "refresh": partner.refresh(partner.firstTokens().Refresh), "client": h.newApp(machine).ownToken()} {
			claims := claimsIn(t, got.Access)
			if life := claims["exp"].(float64) - claims["iat"].(float64); life > 600 || got.Expires > 600 {
				t.Errorf("%s: a token for %v s", name, life)
			}
			if claims["cnf"] != nil || got.Type != "Bearer" {
				t.Errorf("%s: a token that says it is bound: %v", name, claims)
			}
		}
		got := partner.redeem(partner.code())
		claims := claimsIn(t, got.Access)
		other := api(h.provider, lockspire.ForResource(billingAPI))
		wantChallenge(t, "replayed at another resource", send(other, "GET", "https://x.example/", nil, "Authorization", "Bearer "+got.Access), 401, "invalid_token")
		// A bound token that is presented without its key: an older binary beside
		// a newer one that issues them must not take it for a bearer token.
		for name, cnf := range map[string]any{"jkt": map[string]string{"jkt": "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"}, "x5t": map[string]string{"x5t#S256": "x"}, "empty": map[string]string{}, "null": nil} {
			bound := map[string]any{"cnf": cnf}
			for claim, value := range claims {
				bound[claim] = value
			}
			token := accessToken(t, h.db, bound)
			wantChallenge(t, name, callAPI(h.provider, token), 401, "invalid_token")
			if status, body := h.bearer("/lockspire/userinfo", token); status != http.StatusUnauthorized {
				t.Errorf("%s at userinfo: %d %s", name, status, body)
			}
			wantInactive(t, name, partner.introspect(token))
		}
		grants, err := h.provider.Grants(t.Context(), "alice")
		if err != nil || len(grants) != 1 {
			t.Fatalf("grants %v %v", grants, err)
		}
		if err := h.provider.RevokeGrant(t.Context(), "alice", grants[0].ID); err != nil {
			t.Fatal(err)
		}
		if h.api(got.Access) != http.StatusUnauthorized {
			t.Error("the token outlives its grant")
		}
		for _, life := range []time.Duration{25 * time.Hour, time.Second, -time.Minute} {
			config := h.config
			config.TTLs.AccessToken = life
			_, err := lockspire.New(t.Context(), config)
			wantError(t, err, "TTLs.AccessToken")
		}
	}, withBilling)
}

// A client that is handed a token can tell that it was issued to another, and
// none is ever handed out where a page or a URL could carry it.
func TestA144AnInjectedTokenIsNotTheClients(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		victim, thief := h.newApp(), h.newApp()
		mine, stolen := victim.redeem(victim.code()), thief.redeem(thief.code())
		ctx := oidc.ClientContext(t.Context(), h.server.Client())
		issuer, err := oidc.NewProvider(ctx, h.issuer)
		if err != nil {
			t.Fatal(err)
		}
		verifier := issuer.Verifier(&oidc.Config{ClientID: victim.ID, Now: h.clock.Now})
		idToken, err := verifier.Verify(ctx, mine.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := idToken.VerifyAccessToken(mine.Access); err != nil {
			t.Errorf("at_hash of its own token: %v", err)
		}
		if err := idToken.VerifyAccessToken(stolen.Access); err == nil {
			t.Error("at_hash fits another client's token")
		}
		if _, err := verifier.Verify(ctx, stolen.ID); err == nil {
			t.Error("an ID token of another client passes")
		}
		if got := claimsIn(t, stolen.Access)["client_id"]; got != thief.ID {
			t.Errorf("client_id %v", got)
		}
		server := h.newApp(serves(h.server.URL))
		if w := server.introspect(stolen.Access); !strings.Contains(w.Body.String(), fmt.Sprintf(`"client_id":%q`, thief.ID)) {
			t.Errorf("introspection does not say whose it is: %s", w.Body)
		}
		wantInactive(t, "another client's, asked by the client", victim.introspect(stolen.Access))
		b := h.newBrowser()
		b.signIn("alice")
		for _, responseType := range []string{"token", "id_token", "id_token token", "code token", "code id_token", "code id_token token", "none"} {
			p := b.get(victim.authorizeURL("response_type", responseType))
			answer := victim.wantError(t, responseType, p, "unsupported_response_type")
			if answer.Has("access_token") || answer.Has("id_token") || strings.Contains(p.location, "#") {
				t.Errorf("%s: %s", responseType, p.location)
			}
		}
		victim.wantError(t, "fragment", b.get(victim.authorizeURL("response_mode", "fragment")), "invalid_request")
		answer := b.follow(b.get(victim.authorizeURL())).answer(t)
		for name := range answer {
			if name != "code" && name != "state" && name != "iss" {
				t.Errorf("the front channel carries %s", name)
			}
		}
	})
}
