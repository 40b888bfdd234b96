package dbtest

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

const faultScope = "openid profile offline_access notes:read"

// Answers, as a step sees them.

func (r *faultRig) page(p page) faultAnswer {
	return faultAnswer{status: p.status, body: p.body, location: p.location, retryAfter: p.header.Get("Retry-After")}
}

func (r *faultRig) answered(got tokens) faultAnswer {
	return faultAnswer{status: got.status, body: got.raw, code: got.Error, retryAfter: got.header.Get("Retry-After"), tokens: got}
}

// call makes a request with a bearer token, or posts a form with the partner's
// credentials.
func (r *faultRig) call(method, target, authorization string, form url.Values) faultAnswer {
	p := r.newBrowser().do(method, target, form, "Authorization", authorization)
	a := r.page(p)
	a.code = between(p.body, `"error":"`, `"`)
	return a
}

func leads(to string) func(faultAnswer) bool {
	return func(a faultAnswer) bool { return strings.Contains(a.location, to) }
}

func refusedWith(code string) func(faultAnswer) bool {
	return func(a faultAnswer) bool { return a.status == http.StatusBadRequest && a.code == code }
}

func isOK(a faultAnswer) bool { return a.status == http.StatusOK && a.err == nil }

// isAnswered is the page that says that a request has its answer.
func isAnswered(a faultAnswer) bool {
	return a.status == http.StatusBadRequest && strings.Contains(a.body, "answered already")
}

func isConsentPage(a faultAnswer) bool { return page{status: a.status, body: a.body}.isConsent() }

// codeWorks redeems the code that an answer carries.
func (r *faultRig) codeWorks(a faultAnswer) string {
	got := r.partner.redeem(between(a.location+"&", "code=", "&"))
	if got.status != http.StatusOK {
		return "the code answers " + got.raw
	}
	return r.tokensWork(r.answered(got))
}

// tokensWork uses what an answer carries.
func (r *faultRig) tokensWork(a faultAnswer) string {
	if status := r.api(a.tokens.Access); status != http.StatusOK {
		return "the access token answers " + http.StatusText(status)
	}
	if a.tokens.Refresh != "" {
		if got := r.partner.refresh(a.tokens.Refresh); got.status != http.StatusOK {
			return "the refresh token answers " + got.raw
		}
	}
	return ""
}

// dead says which of the tokens still works.
func (r *faultRig) dead(got tokens) string {
	if r.api(got.Access) != http.StatusUnauthorized {
		return "the access token lives on"
	}
	if again := r.partner.refresh(got.Refresh); again.Error != "invalid_grant" {
		return "the refresh token answers " + again.raw
	}
	return ""
}

// issue takes a new user through the whole flow.
func (r *faultRig) issue() (user string, got tokens) {
	user = r.user()
	return user, r.partner.redeem(r.partner.consentTo(r.newBrowser(), user, "scope", faultScope))
}

