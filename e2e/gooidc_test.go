package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// completeFlow is a relying party as its library's documentation writes one.
func completeFlow(t *testing.T, h *host, id, secret string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	provider, err := oidc.NewProvider(ctx, h.issuer)
	if err != nil {
		t.Fatal(err)
	}
	config := oauth2.Config{
		ClientID: id, ClientSecret: secret, RedirectURL: callbackURL,
		Endpoint: provider.Endpoint(), Scopes: []string{oidc.ScopeOpenID, "profile", oidc.ScopeOfflineAccess},
	}
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	answer := signInAndAllow(t, h, config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)))
	if answer.Get("state") != state || answer.Get("iss") != h.issuer {
		t.Fatalf("the answer is %v", answer)
	}
	token, err := config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	checkIDToken(t, ctx, provider, id, token, nonce)

	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Name string }
	if err := info.Claims(&claims); err != nil || info.Subject != "user-7" || claims.Name != "Alice" {
		t.Errorf("userinfo is %q %q (%v)", info.Subject, claims.Name, err)
	}

	expired := &oauth2.Token{RefreshToken: token.RefreshToken, Expiry: time.Now().Add(-time.Minute)}
	refreshed, err := config.TokenSource(ctx, expired).Token()
	if err != nil {
		t.Fatal(err)
	}
	if refreshed.AccessToken == token.AccessToken || refreshed.RefreshToken == token.RefreshToken {
		t.Error("refresh returned a token that was there before")
	}
	checkIDToken(t, ctx, provider, id, refreshed, "")
}

func checkIDToken(t *testing.T, ctx context.Context, provider *oidc.Provider, clientID string, token *oauth2.Token, nonce string) {
	t.Helper()
	raw, _ := token.Extra("id_token").(string)
	idToken, err := provider.Verifier(&oidc.Config{ClientID: clientID}).Verify(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	if idToken.Subject != "user-7" || idToken.Nonce != nonce {
		t.Errorf("the ID token has sub %q and nonce %q, want user-7 and %q", idToken.Subject, idToken.Nonce, nonce)
	}
	if err := idToken.VerifyAccessToken(token.AccessToken); err != nil {
		t.Errorf("at_hash: %v", err)
	}
}

// actAsService gets a token in the client's own name, for the host's API.
func actAsService(t *testing.T, h *host, id, secret string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	config := clientcredentials.Config{
		ClientID: id, ClientSecret: secret, TokenURL: h.issuer + "/token", Scopes: []string{"notes:read"},
		EndpointParams: url.Values{"resource": {h.url + "/api"}},
	}
	response, err := config.Client(ctx).Get(h.url + "/api/notes")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK || string(body) != "the notes" {
		t.Errorf("the API answered %d %s", response.StatusCode, body)
	}

	config.ClientSecret = "wrong"
	var refused *oauth2.RetrieveError
	if _, err := config.Token(ctx); !errors.As(err, &refused) || refused.ErrorCode != "invalid_client" {
		t.Errorf("a wrong secret: %v", err)
	}
}
