package dbtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// announced is the server metadata as a client reads it.
func (h *host) announced(t *testing.T) map[string]any {
	t.Helper()
	p := h.newBrowser().get(h.server.URL + "/.well-known/oauth-authorization-server/lockspire")
	var metadata map[string]any
	if err := json.Unmarshal([]byte(p.body), &metadata); err != nil || p.status != http.StatusOK {
		t.Fatalf("%d %v", p.status, err)
	}
	return metadata
}

// A168: a member that is absent may mean yes, so these are always written, with
// what is true.
func TestA168MembersWhoseAbsenceMeansYesAreWritten(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		metadata := h.announced(t)
		for name, want := range map[string]any{
			"issuer": h.issuer, "request_uri_parameter_supported": false, "request_parameter_supported": false, "claims_parameter_supported": true,
			"require_request_uri_registration": false, "authorization_response_iss_parameter_supported": true,
			"grant_types_supported":                         []any{"authorization_code", "refresh_token", "client_credentials"},
			"response_types_supported":                      []any{"code"},
			"response_modes_supported":                      []any{"query", "form_post"},
			"code_challenge_methods_supported":              []any{"S256"},
			"subject_types_supported":                       []any{"public"},
			"token_endpoint_auth_methods_supported":         []any{"none", "client_secret_basic", "client_secret_post"},
			"revocation_endpoint_auth_methods_supported":    []any{"none", "client_secret_basic", "client_secret_post"},
			"introspection_endpoint_auth_methods_supported": []any{"client_secret_basic", "client_secret_post"},
			"scopes_supported":                              []any{"openid", "offline_access", "profile", "email", "notes:read", "notes:write"},
		} {
			if got, ok := metadata[name]; !ok || !reflect.DeepEqual(got, want) {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		for name := range metadata {
			for _, off := range []string{"registration_endpoint", "pushed_authorization", "device_authorization", "end_session", "backchannel", "frontchannel",
				"dpop", "tls_client", "mtls", "check_session", "authorization_details", "client_id_metadata", "signed_metadata", "encryption", "request_object"} {
				if strings.Contains(name, off) {
					t.Errorf("%s announces what is off", name)
				}
			}
		}
		oidc := h.newBrowser().get(h.issuer + "/.well-known/openid-configuration").body
		if other := h.newBrowser().get(h.server.URL + "/.well-known/oauth-authorization-server/lockspire").body; other != oidc {
			t.Error("the two documents differ")
		}
	})
}

// Whatever is announced is there and works.
func TestA168WhatIsAnnouncedWorks(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		metadata := h.announced(t)
		list := func(name string) (all []string) {
			for _, value := range metadata[name].([]any) {
				all = append(all, value.(string))
			}
			return all
		}
		b := h.newBrowser()
		b.signIn("alice")
		for name, value := range metadata {
			endpoint, ok := value.(string)
			if !ok || !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" {
				continue
			}
			if p := b.get(endpoint); p.status == http.StatusNotFound || !strings.HasPrefix(endpoint, h.issuer+"/") {
				t.Errorf("%s %s: %d", name, endpoint, p.status)
			}
		}
		for _, method := range list("token_endpoint_auth_methods_supported") {
			a := h.newApp(func(n *lockspire.NewClient) { n.AuthMethod = method })
			if got := a.redeem(a.code("scope", "openid offline_access")); got.status != http.StatusOK || a.refresh(got.Refresh).status != http.StatusOK {
				t.Errorf("%s: %s", method, got.raw)
			}
		}
		partner := h.newApp()
		for _, mode := range list("response_modes_supported") {
			p := b.get(partner.authorizeURL("response_mode", mode, "scope", "nonsense"))
			if mode == "query" && p.answer(t).Get("error") != "invalid_scope" || mode == "form_post" && !strings.Contains(p.body, `value="invalid_scope"`) {
				t.Errorf("%s: %d to %q", mode, p.status, p.location)
			}
		}
		for _, alg := range list("id_token_signing_alg_values_supported") {
			a := h.newApp(func(n *lockspire.NewClient) { n.IDTokenAlg = alg })
			if got := a.redeem(a.code()); got.ID == "" {
				t.Errorf("%s: %s", alg, got.raw)
			}
		}
		for _, grant := range list("grant_types_supported") {
			if got := partner.token("grant_type", grant); got.Error == "unsupported_grant_type" {
				t.Errorf("%s: %s", grant, got.raw)
			}
		}
		for _, prompt := range list("prompt_values_supported") {
			if p := b.get(partner.authorizeURL("prompt", prompt)); p.status != http.StatusSeeOther && !p.isConsent() {
				t.Errorf("prompt %s: %d", prompt, p.status)
			}
		}
		for _, scope := range list("scopes_supported") {
			if p := b.get(partner.authorizeURL("scope", scope, "prompt", "none")); p.answer(t).Get("error") == "invalid_scope" {
				t.Errorf("scope %s is refused", scope)
			}
		}
	})
}

