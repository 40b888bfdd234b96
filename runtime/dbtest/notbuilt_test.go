package dbtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// What is not built is off: these tests hold that it is neither announced nor
// answered, and that asking for it gives nobody anything.

// wantUnannounced demands that no metadata document has a member whose name, or a
// value whose text, contains one of words.
func (h *host) wantUnannounced(t *testing.T, words ...string) {
	t.Helper()
	for _, path := range []string{"/lockspire/.well-known/openid-configuration", "/.well-known/openid-configuration/lockspire",
		"/.well-known/oauth-authorization-server/lockspire", "/.well-known/oauth-protected-resource"} {
		p := h.newBrowser().get(h.server.URL + path)
		if p.status != http.StatusOK || !json.Valid([]byte(p.body)) {
			t.Errorf("%s: %d %s", path, p.status, p.body)
		}
		for _, word := range words {
			if strings.Contains(strings.ToLower(p.body), word) {
				t.Errorf("%s announces %s: %s", path, word, p.body)
			}
		}
	}
}

// issued counts everything that lets somebody in.
func (h *host) issued() int {
	return count(h.t, h.db, `SELECT (SELECT COUNT(*) FROM lockspire_grants) + (SELECT COUNT(*) FROM lockspire_families)
		+ (SELECT COUNT(*) FROM lockspire_codes) + (SELECT COUNT(*) FROM lockspire_refresh_tokens) + (SELECT COUNT(*) FROM lockspire_access_tokens)`)
}

// The features that are still to come have no endpoint, whatever is sent to where
// it would be, and no metadata.
func TestWhatIsNotBuiltIsNowhere(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		h.wantUnannounced(t, "pushed_authorization", "device", "registration_endpoint", "backchannel", "frontchannel", "logout", "end_session", "dpop", "mtls", "tls_client",
			"token-exchange", "jwt-bearer", "private_key_jwt", "client_secret_jwt", "client_id_metadata", "authorization_details", "pairwise", "jarm", "query.jwt")
		partner, b := h.newApp(), h.newBrowser()
		b.signIn("alice")
		for _, path := range []string{"/par", "/register", "/register/" + partner.ID, "/device", "/device/code", "/device_authorization", "/verify",
			"/bc-authorize", "/end_session", "/check_session", "/admin", "/metrics"} {
			for _, method := range []string{"GET", "POST", "PUT", "DELETE", "OPTIONS"} {
				w := send(h.provider, method, h.issuer+path, strings.NewReader("client_id="+partner.ID), "Content-Type", "application/x-www-form-urlencoded",
					"Authorization", partner.basic(), "Origin", "https://spa.example")
				if w.Code != http.StatusNotFound || w.Header().Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%s %s: %d %v", method, path, w.Code, w.Header())
				}
			}
		}
		partner.wantError(t, "request", b.get(partner.authorizeURL("request", "a.b.c")), "request_not_supported")
		partner.wantError(t, "request_uri", b.get(partner.authorizeURL("request_uri", "urn:ietf:params:oauth:request_uri:x")), "request_uri_not_supported")
		partner.wantError(t, "registration", b.get(partner.authorizeURL("registration", "{}")), "registration_not_supported")
		wantPage(t, "a client_id that is an URL", b.get(partner.authorizeURL("client_id", "https://client.example/metadata.json")))
		if n := h.issued() + count(t, h.db, "SELECT COUNT(*) FROM lockspire_clients") - 1; n != 0 {
			t.Errorf("%d rows came of it", n)
		}
	})
}

// proof is a well-formed DPoP proof (RFC 9449 §4.2), signed with key.
const proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjY1Mjk2fQ.pAqut2IRDm_De6PR93SYmGBPXpwrAk90e8cP2hjiaG5QsGSuKDYW7_X620BxqhvYC8ynrrvZLTk41mSRroapUA"

func TestA96NoTokenSaysThatItIsBoundToAKey(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		h.wantUnannounced(t, "dpop", "tls_client", "mtls", "certificate")
		partner := h.newApp()
		for name, headers := range map[string][]string{
			"no proof": nil, "a proof": {":DPoP", proof}, "no JWT": {":DPoP", "x"}, "empty": {":DPoP", ""},
			"a certificate": {":X-Client-Cert", "MIIB", ":X-Forwarded-Client-Cert", "Hash=x"},
		} {
			code := partner.code("scope", "openid notes:read offline_access", "dpop_jkt", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")
			got := partner.redeem(code, headers...)
			if got.status != http.StatusOK || got.Type != "Bearer" || got.header.Get("DPoP-Nonce") != "" {
				t.Errorf("%s: %s %v", name, got.raw, got.header)
				continue
			}
			if claims := claimsIn(t, got.Access); claims["cnf"] != nil {
				t.Errorf("%s: the token says that it is bound: %v", name, claims)
			}
			if again := partner.refresh(got.Refresh, headers...); again.status != http.StatusOK || again.Type != "Bearer" {
				t.Errorf("%s, refresh: %s", name, again.raw)
			}
			// A Bearer token is none of the DPoP scheme (RFC 9449 §7.2).
			for _, path := range []string{"/api", "/lockspire/userinfo"} {
				p := h.newBrowser().get(h.server.URL+path, "Authorization", "DPoP "+got.Access, "DPoP", proof)
				if challenge := p.header.Get("WWW-Authenticate"); p.status != http.StatusUnauthorized || !strings.HasPrefix(challenge, "Bearer ") || strings.Contains(challenge, "error") {
					t.Errorf("%s at %s as DPoP: %d %q", name, path, p.status, challenge)
				}
			}
		}
	})
}

