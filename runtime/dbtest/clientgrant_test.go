package dbtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// machine is a client without users.
func machine(n *lockspire.NewClient) {
	n.RedirectURIs = []string{"https://partner.example/cb"}
	n.GrantTypes = []string{"client_credentials"}
	n.Scopes = []string{"notes:read", "notes:write"}
}

func (a *app) ownToken(pairs ...string) tokens {
	a.h.t.Helper()
	return a.token(append([]string{"grant_type", "client_credentials"}, pairs...)...)
}

// twoResources adds a second API to the default one.
func twoResources(config *lockspire.Config) {
	origin := strings.TrimSuffix(config.Issuer, "/lockspire")
	config.Resources = []lockspire.Resource{{Identifier: origin}, {Identifier: "https://billing.example/api"}}
}

func TestA111ClientCredentialsGiveAnAccessTokenAndNothingElse(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		job := h.newApp(machine)
		got := job.ownToken("scope", "notes:write notes:read")
		if got.status != http.StatusOK || got.Type != "Bearer" || got.Expires != 600 || got.Scope != "notes:write notes:read" {
			t.Fatalf("token response %s", got.raw)
		}
		if got.header.Get("Cache-Control") != "no-store" || strings.Contains(got.raw, "refresh_token") || strings.Contains(got.raw, "id_token") {
			t.Errorf("token response %s with headers %v", got.raw, got.header)
		}
		claims := claimsIn(t, got.Access)
		if claims["sub"] != job.ID || claims["client_id"] != job.ID || claims["fid"] != nil || claims["auth_time"] != nil || fmt.Sprint(claims["aud"]) != "["+h.server.URL+"]" {
			t.Errorf("claims %v", claims)
		}
		if n := h.audited("client_token.issued"); n != 1 {
			t.Errorf("%d audit rows", n)
		}
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_families") + count(t, h.db, "SELECT COUNT(*) FROM lockspire_grants"); n != 0 {
			t.Errorf("%d rows of grants and families without a user", n)
		}
		// No scope named: the defaults, said back.
		if got := job.ownToken(); got.Scope != "notes:read" {
			t.Errorf("default scope: %s", got.raw)
		}
		if calls := h.people.count("AccountBySubject") + h.people.count("Claims"); calls != 0 {
			t.Errorf("the host was asked %d times about a user who is none", calls)
		}
	})
}

func TestA111WhatClientCredentialsRefuse(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		both := func(n *lockspire.NewClient) {
			n.GrantTypes = []string{"authorization_code", "refresh_token", "client_credentials"}
		}
		job, mixed, interactive := h.newApp(machine), h.newApp(both), h.newApp()
		bare := h.newApp(machine, func(n *lockspire.NewClient) { n.Scopes = []string{"notes:write"} })
		// A public client cannot be registered with the grant; a row that says
		// so all the same is refused again.
		open := h.newApp(public, func(n *lockspire.NewClient) { n.GrantTypes = []string{"authorization_code"} })
		mustExec(t, h.db, `UPDATE lockspire_clients SET grant_types = '["authorization_code","client_credentials"]' WHERE id = $1`, open.ID)
		for _, c := range []struct {
			name   string
			got    tokens
			status int
			code   string
		}{
			{"public client", open.ownToken("scope", "notes:read"), 400, "unauthorized_client"},
			{"client without the grant", interactive.ownToken("scope", "notes:read"), 400, "unauthorized_client"},
			{"openid", mixed.ownToken("scope", "openid notes:read"), 400, "invalid_scope"},
			{"offline_access", mixed.ownToken("scope", "notes:read offline_access"), 400, "invalid_scope"},
			{"scope not allowed", job.ownToken("scope", "email"), 400, "invalid_scope"},
			{"unknown scope", job.ownToken("scope", "notes:shred"), 400, "invalid_scope"},
			{"malformed scope", job.ownToken("scope", `a"b`), 400, "invalid_scope"},
			{"no default scope", bare.ownToken(), 400, "invalid_scope"},
			{"wrong secret", job.ownToken(":Authorization", "Basic eDp5"), 401, "invalid_client"},
			{"unknown resource", job.ownToken("scope", "notes:read", "resource", "https://evil.example"), 400, "invalid_target"},
			{"two resources", job.ownToken("scope", "notes:read", "resource", h.server.URL, "resource", "https://billing.example/api"), 400, "invalid_target"},
			{"authorization code with it", job.redeem(strings.Repeat("a", 43)), 400, "unauthorized_client"},
			{"refresh with it", job.refresh(strings.Repeat("a", 43)), 400, "unauthorized_client"},
		} {
			if c.got.status != c.status || c.got.Error != c.code || c.got.Access != "" {
				t.Errorf("%s: %s", c.name, c.got.raw)
			}
		}
		if n := h.audited("client_token.issued"); n != 0 {
			t.Errorf("%d audit rows of tokens that were refused", n)
		}
		if got := mixed.ownToken(); got.Scope != "notes:read" {
			t.Errorf("defaults of a client that also has users: %s", got.raw)
		}
		p := h.newBrowser().get(job.authorizeURL())
		if p.status != http.StatusSeeOther || p.answer(t).Get("error") != "unauthorized_client" {
			t.Errorf("authorize for a client without users: %d %s", p.status, p.location)
		}
	}, twoResources)
}

