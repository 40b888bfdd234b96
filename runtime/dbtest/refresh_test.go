package dbtest

import (
	"bytes"
	"database/sql"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// firstTokens takes an app through the flow with a refresh token at its end.
func (a *app) firstTokens() tokens {
	a.h.t.Helper()
	got := a.redeem(a.code("scope", "openid profile notes:read offline_access"))
	if got.Refresh == "" {
		a.h.t.Fatalf("no refresh token: %s", got.raw)
	}
	return got
}

func TestA99ReuseAfterTheWindowEndsTheFamily(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		first := partner.firstTokens()
		second := partner.refresh(first.Refresh)
		h.clock.advance(61 * time.Second)
		if got := partner.refresh(first.Refresh); got.Error != "invalid_grant" || got.status != http.StatusBadRequest {
			t.Fatalf("reuse: %s", got.raw)
		}
		if got := partner.refresh(second.Refresh); got.Error != "invalid_grant" {
			t.Errorf("successor after reuse: %s", got.raw)
		}
		if status := h.api(second.Access); status != http.StatusUnauthorized {
			t.Errorf("access token after reuse: API %d", status)
		}
		if n := h.audited("refresh.reused"); n != 1 {
			t.Errorf("%d refresh.reused rows", n)
		}
	})
}

func TestA100RetryInsideTheWindowGetsTheSameSuccessor(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		first := partner.firstTokens()
		second := partner.refresh(first.Refresh)
		h.clock.advance(30 * time.Second)
		again := partner.refresh(first.Refresh)
		if again.status != http.StatusOK || again.Refresh != second.Refresh || again.Access == second.Access || again.ID == "" {
			t.Fatalf("retry: %s", again.raw)
		}
		h.clock.advance(31 * time.Second)
		// 61 s after the rotation: the retry has not moved the window.
		if got := partner.refresh(first.Refresh); got.Error != "invalid_grant" {
			t.Errorf("the retry extended the window: %s", got.raw)
		}
	})
}

func TestA100WindowShutsWhenTheSuccessorIsUsed(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		first := partner.firstTokens()
		second := partner.refresh(first.Refresh)
		h.clock.advance(time.Second)
		third := partner.refresh(second.Refresh)
		if third.status != http.StatusOK {
			t.Fatalf("successor: %s", third.raw)
		}
		h.clock.advance(time.Second)
		if got := partner.refresh(first.Refresh); got.Error != "invalid_grant" {
			t.Errorf("predecessor after its successor was used: %s", got.raw)
		}
		if got := partner.refresh(third.Refresh); got.Error != "invalid_grant" {
			t.Errorf("the family lives on: %s", got.raw)
		}
	})
}

func TestA100UnknownSecretIsAFaultAndNoReuse(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		first := partner.firstTokens()
		second := partner.refresh(first.Refresh)
		mustExec(t, h.db, "UPDATE lockspire_refresh_tokens SET secret_id = 'lost' WHERE rotated_at IS NOT NULL")
		got := partner.refresh(first.Refresh)
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
			t.Errorf("unknown secret: %s", got.raw)
		}
		if status := h.api(second.Access); status != http.StatusOK {
			t.Errorf("the family was ended: API %d", status)
		}
	})
}

func TestA100RetrySurvivesANewSecret(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		first := partner.firstTokens()
		second := partner.refresh(first.Refresh)
		renewed := partner.on(h.replica(func(c *lockspire.Config) {
			c.Secrets = [][]byte{bytes.Repeat([]byte{8}, 32), testSecret}
		}))
		if again := renewed.refresh(first.Refresh); again.status != http.StatusOK || again.Refresh != second.Refresh {
			t.Errorf("retry under a new secret: %s", again.raw)
		}
		third := renewed.refresh(second.Refresh)
		if again := renewed.refresh(second.Refresh); third.status != http.StatusOK || again.Refresh != third.Refresh {
			t.Errorf("rotation under a new secret: %s, %s", third.raw, again.raw)
		}
	})
}

