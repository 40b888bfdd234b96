package dbtest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// wantPage demands PAGE: 400, our own HTML, nowhere to go, nothing repeated.
func wantPage(t testing.TB, name string, p page) {
	t.Helper()
	if p.status != http.StatusBadRequest || p.location != "" || !strings.HasPrefix(p.header.Get("Content-Type"), "text/html") {
		t.Errorf("%s: %d, to %q\n%s", name, p.status, p.location, p.body)
	}
	if csp := p.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") ||
		p.header.Get("X-Frame-Options") != "DENY" || p.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: headers %v", name, p.header)
	}
}

// wantError demands REDIR code: 303 to the app with error, state and iss.
func (a *app) wantError(t testing.TB, name string, p page, code string) url.Values {
	t.Helper()
	answer := url.Values{}
	if p.status != http.StatusSeeOther || !strings.HasPrefix(p.location, a.redirectURI) {
		t.Errorf("%s: %d to %q\n%s", name, p.status, p.location, p.body)
		return answer
	}
	answer = p.answer(t)
	if answer.Get("error") != code || answer.Get("iss") != a.h.issuer || answer.Has("code") {
		t.Errorf("%s: answered %v, want %s", name, answer, code)
	}
	if p.header.Get("Referrer-Policy") != "no-referrer" || p.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: headers %v", name, p.header)
	}
	return answer
}

func (h *host) interactions() int {
	return count(h.t, h.db, "SELECT COUNT(*) FROM lockspire_interactions")
}

func TestA01UnknownAndDisabledClientsGetOnePage(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, disabled := h.newApp(), h.newApp()
		if err := h.provider.Clients().Disable(t.Context(), disabled.ID); err != nil {
			t.Fatal(err)
		}
		b := h.newBrowser()
		bodies := map[string]bool{}
		for name, p := range map[string]page{
			"unknown":  b.get(partner.authorizeURL("client_id", "client_nobody")),
			"missing":  b.get(partner.authorizeURL("client_id", "")),
			"disabled": b.get(disabled.authorizeURL()),
			"NUL":      b.get(partner.authorizeURL("client_id", partner.ID+"\x00")),
			"twice":    b.get(partner.authorizeURL() + "&client_id=" + partner.ID),
		} {
			wantPage(t, name, p)
			bodies[strings.NewReplacer(between(p.body, `nonce="`, `"`), "", between(p.body, "Request req_", "<"), "").Replace(p.body)] = true
		}
		if len(bodies) != 1 {
			t.Errorf("%d different pages", len(bodies))
		}
		if n := h.interactions(); n != 0 {
			t.Errorf("A40 %d rows were written", n)
		}
	})
}

func between(s, before, after string) string {
	_, s, _ = strings.Cut(s, before)
	s, _, _ = strings.Cut(s, after)
	return s
}

func TestA02UnprovenRedirectURIsGetAPage(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		for name, uri := range map[string]string{
			"missing": "", "not registered": "https://evil.example/cb", "A03 slash": partner.redirectURI + "/", "A03 case": "https://PARTNER.example/cb",
			"A03 query": partner.redirectURI + "?x=1", "A07 fragment": partner.redirectURI + "#", "A08 javascript": "javascript:alert(1)",
			"A21 NUL": partner.redirectURI + "\x00",
		} {
			p := b.get(partner.authorizeURL("redirect_uri", uri))
			wantPage(t, name, p)
			if strings.Contains(p.body, "evil.example") {
				t.Errorf("A55 %s: the request is printed", name)
			}
		}
		wantPage(t, "A19 twice", b.get(partner.authorizeURL()+"&redirect_uri="+url.QueryEscape(partner.redirectURI)))
		mustExec(t, h.db, `UPDATE lockspire_clients SET redirect_uris = '["javascript:alert(1)","http://evil.example/"]'`)
		wantPage(t, "A08 bad row", b.get(partner.authorizeURL("redirect_uri", "javascript:alert(1)")))
		wantPage(t, "A08 bad row", b.get(partner.authorizeURL("redirect_uri", "http://evil.example/")))
	})
}

