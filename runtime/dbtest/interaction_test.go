package dbtest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// consentPage takes user to the consent page of a request.
func (a *app) consentPage(b *browser, user string, pairs ...string) page {
	a.h.t.Helper()
	b.signIn(user)
	p := b.follow(b.get(a.authorizeURL(pairs...)))
	if !p.isConsent() {
		a.h.t.Fatalf("no consent page: %d at %s\n%s", p.status, p.at, p.body)
	}
	return p
}

// wantLeft demands the leave page to the app, and returns what it carries.
func (a *app) wantLeft(t testing.TB, name string, p page, parameter, value string) url.Values {
	t.Helper()
	answer := url.Values{}
	if p.status != http.StatusOK || !strings.HasPrefix(p.location, a.redirectURI) {
		t.Errorf("%s: %d to %q\n%s", name, p.status, p.location, p.body)
		return answer
	}
	answer = p.answer(t)
	if answer.Get("iss") != a.h.issuer || answer.Get("state") != "st-1" || (value != "" && answer.Get(parameter) != value) || !answer.Has(parameter) {
		t.Errorf("%s: answered %v, want %s %s", name, answer, parameter, value)
	}
	return answer
}

func (h *host) codes() int { return count(h.t, h.db, "SELECT COUNT(*) FROM lockspire_codes") }

func TestA13BadInteractionIDsLeadNowhere(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		partner.consentPage(b, "alice")
		for _, id := range []string{"x", strings.Repeat("A", 43), "%2F%2Fevil.example", "..%2f..", "%00", strings.Repeat("A", 5000), "%0d%0aX:y", "a/b"} {
			wantPage(t, id, b.get(h.issuer+"/interactions/"+id))
		}
	})
}

func TestA41InteractionOfAnotherBrowserIsUntouched(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, attacker, victim := h.newApp(), h.newBrowser(), h.newBrowser()
		started := attacker.get(partner.authorizeURL())
		login, _ := url.Parse(started.location)
		link := h.server.URL + login.Query().Get("return_to")
		before := dump(t, h)
		victim.signIn("victim")
		wantPage(t, "without the cookie", victim.get(link))
		victim.get(partner.authorizeURL())
		wantPage(t, "with another browser's cookie", victim.get(link))
		wantPage(t, "POST", victim.do("POST", link, url.Values{"decision": {"approve"}, "decision_token": {"x"}}))
		row := between(before, "interactions.id_hash=", "interactions.expires_at")
		if !strings.Contains(dump(t, h), row) {
			t.Error("the row was changed")
		}
	})
}

func TestA42AnotherAccountSeesItsOwnConsentPage(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		forAlice := partner.consentPage(b, "alice")
		b.signIn("bob")
		afresh := b.decide(forAlice, lockspire.DecisionApprove)
		if !afresh.isConsent() || !strings.Contains(afresh.body, "account=bob") || h.codes() != 0 {
			t.Fatalf("bob approved alice's page: %d, %d codes\n%s", afresh.status, h.codes(), afresh.body)
		}
		if p := b.decide(forAlice, lockspire.DecisionApprove); p.status != http.StatusForbidden {
			t.Errorf("alice's page once more: %d", p.status)
		}
		got := partner.redeem(partner.wantLeft(t, "bob's own page", b.decide(afresh, lockspire.DecisionApprove), "code", "").Get("code"))
		if sub := claimsIn(t, got.ID)["sub"]; sub != "bob" {
			t.Errorf("sub %v", sub)
		}
	})
}

func TestA42NotYouGoesToLoginWithAccountSelection(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		forAlice := partner.consentPage(b, "alice")
		p := b.decide(forAlice, lockspire.DecisionSwitchAccount)
		if p.status != http.StatusOK || !strings.HasPrefix(p.location, h.server.URL+"/login?") || !h.people.interaction().Need.SelectAccount {
			t.Fatalf("%d to %q, %+v", p.status, p.location, h.people.interaction().Need)
		}
		if again := b.decide(forAlice, lockspire.DecisionApprove); again.status != http.StatusForbidden || h.codes() != 0 {
			t.Errorf("the old page: %d, %d codes", again.status, h.codes())
		}
		if back := b.comeBack(p, "bob"); !back.isConsent() || !strings.Contains(back.body, "account=bob") {
			t.Errorf("after selection: %d\n%s", back.status, back.body)
		}
	})
}

