package dbtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// rowAuthorizeRefused demands that a request with pairs is answered to the app with
// code, by GET and by POST, signed in or not: state and issuer beside it, in the
// query, once each, and nothing else happens.
func rowAuthorizeRefused(t *testing.T, a *app, name, code string, pairs ...string) {
	t.Helper()
	signedIn := a.h.newBrowser()
	signedIn.signIn("alice")
	rows, issued := a.h.interactions(), a.h.issued()
	for who, b := range map[string]*browser{"signed out": a.h.newBrowser(), "signed in": signedIn} {
		got, posted := b.get(a.authorizeURL(pairs...)), a.posted(b, pairs...)
		a.wantError(t, name+", "+who, got, code)
		if posted.status != http.StatusOK {
			t.Errorf("%s, %s, by POST: %d\n%s", name, who, posted.status, posted.body)
		}
		for _, p := range []page{got, posted} {
			answer := p.answer(t)
			if !strings.HasPrefix(p.location, a.redirectURI+"?") || strings.Contains(p.location, "#") || p.header.Get("Set-Cookie") != "" {
				t.Errorf("%s, %s: to %q, cookie %q", name, who, p.location, p.header.Get("Set-Cookie"))
			}
			for parameter, want := range map[string]string{"error": code, "state": "st-1", "iss": a.h.issuer} {
				if values := answer[parameter]; len(values) != 1 || values[0] != want {
					t.Errorf("%s, %s: %s is %q, want %q", name, who, parameter, values, want)
				}
			}
			for _, secret := range []string{"code", "access_token", "id_token", "token_type"} {
				if answer.Has(secret) {
					t.Errorf("%s, %s: %s in %s", name, who, secret, p.location)
				}
			}
		}
	}
	if a.h.interactions() != rows || a.h.issued() != issued {
		t.Errorf("%s: %d interactions and %d codes or grants were written", name, a.h.interactions()-rows, a.h.issued()-issued)
	}
}

func TestA15OnlyTheCodeResponseTypeExists(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		for _, a := range []*app{h.newApp(), h.newApp(public)} {
			rowAuthorizeRefused(t, a, "missing", "invalid_request", "response_type", "")
			for _, value := range []string{"token", "id_token", "id_token token", "code token", "code id_token", "code id_token token", "none", "CODE", "code code", "code ", "codes"} {
				rowAuthorizeRefused(t, a, value, "unsupported_response_type", "response_type", value)
			}
			p := h.newBrowser().get(a.authorizeURL("response_type", "") + "&response_type=")
			a.wantError(t, "empty", p, "invalid_request")
		}
		metadata := h.announced(t)
		if got := fmt.Sprint(metadata["response_types_supported"], metadata["grant_types_supported"]); got != "[code] [authorization_code refresh_token client_credentials]" {
			t.Errorf("announced: %s", got)
		}
		_, _, err := h.provider.Clients().Create(t.Context(), lockspire.NewClient{Name: "X", RedirectURIs: []string{"https://x.example/cb"}, GrantTypes: []string{"implicit"}})
		wantError(t, err, "GrantTypes", "implicit")
	})
}

func TestA18OnlyS256ChallengesOf43CharactersAreTaken(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		good := challengeOf(testVerifier)
		for kind, a := range map[string]*app{
			"confidential": h.newApp(), "public": h.newApp(public), "trusted": h.newApp(func(n *lockspire.NewClient) { n.Trusted = true }),
			"PKCE optional": h.newApp(func(n *lockspire.NewClient) { n.PKCEOptional = true }),
		} {
			for _, method := range []string{"plain", "", "s256", "S512", "none", "S256 ", " S256", "PLAIN"} {
				rowAuthorizeRefused(t, a, kind+" method "+method, "invalid_request", "code_challenge_method", method)
				rowAuthorizeRefused(t, a, kind+" verifier with method "+method, "invalid_request", "code_challenge_method", method, "code_challenge", testVerifier)
			}
			for _, challenge := range []string{"abc", good[:42], good + "A", good + "=", good[:42] + "=", good[:42] + "+", good[:42] + "/", good[:42] + ".", good[:42] + "~", good[:42] + " ", good[:41] + "é", strings.Repeat("A", 128)} {
				rowAuthorizeRefused(t, a, kind+" challenge "+challenge, "invalid_request", "code_challenge", challenge)
			}
			rowAuthorizeRefused(t, a, kind+" method alone", "invalid_request", "code_challenge", "")
			rowAuthorizeReachConsent(t, a, a.redirectURI)
		}
	})
}

