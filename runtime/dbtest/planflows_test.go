package dbtest

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// planHost is a host whose database is listened to.
type planHost struct {
	*host
	recorder *planRecorder
	// popular is the client that half of all rows belong to.
	popular *app
}

// planApp registers a client, which no request does.
func (h *planHost) planApp(changes ...func(*lockspire.NewClient)) *app {
	var a *app
	h.recorder.during(forOperator, func() { a = h.newApp(changes...) })
	return a
}

// planRequests is every flow that a request can take, in success and failure.
// user is nobody who was here before.
func planRequests(t *testing.T, h *planHost, user string) {
	partner := h.popular
	planCodeFlow(t, h, partner, user)
	planInteractions(t, h, partner, user)
	planPosted(h, partner, user)

	random := h.planApp(opaque)
	issued := random.redeem(random.consentTo(h.newBrowser(), user))
	h.api(issued.Access)
	random.post("/revoke", "token", issued.Access)

	job := h.planApp(machine)
	own := job.ownToken("scope", "notes:read")
	h.api(own.Access)
	job.introspect(own.Access)
	job.post("/revoke", "token", own.Access)
	partner.attempt(basic(partner.ID, "wrong"), "grant_type", "client_credentials")
	planApps(t, h, user)
	planSessions(t, h, partner, user+"-s")
}