func TestA101ParallelRefreshesMakeOneSuccessor(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		first := partner.firstTokens()
		h.people.visit = newGate(parallel).wait
		replicas := []*app{partner, partner.on(h.replica())}
		var mu sync.Mutex
		successors := map[string]int{}
		inParallel(parallel, func(i int) {
			got := replicas[i%2].refresh(first.Refresh)
			if got.status != http.StatusOK {
				t.Errorf("refresh: %s", got.raw)
			}
			mu.Lock()
			defer mu.Unlock()
			successors[got.Refresh]++
		})
		if len(successors) != 1 {
			t.Fatalf("%d different successors", len(successors))
		}
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_refresh_tokens"); n != 2 {
			t.Errorf("%d refresh token rows", n)
		}
		h.people.visit = nil
		for successor := range successors {
			if got := partner.refresh(successor); got.status != http.StatusOK {
				t.Errorf("the successor answers %s", got.raw)
			}
		}
	})
}

func TestA101StrictRotationAnswersOnceAndThenEndsTheFamily(t *testing.T) {
	strict := func(c *lockspire.Config) { c.TTLs.RefreshReuseWindow = -1 }
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		first := partner.firstTokens()
		h.people.visit = newGate(parallel).wait
		var mu sync.Mutex
		var won []tokens
		inParallel(parallel, func(int) {
			if got := partner.refresh(first.Refresh); got.status == http.StatusOK {
				mu.Lock()
				defer mu.Unlock()
				won = append(won, got)
			} else if got.Error != "invalid_grant" {
				t.Errorf("a loser got %s", got.raw)
			}
		})
		if len(won) != 1 {
			t.Fatalf("%d refreshes succeeded", len(won))
		}
		if status := h.api(won[0].Access); status != http.StatusUnauthorized {
			t.Errorf("the family lives on: API %d", status)
		}
	}, strict)
}

func TestA102RetryWithinTheGrantAndByAnotherClient(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, other := h.newApp(), h.newApp()
		first := partner.firstTokens()
		second := partner.refresh(first.Refresh)
		narrow := partner.refresh(first.Refresh, "scope", "notes:read")
		if narrow.status != http.StatusOK || narrow.Refresh != second.Refresh || narrow.Scope != "notes:read" || narrow.ID != "" {
			t.Errorf("retry with another scope: %s", narrow.raw)
		}
		if got := other.refresh(first.Refresh); got.Error != "invalid_grant" {
			t.Errorf("another client inside the window: %s", got.raw)
		}
		if got := partner.refresh(second.Refresh); got.status != http.StatusOK {
			t.Errorf("something was revoked: %s", got.raw)
		}
		if n := h.audited("refresh.refused"); n != 1 {
			t.Errorf("%d refresh.refused rows", n)
		}
	})
}

func TestA103StrangersNeitherRotateNorRevoke(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, other := h.newApp(), h.newApp()
		first := partner.firstTokens()
		if got := other.refresh(first.Refresh); got.Error != "invalid_grant" || got.status != http.StatusBadRequest {
			t.Errorf("another client: %s", got.raw)
		}
		stranger := *partner
		stranger.secret = "not-the-secret"
		if got := stranger.refresh(first.Refresh); got.Error != "invalid_client" || got.status != http.StatusUnauthorized {
			t.Errorf("wrong secret: %s", got.raw)
		}
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_refresh_tokens WHERE rotated_at IS NOT NULL"); n != 0 {
			t.Errorf("a stranger rotated the token")
		}
		if got := partner.refresh(first.Refresh); got.status != http.StatusOK {
			t.Errorf("the client itself: %s", got.raw)
		}
	})
}

