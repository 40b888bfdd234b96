package dbtest

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// posted sends an authorization request as the form of another site.
func (a *app) posted(b *browser, pairs ...string) page {
	a.h.t.Helper()
	u, err := url.Parse(a.authorizeURL(pairs...))
	if err != nil {
		a.h.t.Fatal(err)
	}
	return b.do("POST", a.h.issuer+"/authorize", u.Query(), "Sec-Fetch-Site", "cross-site", "Origin", "https://partner.example")
}

var inputPattern = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// formAnswer are the fields of a form_post page, as a browser submits them.
func (p page) formAnswer(t *testing.T, action string) url.Values {
	t.Helper()
	match := actionPattern.FindStringSubmatch(p.body)
	if p.status != http.StatusOK || match == nil || html.UnescapeString(match[1]) != action || p.location != "" {
		t.Fatalf("no form for the app: %d %q\n%s", p.status, match, p.body)
	}
	fields := url.Values{}
	for _, input := range inputPattern.FindAllStringSubmatch(p.body, -1) {
		fields.Add(html.UnescapeString(input[1]), html.UnescapeString(input[2]))
	}
	return fields
}

func TestPostedAuthorizationRequestGoesOnAsAGet(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		b.signIn("alice")
		before := h.people.count("CurrentAccount")
		p := partner.posted(b, "state", "posted")
		if p.status != http.StatusSeeOther || !strings.HasPrefix(p.location, h.issuer+"/authorize?posted=") || p.header.Get("Set-Cookie") != "" {
			t.Fatalf("POST: %d to %s with %v", p.status, p.location, p.header)
		}
		if p.header.Get("Cache-Control") != "no-store" || p.header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("headers %v", p.header)
		}
		if h.people.count("CurrentAccount") != before {
			t.Error("the POST read a session")
		}
		again := p.location
		// The first GET still comes from another site: the host's Strict
		// cookie is only seen after the page of our own.
		next := b.get(p.location, "Sec-Fetch-Site", "cross-site")
		if next.status != http.StatusOK || !strings.HasPrefix(next.location, h.issuer+"/interactions/") {
			t.Fatalf("GET: %d to %s\n%s", next.status, next.location, next.body)
		}
		consent := b.follow(next)
		if !consent.isConsent() || !strings.Contains(consent.body, "account=alice") {
			t.Fatalf("no consent page: %d %s", consent.status, consent.body)
		}
		answer := b.decide(consent, lockspire.DecisionApprove).answer(t)
		if answer.Get("state") != "posted" || answer.Get("iss") != h.issuer {
			t.Errorf("answer %v", answer)
		}
		if got := partner.redeem(answer.Get("code")); got.status != 200 {
			t.Errorf("redeem: %s", got.raw)
		}
		// Each stored request is taken once, and only while it is fresh.
		for name, target := range map[string]string{
			"taken": again, "guessed": h.issuer + "/authorize?posted=" + strings.Repeat("A", 43), "odd": h.issuer + "/authorize?posted=x",
		} {
			if p := b.get(target); p.status != http.StatusBadRequest || p.location != "" {
				t.Errorf("%s: %d to %s", name, p.status, p.location)
			}
		}
		late := partner.posted(b)
		h.clock.advance(61 * time.Second)
		if p := b.get(late.location); p.status != http.StatusBadRequest {
			t.Errorf("late: %d", p.status)
		}
		// With a client_id it is an unknown parameter like any other (A20).
		if p := b.get(partner.authorizeURL("posted", "x")); p.status != http.StatusSeeOther || p.answer(t).Get("error") != "" {
			t.Errorf("beside a request: %d %s", p.status, p.location)
		}
	})
}

func TestPostedRequestIsTakenByOneOfManyBrowsers(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		p := h.newApp().posted(h.newBrowser())
		statuses := make([]int, 50)
		inParallel(50, func(i int) { statuses[i] = send(h.provider, "GET", p.location, nil).Code })
		won := 0
		for _, status := range statuses {
			switch status {
			case http.StatusSeeOther:
				won++
			case http.StatusBadRequest:
			default:
				t.Errorf("status %d", status)
			}
		}
		if won != 1 {
			t.Errorf("%d browsers took one request", won)
		}
	})
}

