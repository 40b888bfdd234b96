package dbtest

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// wantCodeRefused demands that a code was refused for want of proof: recorded, and
// nothing revoked.
func (h *host) wantCodeRefused(t *testing.T, name string, got tokens, flaw string, refused *int) {
	t.Helper()
	wantToken(t, name, got, 400, "invalid_grant")
	if got.Access+got.Refresh+got.ID != "" {
		t.Errorf("%s: %s", name, got.raw)
	}
	*refused++
	if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_audit WHERE name = 'code.refused'"); n != *refused {
		t.Errorf("%s: %d code.refused rows, want %d", name, n, *refused)
	}
	if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_audit WHERE name = 'code.refused' AND detail LIKE $1", "%"+flaw+"%"); n == 0 {
		t.Errorf("%s: no row says %s", name, flaw)
	}
	if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_families WHERE revoked_at IS NOT NULL"); n != 0 {
		t.Errorf("%s: %d families were ended", name, n)
	}
}

func TestA89TheThiefGetsNothingAndTheRightfulClientItsTokens(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		refused := 0
		for name, thief := range map[string]*app{
			"confidential": h.newApp(), "public": h.newApp(public),
			"with the victim's redirect URI": h.newApp(func(n *lockspire.NewClient) { n.RedirectURIs = []string{partner.redirectURI} }),
		} {
			code := partner.code("scope", "openid notes:read offline_access")
			// The thief even has the verifier.
			h.wantCodeRefused(t, name, thief.redeem(code), "client", &refused)
			h.wantCodeRefused(t, name+", its own redirect URI left out", thief.redeem(code, "redirect_uri", ""), "client", &refused)
			if got := partner.redeem(code); got.status != http.StatusOK {
				t.Errorf("%s: the rightful client: %s", name, got.raw)
			}
		}
		if n := h.audited("code.redeemed"); n != 3 {
			t.Errorf("%d redemptions", n)
		}
	})
}

func TestA90OnlyTheVerifierOfTheChallengeIsProof(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		refused := 0
		for name, verifier := range map[string]string{
			"missing": "", "wrong": wrongVerifier, "the challenge itself": challengeOf(testVerifier), "other case": strings.ToUpper(testVerifier),
			"42 characters": testVerifier[:42], "129 characters": strings.Repeat("a", 129), "64 KiB less": strings.Repeat("a", 60000),
			"a space": testVerifier[:42] + " ", "a plus": testVerifier[:42] + "+", "padding": testVerifier + "=", "not ASCII": testVerifier + "é",
			"an extra character": testVerifier + "A", "line break": testVerifier + "%0A",
		} {
			code := partner.code()
			h.wantCodeRefused(t, name, partner.redeem(code, "code_verifier", "", "code_verifier", verifier), "code_verifier", &refused)
			if got := partner.redeem(code); got.status != http.StatusOK {
				t.Errorf("%s: afterwards, with proof: %s", name, got.raw)
			}
		}
		// Both ends of what RFC 7636 §4.1 allows.
		for _, verifier := range []string{strings.Repeat("-._~", 11)[:43], strings.Repeat("a", 128)} {
			code := partner.code("code_challenge", challengeOf(verifier))
			if got := partner.redeem(code, "code_verifier", "", "code_verifier", verifier); got.status != http.StatusOK {
				t.Errorf("%d characters: %s", len(verifier), got.raw)
			}
		}
	})
}

func TestA92AnyOtherRedirectURIIsRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp(func(n *lockspire.NewClient) {
			n.RedirectURIs = []string{"https://partner.example/cb", "https://partner.example/other", "http://127.0.0.1/cb"}
		})
		refused := 0
		for _, other := range []string{
			"https://partner.example/other", "https://partner.example/cb/", "https://partner.example/CB", "https://PARTNER.example/cb", "https://partner.example:443/cb",
			"https://partner.example/cb?", "https://partner.example/cb#", "https://partner.example/%63b", "https://partner.example/./cb", "x", " https://partner.example/cb",
		} {
			code := partner.code()
			h.wantCodeRefused(t, other, partner.redeem(code, "redirect_uri", "", "redirect_uri", other), "redirect_uri", &refused)
			if got := partner.redeem(code); got.status != http.StatusOK {
				t.Errorf("%s: afterwards: %s", other, got.raw)
			}
		}
		// The port is free at authorize, and then it is what was asked for.
		loopback := *partner
		loopback.redirectURI = "http://127.0.0.1:4711/cb"
		h.wantCodeRefused(t, "another port", loopback.redeem(loopback.code(), "redirect_uri", "", "redirect_uri", "http://127.0.0.1:4712/cb"), "redirect_uri", &refused)
		if got := loopback.redeem(loopback.code()); got.status != http.StatusOK {
			t.Errorf("its own port: %s", got.raw)
		}
	})
}

func TestA97GrantTypeRemovedAndClientDeletedSinceAuthorize(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		code := partner.code("scope", "openid notes:read offline_access")
		mustExec(t, h.db, `UPDATE lockspire_clients SET grant_types = '["refresh_token"]' WHERE id = $1`, partner.ID)
		wantToken(t, "authorization_code removed", partner.redeem(code), 400, "unauthorized_client")
		mustExec(t, h.db, `UPDATE lockspire_clients SET grant_types = '["authorization_code"]' WHERE id = $1`, partner.ID)
		if got := partner.redeem(code); got.status != http.StatusOK || got.Refresh != "" {
			t.Errorf("refresh_token removed: %s", got.raw)
		}
		deleted := h.newApp(public)
		code = deleted.code()
		for _, table := range []string{"codes", "refresh_tokens", "families", "interactions", "grants", "client_secrets"} {
			mustExec(t, h.db, "DELETE FROM lockspire_"+table+" WHERE client_id = $1", deleted.ID)
		}
		mustExec(t, h.db, "DELETE FROM lockspire_clients WHERE id = $1", deleted.ID)
		wantToken(t, "client deleted", deleted.redeem(code), 401, "invalid_client")
	})
}