// There are no sender-constrained clients, so nobody's refresh token stays.
func TestA106EveryRefreshTokenRotates(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		h.wantUnannounced(t, "fapi", "dpop", "certificate_bound")
		for name, partner := range map[string]*app{
			"public": h.newApp(public), "basic": h.newApp(),
			"post":    h.newApp(func(n *lockspire.NewClient) { n.AuthMethod = lockspire.AuthClientSecretPost }),
			"trusted": h.newApp(func(n *lockspire.NewClient) { n.Trusted = true }), "opaque": h.newApp(opaque),
		} {
			first := partner.firstTokens()
			second := partner.refresh(first.Refresh)
			if second.status != http.StatusOK || second.Refresh == "" || second.Refresh == first.Refresh {
				t.Errorf("%s: %s", name, second.raw)
			}
			partner.refresh(second.Refresh)
			wantToken(t, name+", the first again", partner.refresh(first.Refresh), 400, "invalid_grant")
			if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_families WHERE client_id = $1 AND reason = 'refresh_reused'", partner.ID); n != 1 {
				t.Errorf("%s: %d families ended by the reuse", name, n)
			}
		}
	})
}

func TestA113NoTokenIsExchangedForAnother(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		h.wantUnannounced(t, "token-exchange", "jwt-bearer", "saml2-bearer", "actor", "password")
		partner, other := h.newApp(), h.newApp()
		got, stolen := partner.firstTokens(), other.firstTokens()
		before, audits := h.issued(), count(t, h.db, "SELECT COUNT(*) FROM lockspire_audit")
		const exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
		for name, pairs := range map[string][]string{
			"own":         {"grant_type", exchange, "subject_token", got.Access, "subject_token_type", "urn:ietf:params:oauth:token-type:access_token"},
			"another's":   {"grant_type", exchange, "subject_token", stolen.Access, "subject_token_type", "urn:ietf:params:oauth:token-type:access_token"},
			"refresh":     {"grant_type", exchange, "subject_token", got.Refresh, "subject_token_type", "urn:ietf:params:oauth:token-type:refresh_token"},
			"wider":       {"grant_type", exchange, "subject_token", got.Access, "scope", "openid notes:write", "audience", "https://billing.example/api"},
			"a loop":      {"grant_type", exchange, "subject_token", got.Access, "actor_token", got.Access, "actor_token_type", "urn:ietf:params:oauth:token-type:jwt"},
			"jwt-bearer":  {"grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion", got.ID},
			"saml":        {"grant_type", "urn:ietf:params:oauth:grant-type:saml2-bearer", "assertion", "x"},
			"password":    {"grant_type", "password", "username", "alice", "password", "x"},
			"device":      {"grant_type", "urn:ietf:params:oauth:grant-type:device_code", "device_code", "x"},
			"ciba":        {"grant_type", "urn:openid:params:grant-type:ciba", "auth_req_id", "x"},
			"other case":  {"grant_type", "Refresh_Token", "refresh_token", got.Refresh},
			"with spaces": {"grant_type", " refresh_token", "refresh_token", got.Refresh},
		} {
			for _, a := range []*app{partner, h.newApp(machine), h.newApp(public)} {
				refused := a.token(pairs...)
				wantToken(t, name, refused, 400, "unsupported_grant_type")
				if refused.Access+refused.Refresh+refused.ID != "" || strings.Contains(refused.raw, "issued_token_type") {
					t.Errorf("%s: %s", name, refused.raw)
				}
			}
		}
		if n := h.issued(); n != before {
			t.Errorf("%d rows that let somebody in; %d before", n, before)
		}
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_audit WHERE name <> 'client.created'"); n > audits {
			t.Errorf("%d audit rows of things that did not happen", n-audits)
		}
		if h.api(got.Access) != http.StatusOK || h.api(stolen.Access) != http.StatusOK {
			t.Error("something was revoked")
		}
		for _, grant := range []string{exchange, "password", "implicit", "urn:ietf:params:oauth:grant-type:device_code"} {
			_, _, err := h.provider.Clients().Create(t.Context(), lockspire.NewClient{Name: "X", RedirectURIs: []string{"https://x.example/cb"}, GrantTypes: []string{"authorization_code", grant}})
			wantError(t, err, "GrantTypes", grant)
		}
	})
}

