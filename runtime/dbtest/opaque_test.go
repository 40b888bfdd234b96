package dbtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

func opaque(n *lockspire.NewClient) { n.OpaqueAccessTokens = true }

// wantOpaque checks that a token is 256 bits in base64url and nothing else.
func wantOpaque(t *testing.T, name string, got tokens) {
	t.Helper()
	if got.status != 200 || len(got.Access) != 43 || strings.Contains(got.Access, ".") {
		t.Errorf("%s: %s", name, got.raw)
	}
}

func (h *host) storedTokens() int {
	return count(h.t, h.db, "SELECT COUNT(*) FROM lockspire_access_tokens")
}

func TestAnOpaqueTokenIsGoodForAllThatAJWTIs(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, server := h.newApp(opaque), h.newApp(serves(h.server.URL))
		got := partner.redeem(partner.code("scope", "openid profile notes:read offline_access"))
		wantOpaque(t, "code", got)
		if got.Type != "Bearer" || got.Expires != 600 || claimsIn(t, got.ID)["at_hash"] == nil {
			t.Errorf("token response %s", got.raw)
		}
		if status, body := h.bearer("/api", got.Access); status != 200 || body != "notes of alice" {
			t.Errorf("API: %d %s", status, body)
		}
		if status, body := h.bearer("/lockspire/userinfo", got.Access); status != 200 || !strings.Contains(body, `"name":"ALICE"`) {
			t.Errorf("userinfo: %d %s", status, body)
		}
		now := float64(h.clock.Now().Unix())
		want := func() map[string]any {
			return map[string]any{
				"scope": "openid profile notes:read offline_access", "client_id": partner.ID, "token_type": "Bearer", "sub": "alice", "acr": "1",
				"exp": now + 600, "iat": now, "aud": []any{h.server.URL, h.issuer}, "iss": h.issuer,
			}
		}
		wantActive(t, "own", partner.introspect(got.Access), want())
		wantActive(t, "resource server", server.introspect(got.Access), want())
		wantInactive(t, "another client", h.newApp().introspect(got.Access))
		refreshed := partner.refresh(got.Refresh, "scope", "notes:read")
		wantOpaque(t, "refresh", refreshed)
		retried := partner.refresh(got.Refresh)
		wantOpaque(t, "A100 the same refresh again", retried)
		for name, token := range map[string]tokens{"first": got, "refreshed": refreshed, "retried": retried} {
			if status := h.api(token.Access); status != 200 {
				t.Errorf("%s: %d", name, status)
			}
		}
		if retried.Refresh != refreshed.Refresh || retried.Access == refreshed.Access {
			t.Error("a retry is no retry")
		}
		if status, _ := h.bearer("/lockspire/userinfo", refreshed.Access); status != 401 {
			t.Errorf("userinfo without openid: %d", status)
		}
		rows := dump(t, h)
		for _, token := range []string{got.Access, refreshed.Access, retried.Access} {
			if strings.Contains(rows, token) || strings.Contains(h.logs.String(), token) || strings.Contains(h.events.dump(), token) {
				t.Error("A176, A187: a token stands in clear in a row, an event or the log")
			}
		}
		if n := h.storedTokens(); n != 3 {
			t.Errorf("%d rows", n)
		}
	})
}

