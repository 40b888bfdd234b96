package dbtest

import (
	"net/url"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// canaryFlow is one authorization from login to the end of its tokens, each
// step of which fails in every way before it succeeds.
type canaryFlow struct {
	*canaryHost
	app      *app
	b        *browser
	code     string
	verifier string
	issued   tokens
}

// page runs a step of the browser's and returns the answer that got through.
func (f *canaryFlow) page(t *testing.T, name string, step func() page) page {
	t.Helper()
	var p page
	f.tried(t, name, func() int {
		p = step()
		f.saw(p.status, p.header, p.body)
		return p.status
	})
	return p
}

// tokens runs a step of the app's.
func (f *canaryFlow) tokens(t *testing.T, name string, want int, step func() tokens) tokens {
	t.Helper()
	var got tokens
	f.tried(t, name, func() int {
		got = step()
		f.saw(got.status, got.header, got.raw)
		return got.status
	})
	if got.status != want {
		t.Fatalf("%s: %s, want %d", name, got.raw, want)
	}
	return got
}

// toCode signs in and consents, by a request that was posted.
func (f *canaryFlow) toCode(t *testing.T) {
	f.b.signIn("alice", "nth", f.canary43("session"))
	f.bearer("session id", "session-alice-"+f.canaries[len(f.canaries)-1].value)
	f.verifier = f.canary43("verifier") + "-verifier"
	pairs := []string{
		"scope", "openid profile notes:read offline_access", "code_challenge", challengeOf(f.verifier),
		"state", f.canary("state"), "nonce", f.canary("nonce"), "login_hint", f.canary("login_hint"),
		"ui_locales", f.canary("ui_locales"), "acr_values", f.canary("acr_values"),
	}
	u, err := url.Parse(f.app.authorizeURL(pairs...))
	if err != nil {
		t.Fatal(err)
	}
	posted := f.page(t, "POST /authorize", func() page { return f.b.do("POST", f.host.issuer+"/authorize", u.Query()) })
	f.bearer("posted id", between(posted.location+"&", "posted=", "&"))
	// A request that was taken and then failed is gone: it is posted again.
	f.page(t, "GET /authorize?posted", func() page {
		p := f.b.get(posted.location)
		if p.status >= 400 {
			posted = f.b.do("POST", f.host.issuer+"/authorize", u.Query())
		}
		return p
	})
	resumed := f.page(t, "GET /authorize", func() page { return f.b.get(u.String()) })
	f.bearer("interaction id", resumed.location[strings.LastIndexByte(resumed.location, '/')+1:])
	consent := f.page(t, "GET /interactions", func() page { return f.b.get(resumed.location) })
	f.bearer("decision token", tokenPattern.FindStringSubmatch(consent.body)[1])
	for _, cookie := range f.b.client.Jar.Cookies(u) {
		f.bearer("cookie "+cookie.Name, cookie.Value)
	}
	answer := f.page(t, "POST /interactions", func() page { return f.b.decide(consent, lockspire.DecisionApprove) })
	f.code = answer.answer(t).Get("code")
	f.bearer("code", f.code)
	f.page(t, "another decision", func() page { return f.b.decide(consent, lockspire.DecisionDeny) })
}

// toTokens redeems the code and refreshes, after attempts that lack something.
func (f *canaryFlow) toTokens(t *testing.T) {
	redeem := func(pairs ...string) tokens { return f.app.redeem(f.code, pairs...) }
	f.tokens(t, "a code without proof", 400, func() tokens {
		return f.app.token("grant_type", "authorization_code", "code", f.code, "code_verifier", wrongVerifier)
	})
	f.tokens(t, "a wrong secret", 401, func() tokens { return redeem("client_secret", "", "client_secret", f.canary("wrong client secret")) })
	first := f.tokens(t, "code", 200, func() tokens {
		return f.app.token("grant_type", "authorization_code", "code", f.code, "code_verifier", f.verifier, "redirect_uri", f.app.redirectURI)
	})
	second := f.tokens(t, "refresh", 200, func() tokens { return f.app.refresh(first.Refresh) })
	for name, value := range map[string]string{
		"access token": first.Access, "refresh token": first.Refresh, "ID token": first.ID, "next access token": second.Access, "next refresh token": second.Refresh,
	} {
		f.bearer(name, value)
	}
	f.page(t, "a genuine hint", func() page { return f.b.get(f.app.authorizeURL("id_token_hint", first.ID, "prompt", "none")) })
	f.issued = second
	f.tokens(t, "too much scope", 400, func() tokens { return f.app.refresh(second.Refresh, "scope", f.canary("scope")) })
}

// toTheEnd uses the tokens, and ends them.
func (f *canaryFlow) toTheEnd(t *testing.T) {
	for _, path := range []string{"/api", "/lockspire/userinfo"} {
		f.page(t, path, func() page { return f.b.get(f.host.server.URL+path, "Authorization", "Bearer "+f.issued.Access) })
		f.page(t, path+" by query", func() page {
			return f.b.get(f.host.server.URL + path + "?access_token=" + url.QueryEscape(f.issued.Access))
		})
	}
	post := func(path, token string) func() page {
		return func() page {
			return f.b.do("POST", f.host.issuer+path, url.Values{"token": {token}, "client_id": {f.app.ID}, "client_secret": {f.app.secret}})
		}
	}
	f.page(t, "introspect access", post("/introspect", f.issued.Access))
	f.page(t, "introspect refresh", post("/introspect", f.issued.Refresh))
	f.page(t, "revoke access", post("/revoke", f.issued.Access))
	f.page(t, "the revoked token", func() page { return f.b.get(f.host.server.URL+"/api", "Authorization", "Bearer "+f.issued.Access) })
	f.host.clock.advance(3 * time.Second)
	f.tokens(t, "the code again", 400, func() tokens {
		return f.app.token("grant_type", "authorization_code", "code", f.code, "code_verifier", f.verifier)
	})
	f.tokens(t, "a dead refresh token", 400, func() tokens { return f.app.refresh(f.issued.Refresh) })
	f.page(t, "revoke refresh", post("/revoke", f.issued.Refresh))
	f.page(t, "apps", func() page { return f.b.get(f.host.issuer + "/apps") })
}