// tryToEndSession sends the requests that would end a session if anything did.
func (h *host) tryToEndSession(t *testing.T, b *browser, hint string, more ...string) {
	t.Helper()
	for _, path := range []string{"/end_session", "/logout", "/session/end", "/connect/endsession"} {
		query := url.Values{"id_token_hint": {hint}}
		for i := 0; i < len(more); i += 2 {
			query.Set(more[i], more[i+1])
		}
		for name, p := range map[string]page{
			"GET":             b.get(h.issuer + path + "?" + query.Encode()),
			"GET, cross-site": b.get(h.issuer+path+"?"+query.Encode(), "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"),
			"POST":            b.do("POST", h.issuer+path, query, "Sec-Fetch-Site", "same-origin"),
			"POST, no origin": b.do("POST", h.issuer+path, query),
		} {
			if p.status != http.StatusNotFound || p.location != "" || p.header.Get("Set-Cookie") != "" || strings.Contains(p.body, "evil") {
				t.Errorf("%s %s: %d to %q, cookies %q, %s", name, path, p.status, p.location, p.header.Get("Set-Cookie"), p.body)
			}
		}
	}
}

// wantNothingEnded demands that session and tokens go on, and that nothing is on
// record.
func (h *host) wantNothingEnded(t *testing.T, partner *app, b *browser, got tokens, audits int) {
	t.Helper()
	if code := b.get(partner.authorizeURL("prompt", "none")).answer(t).Get("code"); code == "" {
		t.Error("the session has ended")
	}
	if h.api(got.Access) != http.StatusOK {
		t.Error("the access token has ended")
	}
	if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_families WHERE revoked_at IS NOT NULL"); n != 0 {
		t.Errorf("%d families were ended", n)
	}
	if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_audit WHERE name LIKE 'session.%' OR name LIKE '%revoked'"); n != audits {
		t.Errorf("%d audit rows of an end", n)
	}
}

func TestA171ThereIsNoEndSessionEndpoint(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		h.wantUnannounced(t, "end_session", "logout", "check_session")
		partner, b := h.newApp(), h.newBrowser()
		got := partner.redeem(partner.consentTo(b, "alice"))
		h.tryToEndSession(t, b, got.ID)
		h.tryToEndSession(t, b, "")
		h.wantNothingEnded(t, partner, b, got, 0)
	})
}

func TestA172NobodysHintEndsASession(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, other, b := h.newApp(), h.newApp(), h.newBrowser()
		got := partner.redeem(partner.consentTo(b, "alice"))
		bob := h.newBrowser()
		bobs := partner.redeem(partner.consentTo(bob, "bob"))
		for _, hint := range []string{
			bobs.ID, other.redeem(other.consentTo(h.newBrowser(), "alice")).ID, // another user's, another client's
			got.ID[:len(got.ID)-4] + "AAAA", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.", // forged
			forge(t, h.db, "RS256", "logout+jwt", map[string]any{"iss": h.issuer, "aud": partner.ID, "sub": "alice", "sid": claimsIn(t, got.ID)["sid"]}),
		} {
			h.tryToEndSession(t, b, hint, "client_id", partner.ID)
			h.tryToEndSession(t, bob, hint)
		}
		h.wantNothingEnded(t, partner, b, got, 0)
		h.wantNothingEnded(t, partner, bob, bobs, 0)
	})
}

func TestA173NoPostLogoutRedirectIsFollowed(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		got := partner.redeem(partner.consentTo(b, "alice"))
		for _, target := range []string{"https://evil.example/", "//evil.example", partner.redirectURI, "javascript:alert(1)"} {
			h.tryToEndSession(t, b, got.ID, "post_logout_redirect_uri", target, "state", "s")
			h.tryToEndSession(t, b, "", "post_logout_redirect_uri", target)
			h.tryToEndSession(t, b, "", "post_logout_redirect_uri", target, "client_id", partner.ID)
		}
		h.wantNothingEnded(t, partner, b, got, 0)
	})
}

