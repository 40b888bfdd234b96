package dbtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// declares is a host that can supply claims by name.
func declares(config *lockspire.Config) {
	config.Claims = []string{"email", "team", "picture"}
	people := config.Accounts.(*people)
	people.claims = func(request lockspire.ClaimsRequest) lockspire.Claims {
		claims := lockspire.Claims{}
		for name, value := range map[string]any{"email": "alice@example.com", "team": "blue", "picture": "https://x.example/a.png"} {
			if slices.Contains(request.Names, name) {
				claims[name] = value
			}
		}
		claims["nickname"] = "al"
		return claims
	}
	consent := config.Pages.Consent
	config.Pages.Consent = func(w http.ResponseWriter, r *http.Request, page lockspire.ConsentPage) {
		consent(w, r, page)
		fmt.Fprintf(w, "claims=%v", page.Claims)
	}
}

func TestClaimsNamedByTheRequestReachTheirPlace(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		b.signIn("alice")
		const claims = `{"userinfo":{"email":{"essential":true},"team":null,"shoe_size":null},"id_token":{"picture":{"value":"x"},"auth_time":{"essential":true}},"other":{}}`
		consent := b.follow(b.get(partner.authorizeURL("scope", "openid offline_access", "claims", claims)))
		if !strings.Contains(consent.body, "claims=[email team picture]") {
			t.Fatalf("the page does not name the claims: %s", consent.body)
		}
		got := partner.redeem(b.decide(consent, lockspire.DecisionApprove).answer(t).Get("code"))
		for name, token := range map[string]tokens{"first": got, "refreshed": partner.refresh(got.Refresh)} {
			id := claimsIn(t, token.ID)
			if id["picture"] != "https://x.example/a.png" || id["email"] != nil || id["team"] != nil {
				t.Errorf("%s ID token %v", name, id)
			}
			if _, body := h.bearer("/lockspire/userinfo", token.Access); body != `{"email":"alice@example.com","sub":"alice","team":"blue"}` {
				t.Errorf("%s userinfo %s", name, body)
			}
		}
		// Without the parameter nothing is named.
		plain := partner.redeem(partner.consentTo(b, "alice", "scope", "openid"))
		if _, body := h.bearer("/lockspire/userinfo", plain.Access); body != `{"sub":"alice"}` {
			t.Errorf("userinfo of a request without claims: %s", body)
		}
	}, declares)
}

func TestA49RememberedConsentNeverCoversNewClaims(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		ask := func(claims string) page { return b.get(partner.authorizeURL("claims", claims)) }
		partner.consentTo(b, "alice", "claims", `{"userinfo":{"email":null}}`)
		if p := ask(`{"userinfo":{"email":null}}`); p.status != http.StatusSeeOther || p.answer(t).Get("code") == "" {
			t.Errorf("the same claims: %s", p.location)
		}
		for _, claims := range []string{`{"userinfo":{"email":null,"team":null}}`, `{"id_token":{"picture":null}}`} {
			if p := b.get(partner.authorizeURL("claims", claims, "prompt", "none")); p.answer(t).Get("error") != "consent_required" {
				t.Errorf("%s with prompt=none: %s", claims, p.location)
			}
			p := b.follow(ask(claims))
			if !p.isConsent() {
				t.Fatalf("%s: no consent page", claims)
			}
			// A form cannot add one either (A48).
			if p := b.decide(p, lockspire.DecisionApprove, "claims", `{"userinfo":{"picture":null}}`); p.status != 400 {
				t.Errorf("A48: %d", p.status)
			}
		}
	}, declares)
}

// What was allowed on two pages is not allowed together: the page says what
// one token may say, at which resources.
func TestA49ConsentsOfDifferentClaimsDoNotMix(t *testing.T) {
	const email, team, both = `{"userinfo":{"email":null}}`, `{"id_token":{"team":null}}`, `{"userinfo":{"email":null},"id_token":{"team":null}}`
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		asked := func(scope, claims string) bool {
			return b.follow(b.get(partner.authorizeURL("scope", scope, "claims", claims))).isConsent()
		}
		partner.consentTo(b, "alice", "scope", "openid notes:read", "claims", email)
		partner.consentTo(b, "alice", "scope", "openid", "claims", team)
		for _, mixed := range [][2]string{{"openid", both}, {"openid notes:read", team}, {"openid notes:read", both}} {
			if !asked(mixed[0], mixed[1]) {
				t.Errorf("%s with %s was never allowed", mixed[0], mixed[1])
			}
		}
		for _, allowed := range [][2]string{{"openid notes:read", email}, {"openid", email}, {"openid notes:read", ""}, {"openid", team}} {
			if asked(allowed[0], allowed[1]) {
				t.Errorf("%s with %s was allowed before", allowed[0], allowed[1])
			}
		}
		partner.consentTo(b, "alice", "scope", "openid notes:read", "claims", both)
		if asked("openid notes:read", both) || asked("openid", team) {
			t.Error("allowed at last, and asked again")
		}
		// One page covers the two before it, and they are not kept.
		var consents string
		if err := h.db.QueryRow("SELECT consents FROM lockspire_grants").Scan(&consents); err != nil || strings.Count(consents, "scopes") != 1 {
			t.Errorf("%s, %v", consents, err)
		}
	}, declares)
}