// A posted request keeps the browser's interactions of other tabs, whose
// cookie it does not carry.
func TestA61PostedRequestSetsNoCookieOverTheOneThereIs(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		b.signIn("alice")
		first := b.follow(b.get(partner.authorizeURL()))
		// A new browser stands for the cookies that a cross-site POST lacks.
		p := partner.posted(h.newBrowser())
		if second := b.follow(b.get(p.location)); !second.isConsent() {
			t.Fatalf("no second consent page: %d", second.status)
		}
		if left := b.decide(first, lockspire.DecisionApprove); left.status != 200 || left.answer(t).Get("code") == "" {
			t.Errorf("the first tab: %d", left.status)
		}
	})
}

func TestA19PostedParametersHaveTheRulesOfTheQuery(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		good, _ := url.Parse(partner.authorizeURL())
		post := func(query string, change func(url.Values)) page {
			form := good.Query()
			if change != nil {
				change(form)
			}
			return b.do("POST", h.issuer+"/authorize"+query, form)
		}
		interactions := func() int { return count(t, h.db, "SELECT COUNT(*) FROM lockspire_interactions") }
		for name, p := range map[string]page{
			"client_id in both":      post("?client_id="+partner.ID, nil),
			"redirect_uri in both":   post("?redirect_uri=https://partner.example/cb", nil),
			"client_id twice":        post("", func(v url.Values) { v.Add("client_id", partner.ID) }),
			"unknown client":         post("", func(v url.Values) { v.Set("client_id", "x") }),
			"other redirect":         post("", func(v url.Values) { v.Set("redirect_uri", "https://partner.example/CB") }),
			"A21 NUL in redirect":    post("", func(v url.Values) { v.Set("redirect_uri", "https://partner.example/cb\x00") }),
			"A63 JSON":               b.do("POST", h.issuer+"/authorize", good.Query(), "Content-Type", "application/json"),
			"A63 multipart":          b.do("POST", h.issuer+"/authorize", good.Query(), "Content-Type", "multipart/form-data; boundary=x"),
			"no body":                b.do("POST", h.issuer+"/authorize?"+good.RawQuery, nil),
			"A06 userinfo in client": post("", func(v url.Values) { v.Set("redirect_uri", "https://x@partner.example/cb") }),
		} {
			if p.status != http.StatusBadRequest || p.location != "" {
				t.Errorf("%s: %d to %s", name, p.status, p.location)
			}
		}
		for name, c := range map[string]struct {
			p    page
			code string
		}{
			"scope in both":   {post("?scope=openid", nil), "invalid_request"},
			"nonce twice":     {post("", func(v url.Values) { v.Add("nonce", "x") }), "invalid_request"},
			"A21 NUL":         {post("", func(v url.Values) { v.Set("nonce", "\x00") }), "invalid_request"},
			"A15 token":       {post("", func(v url.Values) { v.Set("response_type", "token") }), "unsupported_response_type"},
			"A18 plain":       {post("", func(v url.Values) { v.Set("code_challenge_method", "plain") }), "invalid_request"},
			"A23 scope":       {post("", func(v url.Values) { v.Set("scope", "notes:shred") }), "invalid_scope"},
			"A27 request_uri": {post("", func(v url.Values) { v.Set("request_uri", "https://evil.example") }), "request_uri_not_supported"},
		} {
			// After a form POST the browser leaves by a page (A14).
			if got := c.p.answer(t); c.p.status != http.StatusOK || got.Get("error") != c.code || got.Get("state") != "st-1" || got.Get("iss") != h.issuer {
				t.Errorf("%s: %d %v", name, c.p.status, got)
			}
		}
		if p := post("", func(v url.Values) { v.Set("x", strings.Repeat("x", 65<<10)) }); p.status != http.StatusRequestEntityTooLarge {
			t.Errorf("A25: %d", p.status)
		}
		if n := interactions(); n != 0 {
			t.Errorf("%d rows of requests that were refused", n)
		}
		// Split between query and body is one request (RFC 6749 §3.1).
		if p := post("?ui_locales=de", nil); p.status != http.StatusSeeOther || interactions() != 1 {
			t.Errorf("split: %d, %d rows", p.status, interactions())
		}
	})
}

