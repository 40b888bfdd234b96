package dbtest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	lockspire "github.com/lockspire/lockspire/runtime"
)

const parallel = 50

func TestA86ParallelRedemptionIssuesOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		code := partner.code("scope", "openid offline_access notes:read")
		// Everyone has read the unused code before anyone claims it.
		h.people.visit = newGate(parallel).wait
		replicas := []*app{partner, partner.on(h.replica())}
		var mu sync.Mutex
		var won []tokens
		inParallel(parallel, func(i int) {
			got := replicas[i%2].redeem(code)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case got.status == http.StatusOK:
				won = append(won, got)
			case got.status != http.StatusBadRequest || got.Error != "invalid_grant":
				t.Errorf("a loser got %s", got.raw)
			}
		})
		if len(won) != 1 {
			t.Fatalf("%d redemptions succeeded", len(won))
		}
		if status := h.api(won[0].Access); status != http.StatusOK {
			t.Errorf("the winner's access token answers %d", status)
		}
		if refreshed := partner.refresh(won[0].Refresh); refreshed.status != http.StatusOK {
			t.Errorf("the winner's refresh token answers %s", refreshed.raw)
		}
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_refresh_tokens WHERE parent_id IS NULL"); n != 1 {
			t.Errorf("%d first refresh tokens", n)
		}
		if n := h.audited("code.redeemed"); n != 1 {
			t.Errorf("%d code.redeemed rows", n)
		}
	})
}

func TestA87ReplayRevokesEverythingTheCodeIssued(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		code := partner.code("scope", "openid offline_access notes:read")
		first := partner.redeem(code)
		h.clock.advance(time.Second)
		if again := partner.redeem(code); again.Error != "invalid_grant" {
			t.Fatalf("second redemption: %s", again.raw)
		}
		if status := h.api(first.Access); status != http.StatusOK {
			t.Fatalf("a double submission ended the family: API %d", status)
		}
		if n := h.audited("code.replayed"); n != 1 {
			t.Errorf("%d code.replayed rows", n)
		}
		h.clock.advance(time.Second)
		if again := partner.redeem(code); again.Error != "invalid_grant" {
			t.Fatalf("replay: %s", again.raw)
		}
		if status := h.api(first.Access); status != http.StatusUnauthorized {
			t.Errorf("access token after replay: API %d", status)
		}
		if refreshed := partner.refresh(first.Refresh); refreshed.Error != "invalid_grant" {
			t.Errorf("refresh token after replay: %s", refreshed.raw)
		}
		if n := h.audited("code.replayed"); n != 2 {
			t.Errorf("%d code.replayed rows", n)
		}
	})
}

// The tombstone outlives the code, so that a late replay is seen (A181).
func TestA87ReplayIsSeenAfterTheCodeExpired(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		code := partner.code("scope", "openid offline_access notes:read")
		first := partner.redeem(code)
		h.clock.advance(5 * time.Minute)
		if again := partner.redeem(code); again.Error != "invalid_grant" {
			t.Fatalf("replay: %s", again.raw)
		}
		if status := h.api(first.Access); status != http.StatusUnauthorized {
			t.Errorf("access token after replay: API %d", status)
		}
	})
}

func TestA88AttemptWithoutProofRevokesNothingAndTheFifthBurns(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, other := h.newApp(), h.newApp()
		wrong := []func(code string) tokens{
			func(code string) tokens { return other.redeem(code, "redirect_uri", "") },
			func(code string) tokens {
				return partner.redeem(code, "code_verifier", "", "code_verifier", wrongVerifier)
			},
			func(code string) tokens {
				return partner.redeem(code, "redirect_uri", "", "redirect_uri", "https://partner.example/other")
			},
			func(code string) tokens { return partner.redeem(code, "code_verifier", "") },
		}
		code := partner.code()
		for _, attempt := range wrong {
			if got := attempt(code); got.Error != "invalid_grant" || got.status != http.StatusBadRequest {
				t.Fatalf("attempt without proof: %s", got.raw)
			}
		}
		if n := h.audited("code.refused"); n != 4 {
			t.Errorf("%d code.refused rows", n)
		}
		if got := partner.redeem(code); got.status != http.StatusOK {
			t.Fatalf("after four failures: %s", got.raw)
		}
		burned := partner.code()
		for range 5 {
			other.redeem(burned, "redirect_uri", "")
		}
		if got := partner.redeem(burned); got.Error != "invalid_grant" {
			t.Fatalf("after five failures: %s", got.raw)
		}
	})
}

func TestA89CodeOfAnotherClientIsRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, other := h.newApp(), h.newApp(public)
		code := partner.code()
		if got := other.redeem(code); got.Error != "invalid_grant" || got.status != http.StatusBadRequest {
			t.Fatalf("another client's code: %s", got.raw)
		}
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_audit WHERE name = 'code.refused' AND client_id = $1", other.ID); n != 1 {
			t.Errorf("%d audit rows name the other client", n)
		}
	})
}

func TestA90BadVerifiersAreRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		for name, verifier := range map[string]string{
			"wrong": wrongVerifier, "42 characters": testVerifier[:42], "129 characters": strings.Repeat("a", 129), "a space": testVerifier[:42] + " ",
		} {
			code := partner.code()
			if got := partner.redeem(code, "code_verifier", "", "code_verifier", verifier); got.Error != "invalid_grant" {
				t.Errorf("%s: %s", name, got.raw)
			}
		}
	})
}

func TestA92RedirectURIMayBeLeftOut(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		if got := partner.redeem(partner.code(), "redirect_uri", ""); got.status != http.StatusOK {
			t.Fatalf("without redirect_uri: %s", got.raw)
		}
	})
}

func TestA93OldAndMangledCodesAreRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		code := partner.code("scope", "openid offline_access")
		for name, mangled := range map[string]string{
			"truncated": code[:42], "extended": code + "A", "other case": strings.ToUpper(code), "empty shape": strings.Repeat("A", 43), "with NUL": code + "\x00",
		} {
			want := "invalid_grant"
			if name == "with NUL" {
				want = "invalid_request"
			}
			if got := partner.redeem(mangled); got.Error != want {
				t.Errorf("%s: %s", name, got.raw)
			}
		}
		refresh := partner.redeem(code).Refresh
		if got := partner.redeem(refresh); got.Error != "invalid_grant" {
			t.Errorf("a refresh token as code: %s", got.raw)
		}
		late := partner.code()
		h.clock.advance(time.Minute)
		if got := partner.redeem(late); got.Error != "invalid_grant" {
			t.Errorf("after 60 seconds: %s", got.raw)
		}
	})
}

func TestA94ResourceMayOnlyNarrow(t *testing.T) {
	resources := func(c *lockspire.Config) {
		c.Resources = []lockspire.Resource{{Identifier: "https://api.example/notes"}, {Identifier: "https://api.example/mail"}}
	}
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		got := partner.redeem(partner.code(), "resource", "https://api.example/mail")
		if got.Error != "invalid_target" || got.status != http.StatusBadRequest {
			t.Errorf("beyond what was approved: %s", got.raw)
		}
		if aud := claimsIn(t, partner.redeem(partner.code()).Access)["aud"]; !sameList(aud, "https://api.example/notes", h.issuer) {
			t.Errorf("no resource named: aud %v", aud)
		}
		code := partner.code("resource", "HTTPS://API.example/mail")
		if aud := claimsIn(t, partner.redeem(code).Access)["aud"]; !sameList(aud, "https://api.example/mail") {
			t.Errorf("one resource named: aud %v", aud)
		}
	}, resources)
}

func TestA95ScopeAtCodeExchangeIsIgnored(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		if got := partner.redeem(partner.code(), "scope", "notes:write"); got.status != http.StatusOK || got.Scope != "openid notes:read" {
			t.Fatalf("scope at exchange: %s", got.raw)
		}
	})
}

func TestA97WhatChangedSinceAuthorizeCounts(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		code := partner.code()
		h.people.set(func(p *people) { p.gone["alice"] = true })
		if got := partner.redeem(code); got.Error != "invalid_grant" || got.status != http.StatusBadRequest {
			t.Errorf("user gone: %s", got.raw)
		}
		h.people.set(func(p *people) { p.gone["alice"] = false })
		grants, err := h.provider.Grants(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		code = partner.code()
		if err := h.provider.RevokeGrant(t.Context(), "alice", grants[0].ID); err != nil {
			t.Fatal(err)
		}
		if got := partner.redeem(code); got.Error != "invalid_grant" {
			t.Errorf("consent withdrawn: %s", got.raw)
		}
		code = partner.code()
		if err := h.provider.Clients().Disable(t.Context(), partner.ID); err != nil {
			t.Fatal(err)
		}
		if got := partner.redeem(code); got.Error != "invalid_client" || got.status != http.StatusUnauthorized {
			t.Errorf("client disabled: %s", got.raw)
		}
	})
}

// The account may go between two callbacks of one request; whichever says so is
// believed.
func TestA97AndA108AccountThatGoesBeforeItsClaimsGetsNoTokens(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		refresh := partner.firstTokens().Refresh
		code := partner.code("scope", "openid notes:read")
		before := h.people.count("Claims")
		h.people.visit = func(context.Context) error {
			if h.people.count("Claims") > before {
				return fmt.Errorf("users: %w", lockspire.ErrAccountGone)
			}
			return nil
		}
		wantToken(t, "code", partner.redeem(code), 400, "invalid_grant")
		before = h.people.count("Claims")
		wantToken(t, "refresh", partner.refresh(refresh), 400, "invalid_grant")
	})
}

func TestA98IDTokenOnlyWithOpenID(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		if got := partner.redeem(partner.code("scope", "notes:read")); got.status != http.StatusOK || got.ID != "" {
			t.Errorf("without openid: %s", got.raw)
		}
		nonce := `n<>&"' é`
		if claims := claimsIn(t, partner.redeem(partner.code("nonce", nonce)).ID); claims["nonce"] != nonce {
			t.Errorf("nonce %q", claims["nonce"])
		}
		if claims := claimsIn(t, partner.redeem(partner.code("nonce", "")).ID); claims["nonce"] != nil {
			t.Errorf("a nonce was invented: %v", claims)
		}
	})
}

func sameList(got any, want ...string) bool {
	list, ok := got.([]any)
	if !ok || len(list) != len(want) {
		return false
	}
	for i := range want {
		if list[i] != want[i] {
			return false
		}
	}
	return true
}

func TestIDTokenAlgorithmIsTheClients(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		for alg, want := range map[string]string{"": "RS256", "RS256": "RS256", "ES256": "ES256"} {
			partner := h.newApp(func(n *lockspire.NewClient) { n.IDTokenAlg = alg })
			issuer, err := oidc.NewProvider(oidc.ClientContext(t.Context(), h.server.Client()), h.issuer)
			if err != nil {
				t.Fatal(err)
			}
			verifier := issuer.Verifier(&oidc.Config{ClientID: partner.ID, SupportedSigningAlgs: []string{want}, Now: h.clock.Now})
			got := partner.redeem(partner.code())
			idToken, err := verifier.Verify(t.Context(), got.ID)
			if err != nil {
				t.Errorf("registered %q: %v", alg, err)
				continue
			}
			if err := idToken.VerifyAccessToken(got.Access); err != nil {
				t.Errorf("A98 at_hash: %v", err)
			}
		}
	})
}