func TestA139AnOpaqueTokenDiesWithWhatItHangsOn(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp(opaque)
		for _, c := range []struct {
			name string
			end  func(got tokens, code string)
		}{
			{"revoked itself", func(got tokens, _ string) { partner.post("/revoke", "token", got.Access) }},
			{"its refresh token revoked", func(got tokens, _ string) { partner.post("/revoke", "token", got.Refresh) }},
			{"RevokeGrant", func(tokens, string) {
				grants, err := h.provider.Grants(t.Context(), "alice")
				if err != nil || len(grants) != 1 {
					t.Fatalf("%v %v", grants, err)
				}
				if err := h.provider.RevokeGrant(t.Context(), "alice", grants[0].ID); err != nil {
					t.Fatal(err)
				}
			}},
			{"RevokeSubject", func(tokens, string) { h.revokeSubject("alice", "x") }},
			{"SessionEnded", func(tokens, string) { h.endSession(sessionOf("alice")) }},
			{"code replayed", func(_ tokens, code string) {
				h.clock.advance(3 * time.Second)
				partner.redeem(code)
			}},
			{"EraseSubject", func(tokens, string) {
				if err := h.provider.EraseSubject(t.Context(), "alice"); err != nil {
					t.Fatal(err)
				}
			}},
			{"over", func(tokens, string) { h.clock.advance(11 * time.Minute) }},
			{"client disabled", func(tokens, string) {
				if err := h.provider.Clients().Disable(t.Context(), partner.ID); err != nil {
					t.Fatal(err)
				}
			}},
		} {
			code := partner.code("scope", "notes:read")
			got := partner.redeem(code)
			if status := h.api(got.Access); status != 200 {
				t.Fatalf("%s, before: %d", c.name, status)
			}
			other := partner.redeem(partner.code("scope", "notes:read"))
			c.end(got, code)
			if status := h.api(got.Access); status != 401 {
				t.Errorf("%s: the API answers %d", c.name, status)
			}
			if c.name == "revoked itself" && h.api(other.Access) != 200 {
				t.Error("revoking one token revoked another")
			}
			if c.name != "client disabled" {
				wantInactive(t, c.name, partner.introspect(got.Access))
			}
		}
		if n := h.audited("access_token.revoked"); n != 1 {
			t.Errorf("%d audit rows of one revocation", n)
		}
	})
}

func TestAnOpaqueTokenIsForItsResourceAndScope(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, job := h.newApp(), h.newApp(machine)
		billing := partner.redeem(partner.code("scope", "openid notes:read offline_access", "resource", "https://billing.example/api"))
		wantOpaque(t, "a resource that wants it", billing)
		forBilling := lockspire.ForResource("https://billing.example/api")
		if status := h.protects(billing.Access, forBilling, lockspire.RequireScope("notes:read")); status != 200 {
			t.Errorf("at its resource: %d", status)
		}
		if status := h.protects(billing.Access, forBilling, lockspire.RequireScope("notes:write")); status != 403 {
			t.Errorf("A145 without the scope: %d", status)
		}
		if status := h.api(billing.Access); status != 401 {
			t.Errorf("A142 at another resource: %d", status)
		}
		if got := partner.redeem(partner.code("scope", "openid notes:read")); len(claimsIn(t, got.Access)) == 0 {
			t.Errorf("another resource has opaque tokens too: %s", got.raw)
		}
		own := job.ownToken("resource", "https://billing.example/api")
		wantOpaque(t, "client credentials", own)
		if status := h.protects(own.Access, forBilling); status != 200 {
			t.Errorf("client credentials: %d", status)
		}
		mustExec(t, h.db, "UPDATE lockspire_clients SET grant_types = '[]' WHERE id = $1", job.ID)
		if status := h.protects(own.Access, forBilling); status != 401 {
			t.Errorf("the client has lost the grant: %d", status)
		}
	}, func(config *lockspire.Config) {
		twoResources(config)
		config.Resources[1].OpaqueAccessTokens = true
	})
}

func TestA152AnOpaqueTokenWithoutUserIsNotForUserinfo(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		job := h.newApp(machine, opaque)
		own := job.ownToken("scope", "notes:read")
		if status, _ := h.bearer("/lockspire/userinfo", own.Access); status != 403 {
			t.Errorf("userinfo: %d", status)
		}
		if status, body := h.bearer("/api", own.Access); status != 200 || body != "notes of "+job.ID {
			t.Errorf("API: %d %s", status, body)
		}
		now := float64(h.clock.Now().Unix())
		wantActive(t, "own", job.introspect(own.Access), map[string]any{
			"scope": "notes:read", "client_id": job.ID, "token_type": "Bearer", "sub": job.ID,
			"exp": now + 600, "iat": now, "aud": []any{h.server.URL}, "iss": h.issuer,
		})
		if err := h.provider.Clients().Disable(t.Context(), job.ID); err != nil {
			t.Fatal(err)
		}
		if status := h.api(own.Access); status != 401 {
			t.Errorf("A186: its client is disabled: %d", status)
		}
	})
}