// The host is asked while no connection is held: it may need one itself.
func TestA97TheHostIsAskedOutsideTheTransaction(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			var open, asked atomic.Int32
			db := openSpied(t, engine, newDSN(t, engine), func(_ context.Context, c *spiedConn, query string, _ []driver.NamedValue) error {
				switch {
				case strings.HasPrefix(query, "BEGIN IMMEDIATE"):
					open.Add(1)
				case query == "COMMIT", query == "ROLLBACK":
					open.Add(-1)
				}
				return nil
			})
			if err := lockspire.Migrate(t.Context(), db, engine, ""); err != nil {
				t.Fatal(err)
			}
			h := newHost(t, db, engine)
			partner := h.newApp()
			code := partner.code("scope", "openid profile notes:read offline_access")
			h.people.visit = func(context.Context) error {
				asked.Add(1)
				if engine == lockspire.SQLite && open.Load() > 0 {
					t.Error("the host is asked inside a transaction")
				}
				if n := db.Stats().InUse; n != 0 {
					t.Errorf("the host is asked while %d connections are held", n)
				}
				return nil
			}
			got := partner.redeem(code)
			partner.refresh(got.Refresh)
			h.bearer("/lockspire/userinfo", got.Access)
			if asked.Load() < 4 {
				t.Errorf("the host was asked %d times", asked.Load())
			}
		})
	}
}

func TestA98AtHashIsOfTheAccessTokenByTheAlgorithmsHash(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		for _, alg := range []string{"RS256", "ES256"} {
			partner := h.newApp(func(n *lockspire.NewClient) { n.IDTokenAlg = alg })
			first := partner.redeem(partner.code("scope", "openid offline_access notes:read"))
			second := partner.refresh(first.Refresh)
			for name, got := range map[string]tokens{"code": first, "refresh": second} {
				sum := sha256.Sum256([]byte(got.Access))
				if want := base64.RawURLEncoding.EncodeToString(sum[:16]); claimsIn(t, got.ID)["at_hash"] != want {
					t.Errorf("%s, %s: at_hash %v, want %s", alg, name, claimsIn(t, got.ID)["at_hash"], want)
				}
			}
			narrowed := partner.refresh(second.Refresh, "scope", "notes:read")
			if narrowed.status != http.StatusOK || narrowed.ID != "" {
				t.Errorf("%s: without openid: %s", alg, narrowed.raw)
			}
		}
	})
}

func TestA107OfflineAccessIsAskedForEachTimeAndAnnouncedTruly(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		partner.consentTo(b, "alice", "scope", "openid notes:read offline_access")
		if p := b.follow(b.get(partner.authorizeURL("scope", "openid notes:read offline_access"))); !p.isConsent() {
			t.Errorf("asked again: %d to %q", p.status, p.location)
		}
		partner.wantError(t, "without a page", b.get(partner.authorizeURL("scope", "openid notes:read offline_access", "prompt", "none")), "consent_required")
		denied := b.decide(partner.consentPage(b, "alice", "scope", "openid notes:read offline_access"), lockspire.DecisionDeny)
		partner.wantLeft(t, "denied", denied, "error", "access_denied")
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_refresh_tokens"); n != 0 {
			t.Errorf("%d refresh tokens without a redeemed consent", n)
		}
		server := h.newBrowser().get(h.issuer + "/.well-known/openid-configuration").body
		if !strings.Contains(server, `"refresh_token"`) || !strings.Contains(server, `"offline_access"`) {
			t.Errorf("not announced: %s", server)
		}
		// No resource understands it (MCP SEP-2207).
		if resource := h.newBrowser().get(h.server.URL + "/.well-known/oauth-protected-resource").body; strings.Contains(resource, "offline_access") {
			t.Errorf("announced by the resource: %s", resource)
		}
	})
}

func TestA108WithdrawnConsentKillsTheFamilyAndIsOnRecord(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, other := h.newApp(), h.newApp()
		first, second, others := partner.firstTokens(), partner.firstTokens(), other.firstTokens()
		grants, err := h.provider.Grants(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(grants, func(g lockspire.Grant) bool { return g.ClientID == partner.ID })
		for _, subject := range []string{"bob", "alice", "alice"} {
			if err := h.provider.RevokeGrant(t.Context(), subject, grants[i].ID); err != nil {
				t.Fatal(err)
			}
			if subject == "bob" && h.api(first.Access) != http.StatusOK {
				t.Error("somebody else withdrew the consent")
			}
		}
		for name, got := range map[string]tokens{"first": first, "second": second} {
			wantToken(t, name, partner.refresh(got.Refresh), 400, "invalid_grant")
			if h.api(got.Access) != http.StatusUnauthorized {
				t.Errorf("%s: the access token lives on", name)
			}
			wantInactive(t, name, partner.introspect(got.Refresh))
		}
		if n := h.audited("grant.revoked"); n != 1 {
			t.Errorf("%d grant.revoked rows", n)
		}
		if got := other.refresh(others.Refresh); got.status != http.StatusOK {
			t.Errorf("another client's: %s", got.raw)
		}
		h.clock.advance(time.Second)
		if again := partner.firstTokens(); h.api(again.Access) != http.StatusOK {
			t.Error("a new consent does not count")
		}
	})
}
