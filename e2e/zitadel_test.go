package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/client/rs"
	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// zitadelRP is a web app that signs people in with zitadel's handlers, and
// keeps state and verifier in cookies as those do.
func zitadelRP(t *testing.T, h *host) {
	app := httptest.NewUnstartedServer(nil)
	redirect := "http://" + app.Listener.Addr().String() + "/callback"
	id, secret := h.register("--name", "zitadel", "--redirect-uri", redirect)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()

	cookies := httphelper.NewCookieHandler([]byte(rand.Text())[:16], []byte(rand.Text())[:16], httphelper.WithUnsecure())
	party, err := rp.NewRelyingPartyOIDC(ctx, h.issuer, id, secret, redirect,
		[]string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeOfflineAccess},
		rp.WithPKCEFromDiscovery(cookies), rp.WithSigningAlgsFromDiscovery(),
		// Without it, refresh and revocation send the secret in the body,
		// which is not how the client is registered.
		rp.WithAuthStyle(oauth2.AuthStyleInHeader))
	if err != nil {
		t.Fatal(err)
	}
	if !party.IsPKCE() {
		t.Error("the library does not find in the metadata that there is PKCE")
	}
	var tokens *oidc.Tokens[*oidc.IDTokenClaims]
	var name string
	mux := http.NewServeMux()
	mux.Handle("/login", rp.AuthURLHandler(rand.Text, party))
	mux.Handle("/callback", rp.CodeExchangeHandler(rp.UserinfoCallback(
		func(w http.ResponseWriter, r *http.Request, got *oidc.Tokens[*oidc.IDTokenClaims], state string, party rp.RelyingParty, info *oidc.UserInfo) {
			tokens, name = got, info.Name
		}), party))
	app.Config.Handler = mux
	app.Start()
	defer app.Close()

	if status, body := throughZitadel(t, h, app.URL, lockspire.DecisionDeny, nil); status != http.StatusInternalServerError || tokens != nil {
		t.Errorf("denied: %d %s", status, body)
	}
	if status, _ := throughZitadel(t, h, app.URL, lockspire.DecisionApprove, func(q url.Values) { q.Set("code", "wrong") }); status != http.StatusUnauthorized || tokens != nil {
		t.Errorf("a wrong code: %d", status)
	}
	if status, body := throughZitadel(t, h, app.URL, lockspire.DecisionApprove, nil); status != http.StatusOK || tokens == nil {
		t.Fatalf("signing in: %d %s", status, body)
	}
	if tokens.IDTokenClaims.Subject != "user-7" || name != "Alice" {
		t.Errorf("sub %q, name %q", tokens.IDTokenClaims.Subject, name)
	}
	first := tokens.RefreshToken
	for range 2 {
		if tokens, err = rp.RefreshTokens[*oidc.IDTokenClaims](ctx, party, tokens.RefreshToken, "", ""); err != nil {
			t.Fatal(err)
		}
	}
	if tokens.RefreshToken == first || tokens.IDTokenClaims.Subject != "user-7" {
		t.Errorf("refreshed: %+v", tokens)
	}
	active := func(want bool) {
		t.Helper()
		server, err := rs.NewResourceServerClientCredentials(ctx, h.issuer, id, secret)
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := rs.Introspect[*oidc.IntrospectionResponse](ctx, server, tokens.AccessToken); err != nil || answer.Active != want {
			t.Errorf("introspection: %+v (%v), want active %v", answer, err, want)
		}
	}
	active(true)
	if err := rp.RevokeToken(ctx, party, tokens.RefreshToken, "refresh_token"); err != nil {
		t.Fatal(err)
	}
	active(false)
	var refused *oidc.Error
	if _, err := rp.RefreshTokens[*oidc.IDTokenClaims](ctx, party, tokens.RefreshToken, "", ""); !errors.As(err, &refused) || refused.ErrorType != "invalid_grant" {
		t.Errorf("after revocation: %v", err)
	}
}

// throughZitadel goes from the app's login to its callback, in one browser at
// the app and another at the host.
func throughZitadel(t *testing.T, h *host, app, decision string, change func(url.Values)) (int, string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := browser.Get(app + "/login")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	back := signInAndDecide(t, h, response.Header.Get("Location"), decision)
	if change != nil {
		query := back.Query()
		change(query)
		back.RawQuery = query.Encode()
	}
	if response, err = browser.Get(back.String()); err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}