func TestA04LoopbackPortsAreFree(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		native := h.newApp(public, func(n *lockspire.NewClient) { n.RedirectURIs = []string{"http://127.0.0.1/cb"} })
		b := h.newBrowser()
		b.signIn("alice")
		consent := b.follow(b.get(native.authorizeURL("redirect_uri", "http://127.0.0.1:49152/cb")))
		if !consent.isConsent() || !strings.Contains(consent.body, "host=127.0.0.1 loopback=true") {
			t.Fatalf("another port: %d %s", consent.status, consent.body)
		}
		left := b.decide(consent, lockspire.DecisionApprove)
		if !strings.HasPrefix(left.location, "http://127.0.0.1:49152/cb?") {
			t.Fatalf("left for %q", left.location)
		}
		got := native.redeem(left.answer(t).Get("code"), "redirect_uri", "", "redirect_uri", "http://127.0.0.1:49152/cb")
		if got.status != http.StatusOK {
			t.Errorf("redeem: %s", got.raw)
		}
		hosts := []string{"127.0.0.1", "[::1]", "localhost"}
		for _, registered := range hosts {
			native := h.newApp(public, func(n *lockspire.NewClient) { n.RedirectURIs = []string{"http://" + registered + ":8000/cb?a=1"} })
			for _, asked := range hosts {
				p := b.get(native.authorizeURL("redirect_uri", "http://"+asked+":49152/cb?a=1"))
				if asked == registered {
					if p.status != http.StatusSeeOther {
						t.Errorf("%s with another port: %d", asked, p.status)
					}
					continue
				}
				wantPage(t, asked+" for "+registered, p)
			}
			for _, other := range []string{"/CB?a=1", "/cb", "/cb?a=2", "/cb/?a=1"} {
				wantPage(t, registered+" "+other, b.get(native.authorizeURL("redirect_uri", "http://"+registered+":49152"+other)))
			}
		}
	})
}

func TestBadAuthorizationParametersGoBackToTheApp(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		for _, v := range []struct{ name, parameter, value, code string }{
			{"A15 response_type missing", "response_type", "", "invalid_request"},
			{"A15 implicit", "response_type", "token", "unsupported_response_type"},
			{"A15 hybrid", "response_type", "code id_token", "unsupported_response_type"},
			{"A16 fragment", "response_mode", "fragment", "invalid_request"},
			{"A62 web_message", "response_mode", "web_message", "invalid_request"},
			{"A17 no challenge", "code_challenge", "", "invalid_request"},
			{"A18 plain", "code_challenge_method", "plain", "invalid_request"},
			{"A18 no method", "code_challenge_method", "", "invalid_request"},
			{"A18 short challenge", "code_challenge", "abc", "invalid_request"},
			{"A21 control byte", "nonce", "a\nb", "invalid_request"},
			{"A21 invalid UTF-8", "login_hint", "\xff", "invalid_request"},
			{"A21 NUL in an unknown parameter", "whatever", "\x00", "invalid_request"},
			{"A22 bad character", "scope", `openid "`, "invalid_scope"},
			{"A22 too long", "scope", "openid " + strings.Repeat("x", 2048), "invalid_scope"},
			{"A23 unknown scope", "scope", "openid notes:delete", "invalid_scope"},
			{"A23 unknown identity scope without openid", "scope", "notes:read phone", "invalid_scope"},
			{"A27 request", "request", "e30.e30.", "request_not_supported"},
			{"A27 request_uri", "request_uri", "https://evil.example/x", "request_uri_not_supported"},
			{"A27 registration", "registration", "{}", "registration_not_supported"},
			{"A29 none with another", "prompt", "none login", "invalid_request"},
			{"A32 negative max_age", "max_age", "-1", "invalid_request"},
			{"A32 fractional max_age", "max_age", "1.5", "invalid_request"},
			{"A32 overflowing max_age", "max_age", "99999999999", "invalid_request"},
			{"A33 forged id_token_hint", "id_token_hint", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.", "invalid_request"},
			{"A39 unknown resource", "resource", "https://elsewhere.example", "invalid_target"},
			{"A39 relative resource", "resource", "/api", "invalid_target"},
			{"A39 resource with fragment", "resource", h.server.URL + "#x", "invalid_target"},
		} {
			answer := partner.wantError(t, v.name, b.get(partner.authorizeURL(v.parameter, v.value)), v.code)
			if answer.Get("state") != "st-1" {
				t.Errorf("A38 %s: state %q", v.name, answer.Get("state"))
			}
		}
		for _, name := range []string{"nonce", "scope", "response_type", "code_challenge"} {
			partner.wantError(t, "A19 "+name+" twice", b.get(partner.authorizeURL()+"&"+name+"=x"), "invalid_request")
		}
		if answer := partner.wantError(t, "A19 state twice", b.get(partner.authorizeURL()+"&state=x"), "invalid_request"); answer.Has("state") {
			t.Errorf("one of two states was echoed: %v", answer)
		}
		if n := h.interactions(); n != 0 {
			t.Errorf("A40 %d rows were written", n)
		}
	})
}