func TestA43AnotherSessionOrEpochSeesThePageAfresh(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		for name, pairs := range map[string][]string{"session": {"nth", "2"}, "epoch": {"epoch", "2"}} {
			b := h.newBrowser()
			shown := partner.consentPage(b, "alice", "prompt", "consent")
			b.signIn("alice", pairs...)
			codes := h.codes()
			afresh := b.decide(shown, lockspire.DecisionApprove)
			if !afresh.isConsent() || h.codes() != codes || tokenPattern.FindString(afresh.body) == tokenPattern.FindString(shown.body) {
				t.Fatalf("%s: %d", name, afresh.status)
			}
			partner.wantLeft(t, name, b.decide(afresh, lockspire.DecisionApprove), "code", "")
		}
		b := h.newBrowser()
		shown := partner.consentPage(b, "alice", "prompt", "consent")
		h.people.set(func(p *people) { clear(p.sessions) })
		if p := b.decide(shown, lockspire.DecisionApprove); !strings.HasPrefix(p.location, h.server.URL+"/login?") {
			t.Errorf("signed out: %d to %q", p.status, p.location)
		}
	})
}

func TestA44HalfASignInIsNone(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		b.signIn("alice")
		h.people.set(func(p *people) { p.fault = fmt.Errorf("sessions: %w", lockspire.ErrSignInIncomplete) })
		p := b.get(partner.authorizeURL())
		if !strings.HasPrefix(p.location, h.server.URL+"/login?") {
			t.Fatalf("authorize: %d to %q", p.status, p.location)
		}
		login, _ := url.Parse(p.location)
		if p := b.get(h.server.URL + login.Query().Get("return_to")); !strings.HasPrefix(p.location, h.server.URL+"/login?") {
			t.Errorf("resume: %d to %q", p.status, p.location)
		}
	})
}

func TestA45ForgedDecisionsAreRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		shown := partner.consentPage(b, "alice")
		token := tokenPattern.FindStringSubmatch(shown.body)[1]
		for _, v := range []struct {
			name, token string
			headers     []string
			status      int
		}{
			{"no token", "", []string{"Sec-Fetch-Site", "same-origin"}, 403},
			{"wrong token", strings.Repeat("A", 43), []string{"Sec-Fetch-Site", "same-origin"}, 403},
			{"cross-site", token, []string{"Sec-Fetch-Site", "cross-site"}, 403},
			{"same-site", token, []string{"Sec-Fetch-Site", "same-site", "Origin", h.server.URL}, 403},
			{"another origin", token, []string{"Origin", "https://evil.example"}, 403},
			{"null origin", token, []string{"Origin", "null"}, 200},
		} {
			form := url.Values{"decision": {"approve"}, "decision_token": {v.token}}
			if p := b.do("POST", shown.at, form, v.headers...); p.status != v.status {
				t.Errorf("%s: %d, want %d", v.name, p.status, v.status)
			}
			if v.status == 403 && h.codes() != 0 {
				t.Fatalf("%s: a code was issued", v.name)
			}
		}
		other := h.newBrowser()
		foreign := partner.consentPage(other, "alice", "prompt", "consent")
		mine := partner.consentPage(b, "alice", "prompt", "consent")
		form := url.Values{"decision": {"approve"}, "decision_token": {tokenPattern.FindStringSubmatch(foreign.body)[1]}}
		if p := b.do("POST", mine.at, form); p.status != http.StatusForbidden {
			t.Errorf("another row's token: %d", p.status)
		}
	})
}