func TestA111TheTokenIsForOneResource(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		job := h.newApp(machine)
		billing := job.ownToken("scope", "notes:read", "resource", "HTTPS://Billing.example/api")
		if aud := fmt.Sprint(claimsIn(t, billing.Access)["aud"]); aud != "[https://billing.example/api]" {
			t.Errorf("aud %s", aud)
		}
		if h.api(billing.Access) != http.StatusUnauthorized {
			t.Error("a token for another resource is admitted")
		}
		if aud := fmt.Sprint(claimsIn(t, job.ownToken().Access)["aud"]); aud != "["+h.server.URL+"]" {
			t.Errorf("default aud %s", aud)
		}
	}, twoResources)
}

func TestA112ClientTokensSayThatThereIsNoUser(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		job, partner := h.newApp(machine), h.newApp()
		if !strings.HasPrefix(job.ID, "client_") {
			t.Errorf("client id %q could be a user's subject", job.ID)
		}
		seen := make(chan lockspire.AccessToken, 1)
		api := h.provider.Protect(lockspire.RequireScope("notes:read"))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, _ := lockspire.TokenFrom(r.Context())
			seen <- *token
		}))
		own := job.ownToken("scope", "notes:read")
		if w := send(api, "GET", "https://x.example/api", nil, "Authorization", "Bearer "+own.Access); w.Code != 200 {
			t.Fatalf("Protect answers %d", w.Code)
		}
		token := <-seen
		if !token.ClientOnly || token.Subject != job.ID || token.ClientID != job.ID || token.GrantID != "" || !slices.Equal(token.Scopes, []string{"notes:read"}) {
			t.Errorf("token %+v", token)
		}
		user := partner.redeem(partner.code())
		send(api, "GET", "https://x.example/api", nil, "Authorization", "Bearer "+user.Access)
		if token := <-seen; token.ClientOnly || token.Subject != "alice" || token.GrantID == "" {
			t.Errorf("a user's token %+v", token)
		}
		if w := send(api, "GET", "https://x.example/api", nil, "Authorization", "Bearer "+job.ownToken("scope", "notes:write").Access); w.Code != 403 {
			t.Errorf("without the scope: %d", w.Code)
		}
		// A token that names a user but no family is nobody's.
		forged := forge(t, h.db, "ES256", "at+jwt", map[string]any{
			"iss": h.issuer, "sub": "alice", "aud": h.server.URL, "client_id": job.ID, "scope": "notes:read", "jti": "x",
			"iat": h.clock.Now().Unix(), "exp": h.clock.Now().Add(time.Minute).Unix(),
		})
		if h.api(forged) != http.StatusUnauthorized {
			t.Error("a token with a user and no family is admitted")
		}
	})
}

