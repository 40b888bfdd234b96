package dbtest

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// The whole path once: signed out, login bounce, resume, consent, code,
// tokens, userinfo, API, refresh, revocation by the user.
func TestCodeFlowFromLoginToRevokedGrant(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		p := b.get(partner.authorizeURL("scope", "openid profile notes:read offline_access"))
		if p.status != http.StatusSeeOther || !strings.HasPrefix(p.location, h.server.URL+"/login?") {
			t.Fatalf("signed out: %d to %s", p.status, p.location)
		}
		login, _ := url.Parse(p.location)
		back, id := login.Query().Get("return_to"), login.Query().Get("interaction_id")
		if id == "" || back != "/lockspire/interactions/"+id {
			t.Fatalf("return_to %q, interaction_id %q", back, id)
		}
		consent := b.follow(b.signIn("alice", "return_to", back))
		if !consent.isConsent() || !strings.Contains(consent.body, "account=alice client=Partner host=partner.example") {
			t.Fatalf("no consent page: %d %s", consent.status, consent.body)
		}
		left := b.decide(consent, lockspire.DecisionApprove)
		answer := left.answer(t)
		if left.status != http.StatusOK || answer.Get("state") != "st-1" || answer.Get("iss") != h.issuer {
			t.Fatalf("leave page %d with %v", left.status, answer)
		}
		got := partner.redeem(answer.Get("code"))
		if got.status != http.StatusOK || got.Type != "Bearer" || got.Scope != "openid profile notes:read offline_access" || got.Refresh == "" || got.Expires != 600 {
			t.Fatalf("token response %s", got.raw)
		}
		id0 := claimsIn(t, got.ID)
		if id0["sub"] != "alice" || id0["aud"] != partner.ID || id0["iss"] != h.issuer || id0["nonce"] != "n-1" || id0["sid"] == nil || id0["at_hash"] == nil {
			t.Fatalf("ID token %v", id0)
		}
		if status, body := h.bearer("/lockspire/userinfo", got.Access); status != http.StatusOK || !strings.Contains(body, `"name":"ALICE"`) {
			t.Fatalf("userinfo %d %s", status, body)
		}
		if status := h.api(got.Access); status != http.StatusOK {
			t.Fatalf("API %d", status)
		}
		refreshed := partner.refresh(got.Refresh)
		if refreshed.status != http.StatusOK || refreshed.Refresh == got.Refresh || refreshed.ID == "" {
			t.Fatalf("refresh %s", refreshed.raw)
		}
		grants, err := h.provider.Grants(t.Context(), "alice")
		if err != nil || len(grants) != 1 {
			t.Fatalf("grants %v, %v", grants, err)
		}
		if err := h.provider.RevokeGrant(t.Context(), "alice", grants[0].ID); err != nil {
			t.Fatal(err)
		}
		if status := h.api(refreshed.Access); status != http.StatusUnauthorized {
			t.Fatalf("API after revocation: %d", status)
		}
		if again := partner.refresh(refreshed.Refresh); again.Error != "invalid_grant" {
			t.Fatalf("refresh after revocation: %s", again.raw)
		}
	})
}

// The client library most Go programs use completes the flow against
// discovery alone.
func TestGoOIDCCompletesCodeFlowRefreshAndUserinfo(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		ctx := oidc.ClientContext(t.Context(), h.server.Client())
		issuer, err := oidc.NewProvider(ctx, h.issuer)
		if err != nil {
			t.Fatal(err)
		}
		config := oauth2.Config{
			ClientID: partner.ID, ClientSecret: partner.secret, RedirectURL: partner.redirectURI,
			Endpoint: issuer.Endpoint(), Scopes: []string{oidc.ScopeOpenID, "profile", oidc.ScopeOfflineAccess},
		}
		verifier := oauth2.GenerateVerifier()
		b.signIn("alice")
		consent := b.follow(b.get(config.AuthCodeURL("state-2", oidc.Nonce("nonce-2"), oauth2.S256ChallengeOption(verifier))))
		answer := b.decide(consent, lockspire.DecisionApprove).answer(t)
		token, err := config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(verifier))
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := token.Extra("id_token").(string)
		idToken, err := issuer.Verifier(&oidc.Config{ClientID: partner.ID, Now: h.clock.Now}).Verify(ctx, raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := idToken.VerifyAccessToken(token.AccessToken); err != nil || idToken.Nonce != "nonce-2" || idToken.Subject != "alice" {
			t.Fatalf("ID token of %q with nonce %q: %v", idToken.Subject, idToken.Nonce, err)
		}
		info, err := issuer.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil || info.Subject != "alice" {
			t.Fatalf("userinfo %+v, %v", info, err)
		}
		refreshed, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
		if err != nil || refreshed.RefreshToken == token.RefreshToken || refreshed.AccessToken == token.AccessToken {
			t.Fatalf("refresh: %v", err)
		}
	})
}

// A host may run on one connection, with a resolver that uses it too.
func TestEveryFlowRunsOnAPoolOfOneConnection(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		h.db.SetMaxOpenConns(1)
		h.people.visit = func(ctx context.Context) error {
			var n int
			return h.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM lockspire_clients").Scan(&n)
		}
		partner := h.newApp()
		got := partner.redeem(partner.code("scope", "openid offline_access notes:read"))
		if got.status != http.StatusOK {
			t.Fatalf("redeem: %s", got.raw)
		}
		inParallel(8, func(int) {
			if again := partner.refresh(got.Refresh); again.status != http.StatusOK {
				t.Errorf("refresh: %s", again.raw)
			}
		})
		if status := h.api(got.Access); status != http.StatusOK {
			t.Errorf("API %d", status)
		}
		if status, _ := h.bearer("/lockspire/userinfo", got.Access); status != http.StatusOK {
			t.Errorf("userinfo %d", status)
		}
	})
}

func TestHostCallbacksAreCalledOncePerRequest(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		code := partner.code("scope", "openid offline_access")
		before := map[string]int{"AccountBySubject": h.people.count("AccountBySubject"), "Claims": h.people.count("Claims")}
		partner.redeem(code)
		for name, n := range before {
			if calls := h.people.count(name) - n; calls != 1 {
				t.Errorf("%s was called %d times for one token request", name, calls)
			}
		}
	})
}