func TestA22ScopesOutsideTheGrammarOrTheBoundsAreRefused(t *testing.T) {
	var names []string
	for i := range 60 {
		names = append(names, fmt.Sprintf("area%02d", i))
	}
	onEngines(t, func(t *testing.T, h *host) {
		every := func(n *lockspire.NewClient) { n.Scopes = append([]string{"openid", "offline_access"}, names...) }
		partner, b := h.newApp(every), h.newBrowser()
		job := h.newApp(machine, func(n *lockspire.NewClient) { n.Scopes = names })
		b.signIn("alice")
		consent := b.follow(b.get(partner.authorizeURL("scope", "openid offline_access "+strings.Join(names[:48], " "))))
		got := partner.redeem(b.decide(consent, lockspire.DecisionApprove).answer(t).Get("code"))
		if got.status != http.StatusOK || len(strings.Fields(got.Scope)) != 50 {
			t.Fatalf("50 scopes: %s", got.raw)
		}
		const most = 2 << 10
		long := strings.Repeat("area00 ", most/len("area00 ")+1)
		if again := partner.refresh(got.Refresh, "scope", long[:most-most%7]); again.status != http.StatusOK {
			t.Errorf("2 KiB: %s", again.raw)
		} else {
			got = again
		}
		if fits := job.ownToken("scope", strings.Join(names[:50], " ")); fits.status != http.StatusOK || len(strings.Fields(fits.Scope)) != 50 {
			t.Errorf("50 scopes of its own: %s", fits.raw)
		}
		issued := h.issued()
		for name, scope := range map[string]string{
			"quote": `area00 "`, "quote inside": `area"00`, "backslash": `area00 \`, "unicode": "area00 é", "unicode space": "area00\u00a0area01", "emoji": "area00 😀", "homograph": "аrea00",
			"51 tokens": strings.Join(names[:51], " "), "60 tokens": strings.Join(names, " "), "more than 2 KiB": long, "one long token": strings.Repeat("x", most+1),
		} {
			for how, refused := range map[string]tokens{
				"client credentials": job.ownToken("scope", scope), "refresh": partner.refresh(got.Refresh, "scope", scope),
			} {
				wantToken(t, name+", "+how, refused, 400, "invalid_scope")
				if !strings.Contains(refused.Description, "malformed") || refused.Access != "" {
					t.Errorf("%s, %s: %s", name, how, refused.raw)
				}
			}
			rowAuthorizeRefused(t, partner, name, "invalid_scope", "scope", scope)
			if why := b.get(partner.authorizeURL("scope", scope)).answer(t).Get("error_description"); !strings.Contains(why, "malformed") {
				t.Errorf("%s: refused because %q", name, why)
			}
		}
		if h.issued() != issued {
			t.Errorf("%d rows came of it", h.issued()-issued)
		}
		if again := partner.refresh(got.Refresh); again.status != http.StatusOK {
			t.Errorf("the refresh token is spent: %s", again.raw)
		}
	}, func(config *lockspire.Config) {
		for _, name := range names {
			config.Scopes = append(config.Scopes, lockspire.Scope{Name: name})
		}
	})
}

func TestA27RequestsByValueOrReferenceAreRefusedUnfetched(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		var fetched atomic.Int32
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fetched.Add(1)
			fmt.Fprint(w, "e30.e30.")
		}))
		t.Cleanup(receiver.Close)
		// {"alg":"none"}, {"redirect_uri":"https://evil.test/","state":"evil"}
		const object = "eyJhbGciOiJub25lIn0.eyJyZWRpcmVjdF91cmkiOiJodHRwczovL2V2aWwudGVzdC8iLCJzdGF0ZSI6ImV2aWwifQ."
		metadata := `{"redirect_uris":["https://evil.test/"],"jwks_uri":"` + receiver.URL + `/jwks","logo_uri":"` + receiver.URL + `/logo"}`
		for _, a := range []*app{h.newApp(), h.newApp(public), h.newApp(func(n *lockspire.NewClient) { n.Trusted = true })} {
			for _, request := range []string{object, "e30.e30.", "x", "a.b.c.d.e", "{}"} {
				rowAuthorizeRefused(t, a, "request "+request, "request_not_supported", "request", request)
			}
			for _, uri := range []string{receiver.URL + "/object", receiver.URL + "/object#hash", strings.Replace(receiver.URL, "127.0.0.1", "localhost", 1), "https://evil.test/",
				"urn:ietf:params:oauth:request_uri:x", "file:///etc/passwd", "http://169.254.169.254/latest", "data:,e30.e30.", "x"} {
				rowAuthorizeRefused(t, a, "request_uri "+uri, "request_uri_not_supported", "request_uri", uri)
			}
			for _, value := range []string{metadata, "{}", "x", `{"id_token_signed_response_alg":"none"}`} {
				rowAuthorizeRefused(t, a, "registration "+value, "registration_not_supported", "registration", value)
			}
			// Beside them nothing else may be missing from the query, and all come first.
			rowAuthorizeRefused(t, a, "everything in the object", "request_not_supported", "request", object, "response_type", "", "scope", "", "code_challenge", "")
			rowAuthorizeRefused(t, a, "silent", "request_uri_not_supported", "request_uri", receiver.URL, "prompt", "none")
			b := h.newBrowser()
			wantPage(t, "redirect_uri in the object", b.get(a.authorizeURL("request", object, "redirect_uri", "")))
			wantPage(t, "client_id in the object", b.get(a.authorizeURL("request_uri", receiver.URL, "client_id", "")))
		}
		time.Sleep(50 * time.Millisecond) // for a fetch in the background
		if n := fetched.Load(); n != 0 {
			t.Errorf("%d requests reached the request_uri", n)
		}
		if announced := h.announced(t); announced["request_parameter_supported"] != false || announced["request_uri_parameter_supported"] != false {
			t.Errorf("announced: %v", announced)
		}
		h.wantUnannounced(t, "request_object", "pushed_authorization", "registration_endpoint")
	})
}

func TestA29PromptNoneStandsAloneAndUnknownValuesAreIgnored(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		for _, value := range []string{"none login", "login none", "none consent", "none select_account", "none create", "none unheard_of", "unheard_of none", "none none", "login consent none"} {
			rowAuthorizeRefused(t, partner, value, "invalid_request", "prompt", value)
		}
		partner.consentTo(b, "alice")
		rows := h.interactions()
		// Remembered consent answers as if an unknown value had not been sent.
		for _, value := range []string{"unheard_of", "NONE", "None", "unheard_of other", "x none_", "LOGIN"} {
			p := b.get(partner.authorizeURL("prompt", value))
			if p.status != http.StatusSeeOther || p.answer(t).Get("code") == "" {
				t.Errorf("%q: %d to %q", value, p.status, p.location)
			}
			// NONE is not none: somebody who is signed out is asked to sign in.
			if p := h.newBrowser().get(partner.authorizeURL("prompt", value)); !strings.HasPrefix(p.location, h.server.URL+"/login?") {
				t.Errorf("%q, signed out: %d to %q", value, p.status, p.location)
			}
		}
		if h.interactions() == rows {
			t.Error("nobody was sent to sign in")
		}
		// Beside one that is known, the known one counts.
		if p := b.get(partner.authorizeURL("prompt", "unheard_of login")); !strings.HasPrefix(p.location, h.server.URL+"/login?") || !h.people.interaction().Need.Reauthenticate {
			t.Errorf("login beside an unknown value: %d to %q", p.status, p.location)
		}
		if p := b.follow(b.get(partner.authorizeURL("prompt", "consent unheard_of"))); !p.isConsent() {
			t.Errorf("consent beside an unknown value: %d at %s", p.status, p.at)
		}
	})
}

func TestA32MaxAgeIsAWholeNumberOfSeconds(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		for _, value := range []string{"-1", "-0", "+1", "1.5", "0.0", "1e3", "0x10", "1_000", "1,5", " 1", "1 ", "abc", "NaN", "١", "true",
			"2147483648", "4294967296", "9223372036854775808", "18446744073709551616", "99999999999999999999999999"} {
			rowAuthorizeRefused(t, partner, "max_age "+value, "invalid_request", "max_age", value)
		}
		at := h.clock.Now().Add(-time.Hour)
		b.signIn("alice", "auth_time", unixString(at))
		// What is bounded by is also said, whenever it was.
		for _, value := range []string{"3600", "86400", "2147483647"} {
			p := b.follow(b.get(partner.authorizeURL("max_age", value)))
			code := p.location
			if p.isConsent() {
				code = b.decide(p, lockspire.DecisionApprove).location
			}
			u, err := url.Parse(code)
			if err != nil {
				t.Fatal(err)
			}
			if claims := claimsIn(t, partner.redeem(u.Query().Get("code")).ID); claims["auth_time"] != float64(at.Unix()) {
				t.Errorf("max_age=%s: auth_time %v, want %d", value, claims["auth_time"], at.Unix())
			}
		}
		// Zero is a number: it forces a login, also of somebody who has just come.
		b.signIn("alice", "auth_time", unixString(h.clock.Now()))
		for _, value := range []string{"0", "00"} {
			p := b.get(partner.authorizeURL("max_age", value))
			if !strings.HasPrefix(p.location, h.server.URL+"/login?") || !h.people.interaction().Need.Reauthenticate {
				t.Fatalf("max_age=%s: %d to %q", value, p.status, p.location)
			}
			h.clock.advance(time.Second)
			back := b.comeBack(p, "alice", "auth_time", unixString(h.clock.Now()))
			if claims := claimsIn(t, partner.redeem(back.answer(t).Get("code")).ID); claims["auth_time"] != float64(h.clock.Now().Unix()) {
				t.Errorf("max_age=%s: auth_time %v, want %d", value, claims["auth_time"], h.clock.Now().Unix())
			}
			partner.wantError(t, "silent", b.get(partner.authorizeURL("max_age", value, "prompt", "none")), "login_required")
		}
	})
}

func TestA38EveryAnswerNamesTheIssuer(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		announced := h.announced(t)
		if announced["issuer"] != h.issuer || announced["authorization_response_iss_parameter_supported"] != true {
			t.Errorf("announced: %v", announced)
		}
		// The registered URI tries to name another one.
		const bare = "https://partner.example/cb?tenant=1"
		partner, b := h.newApp(registeredFor(bare+"&iss=https%3A%2F%2Fevil.test&%69ss=x")), h.newBrowser()
		named := func(name, parameter string, answer url.Values) {
			t.Helper()
			if iss := answer["iss"]; len(iss) != 1 || iss[0] != announced["issuer"] || answer.Get("state") != "st-1" || answer.Get("tenant") != "1" || answer.Get(parameter) == "" {
				t.Errorf("%s: answered %v", name, answer)
			}
		}
		consent := partner.consentPage(b, "alice", "prompt", "consent")
		named("denied", "error", b.decide(consent, lockspire.DecisionDeny).answer(t))
		consent = partner.consentPage(b, "alice")
		named("approved", "code", b.decide(consent, lockspire.DecisionApprove).answer(t))
		named("remembered", "code", b.get(partner.authorizeURL()).answer(t))
		named("silent", "code", b.get(partner.authorizeURL("prompt", "none")).answer(t))
		named("posted", "code", b.get(partner.posted(b).location).answer(t))
		named("another host name", "code", b.get(partner.authorizeURL("prompt", "none"), "X-Forwarded-Host", "evil.test", "Forwarded", "host=evil.test").answer(t))
		fields := b.get(partner.authorizeURL("response_mode", "form_post")).formAnswer(t, bare)
		fields.Set("tenant", "1")
		named("form_post", "code", fields)
		for name, pairs := range map[string][]string{
			"invalid_request": {"code_challenge", ""}, "unsupported_response_type": {"response_type", "token"}, "invalid_scope": {"scope", "bad"}, "invalid_target": {"resource", "https://elsewhere.example"},
			"request_not_supported": {"request", "x"}, "login_required": {"prompt", "none", "max_age", "0"}, "consent_required": {"prompt", "none", "scope", "openid notes:write"},
		} {
			p := b.get(partner.authorizeURL(pairs...))
			named(name, "error", p.answer(t))
			if got := p.answer(t).Get("error"); got != name || p.status != http.StatusSeeOther {
				t.Errorf("%s: %d %s", name, p.status, got)
			}
			fields := b.get(partner.authorizeURL(append(pairs, "response_mode", "form_post")...)).formAnswer(t, bare)
			fields.Set("tenant", "1")
			named(name+" by form_post", "error", fields)
			if p := partner.posted(b, pairs...); !strings.HasPrefix(p.location, h.issuer) {
				named(name+" by POST", "error", p.answer(t))
			}
			if answer := b.get(partner.authorizeURL(append(pairs, "state", "")...)).answer(t); answer.Has("state") || answer.Get("iss") != h.issuer {
				t.Errorf("%s without state: %v", name, answer)
			}
		}
	})
}