func TestA20EmptyIsOmittedAndUnknownIsIgnored(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		b.signIn("alice")
		consent := b.follow(b.get(partner.authorizeURL("state", "", "unknown", "1", "scope[a]", "b") + "&state=&unknown=2&prompt=unheard_of"))
		answer := b.decide(consent, lockspire.DecisionApprove).answer(t)
		if answer.Has("state") || !answer.Has("code") {
			t.Errorf("answered %v", answer)
		}
	})
}

func TestA23UnallowedIdentityScopesAreLeftOut(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp(func(n *lockspire.NewClient) { n.Scopes = []string{"openid", "notes:read"} })
		if got := partner.redeem(partner.code("scope", "openid profile phone offline_access notes:read")); got.Scope != "openid notes:read" {
			t.Errorf("granted %q", got.Scope)
		}
		if got := partner.redeem(partner.code("scope", "")); got.Scope != "notes:read" {
			t.Errorf("without a scope parameter: %q", got.Scope)
		}
	})
}

func TestA24StateIsEchoedByteForByte(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		b.signIn("alice")
		odd := `<>&"'%00+ é` + strings.Repeat("s", 4000)
		consent := b.follow(b.get(partner.authorizeURL("state", odd)))
		if got := b.decide(consent, lockspire.DecisionApprove).answer(t).Get("state"); got != odd {
			t.Errorf("on success: %q", got)
		}
		if got := partner.wantError(t, "on error", b.get(partner.authorizeURL("state", odd, "scope", "bad")), "invalid_scope").Get("state"); got != odd {
			t.Errorf("on error: %q", got)
		}
		if answer := partner.wantError(t, "4097 bytes", b.get(partner.authorizeURL("state", strings.Repeat("s", 4097))), "invalid_request"); answer.Has("state") {
			t.Error("a state that is too long was echoed")
		}
	})
}

func TestA25AndA26LimitsAndMethods(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		if p := b.get(partner.authorizeURL("x", strings.Repeat("x", 17<<10))); p.status != http.StatusRequestURITooLong {
			t.Errorf("A25 long query: %d", p.status)
		}
		if p := b.do("POST", h.issuer+"/token", url.Values{"x": {strings.Repeat("x", 65<<10)}}); p.status != http.StatusRequestEntityTooLarge {
			t.Errorf("A25 long body: %d", p.status)
		}
		for _, v := range []struct{ method, path, allow string }{
			{"HEAD", "/authorize", "GET, POST"}, {"PUT", "/authorize", "GET, POST"}, {"OPTIONS", "/authorize", "GET, POST"},
			{"GET", "/token", "POST, OPTIONS"}, {"GET", "/revoke", "POST, OPTIONS"}, {"DELETE", "/userinfo", "GET, POST, OPTIONS"},
			{"POST", "/jwks", "GET, HEAD, OPTIONS"}, {"POST", "/.well-known/openid-configuration", "GET, HEAD, OPTIONS"},
			{"HEAD", "/interactions/x", "GET, POST"}, {"PUT", "/apps", "GET, POST"},
		} {
			p := b.do(v.method, h.issuer+v.path, nil)
			if p.status != http.StatusMethodNotAllowed || p.header.Get("Allow") != v.allow {
				t.Errorf("A26 %s %s: %d, Allow %q", v.method, v.path, p.status, p.header.Get("Allow"))
			}
		}
		if n := h.interactions(); n != 0 {
			t.Errorf("%d rows were written", n)
		}
	})
}

