package dbtest

import (
	"database/sql"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// vault is an API that demands a strong and recent sign-in.
func (h *host) vault(options ...lockspire.ProtectOption) http.Handler {
	return api(h.provider, append([]lockspire.ProtectOption{
		lockspire.RequireACR("2", "urn:example:phr"), lockspire.RequireMaxAge(5 * time.Minute), lockspire.RequireScope("notes:read"),
	}, options...)...)
}

// wantStepUp checks the challenge of RFC 9470 §3.
func wantStepUp(t *testing.T, name string, h http.Handler, token string) {
	t.Helper()
	w := send(h, "GET", "https://x.example/vault", nil, "Authorization", "Bearer "+token)
	wantChallenge(t, name, w, http.StatusUnauthorized, "insufficient_user_authentication")
	for _, param := range []string{`acr_values="2 urn:example:phr"`, `max_age="300"`, `scope="notes:read"`, `resource_metadata="`} {
		if !strings.Contains(w.Header().Get("WWW-Authenticate"), param) {
			t.Errorf("%s: challenge %q lacks %s", name, w.Header().Get("WWW-Authenticate"), param)
		}
	}
}

func TestA146AnOldOrWeakSignInIsSentBackForAStrongerOne(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		h.stepUp(t, h.newApp())
		h.stepUp(t, h.newApp(func(n *lockspire.NewClient) { n.OpaqueAccessTokens = true }))
	})
}

func (h *host) stepUp(t *testing.T, partner *app) {
	b := h.newBrowser()
	signIn := func(acr string, ago time.Duration, pairs ...string) page {
		p := b.signIn("alice", append(pairs, "auth_time", strconv.FormatInt(h.clock.Now().Add(-ago).Unix(), 10))...)
		h.people.set(func(p *people) {
			for id, account := range p.sessions {
				account.ACR = acr
				p.sessions[id] = account
			}
		})
		return p
	}
	signIn("1", time.Minute)
	weak := partner.redeem(partner.consentTo(b, "alice", "scope", "openid notes:read offline_access"))
	wantStepUp(t, "weak", h.vault(), weak.Access)
	if h.api(weak.Access) != http.StatusOK {
		t.Error("the token was ended by asking for more than it has")
	}
	signIn("2", 6*time.Minute)
	old := partner.redeem(partner.consentTo(b, "alice", "scope", "openid notes:read"))
	wantStepUp(t, "old", h.vault(), old.Access)
	wantStepUp(t, "a refreshed token of the weak sign-in", h.vault(), partner.refresh(weak.Refresh).Access)

	// The client asks for what the challenge said, and the host is told.
	p := b.follow(b.get(partner.authorizeURL("scope", "openid notes:read", "acr_values", "2 urn:example:phr", "max_age", "300")))
	if need := h.people.interaction().Need; !need.Reauthenticate || need.MaxAge == nil || *need.MaxAge != 5*time.Minute || strings.Join(need.ACRValues, " ") != "2 urn:example:phr" {
		t.Fatalf("the host was told %+v at %s", need, p.at)
	}
	signIn("2", 0)
	fresh := partner.redeem(partner.consentTo(b, "alice", "scope", "openid notes:read", "acr_values", "2 urn:example:phr", "max_age", "300"))
	if w := send(h.vault(), "GET", "https://x.example/vault", nil, "Authorization", "Bearer "+fresh.Access); w.Code != http.StatusOK {
		t.Fatalf("after the step-up: %d %s", w.Code, w.Header().Get("WWW-Authenticate"))
	}
	h.clock.advance(5 * time.Minute)
	if w := send(h.vault(), "GET", "https://x.example/vault", nil, "Authorization", "Bearer "+fresh.Access); w.Code != http.StatusOK {
		t.Errorf("at its greatest age: %d", w.Code)
	}
	h.clock.advance(time.Second)
	wantStepUp(t, "a second older", h.vault(), fresh.Access)
}

