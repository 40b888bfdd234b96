package dbtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

const inactive = `{"active":false}`

// introspect asks about a token with the app's own credentials.
func (a *app) introspect(token string, pairs ...string) *httptest.ResponseRecorder {
	a.h.t.Helper()
	form := url.Values{"token": {token}}
	headers := []string{"Content-Type", "application/x-www-form-urlencoded", "Authorization", a.basic()}
	for i := 0; i < len(pairs); i += 2 {
		if name, ok := strings.CutPrefix(pairs[i], ":"); ok {
			headers = append(headers, name, pairs[i+1])
		} else {
			form.Add(pairs[i], pairs[i+1])
		}
	}
	return send(a.h.provider, "POST", a.h.issuer+"/introspect", strings.NewReader(form.Encode()), headers...)
}

// serves registers the server of an API, which signs nobody in.
func serves(resource string) func(*lockspire.NewClient) {
	return func(n *lockspire.NewClient) {
		// newApp keeps the first redirect URI; this client never uses it.
		n.GrantTypes, n.IntrospectsFor = []string{"authorization_code"}, []string{resource}
	}
}

func wantActive(t *testing.T, name string, w *httptest.ResponseRecorder, want map[string]any) {
	t.Helper()
	if w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%s: %d %v", name, w.Code, w.Header())
	}
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%s: %v: %s", name, err, w.Body)
	}
	want["active"] = true
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s:\n%v\nwant\n%v", name, got, want)
	}
}

func wantInactive(t *testing.T, name string, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code != http.StatusOK || w.Body.String() != inactive || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %d %s %v", name, w.Code, w.Body, w.Header())
	}
}

func TestIntrospectionTellsTheClientAndTheResourceServer(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, job := h.newApp(), h.newApp(machine)
		server := h.newApp(serves(strings.ToUpper(h.server.URL[:5]) + h.server.URL[5:] + "/"))
		got := partner.redeem(partner.code("scope", "openid notes:read offline_access"))
		claims := claimsIn(t, got.Access)
		access := map[string]any{
			"scope": "openid notes:read offline_access", "client_id": partner.ID, "token_type": "Bearer", "sub": "alice", "acr": "1",
			"exp": claims["exp"], "iat": claims["iat"], "aud": claims["aud"], "iss": h.issuer, "jti": claims["jti"],
		}
		wantActive(t, "own access token", partner.introspect(got.Access), access)
		wantActive(t, "access token at its resource server", server.introspect(got.Access), access)
		wantActive(t, "own refresh token", partner.introspect(got.Refresh), map[string]any{
			"scope": "openid notes:read offline_access", "client_id": partner.ID, "sub": "alice", "iss": h.issuer,
			"iat": float64(h.clock.Now().Unix()), "exp": float64(h.clock.Now().Add(30 * 24 * time.Hour).Unix()),
		})
		wantInactive(t, "refresh token at a resource server", server.introspect(got.Refresh))
		own := job.ownToken("scope", "notes:read")
		claims = claimsIn(t, own.Access)
		wantActive(t, "client's own token", server.introspect(own.Access), map[string]any{
			"scope": "notes:read", "client_id": job.ID, "token_type": "Bearer", "sub": job.ID,
			"exp": claims["exp"], "iat": claims["iat"], "aud": claims["aud"], "iss": h.issuer, "jti": claims["jti"],
		})
	})
}