func TestA104ScopeMayNarrowAndNeverWiden(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		first := partner.firstTokens()
		if got := partner.refresh(first.Refresh, "scope", "openid notes:write"); got.Error != "invalid_scope" {
			t.Errorf("more scope: %s", got.raw)
		}
		if got := partner.refresh(first.Refresh, "resource", "https://elsewhere.example"); got.Error != "invalid_target" {
			t.Errorf("more resource: %s", got.raw)
		}
		narrow := partner.refresh(first.Refresh, "scope", "notes:read")
		if narrow.status != http.StatusOK || narrow.Scope != "notes:read" {
			t.Fatalf("narrowing: %s", narrow.raw)
		}
		if full := partner.refresh(narrow.Refresh); full.Scope != first.Scope {
			t.Errorf("narrowing shrank the grant to %q", full.Scope)
		}
	})
}

func TestA105IdleAndAbsoluteLimits(t *testing.T) {
	limits := func(c *lockspire.Config) {
		c.TTLs.RefreshIdle, c.TTLs.RefreshAbsolute = 24*time.Hour, 60*time.Hour
	}
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		idle := partner.firstTokens()
		h.clock.advance(24 * time.Hour)
		if got := partner.refresh(idle.Refresh); got.Error != "invalid_grant" {
			t.Errorf("after the idle limit: %s", got.raw)
		}
		current := partner.firstTokens()
		for range 2 {
			h.clock.advance(23 * time.Hour)
			if current = partner.refresh(current.Refresh); current.status != http.StatusOK {
				t.Fatalf("inside both limits: %s", current.raw)
			}
		}
		h.clock.advance(14 * time.Hour)
		if got := partner.refresh(current.Refresh); got.Error != "invalid_grant" {
			t.Errorf("after the absolute limit: %s", got.raw)
		}
	}, limits)
}

func TestA107NoRefreshTokenWithoutOfflineAccessOrGrant(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		if got := partner.redeem(partner.code("scope", "openid notes:read")); got.Refresh != "" {
			t.Errorf("without offline_access: %s", got.raw)
		}
		lacking := h.newApp(func(n *lockspire.NewClient) { n.GrantTypes = []string{"authorization_code"} })
		got := lacking.redeem(lacking.code("scope", "openid notes:read offline_access"))
		if got.Refresh != "" || got.Scope != "openid notes:read" {
			t.Errorf("a client without the grant: %s", got.raw)
		}
	})
}

func TestA108GoneUserAndRevokedGrantStopRefresh(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		first := partner.firstTokens()
		h.people.set(func(p *people) { p.gone["alice"] = true })
		if got := partner.refresh(first.Refresh); got.Error != "invalid_grant" || got.status != http.StatusBadRequest {
			t.Errorf("user gone: %s", got.raw)
		}
		h.people.set(func(p *people) { p.gone["alice"] = false; p.fault = sql.ErrConnDone })
		if got := partner.refresh(first.Refresh); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
			t.Errorf("host's database down: %s", got.raw)
		}
		h.people.set(func(p *people) { p.fault = nil })
		if got := partner.refresh(first.Refresh); got.status != http.StatusOK {
			t.Errorf("afterwards: %s", got.raw)
		}
	})
}

func TestA109RefreshedIDTokenKeepsItsFacts(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		b.signIn("alice", "auth_time", "1700000000")
		got := partner.redeem(partner.consentTo(b, "alice", "scope", "openid offline_access"))
		h.clock.advance(time.Hour)
		before, after := claimsIn(t, got.ID), claimsIn(t, partner.refresh(got.Refresh).ID)
		for _, name := range []string{"sub", "iss", "aud", "auth_time", "sid", "acr"} {
			if before[name] == nil || before[name] != after[name] {
				t.Errorf("%s was %v and is %v", name, before[name], after[name])
			}
		}
		if _, ok := after["nonce"]; ok {
			t.Error("the refreshed ID token has a nonce")
		}
		if !slices.Equal([]any{"pwd"}, after["amr"].([]any)) {
			t.Errorf("amr %v", after["amr"])
		}
	})
}