func TestA36MalformedClaims(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		b.signIn("alice")
		for name, claims := range map[string]string{
			"not JSON": "email", "an array": "[]", "cut off": `{"userinfo":{`, "trailing": `{}{}`, "duplicate": `{"userinfo":{},"userinfo":{}}`,
			"a member that is no object": `{"userinfo":["email"]}`, "a claim that is no object": `{"userinfo":{"email":true}}`,
			"essential is a word": `{"userinfo":{"email":{"essential":"yes"}}}`, "values is no list": `{"id_token":{"acr":{"values":"2"}}}`,
			"6 deep":      `{"userinfo":{"a":{"value":{"b":{"c":{}}}}}}`,
			"1000 deep":   strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000),
			"over 8 KiB":  `{"userinfo":{"` + strings.Repeat("a", 8<<10) + `":null}}`,
			"two subs":    `{"id_token":{"sub":{"value":"alice"}},"userinfo":{"sub":{"value":"bob"}}}`,
			"invalid bit": "{\"userinfo\":{\"\xff\":null}}",
		} {
			if p := b.get(partner.authorizeURL("claims", claims)); p.status != http.StatusSeeOther || p.answer(t).Get("error") != "invalid_request" {
				t.Errorf("%s: %d %s", name, p.status, p.location)
			}
		}
		for name, claims := range map[string]string{
			"5 deep": `{"userinfo":{"a":{"value":{"b":{}}}}}`, "nulls": `{"userinfo":null,"id_token":null}`, "empty": `{}`,
		} {
			if p := b.get(partner.authorizeURL("claims", claims)); !b.follow(p).isConsent() {
				t.Errorf("%s: %d %s", name, p.status, p.location)
			}
		}
	}, declares)
}

func TestA35EssentialACRIsReachedOrRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		b.signIn("alice") // with acr 1
		const strong = `{"id_token":{"acr":{"essential":true,"values":["3","2"]}}}`
		p := b.get(partner.authorizeURL("claims", strong))
		if !strings.HasPrefix(p.location, h.server.URL+"/login") || fmt.Sprint(h.people.interaction().Need.ACRValues) != "[3 2]" {
			t.Fatalf("not sent to sign in more strongly: %s with need %v", p.location, h.people.interaction().Need)
		}
		back := h.server.URL + h.people.interaction().ReturnTo
		if p = b.get(back); !strings.HasPrefix(p.location, h.server.URL+"/login") {
			t.Fatalf("no second try: %d %s", p.status, p.location)
		}
		if p = b.get(back); p.answer(t).Get("error") != "unmet_authentication_requirements" || p.answer(t).Get("state") != "st-1" {
			t.Errorf("out of reach: %s", p.location)
		}
		if p := b.get(partner.authorizeURL("claims", strong, "prompt", "none")); p.answer(t).Get("error") != "login_required" {
			t.Errorf("prompt=none: %s", p.location)
		}
		// The host reaches it in the end.
		p = b.get(partner.authorizeURL("claims", strong))
		back = h.server.URL + h.people.interaction().ReturnTo
		h.people.set(func(p *people) {
			for session, account := range p.sessions {
				account.ACR = "2"
				p.sessions[session] = account
			}
		})
		consent := b.follow(b.get(back))
		got := partner.redeem(b.decide(consent, lockspire.DecisionApprove).answer(t).Get("code"))
		if claimsIn(t, got.ID)["acr"] != "2" {
			t.Errorf("ID token %v", claimsIn(t, got.ID))
		}
		// What is voluntary may be missed, and is not faked.
		for _, pairs := range [][]string{{"claims", `{"id_token":{"acr":{"values":["9"]}}}`}, {"acr_values", "9"}} {
			got := partner.redeem(partner.consentTo(b, "alice", pairs...))
			if claimsIn(t, got.ID)["acr"] != "2" {
				t.Errorf("%v: ID token %v", pairs, claimsIn(t, got.ID))
			}
		}
	}, declares)
}

func TestClaimsThatNameAUserAreForThatUser(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		b.signIn("alice")
		if p := b.follow(b.get(partner.authorizeURL("claims", `{"id_token":{"sub":{"value":"alice"}}}`))); !p.isConsent() {
			t.Errorf("the user who is named: %d", p.status)
		}
		if p := b.get(partner.authorizeURL("claims", `{"id_token":{"sub":{"value":"bob"}}}`, "prompt", "none")); p.answer(t).Get("error") != "login_required" {
			t.Errorf("another user: %s", p.location)
		}
	}, declares)
}