func TestA28PromptNoneAnswersWithoutAPage(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		silent := partner.authorizeURL("prompt", "none")
		p := b.get(silent, "Sec-Fetch-Site", "cross-site")
		partner.wantError(t, "signed out", p, "login_required")
		if len(p.header.Values("Set-Cookie")) != 0 {
			t.Error("a cookie was changed")
		}
		b.signIn("alice")
		partner.wantError(t, "no consent yet", b.get(silent), "consent_required")
		partner.consentTo(b, "alice")
		if answer := b.get(silent).answer(t); answer.Get("code") == "" {
			t.Errorf("with consent: %v", answer)
		}
		partner.wantError(t, "more scope", b.get(partner.authorizeURL("prompt", "none", "scope", "openid notes:read notes:write")), "consent_required")
		partner.wantError(t, "max_age", b.get(partner.authorizeURL("prompt", "none", "max_age", "0")), "login_required")
	})
}

func TestA30PromptNoneTellsUnverifiableClientsNothing(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		b := h.newBrowser()
		for name, a := range map[string]*app{
			"public":        h.newApp(public),
			"loopback":      h.newApp(func(n *lockspire.NewClient) { n.RedirectURIs = []string{"http://127.0.0.1/cb"} }),
			"custom scheme": h.newApp(func(n *lockspire.NewClient) { n.RedirectURIs = []string{"com.example.app:/cb"} }),
		} {
			a.wantError(t, name+", signed out", h.newBrowser().get(a.authorizeURL("prompt", "none")), "consent_required")
			a.consentTo(b, "alice")
			a.wantError(t, name+", with consent", b.get(a.authorizeURL("prompt", "none")), "consent_required")
		}
		trusted := h.newApp(public, func(n *lockspire.NewClient) { n.Trusted = true })
		trusted.consentTo(b, "alice")
		if code := b.get(trusted.authorizeURL("prompt", "none")).answer(t).Get("code"); code == "" {
			t.Error("a trusted public client got no code")
		}
	})
}

// comeBack posts the host's login form for the interaction that p leads to.
func (b *browser) comeBack(p page, user string, pairs ...string) page {
	b.h.t.Helper()
	login, err := url.Parse(p.location)
	if err != nil || login.Path != "/login" {
		b.h.t.Fatalf("not sent to the login page: %d to %q\n%s", p.status, p.location, p.body)
	}
	return b.get(b.signIn(user, append(pairs, "return_to", login.Query().Get("return_to"))...).location)
}