func TestA132IntrospectionNeedsAConfidentialClient(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, open := h.newApp(), h.newApp(public)
		token := open.redeem(open.code()).Access
		form := "application/x-www-form-urlencoded"
		for name, w := range map[string]*httptest.ResponseRecorder{
			"nobody":       send(h.provider, "POST", h.issuer+"/introspect", strings.NewReader("token="+token), "Content-Type", form),
			"public":       send(h.provider, "POST", h.issuer+"/introspect", strings.NewReader("client_id="+open.ID+"&token="+token), "Content-Type", form),
			"wrong secret": send(h.provider, "POST", h.issuer+"/introspect", strings.NewReader("token="+token), "Content-Type", form, "Authorization", "Basic eDp5"),
			"a bearer":     send(h.provider, "POST", h.issuer+"/introspect", strings.NewReader("token="+token), "Content-Type", form, "Authorization", "Bearer "+token),
		} {
			if w.Code != 401 || !jsonError(w, "invalid_client") || strings.Contains(w.Body.String(), "active") {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
		}
		post := func(query, body, mediaType string) *httptest.ResponseRecorder {
			return send(h.provider, "POST", h.issuer+"/introspect"+query, strings.NewReader(body), "Content-Type", mediaType, "Authorization", partner.basic())
		}
		for name, w := range map[string]*httptest.ResponseRecorder{
			"no token":         post("", "", form),
			"A19 two tokens":   post("", "token=a&token=b", form),
			"A63 JSON":         post("", `{"token":"a"}`, "application/json"),
			"A64 in the query": post("?token=a", "token=a", form),
		} {
			if w.Code != 400 || !jsonError(w, "invalid_request") {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
		}
		for _, method := range []string{"GET", "OPTIONS"} {
			w := send(h.provider, method, h.issuer+"/introspect", nil, "Origin", "https://evil.example")
			if w.Code != 405 || w.Header().Get("Allow") != "POST" || w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("A26, A170: %s answers %d %v", method, w.Code, w.Header())
			}
		}
	})
}

func TestA133WhatTheCallerMayNotKnowIsInactive(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, other := h.newApp(), h.newApp()
		server, billing := h.newApp(serves(h.server.URL)), h.newApp(serves("https://billing.example/api"))
		unknown := h.newApp(serves("https://unknown.example/api"))
		got := partner.redeem(partner.code("scope", "openid notes:read offline_access"))
		claims := claimsIn(t, got.Access)
		sign := func(pairs ...any) string {
			changed := map[string]any{}
			for name, value := range claims {
				changed[name] = value
			}
			for i := 0; i < len(pairs); i += 2 {
				changed[pairs[i].(string)] = pairs[i+1]
			}
			return forge(t, h.db, "ES256", "at+jwt", changed)
		}
		if w := server.introspect(sign()); !strings.Contains(w.Body.String(), `"active":true`) {
			t.Fatalf("the token as it is: %s", w.Body)
		}
		for name, w := range map[string]*httptest.ResponseRecorder{
			"another client's access token":    other.introspect(got.Access),
			"another client's refresh token":   other.introspect(got.Refresh),
			"for another resource":             billing.introspect(got.Access),
			"for a resource nobody configured": unknown.introspect(sign("aud", "https://unknown.example/api")),
			"for two resources":                server.introspect(sign("aud", []string{h.server.URL, "https://billing.example/api"})),
			"for the issuer alone":             server.introspect(sign("aud", h.issuer)),
			"wrong issuer":                     partner.introspect(sign("iss", "https://other.example")),
			"unknown family":                   partner.introspect(sign("fid", "fam_x")),
			"another client's family":          other.introspect(sign("client_id", other.ID)),
			"expired":                          partner.introspect(sign("exp", h.clock.Now().Unix())),
			"issued ahead":                     partner.introspect(sign("iat", h.clock.Now().Add(2*time.Minute).Unix())),
			"ID token":                         partner.introspect(got.ID),
			"unknown":                          partner.introspect("nothing-of-ours"),
			"no JWT of ours":                   partner.introspect("a.b.c"),
			"A81 long":                         partner.introspect(strings.Repeat("a.", 9000)),
		} {
			wantInactive(t, name, w)
		}
		rotated := got.Refresh
		partner.refresh(rotated)
		wantInactive(t, "rotated refresh token", partner.introspect(rotated))
		h.clock.advance(9*time.Minute + 59*time.Second)
		if w := partner.introspect(got.Access); !strings.Contains(w.Body.String(), `"active":true`) {
			t.Errorf("a second before its end: %s", w.Body)
		}
		h.clock.advance(time.Second)
		wantInactive(t, "at its end", partner.introspect(got.Access))
	}, twoResources)
}