// What nobody said about a sign-in meets no demand, and neither does a client
// that signs nobody in.
func TestA146UnknownSignInsAndClientsDoNotPass(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, job := h.newApp(), h.newApp(machine)
		good := claimsIn(t, partner.redeem(partner.code()).Access)
		good["acr"], good["auth_time"] = "2", h.clock.Now().Unix()
		if w := send(h.vault(), "GET", "https://x.example/vault", nil, "Authorization", "Bearer "+accessToken(t, h.db, good)); w.Code != http.StatusOK {
			t.Fatalf("the good token: %d %s", w.Code, w.Body)
		}
		wantStepUp(t, "no acr", h.vault(), accessToken(t, h.db, with(good, "acr", nil)))
		wantStepUp(t, "no auth_time", h.vault(), accessToken(t, h.db, with(good, "auth_time", nil)))
		wantStepUp(t, "acr in another case", h.vault(), accessToken(t, h.db, with(good, "acr", "URN:EXAMPLE:PHR")))
		wantStepUp(t, "two values in one acr", h.vault(), accessToken(t, h.db, with(good, "acr", "2 urn:example:phr")))
		wantStepUp(t, "client token", h.vault(), job.ownToken("scope", "notes:read").Access)
		// The sign-in comes first: one more authorization mends both.
		wantStepUp(t, "neither scope nor sign-in", h.vault(), accessToken(t, h.db, with(with(good, "scope", "openid"), "acr", "1")))
		w := send(h.vault(), "GET", "https://x.example/vault", nil, "Authorization", "Bearer "+accessToken(t, h.db, with(good, "scope", "openid")))
		wantChallenge(t, "no scope", w, http.StatusForbidden, "insufficient_scope")
		for name, value := range map[string]any{"acr": 2, "auth_time": "now"} {
			wantChallenge(t, "odd "+name, callAPI(h.provider, accessToken(t, h.db, with(good, name, value))), http.StatusUnauthorized, "invalid_token")
		}
		wantActive := `"acr":"2","auth_time":` + strconv.FormatInt(h.clock.Now().Unix(), 10)
		if w := partner.introspect(accessToken(t, h.db, good)); !strings.Contains(w.Body.String(), wantActive) {
			t.Errorf("introspection says %s (RFC 9470 §6.2)", w.Body)
		}
	})
}

func TestA146DemandsNobodyCanMeetStopTheStart(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		for name, build := range map[string]func() lockspire.ProtectOption{
			"no acr":           func() lockspire.ProtectOption { return lockspire.RequireACR() },
			"empty acr":        func() lockspire.ProtectOption { return lockspire.RequireACR("") },
			"two acrs in one":  func() lockspire.ProtectOption { return lockspire.RequireACR("a b") },
			"acr with a quote": func() lockspire.ProtectOption { return lockspire.RequireACR(`a"`) },
			"no age":           func() lockspire.ProtectOption { return lockspire.RequireMaxAge(0) },
			"negative age":     func() lockspire.ProtectOption { return lockspire.RequireMaxAge(-time.Hour) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: Protect accepted it", name)
					}
				}()
				h.provider.Protect(build())
			}()
		}
	})
}

func TestA151CheckAccountAsksTheHostOnEachRequest(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, job := h.newApp(), h.newApp(machine)
		got, own := partner.redeem(partner.code()), job.ownToken("scope", "notes:read")
		asks, plain := api(h.provider, lockspire.CheckAccount()), api(h.provider)
		call := func(api http.Handler, token string) *httptest.ResponseRecorder {
			return send(api, "GET", "https://x.example/", nil, "Authorization", "Bearer "+token)
		}
		before := h.people.count("AccountBySubject")
		for range 3 {
			if w := call(asks, got.Access); w.Code != http.StatusOK {
				t.Fatalf("alice is there: %d %s", w.Code, w.Body)
			}
		}
		if n := h.people.count("AccountBySubject") - before; n != 3 {
			t.Errorf("the host was asked %d times", n)
		}
		h.people.set(func(p *people) { p.gone["alice"] = true })
		wantChallenge(t, "gone", call(asks, got.Access), http.StatusUnauthorized, "invalid_token")
		if w := call(plain, got.Access); w.Code != http.StatusOK {
			t.Errorf("where nobody asks: %d", w.Code)
		}
		if w := call(asks, own.Access); w.Code != http.StatusOK {
			t.Errorf("a client's token, which has no user: %d", w.Code)
		}
		h.people.set(func(p *people) { p.gone["alice"] = false; p.fault = sql.ErrConnDone })
		if w := call(asks, got.Access); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || w.Header().Get("WWW-Authenticate") != "" {
			t.Errorf("the host cannot tell: %d %v", w.Code, w.Header())
		}
		h.people.set(func(p *people) { p.fault = nil })
		asked := h.people.count("AccountBySubject")
		wantChallenge(t, "a bad token", call(asks, got.Access+"x"), http.StatusUnauthorized, "invalid_token")
		if h.people.count("AccountBySubject") != asked {
			t.Error("the host was asked about a token that is not good")
		}
	})
}