func TestA31OldSessionIsNoFreshLogin(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		now := func(offset time.Duration) string { return unixString(h.clock.Now().Add(offset)) }
		for name, pairs := range map[string][]string{
			"prompt=login": {"prompt", "login"}, "max_age=0": {"max_age", "0"}, "max_age passed": {"max_age", "60"},
		} {
			partner, b := h.newApp(), h.newBrowser()
			b.signIn("alice", "auth_time", now(-time.Hour))
			p := b.get(partner.authorizeURL(pairs...))
			if !h.people.interaction().Need.Reauthenticate {
				t.Errorf("%s: the host is not told to reauthenticate", name)
			}
			again := b.comeBack(p, "alice", "auth_time", now(-time.Hour))
			if u, _ := url.Parse(again.location); u == nil || u.Path != "/login" {
				t.Fatalf("%s: first return with the old login: %d to %q", name, again.status, again.location)
			}
			last := b.comeBack(again, "alice", "auth_time", now(-time.Hour))
			if got := last.answer(t); last.status != http.StatusOK || got.Get("error") != "login_required" {
				t.Errorf("%s: second return with the old login: %d %v", name, last.status, got)
			}

			fresh := b.comeBack(b.get(partner.authorizeURL(pairs...)), "alice", "auth_time", now(0))
			if !fresh.isConsent() {
				t.Fatalf("%s: fresh login: %d to %q\n%s", name, fresh.status, fresh.location, fresh.body)
			}
			got := partner.redeem(b.decide(fresh, lockspire.DecisionApprove).answer(t).Get("code"))
			if claims := claimsIn(t, got.ID); claims["auth_time"] != float64(h.clock.Now().Unix()) {
				t.Errorf("A32 %s: auth_time %v", name, claims["auth_time"])
			}
		}
	})
}

func unixString(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

func TestA31UnknownAuthTimeAnswersAfterOneBounce(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		b.signIn("alice")
		p := b.comeBack(b.get(partner.authorizeURL("prompt", "login")), "alice")
		if got := p.answer(t).Get("error"); got != "login_required" {
			t.Errorf("answered %q: %d to %q", got, p.status, p.location)
		}
	})
}

// max_age is judged once: time spent on the consent page does not count.
func TestA31MaxAgeIsJudgedAtAuthorize(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		b.signIn("alice", "auth_time", unixString(h.clock.Now().Add(-30*time.Second)))
		consent := b.follow(b.get(partner.authorizeURL("max_age", "60")))
		h.clock.advance(5 * time.Minute)
		if again := b.get(consent.at); !again.isConsent() {
			t.Fatalf("reload after five minutes: %d to %q", again.status, again.location)
		}
		if code := b.decide(consent, lockspire.DecisionApprove).answer(t).Get("code"); code == "" {
			t.Error("no code")
		}
	})
}

func TestSelectAccountPassesTheLoginPageOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		b.signIn("alice")
		p := b.get(partner.authorizeURL("prompt", "select_account", "login_hint", "bob@example.com", "ui_locales", "de en"))
		need := h.people.interaction().Need
		if !need.SelectAccount || need.LoginHint != "bob@example.com" || len(need.UILocales) != 2 {
			t.Errorf("the host is told %+v", need)
		}
		if back := b.comeBack(p, "bob"); !back.isConsent() || !strings.Contains(back.body, "account=bob") {
			t.Errorf("after selection: %d to %q", back.status, back.location)
		}
	})
}

func TestA33AndA34IDTokenHint(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, other := h.newApp(), h.newApp()
		b := h.newBrowser()
		hint := partner.redeem(partner.consentTo(b, "alice")).ID
		h.clock.advance(24 * time.Hour)
		if code := b.get(partner.authorizeURL("prompt", "none", "id_token_hint", hint)).answer(t).Get("code"); code == "" {
			t.Error("an expired but genuine hint of the signed-in user was refused")
		}
		other.wantError(t, "another client's hint", b.get(other.authorizeURL("id_token_hint", hint)), "invalid_request")
		b.signIn("bob")
		partner.consentTo(b, "bob")
		partner.wantError(t, "hint of alice, bob signed in", b.get(partner.authorizeURL("prompt", "none", "id_token_hint", hint)), "login_required")
		p := b.get(partner.authorizeURL("id_token_hint", hint))
		again := b.comeBack(p, "bob", "nth", "2")
		last := b.comeBack(again, "bob", "nth", "3")
		if got := last.answer(t).Get("error"); got != "login_required" {
			t.Errorf("bob came back twice: %d to %q", last.status, last.location)
		}
		consent := b.comeBack(b.get(partner.authorizeURL("id_token_hint", hint)), "alice")
		if code := consent.answer(t).Get("code"); code == "" {
			t.Errorf("alice came back: %d to %q", consent.status, consent.location)
		}
	})
}

