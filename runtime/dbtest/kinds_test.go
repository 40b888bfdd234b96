package dbtest

import (
	"net/http"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// Everything that lets its holder in is good for its own purpose alone, though
// most of it looks alike.
func TestA141NothingIsGoodForAnotherPurposeThanItsOwn(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, clear, b := h.newApp(opaque), h.newApp(), h.newBrowser()
		shown := partner.consentPage(b, "alice", "scope", "openid notes:read offline_access")
		_, id, _ := strings.Cut(actionPattern.FindStringSubmatch(shown.body)[1], "/interactions/")
		code := partner.code("scope", "openid notes:read offline_access")
		got, jwt := partner.firstTokens(), clear.firstTokens()
		cookie := b.cookies()
		if h.api(got.Access) != http.StatusOK || h.api(jwt.Access) != http.StatusOK {
			t.Fatal("an access token is refused")
		}
		others := map[string]string{
			"code": code, "refresh token": got.Refresh, "ID token": got.ID, "interaction id": id, "client secret": partner.secret,
			"decision token": tokenPattern.FindStringSubmatch(shown.body)[1], "browser cookie": cookie[strings.LastIndex(cookie, "=")+1:],
			"random text": strings.Repeat("A", 43), "in another case": strings.ToUpper(got.Access), "cut": got.Access[:42], "longer": got.Access + "A",
		}
		for name, value := range others {
			for _, path := range []string{"/api", "/lockspire/userinfo"} {
				p := h.newBrowser().get(h.server.URL+path, "Authorization", "Bearer "+value)
				if p.status != http.StatusUnauthorized || !strings.Contains(p.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
					t.Errorf("%s at %s: %d %q", name, path, p.status, p.header.Get("WWW-Authenticate"))
				}
			}
			if name != "refresh token" {
				wantInactive(t, name, partner.introspect(value))
				wantToken(t, name+" as a refresh token", partner.refresh(value), 400, "invalid_grant")
			}
			if name != "code" {
				wantToken(t, name+" as a code", partner.redeem(value), 400, "invalid_grant")
			}
			if name != "interaction id" {
				wantPage(t, name+" as an interaction", b.get(h.issuer+"/interactions/"+value))
			}
			if name != "client secret" {
				wantToken(t, name+" as a secret", partner.with(value).ownToken(), 401, "invalid_client")
			}
		}
		for name, access := range map[string]string{"opaque": got.Access, "JWT": jwt.Access} {
			wantToken(t, name+" as a refresh token", partner.refresh(access), 400, "invalid_grant")
			wantToken(t, name+" as a code", partner.redeem(access), 400, "invalid_grant")
			partner.wantError(t, name+" as a hint", b.get(partner.authorizeURL("id_token_hint", access)), "invalid_request")
		}
		// Asking did no harm.
		if again := partner.redeem(code); again.status != http.StatusOK || partner.refresh(got.Refresh).status != http.StatusOK {
			t.Errorf("afterwards: %s", again.raw)
		}
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_families WHERE revoked_at IS NOT NULL"); n != 0 {
			t.Errorf("%d families were ended", n)
		}
	})
}

// The window's retry may ask for what the grant has, and for nothing else.
func TestA102RetryForAnotherResourceOrForMore(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		first := partner.redeem(partner.code("scope", "openid notes:read offline_access"))
		origin := h.server.URL
		second := partner.refresh(first.Refresh)
		for name, c := range map[string]struct {
			pairs  []string
			status int
			code   string
		}{
			"its resource":     {[]string{"resource", origin}, 200, ""},
			"the issuer":       {[]string{"resource", h.issuer}, 200, ""},
			"another resource": {[]string{"resource", billingAPI}, 400, "invalid_target"},
			"more scope":       {[]string{"scope", "openid notes:write"}, 400, "invalid_scope"},
			"scope twice":      {[]string{"scope", "openid", "scope", "openid"}, 400, "invalid_request"},
		} {
			got := partner.refresh(first.Refresh, c.pairs...)
			wantToken(t, name, got, c.status, c.code)
			if c.status == http.StatusOK && got.Refresh != second.Refresh {
				t.Errorf("%s: another successor", name)
			}
		}
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_refresh_tokens"); n != 2 {
			t.Errorf("%d rows", n)
		}
		if n := h.audited("refresh.reused"); n != 0 {
			t.Errorf("%d refresh.reused rows", n)
		}
		if got := partner.refresh(second.Refresh); got.status != http.StatusOK {
			t.Errorf("the successor: %s", got.raw)
		}
	}, withBilling)
}

// Narrowing to less than one of several resources, and widening through it.
func TestA94A104OneOfSeveralResourcesIsNamedAndNeverAnother(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		origin := h.server.URL
		both := partner.authorizeURL("scope", "openid notes:read offline_access", "resource", origin) + "&resource=" + billingAPI
		b := h.newBrowser()
		b.signIn("alice")
		approved := func() string {
			t.Helper()
			p := b.follow(b.get(both))
			return b.decide(p, lockspire.DecisionApprove).answer(t).Get("code")
		}
		code := approved()
		for name, pairs := range map[string][]string{
			"none named": nil, "both": {"resource", origin, "resource", billingAPI}, "another": {"resource", "https://mail.example"},
			"a fragment": {"resource", billingAPI + "#x"}, "relative": {"resource", "/api"}, "longer": {"resource", billingAPI + "/x"}, "trailing slash": {"resource", billingAPI + "/"},
		} {
			wantToken(t, name, partner.redeem(code, pairs...), 400, "invalid_target")
		}
		got := partner.redeem(code, "resource", billingAPI)
		if aud := claimsIn(t, got.Access)["aud"]; got.status != http.StatusOK || !sameList(aud, billingAPI) || h.api(got.Access) != http.StatusUnauthorized {
			t.Fatalf("one of them: %s, aud %v", got.raw, aud)
		}
		h.clock.advance(time.Minute)
		wantToken(t, "refresh for another", partner.refresh(got.Refresh, "resource", "https://mail.example"), 400, "invalid_target")
		next := partner.refresh(got.Refresh, "resource", origin)
		if aud := claimsIn(t, next.Access)["aud"]; !sameList(aud, origin) {
			t.Errorf("narrowing shrank the grant: %s, aud %v", next.raw, aud)
		}
	}, withBilling)
}