// faultFlows are the requests of a flow in their order.
var faultFlows = []faultFlow{
	{"authorize, signed out", func(r *faultRig) faultStep {
		b := r.newBrowser()
		return faultStep{changes: true, good: leads("/login?"),
			act: func() faultAnswer { return r.page(b.get(r.partner.authorizeURL())) },
			works: func(a faultAnswer) string {
				back, _ := url.Parse(a.location)
				if p := b.follow(b.signIn(r.user(), "return_to", back.Query().Get("return_to"))); !p.isConsent() {
					return "no consent page after the login: " + p.body
				}
				return ""
			}}
	}},
	{"authorize, posted", func(r *faultRig) faultStep {
		b := r.newBrowser()
		b.signIn(r.user())
		return faultStep{changes: true, good: leads("/authorize?posted="),
			act: func() faultAnswer { return r.page(r.partner.posted(b)) },
			works: func(a faultAnswer) string {
				if p := b.follow(b.get(a.location)); !p.isConsent() {
					return "no consent page: " + p.body
				}
				return ""
			}}
	}},
	{"authorize, remembered", func(r *faultRig) faultStep {
		b := r.newBrowser()
		r.partner.consentTo(b, r.user(), "scope", "openid notes:read")
		return faultStep{changes: true, good: leads("code="), works: r.codeWorks,
			act: func() faultAnswer { return r.page(b.get(r.partner.authorizeURL("scope", "openid notes:read"))) }}
	}},
	{"resume after the login", func(r *faultRig) faultStep {
		b, user := r.newBrowser(), r.user()
		login, _ := url.Parse(b.get(r.partner.authorizeURL()).location)
		back := b.signIn(user, "return_to", login.Query().Get("return_to"))
		return faultStep{changes: true, good: isConsentPage,
			act: func() faultAnswer { return r.page(b.get(back.location)) },
			works: func(a faultAnswer) string {
				return r.codeWorks(r.page(b.decide(page{status: a.status, body: a.body}, lockspire.DecisionApprove)))
			}}
	}},
	{"approve", func(r *faultRig) faultStep {
		b, user := r.newBrowser(), r.user()
		shown := r.partner.consentPage(b, user, "scope", faultScope)
		return faultStep{changes: true, good: leads("code="), works: r.codeWorks,
			act: func() faultAnswer { return r.page(b.decide(shown, lockspire.DecisionApprove)) }}
	}},
	{"approve more", func(r *faultRig) faultStep {
		b, user := r.newBrowser(), r.user()
		r.partner.consentTo(b, user, "scope", "openid notes:read")
		shown := r.partner.consentPage(b, user, "scope", faultScope+" notes:write")
		return faultStep{changes: true, good: leads("code="), works: r.codeWorks,
			act: func() faultAnswer { return r.page(b.decide(shown, lockspire.DecisionApprove)) }}
	}},
	{"deny", func(r *faultRig) faultStep {
		b := r.newBrowser()
		shown := r.partner.consentPage(b, r.user())
		return faultStep{changes: true, good: leads("error=access_denied"),
			act: func() faultAnswer { return r.page(b.decide(shown, lockspire.DecisionDeny)) }}
	}},
	{"tampered form", func(r *faultRig) faultStep {
		b := r.newBrowser()
		shown := r.partner.consentPage(b, r.user())
		return faultStep{changes: true, late: isAnswered,
			good: func(a faultAnswer) bool {
				return a.status == http.StatusBadRequest && strings.Contains(a.body, "not on the page")
			},
			act: func() faultAnswer { return r.page(b.decide(shown, lockspire.DecisionApprove, "scope", "notes:write")) }}
	}},
	{"another account", func(r *faultRig) faultStep {
		b := r.newBrowser()
		shown := r.partner.consentPage(b, r.user())
		return faultStep{changes: true, good: leads("/login?"),
			// The page is void once it took effect; going back shows a new one.
			late: func(a faultAnswer) bool {
				return a.status == http.StatusForbidden && b.follow(b.get(shown.at)).isConsent()
			},
			act: func() faultAnswer { return r.page(b.decide(shown, lockspire.DecisionSwitchAccount)) }}
	}},
	{"code", func(r *faultRig) faultStep {
		code := r.partner.consentTo(r.newBrowser(), r.user(), "scope", faultScope)
		return faultStep{changes: true, good: isOK, works: r.tokensWork, late: refusedWith("invalid_grant"),
			act: func() faultAnswer { return r.answered(r.partner.redeem(code)) }}
	}},
	{"code without proof", func(r *faultRig) faultStep {
		code := r.partner.consentTo(r.newBrowser(), r.user(), "scope", faultScope)
		return faultStep{changes: true, good: refusedWith("invalid_grant"),
			act: func() faultAnswer {
				return r.answered(r.partner.token("grant_type", "authorization_code", "code", code, "code_verifier", wrongVerifier))
			},
			works: func(faultAnswer) string { return r.tokensWork(r.answered(r.partner.redeem(code))) }}
	}},
	{"code replayed", func(r *faultRig) faultStep {
		code := r.partner.consentTo(r.newBrowser(), r.user(), "scope", faultScope)
		got := r.partner.redeem(code)
		r.clock.advance(3 * time.Second)
		return faultStep{changes: true, good: refusedWith("invalid_grant"),
			act:   func() faultAnswer { return r.answered(r.partner.redeem(code)) },
			works: func(faultAnswer) string { return r.dead(got) }}
	}},
	{"refresh", func(r *faultRig) faultStep {
		_, got := r.issue()
		return faultStep{changes: true, good: isOK, works: r.tokensWork,
			act: func() faultAnswer { return r.answered(r.partner.refresh(got.Refresh)) }}
	}},
	{"refresh once more", func(r *faultRig) faultStep {
		_, got := r.issue()
		next := r.partner.refresh(got.Refresh)
		return faultStep{works: r.tokensWork,
			good: func(a faultAnswer) bool { return isOK(a) && a.tokens.Refresh == next.Refresh },
			act:  func() faultAnswer { return r.answered(r.partner.refresh(got.Refresh)) }}
	}},
	{"refresh reused", func(r *faultRig) faultStep {
		_, got := r.issue()
		next := r.partner.refresh(got.Refresh)
		r.clock.advance(2 * time.Minute)
		return faultStep{changes: true, good: refusedWith("invalid_grant"),
			act:   func() faultAnswer { return r.answered(r.partner.refresh(got.Refresh)) },
			works: func(faultAnswer) string { return r.dead(next) }}
	}},
	{"client credentials", func(r *faultRig) faultStep {
		return faultStep{changes: true, good: isOK,
			act: func() faultAnswer { return r.answered(r.job.ownToken("scope", "notes:read")) },
			works: func(a faultAnswer) string {
				return r.tokensWork(a)
			}}
	}},
	{"client credentials, opaque", func(r *faultRig) faultStep {
		return faultStep{changes: true, good: isOK, works: r.tokensWork,
			act: func() faultAnswer { return r.answered(r.opaque.ownToken("scope", "notes:read")) }}
	}},
	{"introspect an access token", func(r *faultRig) faultStep {
		_, got := r.issue()
		return faultStep{good: func(a faultAnswer) bool { return isOK(a) && strings.Contains(a.body, `"active":true`) },
			act: func() faultAnswer { return r.post("/introspect", got.Access) }}
	}},
	{"introspect a refresh token", func(r *faultRig) faultStep {
		_, got := r.issue()
		return faultStep{good: func(a faultAnswer) bool { return isOK(a) && strings.Contains(a.body, `"active":true`) },
			act: func() faultAnswer { return r.post("/introspect", got.Refresh) }}
	}},
	{"userinfo", func(r *faultRig) faultStep {
		user, got := r.issue()
		return faultStep{good: func(a faultAnswer) bool { return isOK(a) && strings.Contains(a.body, user) },
			act: func() faultAnswer { return r.call("GET", r.issuer+"/userinfo", "Bearer "+got.Access, nil) }}
	}},
	{"the host's API", func(r *faultRig) faultStep {
		user, got := r.issue()
		return faultStep{good: func(a faultAnswer) bool { return isOK(a) && strings.Contains(a.body, user) },
			act: func() faultAnswer { return r.call("GET", r.server.URL+"/api", "Bearer "+got.Access, nil) }}
	}},
	{"revoke a refresh token", func(r *faultRig) faultStep {
		_, got := r.issue()
		return faultStep{changes: true, good: isOK, works: func(faultAnswer) string { return r.dead(got) },
			act: func() faultAnswer { return r.post("/revoke", got.Refresh) }}
	}},
	{"revoke an access token", func(r *faultRig) faultStep {
		_, got := r.issue()
		return faultStep{changes: true, good: isOK,
			act: func() faultAnswer { return r.post("/revoke", got.Access) },
			works: func(faultAnswer) string {
				if r.api(got.Access) != http.StatusUnauthorized {
					return "the access token lives on"
				}
				return ""
			}}
	}},
	{"key set", func(r *faultRig) faultStep {
		// What this replica has in memory is what the rows say.
		r.published()
		return faultStep{good: func(a faultAnswer) bool { return isOK(a) && strings.Count(a.body, `"kid"`) >= 4 },
			act: func() faultAnswer { return r.call("GET", r.issuer+"/jwks", "", nil) }}
	}},
}

// post sends a token to an endpoint that is about tokens.
func (r *faultRig) post(path, token string) faultAnswer {
	return r.call("POST", r.issuer+path, r.partner.basic(), url.Values{"token": {token}})
}