func TestPostedPromptNoneAndRememberedConsentLeaveByAPage(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		next := func(pairs ...string) page { return b.get(partner.posted(b, pairs...).location) }
		if p := next("prompt", "none"); p.status != http.StatusOK || p.answer(t).Get("error") != "login_required" {
			t.Errorf("A28, signed out: %d %s", p.status, p.location)
		}
		b.signIn("alice")
		if p := next("prompt", "none"); p.status != http.StatusOK || p.answer(t).Get("error") != "consent_required" {
			t.Errorf("A28, no consent: %d %s", p.status, p.location)
		}
		partner.consentTo(b, "alice")
		if p := next(); p.status != http.StatusOK || p.answer(t).Get("code") == "" {
			t.Errorf("remembered: %d %s", p.status, p.location)
		}
	})
}

func TestA56FormPostTakesTheAnswerToTheApp(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		const redirect = "https://partner.example/cb?tenant=a%26b&code=evil"
		partner := h.newApp(func(n *lockspire.NewClient) { n.RedirectURIs = []string{redirect} })
		b := h.newBrowser()
		const state = `"><script>alert(1)</script>'&amp;` + "`%00"
		check := func(name string, p page, code string) {
			t.Helper()
			fields := p.formAnswer(t, "https://partner.example/cb?tenant=a%26b")
			if fields.Get("state") != state || fields.Get("iss") != h.issuer || fields.Get("error") != code || (fields.Get("code") == "") != (code != "") {
				t.Errorf("%s: fields %v", name, fields)
			}
			script := regexp.MustCompile(`<script>(.*)</script>`).FindStringSubmatch(p.body)
			if script == nil || strings.Count(p.body, "<script") != 1 || !strings.Contains(p.body, "<button>") {
				t.Fatalf("%s: not one script and a button\n%s", name, p.body)
			}
			sum := sha256.Sum256([]byte(script[1]))
			policy := p.header.Get("Content-Security-Policy")
			for _, want := range []string{"default-src 'none'", "script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'", "frame-ancestors 'none'", "base-uri 'none'"} {
				if !strings.Contains(policy, want) {
					t.Errorf("%s: policy %q lacks %s", name, policy, want)
				}
			}
			if strings.Contains(policy, "form-action") || strings.Contains(policy, "unsafe") {
				t.Errorf("%s: policy %q", name, policy)
			}
			if p.header.Get("Cache-Control") != "no-store" || p.header.Get("X-Frame-Options") != "DENY" || p.header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("%s: headers %v", name, p.header)
			}
		}
		request := func(pairs ...string) string {
			return partner.authorizeURL(append([]string{"response_mode", "form_post", "state", state}, pairs...)...)
		}
		check("error at once", b.get(request("response_type", "token")), "unsupported_response_type")
		check("signed out", b.get(request("prompt", "none")), "login_required")
		b.signIn("alice")
		check("denied", b.decide(b.follow(b.get(request())), lockspire.DecisionDeny), "access_denied")
		approved := b.decide(b.follow(b.get(request())), lockspire.DecisionApprove)
		check("approved", approved, "")
		if got := partner.redeem(approved.formAnswer(t, "https://partner.example/cb?tenant=a%26b").Get("code")); got.status != 200 {
			t.Errorf("redeem: %s", got.raw)
		}
		check("remembered", b.get(request()), "")
		check("posted, remembered", b.get(partner.posted(b, "response_mode", "form_post", "state", state).location), "")
		check("posted error", partner.posted(b, "response_mode", "form_post", "state", state, "scope", "nope"), "invalid_scope")
	})
}

func TestA16FormPostNeedsAnAppThatCanBePostedTo(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		phone := h.newApp(public, func(n *lockspire.NewClient) { n.RedirectURIs = []string{"com.example.app:/cb"} })
		p := h.newBrowser().get(phone.authorizeURL("response_mode", "form_post"))
		if p.status != http.StatusSeeOther || p.answer(t).Get("error") != "invalid_request" {
			t.Errorf("%d %s", p.status, p.location)
		}
		partner := h.newApp()
		for _, mode := range []string{"fragment", "web_message", "form_post.jwt", "FORM_POST"} {
			if p := h.newBrowser().get(partner.authorizeURL("response_mode", mode)); p.status != http.StatusSeeOther || p.answer(t).Get("error") != "invalid_request" {
				t.Errorf("%s: %d %s", mode, p.status, p.location)
			}
		}
	})
}