func TestA46GetDecidesNothing(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		shown := partner.consentPage(b, "alice")
		query := "?decision=approve&decision_token=" + tokenPattern.FindStringSubmatch(shown.body)[1]
		if p := b.get(shown.at + query); !p.isConsent() || h.codes() != 0 {
			t.Errorf("GET: %d, %d codes", p.status, h.codes())
		}
		if p := b.do("HEAD", shown.at+query, nil); p.status != http.StatusMethodNotAllowed {
			t.Errorf("HEAD: %d", p.status)
		}
	})
}

func TestA47ParallelApprovalsIssueOneCode(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		shown := partner.consentPage(b, "alice", "scope", "openid email notes:read")
		second := b.get(shown.at)
		if tokenPattern.FindString(second.body) != tokenPattern.FindString(shown.body) {
			t.Error("a second tab has another decision token")
		}
		h.people.visit = newGate(parallel).wait
		var mu sync.Mutex
		codes := map[string]int{}
		inParallel(parallel, func(int) {
			p := b.decide(shown, lockspire.DecisionApprove, "scope", "email")
			answer := partner.wantLeft(t, "approval", p, "code", "")
			mu.Lock()
			defer mu.Unlock()
			codes[answer.Get("code")]++
		})
		if len(codes) != 1 || h.codes() != 1 {
			t.Fatalf("%d codes answered, %d stored", len(codes), h.codes())
		}
		h.people.visit = nil
		wantPage(t, "deny after approve", b.decide(shown, lockspire.DecisionDeny))
		wantPage(t, "another choice after approve", b.decide(shown, lockspire.DecisionApprove))
		for code := range codes {
			if got := partner.redeem(code); got.status != http.StatusOK {
				t.Errorf("redeem: %s", got.raw)
			}
		}
		wantPage(t, "approve after redemption", b.decide(shown, lockspire.DecisionApprove, "scope", "email"))

		denied := partner.consentPage(b, "alice", "scope", "openid notes:write")
		for range 2 {
			partner.wantLeft(t, "deny", b.decide(denied, lockspire.DecisionDeny), "error", "access_denied")
		}
		wantPage(t, "approve after deny", b.decide(denied, lockspire.DecisionApprove))
		if n := h.audited("consent.denied"); n != 1 {
			t.Errorf("%d consent.denied rows", n)
		}
	})
}

func TestA48TamperedFormsAreAborted(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		for name, pair := range map[string][2]string{
			"scope": {"scope", "notes:write"}, "resource": {"resource", h.server.URL}, "claims": {"claims", "{}"},
			"redirect": {"redirect_uri", "https://evil.example"}, "client": {"client_id", "client_x"},
		} {
			shown := partner.consentPage(b, "alice")
			wantPage(t, name, b.decide(shown, lockspire.DecisionApprove, pair[0], pair[1]))
			wantPage(t, name+", then honestly", b.decide(shown, lockspire.DecisionApprove))
		}
		if h.codes() != 0 {
			t.Errorf("%d codes", h.codes())
		}
		shown := partner.consentPage(b, "alice", "scope", "openid email notes:read")
		code := partner.wantLeft(t, "a host's own field", b.decide(shown, lockspire.DecisionApprove, "csrf_token", "x"), "code", "").Get("code")
		if got := partner.redeem(code); got.Scope != "openid notes:read" {
			t.Errorf("an unticked optional scope: granted %q", got.Scope)
		}
	})
}

// Whoever unticks everything and presses Allow has said no, and the app hears
// it.
func TestApprovingNothingIsADenial(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		shown := partner.consentPage(b, "alice", "scope", "email")
		for range 2 {
			partner.wantLeft(t, "nothing", b.decide(shown, lockspire.DecisionApprove), "error", "access_denied")
		}
		wantPage(t, "email after all", b.decide(shown, lockspire.DecisionApprove, "scope", "email"))
		if n := h.audited("consent.denied"); n != 1 || h.codes() != 0 {
			t.Errorf("%d consent.denied rows, %d codes", n, h.codes())
		}
	})
}