func TestA136A141OpaqueTokensAreNotTakenForEachOther(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, other := h.newApp(opaque), h.newApp(opaque)
		code := partner.code("scope", "openid notes:read offline_access")
		if status := h.api(code); status != 401 {
			t.Errorf("a code at the API: %d", status)
		}
		got := partner.redeem(code)
		if status := h.api(got.Refresh); status != 401 {
			t.Errorf("a refresh token at the API: %d", status)
		}
		wantToken(t, "an access token as refresh token", partner.refresh(got.Access), 400, "invalid_grant")
		wantToken(t, "an access token as code", partner.redeem(got.Access), 400, "invalid_grant")
		if w := other.post("/revoke", "token", got.Access); w.Code != 400 || !jsonError(w, "unauthorized_client") || h.api(got.Access) != 200 {
			t.Errorf("A136: another client revokes it: %d %s", w.Code, w.Body)
		}
		for i, c := range []byte(got.Access[:3]) {
			changed := []byte(got.Access)
			changed[i] = map[bool]byte{true: 'B', false: 'A'}[c == 'A']
			if status := h.api(string(changed)); status != 401 {
				t.Errorf("a changed byte: %d", status)
			}
		}
		if w := partner.post("/revoke", "token", got.Access, "token_type_hint", "refresh_token"); w.Code != 200 || h.api(got.Access) != 401 {
			t.Errorf("A135: with a wrong hint: %d", w.Code)
		}
		if w := partner.post("/revoke", "token", got.Access); w.Code != 200 {
			t.Errorf("A138: once more: %d", w.Code)
		}
	})
}

func TestA86ARaceForOpaqueTokensStoresOnlyTheWinners(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp(opaque)
		code := partner.code("scope", "openid notes:read offline_access")
		var s survivors
		inParallel(20, func(int) { s.got(t, "redeem", partner.redeem(code)) })
		if len(s.tokens) != 1 || h.api(s.tokens[0].Access) != 200 || h.storedTokens() != 1 {
			t.Fatalf("%d redemptions, %d rows", len(s.tokens), h.storedTokens())
		}
		first := s.tokens[0]
		s = survivors{}
		inParallel(20, func(int) { s.got(t, "refresh", partner.refresh(first.Refresh)) })
		for _, got := range s.tokens {
			if status := h.api(got.Access); status != 200 || got.Refresh != s.tokens[0].Refresh {
				t.Errorf("a refreshed token: %d", status)
			}
		}
		if len(s.tokens) != 20 || h.storedTokens() != 21 {
			t.Errorf("%d refreshes, %d rows", len(s.tokens), h.storedTokens())
		}
	})
}

func TestA147AnOpaqueTokenEndsInTimeAndItsRowIsSwept(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp(opaque)
		got := partner.redeem(partner.code("scope", "openid notes:read offline_access"))
		h.clock.advance(10*time.Minute + 59*time.Second)
		if status := h.api(got.Access); status != 200 {
			t.Errorf("within the leeway: %d", status)
		}
		wantInactive(t, "introspection has no leeway", partner.introspect(got.Access))
		runFor(t, h.provider, 0)
		if h.storedTokens() != 1 {
			t.Error("swept while it is honoured")
		}
		h.clock.advance(time.Second)
		if status := h.api(got.Access); status != 401 {
			t.Errorf("after the leeway: %d", status)
		}
		h.clock.advance(5 * time.Minute)
		runUntil(t, h.provider, "the row is swept", func() bool { return h.storedTokens() == 0 })
		if partner.refresh(got.Refresh).status != 200 {
			t.Error("the sweep ended the grant")
		}
	})
}

func TestA178AnOpaqueTokenWithoutTheDatabaseIsAFault(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp(opaque)
		got := partner.redeem(partner.code())
		h.db.Close()
		if status := h.api(got.Access); status != 503 {
			t.Errorf("API: %d", status)
		}
		if w := partner.introspect(got.Access); w.Code != 503 {
			t.Errorf("introspection: %d", w.Code)
		}
		if w := partner.post("/revoke", "token", got.Access); w.Code != 503 {
			t.Errorf("revocation: %d %s", w.Code, fmt.Sprint(w.Body))
		}
	})
}