func TestA174LogoutTokensAreNeitherSentNorTaken(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		h.wantUnannounced(t, "backchannel", "frontchannel", "logout")
		var calls atomic.Int32
		receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
		t.Cleanup(receiver.Close)
		partner, b := h.newApp(func(n *lockspire.NewClient) { n.RedirectURIs = []string{receiver.URL + "/cb"} }), h.newBrowser()
		got := partner.redeem(partner.consentTo(b, "alice", "scope", "openid notes:read offline_access"))
		claims := claimsIn(t, got.ID)
		logout := map[string]any{
			"iss": h.issuer, "aud": partner.ID, "sub": "alice", "sid": claims["sid"], "jti": "x", "iat": claims["iat"], "exp": claims["exp"],
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
		}
		for _, alg := range []string{"ES256", "RS256"} {
			for range 2 { // replayed
				token := forge(t, h.db, alg, "logout+jwt", logout)
				partner.wantError(t, "as a hint", b.get(partner.authorizeURL("id_token_hint", token)), "invalid_request")
				for _, path := range []string{"/api", "/lockspire/userinfo"} {
					if status, body := h.bearer(path, token); status != http.StatusUnauthorized || !strings.Contains(body, "invalid_token") {
						t.Errorf("as a bearer at %s: %d %s", path, status, body)
					}
				}
				wantInactive(t, "introspected", partner.introspect(token))
				for _, path := range []string{"/backchannel_logout", "/logout"} {
					if p := b.do("POST", h.issuer+path, url.Values{"logout_token": {token}}); p.status != http.StatusNotFound {
						t.Errorf("%s: %d", path, p.status)
					}
				}
			}
		}
		if h.api(got.Access) != http.StatusOK {
			t.Error("a logout token ended something")
		}
		// The ends that there are call nobody.
		if err := h.provider.SessionEnded(t.Context(), "session-alice-"); err != nil {
			t.Fatal(err)
		}
		if err := h.provider.RevokeSubject(t.Context(), "alice", "test"); err != nil {
			t.Fatal(err)
		}
		runFor(t, h.provider, 0)
		if n := calls.Load(); n != 0 {
			t.Errorf("the client's server was called %d times", n)
		}
		for _, registration := range []any{lockspire.NewClient{}, lockspire.Client{}} {
			for field := range fieldsOf(registration) {
				if strings.Contains(strings.ToLower(field), "logout") {
					t.Errorf("%T has %s; then this row is about what it does", registration, field)
				}
			}
		}
	})
}

func fieldsOf(v any) map[string]bool {
	fields := map[string]bool{}
	for i := range reflect.TypeOf(v).NumField() {
		fields[reflect.TypeOf(v).Field(i).Name] = true
	}
	return fields
}

// operatorPaths is where operator pages would be.
var operatorPaths = []string{"/admin", "/admin/clients", "/admin/keys", "/operator", "/clients", "/register", "/keys/rotate", "/grants", "/audit"}

func TestA184ThereIsNoOperatorHandlerToLeaveUnguarded(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		h.wantUnannounced(t, "admin", "registration_endpoint")
		for i := range reflect.TypeOf(h.provider).NumMethod() {
			if name := reflect.TypeOf(h.provider).Method(i).Name; strings.Contains(name, "Admin") || strings.Contains(name, "Operator") {
				t.Errorf("Provider.%s is there; then this row is about its guard", name)
			}
		}
		b := h.newBrowser()
		b.signIn("alice")
		for _, path := range operatorPaths {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
				if p := b.do(method, h.issuer+path, nil); p.status != http.StatusNotFound {
					t.Errorf("%s %s: %d", method, path, p.status)
				}
			}
		}
	})
}

func TestA185NothingOfAClientIsChangedOrShownOverHTTP(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		b.signIn("alice")
		before, err := h.provider.Clients().Get(t.Context(), partner.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range operatorPaths {
			for _, target := range []string{path, path + "/" + partner.ID, path + "?client_id=" + partner.ID} {
				form := url.Values{"client_id": {partner.ID}, "name": {"<script>"}, "redirect_uri": {"https://evil.example"}, "disable": {"1"}}
				if p := b.do("POST", h.issuer+target, form, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"); p.status != http.StatusNotFound || strings.Contains(p.body, partner.Name) {
					t.Errorf("POST %s: %d %s", target, p.status, p.body)
				}
				if p := b.get(h.issuer + target); p.status != http.StatusNotFound || strings.Contains(p.body, partner.ID) {
					t.Errorf("GET %s: %d %s", target, p.status, p.body)
				}
			}
		}
		after, err := h.provider.Clients().Get(t.Context(), partner.ID)
		if err != nil || !reflect.DeepEqual(before, after) {
			t.Errorf("the registration is %+v and was %+v: %v", after, before, err)
		}
		// A secret is shown once, by the call that made it.
		shown, err := json.Marshal(after)
		if err != nil || strings.Contains(string(shown), partner.secret) || fieldsOf(after)["Secret"] {
			t.Errorf("the registration shows the secret: %s %v", shown, err)
		}
		rotated, err := h.provider.Clients().RotateSecret(t.Context(), partner.ID, 0)
		if err != nil || rotated == partner.secret || strings.Contains(dump(t, h), rotated) {
			t.Errorf("the new secret is the old one, or is kept: %v", err)
		}
	})
}