func TestA37HintsAndNamesAreOnlyHandedOn(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		p := b.get(partner.authorizeURL("login_hint", "<script>x</script>"))
		if p.status != http.StatusSeeOther || strings.Contains(p.location, "script") {
			t.Errorf("%d to %q", p.status, p.location)
		}
		if hint := h.people.interaction().Need.LoginHint; hint != "<script>x</script>" {
			t.Errorf("the host was told %q", hint)
		}
	})
}

func TestA39ResourceSpellingFollowsTheConfiguration(t *testing.T) {
	resources := func(c *lockspire.Config) {
		c.Resources = []lockspire.Resource{{Identifier: "https://api.example"}, {Identifier: "https://mail.example/v1"}}
	}
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		got := partner.redeem(partner.code("resource", "https://API.example/"))
		if aud := claimsIn(t, got.Access)["aud"]; !sameList(aud, "https://api.example") {
			t.Errorf("aud %v", aud)
		}
		both := partner.authorizeURL("scope", "openid offline_access", "resource", "https://api.example") + "&resource=" + url.QueryEscape("https://mail.example/v1")
		b := h.newBrowser()
		b.signIn("alice")
		code := b.decide(b.follow(b.get(both)), lockspire.DecisionApprove).answer(t).Get("code")
		if got := partner.redeem(code); got.Error != "invalid_target" {
			t.Errorf("two approved, none named: %s", got.raw)
		}
		first := partner.redeem(code, "resource", "https://mail.example/v1")
		if aud := claimsIn(t, first.Access)["aud"]; !sameList(aud, "https://mail.example/v1") {
			t.Errorf("one named at the token endpoint: aud %v", aud)
		}
		second := partner.refresh(first.Refresh, "resource", "https://api.example")
		if aud := claimsIn(t, second.Access)["aud"]; !sameList(aud, "https://api.example") {
			t.Errorf("A102 another one at refresh: aud %v", aud)
		}
	}, resources)
}

func TestA166ForgedHostHeadersChangeNothing(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		p := b.get(partner.authorizeURL("scope", "bad"), "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http", "Forwarded", "host=evil.example")
		if iss := partner.wantError(t, "forged", p, "invalid_scope").Get("iss"); iss != h.issuer {
			t.Errorf("iss %q", iss)
		}
	})
}

// homeless is a resolver with no sign-in page.
type homeless struct{ lockspire.AccountResolver }

func (homeless) LoginURL(*http.Request, lockspire.Interaction) string { return "" }

func TestMissingLoginPageIsAFaultAndNoRedirectToNowhere(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		shown := partner.consentPage(b, "alice")
		b.h = h.replica(func(c *lockspire.Config) { c.Accounts = homeless{h.people} })
		stranger := &browser{h: b.h, client: h.newBrowser().client}
		for name, p := range map[string]page{
			"authorize": stranger.get(partner.on(b.h).authorizeURL()), "apps": stranger.get(b.h.issuer + "/apps"),
			"switch": b.decide(shown, lockspire.DecisionSwitchAccount),
		} {
			if p.status != http.StatusServiceUnavailable || p.header.Get("Location") != "" {
				t.Errorf("%s: %d to %q", name, p.status, p.header.Get("Location"))
			}
		}
	})
}

func TestResolverFaultsAre503AndIssueNothing(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		for name, fault := range map[string]error{"database down": http.ErrServerClosed, "stub": lockspire.ErrNotWired} {
			h.people.set(func(p *people) { p.fault = fault })
			p := b.get(partner.authorizeURL())
			if p.status != http.StatusServiceUnavailable || p.header.Get("Retry-After") == "" || p.location != "" {
				t.Errorf("%s: %d to %q", name, p.status, p.location)
			}
		}
		if !strings.Contains(h.logs.String(), "still the generated stub") {
			t.Error("the log does not name the stub")
		}
		if n := h.interactions(); n != 0 {
			t.Errorf("%d rows were written", n)
		}
	})
}