func TestA134ScanningForTokensIsSlowedDown(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, other := h.newApp(), h.newApp()
		got := partner.redeem(partner.code())
		revoke := func(token string) int {
			return send(h.provider, "POST", h.issuer+"/revoke", strings.NewReader("token="+token), "Content-Type", "application/x-www-form-urlencoded", "Authorization", partner.basic()).Code
		}
		for i := range 60 {
			if i%2 == 0 {
				wantInactive(t, "a guess", partner.introspect(fmt.Sprint("guess-", i)))
			} else if status := revoke(fmt.Sprint("guess-", i)); status != 200 {
				t.Errorf("a guess at revoke: %d", status)
			}
			if w := partner.introspect(got.Access); !strings.Contains(w.Body.String(), `"active":true`) && i < 59 {
				t.Fatalf("an honest question after %d guesses: %d %s", i+1, w.Code, w.Body)
			}
		}
		w := partner.introspect("guess")
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" || revoke("guess") != http.StatusTooManyRequests {
			t.Errorf("the 61st guess: %d %v; or at revoke", w.Code, w.Header())
		}
		wantInactive(t, "another client", other.introspect("guess"))
		h.clock.advance(time.Minute)
		wantInactive(t, "a minute later", partner.introspect("guess"))
	}, func(config *lockspire.Config) { config.ClientIP = func(*http.Request) string { return "192.0.2.1" } })
}

func TestA135IntrospectionIgnoresTheHint(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		got := partner.redeem(partner.code("scope", "openid offline_access"))
		for _, hint := range []string{"access_token", "refresh_token", "saml", ""} {
			for _, token := range []string{got.Access, got.Refresh} {
				if w := partner.introspect(token, "token_type_hint", hint); !strings.Contains(w.Body.String(), `"active":true`) {
					t.Errorf("hint %q: %s", hint, w.Body)
				}
			}
		}
	})
}

func TestA139IntrospectionFeelsEveryRevocation(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, server := h.newApp(), h.newApp(serves(h.server.URL))
		for _, c := range []struct {
			name string
			end  func(tokens)
			// refreshLives: the refresh token is not touched by it.
			refreshLives bool
		}{
			{"access token revoked", func(got tokens) { partner.post("/revoke", "token", got.Access) }, true},
			{"refresh token revoked", func(got tokens) { partner.post("/revoke", "token", got.Refresh) }, false},
			{"consent withdrawn", func(tokens) {
				grants, err := h.provider.Grants(t.Context(), "alice")
				if err != nil || len(grants) != 1 {
					t.Fatalf("grants %v, %v", grants, err)
				}
				if err := h.provider.RevokeGrant(t.Context(), "alice", grants[0].ID); err != nil {
					t.Fatal(err)
				}
			}, false},
			{"client disabled", func(tokens) {
				if err := h.provider.Clients().Disable(t.Context(), partner.ID); err != nil {
					t.Fatal(err)
				}
			}, false},
		} {
			got := partner.redeem(partner.code("scope", "openid notes:read offline_access"))
			if w := server.introspect(got.Access); !strings.Contains(w.Body.String(), `"active":true`) {
				t.Fatalf("%s, before: %s", c.name, w.Body)
			}
			c.end(got)
			wantInactive(t, c.name, server.introspect(got.Access))
			if c.name == "client disabled" {
				continue
			}
			wantInactive(t, c.name+", own", partner.introspect(got.Access))
			if w := partner.introspect(got.Refresh); strings.Contains(w.Body.String(), `"active":true`) != c.refreshLives {
				t.Errorf("%s, refresh token: %s", c.name, w.Body)
			}
		}
	})
}

func TestA178IntrospectionWithoutTheDatabaseIsAFault(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		got := partner.redeem(partner.code())
		h.db.Close()
		if w := partner.introspect(got.Access); w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "active") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func TestIntrospectionByAResourceServerCountsAsUse(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, server := h.newApp(), h.newApp(serves(h.server.URL))
		got := partner.redeem(partner.code("scope", "notes:read"))
		h.clock.advance(2 * time.Hour)
		// The refreshed token is new; the grant's row was just written, so the
		// clock moves on once more.
		got = partner.refresh(got.Refresh)
		mustExec(t, h.db, "UPDATE lockspire_grants SET last_used_at = 1")
		server.introspect(got.Access)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.provider.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_grants WHERE last_used_at = $1", h.clock.Now().UnixMicro()); n != 1 {
			t.Error("the grant does not look used")
		}
	})
}