func TestA152ClientTokenAtUserinfo(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		own := h.newApp(machine).ownToken("scope", "notes:read")
		w := send(h.provider, "GET", h.issuer+"/userinfo", nil, "Authorization", "Bearer "+own.Access)
		wantChallenge(t, "userinfo", w, http.StatusForbidden, "insufficient_scope")
		if !strings.Contains(w.Header().Get("WWW-Authenticate"), `scope="openid"`) {
			t.Errorf("challenge %q", w.Header().Get("WWW-Authenticate"))
		}
		// For the issuer's own URL as a resource the audience still counts.
		if api := h.provider.Protect(lockspire.ForResource(h.issuer)); send(api(http.NotFoundHandler()), "GET", "https://x.example", nil, "Authorization", "Bearer "+own.Access).Code != 401 {
			t.Error("a token for the API is admitted at another resource")
		}
	}, func(config *lockspire.Config) {
		config.Resources = []lockspire.Resource{{Identifier: strings.TrimSuffix(config.Issuer, "/lockspire")}, {Identifier: config.Issuer}}
	})
}

func TestA151ClientTokensStopWithTheirClient(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		job, other := h.newApp(machine), h.newApp(machine)
		got, twin := job.ownToken(), job.ownToken()
		if h.api(got.Access) != http.StatusOK {
			t.Fatal("a fresh token is refused")
		}
		revoke := func(a *app) int {
			return send(h.provider, "POST", h.issuer+"/revoke", strings.NewReader("token="+got.Access),
				"Content-Type", "application/x-www-form-urlencoded", "Authorization", a.basic()).Code
		}
		if status := revoke(other); status != 400 || h.api(got.Access) != http.StatusOK {
			t.Errorf("revoked by another client: %d", status)
		}
		if status := revoke(job); status != 200 || h.api(got.Access) != http.StatusUnauthorized || h.api(twin.Access) != http.StatusOK {
			t.Errorf("revoked by its client: %d; or it lives, or its twin does not", status)
		}
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_audit WHERE name = 'access_token.revoked' AND client_id = $1 AND subject IS NULL", job.ID); n != 1 {
			t.Errorf("%d audit rows of the revocation without a subject", n)
		}
		mustExec(t, h.db, `UPDATE lockspire_clients SET grant_types = '["authorization_code"]' WHERE id = $1`, job.ID)
		if h.api(twin.Access) != http.StatusUnauthorized {
			t.Error("the token outlives the grant type")
		}
		mustExec(t, h.db, `UPDATE lockspire_clients SET grant_types = '["client_credentials"]' WHERE id = $1`, job.ID)
		if err := h.provider.Clients().Disable(t.Context(), job.ID); err != nil {
			t.Fatal(err)
		}
		if h.api(twin.Access) != http.StatusUnauthorized {
			t.Error("the token outlives its client")
		}
		mustExec(t, h.db, "DELETE FROM lockspire_clients WHERE id = $1", job.ID)
		if h.api(twin.Access) != http.StatusUnauthorized {
			t.Error("the token outlives its client's row")
		}
		long := other.ownToken()
		h.clock.advance(12 * time.Minute)
		if h.api(long.Access) != http.StatusUnauthorized {
			t.Error("the token outlives its time")
		}
		h.db.Close()
		if status := h.api(long.Access); status != 401 {
			t.Errorf("expired, database down: %d", status)
		}
	})
}

func TestClientsWithoutUsersAreRegisteredWithoutRedirects(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		clients := h.provider.Clients()
		for name, c := range map[string]struct {
			n    lockspire.NewClient
			want string
		}{
			"good":             {lockspire.NewClient{Name: "Job", GrantTypes: []string{"client_credentials"}, Scopes: []string{"a"}}, ""},
			"no scope":         {lockspire.NewClient{Name: "Job", GrantTypes: []string{"client_credentials"}}, "Scopes: "},
			"openid":           {lockspire.NewClient{Name: "Job", GrantTypes: []string{"client_credentials"}, Scopes: []string{"openid"}}, "Scopes: "},
			"public":           {lockspire.NewClient{Name: "Job", GrantTypes: []string{"client_credentials"}, Scopes: []string{"a"}, AuthMethod: "none"}, "GrantTypes: "},
			"refresh beside":   {lockspire.NewClient{Name: "Job", GrantTypes: []string{"client_credentials", "refresh_token"}, Scopes: []string{"a"}}, "GrantTypes: "},
			"users, no return": {lockspire.NewClient{Name: "Job", GrantTypes: []string{"client_credentials", "authorization_code"}, Scopes: []string{"a"}}, "RedirectURIs: "},
		} {
			_, _, err := clients.Create(t.Context(), c.n)
			if (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