func TestA49GrowthAsksAgain(t *testing.T) {
	resources := func(c *lockspire.Config) {
		c.Resources = []lockspire.Resource{{Identifier: "https://api.example"}, {Identifier: "https://mail.example"}}
	}
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		partner.consentTo(b, "alice")
		if p := b.get(partner.authorizeURL("scope", "openid")); p.status != http.StatusSeeOther || p.answer(t).Get("code") == "" {
			t.Errorf("less than before: %d to %q", p.status, p.location)
		}
		for name, pairs := range map[string][]string{
			"scope": {"scope", "openid notes:read notes:write"}, "resource": {"resource", "https://mail.example"}, "prompt": {"prompt", "consent"},
			"A107 offline_access": {"scope", "openid offline_access"},
		} {
			if p := b.follow(b.get(partner.authorizeURL(pairs...))); !p.isConsent() {
				t.Errorf("%s: %d to %q", name, p.status, p.location)
			}
		}
	}, resources)
}

// Two consents do not add up to a third: what was allowed at one resource was
// not allowed at another.
func TestA49ConsentsOfDifferentResourcesDoNotMix(t *testing.T) {
	resources := func(c *lockspire.Config) {
		c.Resources = []lockspire.Resource{{Identifier: "https://notes.example"}, {Identifier: "https://mail.example"}}
	}
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		ask := func(scope, resource string) page {
			return b.follow(b.get(partner.authorizeURL("scope", scope, "resource", resource)))
		}
		read, write, notes, mail := "openid notes:read", "openid notes:write", "https://notes.example", "https://mail.example"
		partner.consentTo(b, "alice", "scope", read, "resource", notes)
		partner.consentTo(b, "alice", "scope", write, "resource", mail)
		for _, mixed := range [][2]string{{write, notes}, {read, mail}, {read + " notes:write", notes}} {
			if p := ask(mixed[0], mixed[1]); !p.isConsent() {
				t.Errorf("%s at %s was never allowed: %d to %q", mixed[0], mixed[1], p.status, p.location)
			}
		}
		for _, allowed := range [][2]string{{read, notes}, {write, mail}, {"openid", notes}} {
			if p := ask(allowed[0], allowed[1]); p.isConsent() {
				t.Errorf("%s at %s was allowed before", allowed[0], allowed[1])
			}
		}
		partner.consentTo(b, "alice", "scope", write, "resource", notes)
		if p := ask(write, notes); p.isConsent() {
			t.Error("allowed at last, and asked again")
		}
		grants, err := h.provider.Grants(t.Context(), "alice")
		if err != nil || len(grants) != 1 || len(grants[0].Resources) != 2 || len(grants[0].Scopes) != 3 {
			t.Errorf("%+v, %v", grants, err)
		}
	}, resources)
}

func TestA50AndA51ConsentIsNotRememberedForUnprovenClients(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		b := h.newBrowser()
		for name, a := range map[string]*app{
			"A50 public":   h.newApp(public),
			"A51 loopback": h.newApp(func(n *lockspire.NewClient) { n.RedirectURIs = []string{"http://localhost/cb"}; n.Trusted = true }),
		} {
			a.consentTo(b, "alice")
			if p := b.follow(b.get(a.authorizeURL())); !p.isConsent() {
				t.Errorf("%s: %d to %q", name, p.status, p.location)
			}
		}
	})
}

// Remembered consent after a login form leaves by a page, never by a redirect
// that the form's policy would block.
func TestA14RememberedConsentAfterLoginLeavesByPage(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		partner.consentTo(h.newBrowser(), "alice")
		b := h.newBrowser()
		p := b.comeBack(b.get(partner.authorizeURL()), "alice")
		partner.wantLeft(t, "resume", p, "code", "")
	})
}

