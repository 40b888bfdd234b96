package dbtest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

func userinfo(p *lockspire.Provider, token string) *httptest.ResponseRecorder {
	return send(p, "GET", testIssuer+"/userinfo", nil, "Authorization", "Bearer "+token)
}

func TestUserinfoGivesSubjectAndTheHostsClaims(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		config := baseConfig(db, engine)
		clock := newClock()
		config.Now = clock.Now
		var asked lockspire.ClaimsRequest
		config.Accounts = &alwaysAlice{claims: func(request lockspire.ClaimsRequest) (lockspire.Claims, error) {
			asked = request
			return lockspire.Claims{"name": "Alice", "team": "blue"}, nil
		}}
		p := mustNew(t, config)
		client := seed(t, p, db, "Partner", clock.Now())
		token := accessToken(t, db, with(client.claimsOf(clock.Now()), "scope", "openid profile"))
		want := map[string]any{"sub": "alice", "name": "Alice", "team": "blue"}
		for _, method := range []string{"GET", "POST"} {
			w := send(p, method, testIssuer+"/userinfo", nil, "Authorization", "Bearer "+token)
			var got map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %d %s", method, w.Code, w.Body)
			}
			if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s: %v", method, w.Header())
			}
		}
		if asked.IDToken || asked.ClientID != client.client.ID || !asked.Has("profile") || asked.Has("email") {
			t.Errorf("the host was asked %+v", asked)
		}
	})
}

func TestA150ReservedAndUngrantedClaimsAreDroppedAndLoggedOnce(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		config := baseConfig(db, engine)
		clock := newClock()
		config.Now = clock.Now
		var log strings.Builder
		config.Logger = slog.New(slog.NewTextHandler(&log, nil))
		config.Accounts = &alwaysAlice{claims: func(lockspire.ClaimsRequest) (lockspire.Claims, error) {
			return lockspire.Claims{"sub": "mallory", "iss": "x", "aud": "x", "exp": 1, "nonce": "x", "cnf": "x", "scope": "admin",
				"client_id": "x", "email": "alice@example.com", "team": "blue"}, nil
		}}
		p := mustNew(t, config)
		client := seed(t, p, db, "Partner", clock.Now())
		token := accessToken(t, db, client.claimsOf(clock.Now()))
		for range 3 {
			if w := userinfo(p, token); w.Body.String() != `{"sub":"alice","team":"blue"}` {
				t.Errorf("userinfo gives %s", w.Body)
			}
		}
		for _, claim := range []string{"claim=iss", "claim=email"} {
			if n := strings.Count(log.String(), claim); n != 1 {
				t.Errorf("%s was logged %d times", claim, n)
			}
		}
		if strings.Contains(log.String(), "alice@example.com") {
			t.Error("the value of a claim is in the log")
		}
	})
}

func TestA151AccountThatIsGoneHasNoUserinfo(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		config := baseConfig(db, engine)
		clock := newClock()
		config.Now = clock.Now
		subject, answer := "alice", error(lockspire.ErrAccountGone)
		config.Accounts = &alwaysAlice{bySubject: func(context.Context, string) (lockspire.Account, error) {
			return lockspire.Account{Subject: subject}, answer
		}}
		p := mustNew(t, config)
		token := accessToken(t, db, seed(t, p, db, "Partner", clock.Now()).claimsOf(clock.Now()))
		wantChallenge(t, "gone", userinfo(p, token), 401, "invalid_token")
		answer = errors.New("host database is down")
		if w := userinfo(p, token); w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "down") {
			t.Errorf("host fault: %d %s", w.Code, w.Body)
		}
		answer = nil
		if w := userinfo(p, token); w.Code != 200 {
			t.Errorf("back again: %d", w.Code)
		}
		subject = "bob"
		if w := userinfo(p, token); w.Code != 503 || strings.Contains(w.Body.String(), "bob") {
			t.Errorf("the host answered for another account: %d %s", w.Code, w.Body)
		}
	})
}

func TestA152TokenWithoutOpenIDAtUserinfo(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, clock, client := protected(t, db, engine)
		token := accessToken(t, db, with(client.claimsOf(clock.Now()), "scope", "notes:read"))
		w := userinfo(p, token)
		wantChallenge(t, "no openid", w, 403, "insufficient_scope")
		if !strings.Contains(w.Header().Get("WWW-Authenticate"), `scope="openid"`) {
			t.Errorf("challenge %q", w.Header().Get("WWW-Authenticate"))
		}
	})
}

// A host whose resolver reads through the same pool of one connection.
func TestUserinfoAndAppsRunOnAPoolOfOneConnection(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		db.SetMaxOpenConns(1)
		read := func() { count(t, db, "SELECT COUNT(*) FROM lockspire_clients") }
		config := baseConfig(db, engine)
		clock := newClock()
		config.Now = clock.Now
		apps := &lastApps{}
		config.Pages.AuthorizedApps = apps.render
		accounts := &alwaysAlice{}
		accounts.bySubject = func(_ context.Context, subject string) (lockspire.Account, error) {
			read()
			return lockspire.Account{Subject: subject}, nil
		}
		accounts.claims = func(lockspire.ClaimsRequest) (lockspire.Claims, error) {
			read()
			return lockspire.Claims{"team": "blue"}, nil
		}
		config.Accounts = accounts
		config.Events = func(lockspire.Event) { read() }
		p := mustNew(t, config)
		client := seed(t, p, db, "Partner", clock.Now())
		token := accessToken(t, db, client.claimsOf(clock.Now()))
		if w := userinfo(p, token); w.Code != 200 {
			t.Errorf("userinfo: %d", w.Code)
		}
		if w := send(p, "GET", testIssuer+"/apps", nil); w.Code != 200 || len(apps.page.Grants) != 1 {
			t.Errorf("apps: %d", w.Code)
		}
		if w := post(p, testIssuer+"/revoke", revokeForm(client, client.refreshToken)); w.Code != 200 {
			t.Errorf("revoke: %d %s", w.Code, w.Body)
		}
		runFor(t, p, 0)
	})
}

// Userinfo is what openid allows, also to a client that named an API: it asks
// for one token for each (RFC 8707 §2.2).
func TestIssuerNamedAsResourceGivesATokenForUserinfoAlone(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		api := h.server.URL
		code := partner.code("scope", "openid notes:read offline_access", "resource", api)
		got := partner.redeem(code)
		admits := func(name string, token tokens, wantUserinfo, wantAPI int) {
			t.Helper()
			userinfo, _ := h.bearer("/lockspire/userinfo", token.Access)
			if api := h.api(token.Access); userinfo != wantUserinfo || api != wantAPI {
				t.Errorf("%s: userinfo %d, API %d (%s)", name, userinfo, api, token.raw)
			}
		}
		admits("for the API", got, 401, 200)
		admits("for userinfo", partner.refresh(got.Refresh, "resource", h.issuer), 200, 401)
		wantToken(t, "both", partner.refresh(got.Refresh, "resource", h.issuer, "resource", api), 400, "invalid_target")
		wantToken(t, "without openid", partner.refresh(got.Refresh, "resource", h.issuer, "scope", "notes:read"), 400, "invalid_target")
		plain := partner.redeem(partner.code("scope", "notes:read", "resource", api))
		wantToken(t, "never openid", partner.refresh(plain.Refresh, "resource", h.issuer), 400, "invalid_target")
	})
}