// planSessions is what a host calls when people sign in and out.
func planSessions(t *testing.T, h *planHost, partner *app, user string) {
	b := h.newBrowser()
	partner.redeem(partner.consentTo(b, user, "scope", "openid notes:read offline_access"))
	partner.consentPage(b, user, "scope", "openid notes:write")
	for _, err := range []error{
		h.provider.SessionRenewed(t.Context(), sessionOf(user), user+"-renewed"),
		h.provider.SessionEnded(t.Context(), user+"-renewed"),
		h.provider.RevokeSubject(t.Context(), user, "plan"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// planCodeFlow goes from login to the end of the tokens.
func planCodeFlow(t *testing.T, h *planHost, partner *app, user string) {
	b, all := h.newBrowser(), []string{"scope", "openid profile notes:read offline_access"}
	code := partner.consentTo(b, user, all...)
	partner.redeem(code, "code_verifier", "")
	partner.token("grant_type", "authorization_code", "code", code, "code_verifier", wrongVerifier)
	first := partner.redeem(code)
	partner.redeem(code)
	second := partner.refresh(first.Refresh)
	partner.refresh(first.Refresh)
	if second.status != 200 || h.api(second.Access) != 200 {
		t.Fatalf("refresh: %s", second)
	}
	h.bearer("/lockspire/userinfo", second.Access)
	partner.introspect(second.Access)
	partner.introspect(second.Refresh)
	partner.introspect(strings.Repeat("A", 43))
	b.follow(b.get(partner.authorizeURL("id_token_hint", second.ID)))
	b.follow(b.get(partner.authorizeURL("id_token_hint", second.ID, "prompt", "none")))

	stranger := h.planApp()
	stranger.post("/revoke", "token", second.Access)
	stranger.post("/revoke", "token", second.Refresh)
	stranger.redeem(code)
	partner.post("/revoke", "token", second.Access)
	partner.refresh(second.Refresh)
	h.clock.advance(2 * time.Minute)
	// The reuse ends this family.
	partner.refresh(first.Refresh)
	partner.redeem(code)
	again := partner.redeem(partner.consentTo(b, user, all...))
	partner.post("/revoke", "token", again.Refresh)

	replayed := partner.consentTo(b, user, all...)
	partner.redeem(replayed)
	h.clock.advance(3 * time.Second)
	partner.redeem(replayed)
}

// planInteractions goes every way out of the consent page.
func planInteractions(t *testing.T, h *planHost, partner *app, user string) {
	shown := func(pairs ...string) (*browser, page) {
		b := h.newBrowser()
		return b, partner.consentPage(b, user, append([]string{"prompt", "consent"}, pairs...)...)
	}
	b, consent := shown("scope", "openid notes:read notes:write")
	// The same page in a second tab, twice the same decision, then another.
	b.follow(b.get(consent.at))
	b.decide(consent, lockspire.DecisionApprove)
	b.decide(consent, lockspire.DecisionApprove)
	b.decide(consent, lockspire.DecisionDeny)
	b.get(consent.at)
	b, consent = shown()
	b.decide(consent, lockspire.DecisionDeny)
	b, consent = shown()
	b.decide(consent, lockspire.DecisionApprove, "client_id", "other")
	b, consent = shown()
	b.comeBack(b.decide(consent, lockspire.DecisionSwitchAccount), user)
	b, consent = shown()
	h.people.set(func(p *people) { p.gone[user] = true })
	b.decide(consent, lockspire.DecisionApprove)
	h.people.set(func(p *people) { p.gone[user] = false })
	// Remembered consent, at once and after a login.
	b = h.newBrowser()
	partner.consentTo(b, user)
	partner.consentTo(b, user)
	b.follow(b.get(partner.authorizeURL("client_id", "unknown")))
	b.get(h.issuer + "/interactions/" + strings.Repeat("A", 43))
}

// planPosted sends requests by POST.
func planPosted(h *planHost, partner *app, user string) {
	b := h.newBrowser()
	b.signIn(user)
	b.follow(partner.posted(b, "response_mode", "form_post"))
	b.get(h.issuer + "/authorize?posted=" + strings.Repeat("A", 43))
}

// planApps withdraws a consent on the authorized-apps page.
func planApps(t *testing.T, h *planHost, user string) {
	b := h.newBrowser()
	b.signIn(user)
	page := b.get(h.issuer + "/apps")
	form := url.Values{"decision": {"revoke"}}
	for _, name := range []string{"decision_token", "grant_id"} {
		value := between(page.body, `name="`+name+`" value="`, `"`)
		if value == "" {
			t.Fatalf("no %s on the apps page: %d\n%s", name, page.status, page.body)
		}
		form.Set(name, value)
	}
	b.follow(b.do("POST", h.issuer+"/apps", form, "Sec-Fetch-Site", "same-origin"))
}

// planBackground is what Run does: sweep, keys, seal again, last use.
func planBackground(t *testing.T, h *planHost, user string) {
	partner := h.popular
	issued := partner.redeem(partner.consentTo(h.newBrowser(), user))
	mustExec(t, h.db, "UPDATE lockspire_grants SET last_used_at = 1 WHERE subject = $1 AND revoked_at IS NULL", user)
	if w := callAPI(h.provider, issued.Access); w.Code != 200 {
		t.Fatalf("the API answered %d", w.Code)
	}
	mustExec(t, h.db, "DELETE FROM lockspire_keys WHERE state = 'next'")
	// With another secret in front every key is sealed again, and then back.
	slices.Reverse(h.config.Secrets)
	other := h.replica()
	slices.Reverse(h.config.Secrets)
	planTended(t, h, other.provider)
	planTended(t, h, h.provider)
	if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_grants WHERE subject = $1 AND last_used_at = 1 AND revoked_at IS NULL", user); n != 0 {
		t.Error("the last use was not written")
	}
	keys := h.provider.Keys()
	h.clock.advance(61 * time.Second)
	if _, err := keys.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.RotateNow(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// planTended runs the background work of p until its keys are there and sealed
// with its own secret, and nothing is left to sweep.
func planTended(t *testing.T, h *planHost, p *lockspire.Provider) {
	t.Helper()
	var status lockspire.KeysStatus
	var err error
	h.recorder.during(forOperator, func() { status, err = p.Keys().Status(t.Context()) })
	if err != nil {
		t.Fatal(err)
	}
	runUntil(t, p, "keys are sealed again", func() bool {
		return count(t, h.db, "SELECT COUNT(*) FROM lockspire_keys WHERE state IN ('next', 'active') AND secret_id = $1", status.Secrets[0].ID) == 4 &&
			count(t, h.db, "SELECT COUNT(*) FROM lockspire_grants WHERE expires_at < $1", h.clock.Now().Add(-10*time.Minute).UnixMicro()) == 0
	})
}

// planOperator is what tools and the host's own code ask for.
func planOperator(t *testing.T, h *planHost, user string) {
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	p := h.provider
	mustNew(t, h.config)
	_, err := lockspire.SchemaStatus(t.Context(), h.db, h.config.Dialect, "")
	check(err)
	small := h.newApp()
	issued := small.redeem(small.consentTo(h.newBrowser(), user, "scope", "openid notes:read offline_access"))
	if issued.status != 200 {
		t.Fatal(issued)
	}
	_, err = p.Clients().List(t.Context())
	check(err)
	_, err = p.Clients().RotateSecret(t.Context(), small.ID, time.Hour)
	check(err)
	check(p.Clients().Disable(t.Context(), small.ID))
	check(p.Clients().Disable(t.Context(), small.ID))
	_, err = p.Grants(t.Context(), user)
	check(err)
	h.newBrowser().get(small.authorizeURL("login_hint", user))
	check(p.EraseSubject(t.Context(), user))
	_, err = p.Keys().Status(t.Context())
	check(err)
	for range 2 {
		// The second time there is no next key.
		_, err = p.Keys().Revoke(t.Context(), h.key("ES256", lockspire.KeyActive))
		check(err)
	}
}