// A host's SameSite=Strict cookie is not sent on the way in from another site.
func TestSignedOutFromAnotherSiteAsksAgainFromOurOwnPage(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		b, strict := h.newBrowser(), h.newBrowser()
		p := strict.get(partner.authorizeURL(), "Sec-Fetch-Site", "cross-site")
		if p.status != http.StatusOK || !strings.HasPrefix(p.location, h.issuer+"/interactions/") {
			t.Fatalf("%d to %q", p.status, p.location)
		}
		strict.signIn("alice")
		if consent := strict.get(p.location, "Sec-Fetch-Site", "same-origin"); !consent.isConsent() {
			t.Errorf("asked again, signed in: %d to %q", consent.status, consent.location)
		}
		// prompt=login is not met by the session that was there all along.
		p = strict.get(partner.authorizeURL("prompt", "login"), "Sec-Fetch-Site", "cross-site")
		if p = strict.get(p.location); !strings.HasPrefix(p.location, h.server.URL+"/login?") || !h.people.interaction().Need.Reauthenticate {
			t.Errorf("prompt=login: %d to %q", p.status, p.location)
		}
		if p := b.get(b.get(partner.authorizeURL(), "Sec-Fetch-Site", "cross-site").location); !strings.HasPrefix(p.location, h.server.URL+"/login?") {
			t.Errorf("asked again, signed out: %d to %q", p.status, p.location)
		}
	})
}

func TestA58LateDecisionsIssueNothing(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		shown := partner.consentPage(b, "alice")
		h.clock.advance(10*time.Minute + time.Second)
		afresh := b.decide(shown, lockspire.DecisionApprove)
		if !afresh.isConsent() || h.codes() != 0 || tokenPattern.FindString(afresh.body) == tokenPattern.FindString(shown.body) {
			t.Fatalf("after the decision time: %d, %d codes", afresh.status, h.codes())
		}
		h.clock.advance(50 * time.Minute)
		wantPage(t, "after the interaction's time", b.decide(afresh, lockspire.DecisionApprove))
		wantPage(t, "GET after the interaction's time", b.get(shown.at))
		if h.codes() != 0 {
			t.Errorf("%d codes", h.codes())
		}
	})
}

func TestA59GoneAccountIsDenied(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		shown := partner.consentPage(b, "alice")
		h.people.set(func(p *people) { p.gone["alice"] = true })
		partner.wantLeft(t, "gone", b.decide(shown, lockspire.DecisionApprove), "error", "access_denied")
		if h.codes() != 0 {
			t.Errorf("%d codes", h.codes())
		}
	})
}

func TestA60WithdrawnConsentIssuesNoCode(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		partner.consentTo(b, "alice")
		shown := partner.consentPage(b, "alice", "scope", "openid notes:write")
		grants, err := h.provider.Grants(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		if err := h.provider.RevokeGrant(t.Context(), "alice", grants[0].ID); err != nil {
			t.Fatal(err)
		}
		codes := h.codes()
		afresh := b.decide(shown, lockspire.DecisionApprove)
		if !afresh.isConsent() || h.codes() != codes {
			t.Fatalf("approved a withdrawn consent: %d to %q", afresh.status, afresh.location)
		}
		partner.wantLeft(t, "the page shown afresh", b.decide(afresh, lockspire.DecisionApprove), "code", "")
	})
}

func TestA61OneCookieForAllInteractionsOfABrowser(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		b.signIn("alice")
		first := b.get(partner.authorizeURL())
		set := first.header.Values("Set-Cookie")
		if len(set) != 1 || !strings.HasPrefix(set[0], "__Host-lockspire-") {
			t.Fatalf("Set-Cookie %q", set)
		}
		second := b.get(partner.authorizeURL("scope", "openid"))
		if len(second.header.Values("Set-Cookie")) != 0 {
			t.Error("the second interaction changed the cookie")
		}
		for _, p := range []page{first, second} {
			if tab := b.follow(p); !tab.isConsent() {
				t.Errorf("tab: %d", tab.status)
			}
		}
	})
}