// A host whose configuration has less announces less.
func TestA168TheDocumentFollowsTheConfiguration(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		metadata := h.announced(t)
		if got := fmt.Sprint(metadata["scopes_supported"]); got != "[openid offline_access notes:read]" {
			t.Errorf("scopes %s", got)
		}
		if got := fmt.Sprint(metadata["protected_resources"]); got != "[https://elsewhere.example/api]" {
			t.Errorf("resources %s", got)
		}
		for _, claim := range []string{"email", "name"} {
			if claims := fmt.Sprint(metadata["claims_supported"]); strings.Contains(claims, " "+claim+" ") {
				t.Errorf("%s is announced: %s", claim, claims)
			}
		}
		if !slices.Contains(metadata["claims_supported"].([]any), any("badge")) {
			t.Errorf("claims %v", metadata["claims_supported"])
		}
		// Its own origin has no document for a resource that is elsewhere.
		if p := h.newBrowser().get(h.server.URL + "/.well-known/oauth-protected-resource/api"); p.status != http.StatusNotFound {
			t.Errorf("a document for another origin: %d", p.status)
		}
	}, func(c *lockspire.Config) {
		c.Scopes = []lockspire.Scope{{Name: "notes:read"}}
		c.Claims = []string{"badge"}
		c.Resources = []lockspire.Resource{{Identifier: "https://elsewhere.example/api"}}
	})
}

// reserved are the names that a host cannot set, wherever its claims go.
var reserved = []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "nonce", "auth_time", "acr", "amr", "azp", "at_hash", "c_hash", "s_hash",
	"sid", "cnf", "scope", "client_id", "act", "may_act", "fid", "events", "authorization_details", "_claim_names", "_claim_sources"}

func TestA150NoReservedClaimIsTheHostsInAnyToken(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		given := lockspire.Claims{"team": "blue", "email": "alice@example.com", "phone_number": "1"}
		for _, name := range reserved {
			given[name] = "forged"
		}
		h.people.claims = func(lockspire.ClaimsRequest) lockspire.Claims { return given }
		partner := h.newApp()
		got := partner.redeem(partner.code("scope", "openid notes:read offline_access"))
		refreshed := partner.refresh(got.Refresh)
		for name, token := range map[string]string{"ID token": got.ID, "refreshed ID token": refreshed.ID, "access token": got.Access, "refreshed access token": refreshed.Access} {
			claims := claimsIn(t, token)
			for claim, value := range claims {
				if value == "forged" || claim == "email" || claim == "phone_number" {
					t.Errorf("%s has %s %v", name, claim, value)
				}
			}
			if claims["iss"] != h.issuer || claims["sub"] != "alice" {
				t.Errorf("%s: %v", name, claims)
			}
			if (claims["team"] == "blue") != strings.Contains(name, "ID") {
				t.Errorf("%s: team %v", name, claims["team"])
			}
		}
		for range 2 {
			if status, body := h.bearer("/lockspire/userinfo", refreshed.Access); status != http.StatusOK || body != `{"sub":"alice","team":"blue"}` {
				t.Errorf("userinfo: %d %s", status, body)
			}
		}
		for _, name := range append(slices.Clone(reserved), "email", "phone_number") {
			if n := strings.Count(h.logs.String(), "claim="+name+"\n"); n != 1 {
				t.Errorf("%s was logged %d times", name, n)
			}
		}
		if strings.Contains(h.logs.String(), "forged") || strings.Contains(h.logs.String(), "alice@example.com") {
			t.Error("the value of a claim is in the log")
		}
	})
}

// Nothing of a request is in a challenge, and what the configuration has in it is
// one quoted string on one line.
func TestA149ChallengesRepeatNothingOfTheRequest(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		protect := api(h.provider, lockspire.RequireScope("notes:read"), lockspire.ForResource(`https://app.example/a"b%0d%0aSet-Cookie:x=y/\z`))
		want := `Bearer error="invalid_token", error_description="the access token is expired, revoked or not for this resource", scope="notes:read"`
		odd := "https://x.example/" + url.PathEscape("a\r\nSet-Cookie: x=y\"") + "?scope=" + url.QueryEscape("\"\r\nX: y") + "&error=x"
		for name, authorization := range map[string]string{"garbage": "Bearer abc", "a quote": `Bearer a"b`, "an equals sign": "Bearer a=b,realm=x", "very long": "Bearer " + strings.Repeat("a.", 9000)} {
			w := send(protect, "GET", odd, nil, "Authorization", authorization, "X-Forwarded-Host", `evil"`, "Origin", "https://evil.example")
			challenge := w.Header().Get("WWW-Authenticate")
			for _, bad := range []string{"evil", "Set-Cookie: x", "X: y", "realm", "abc"} {
				if strings.Contains(challenge, bad) {
					t.Errorf("%s: %q", name, challenge)
				}
			}
			if len(w.Header().Values("WWW-Authenticate")) != 1 || w.Header().Get("Set-Cookie") != "" || strings.Count(strings.ReplaceAll(challenge, `\"`, ""), `"`)%2 != 0 {
				t.Errorf("%s: headers %v", name, w.Header())
			}
			if w.Code == http.StatusUnauthorized && challenge != want {
				t.Errorf("%s: %q, want %q", name, challenge, want)
			}
		}
		// A control byte in a header is refused by net/http before anybody reads it.
		partner := h.newApp()
		token := partner.redeem(partner.code()).Access
		for _, path := range []string{"/api", "/lockspire/userinfo"} {
			p := h.newBrowser().get(h.server.URL+path+"?x=%0d%0aSet-Cookie:x", "Authorization", "Bearer "+token+"x")
			if p.status != http.StatusUnauthorized || p.header.Get("Set-Cookie") != "" {
				t.Errorf("%s: %d %v", path, p.status, p.header)
			}
		}
	}, func(c *lockspire.Config) {
		origin := strings.TrimSuffix(c.Issuer, "/lockspire")
		c.Resources = []lockspire.Resource{{Identifier: origin}, {Identifier: `https://app.example/a"b%0d%0aSet-Cookie:x=y/\z`}}
	})
}
