package dbtest

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// attempt is a token request whose grant nobody gets to: what is tested comes
// before it.
func (a *app) attempt(header http.Header, pairs ...string) tokens {
	a.h.t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {strings.Repeat("A", 43)}, "code_verifier": {testVerifier}}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	if header == nil {
		header = http.Header{}
	}
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return a.h.postToken("", form.Encode(), header)
}

func basic(id, secret string) http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}}
}

func wantToken(t testing.TB, name string, got tokens, status int, code string) {
	t.Helper()
	if got.status != status || got.Error != code {
		t.Errorf("%s: %s, want %d %s", name, got.raw, status, code)
	}
	if got.header.Get("Cache-Control") != "no-store" || got.header.Get("Pragma") != "no-cache" || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("A85 %s: headers %v", name, got.header)
	}
}

func TestA63OnlyPlainFormsArePosted(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		for name, contentType := range map[string]string{"JSON": "application/json", "multipart": "multipart/form-data; boundary=x", "text": "text/plain"} {
			header := basic(partner.ID, partner.secret)
			header.Set("Content-Type", contentType)
			wantToken(t, name, partner.attempt(header), 400, "invalid_request")
		}
		header := basic(partner.ID, partner.secret)
		header["Content-Type"] = nil
		wantToken(t, "no content type", h.postToken("", "grant_type=authorization_code", header), 400, "invalid_request")
		header = basic(partner.ID, partner.secret)
		header.Set("Content-Encoding", "gzip")
		wantToken(t, "gzip", partner.attempt(header), 415, "invalid_request")
	})
}

func TestA64NothingSecretInTheQuery(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp(func(n *lockspire.NewClient) { n.AuthMethod = lockspire.AuthClientSecretPost })
		code := partner.code()
		good := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {testVerifier},
			"client_id": {partner.ID}, "client_secret": {partner.secret}}
		header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		for _, query := range []string{"?client_secret=x", "?client_id=" + partner.ID, "?code=" + code, "?refresh_token=x", "?grant_type=x", "?client_assertion=%zz"} {
			wantToken(t, query, h.postToken(query, good.Encode(), header), 400, "invalid_request")
		}
		if strings.Contains(h.logs.String(), code) {
			t.Error("the code is in the log")
		}
		if got := h.postToken("?api-version=1", good.Encode(), header); got.status != http.StatusOK {
			t.Errorf("an unknown query parameter: %s", got.raw)
		}
	})
}

func TestA65GrantTypes(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		wantToken(t, "missing", partner.token(), 400, "invalid_request")
		for _, grant := range []string{"password", "implicit", "urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange"} {
			wantToken(t, grant, partner.token("grant_type", grant), 400, "unsupported_grant_type")
		}
		lacking := h.newApp(func(n *lockspire.NewClient) { n.GrantTypes = []string{"authorization_code"} })
		wantToken(t, "not granted", lacking.token("grant_type", "refresh_token", "refresh_token", strings.Repeat("A", 43)), 400, "unauthorized_client")
		wantToken(t, "A19 twice", partner.token("grant_type", "authorization_code", "grant_type", "refresh_token"), 400, "invalid_request")
		wantToken(t, "A21 NUL", partner.token("grant_type", "authorization_code", "code", "x\x00"), 400, "invalid_request")
		wantToken(t, "no code", partner.token("grant_type", "authorization_code"), 400, "invalid_request")
		wantToken(t, "no refresh token", partner.token("grant_type", "refresh_token"), 400, "invalid_request")
	})
}

func TestA66ToA69ClientAuthentication(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		inHeader, inBody := h.newApp(), h.newApp(func(n *lockspire.NewClient) { n.AuthMethod = lockspire.AuthClientSecretPost })
		open, disabled := h.newApp(public), h.newApp()
		if err := h.provider.Clients().Disable(t.Context(), disabled.ID); err != nil {
			t.Fatal(err)
		}
		bodies := map[string]bool{}
		for _, v := range []struct {
			name   string
			header http.Header
			pairs  []string
		}{
			{"A66 unknown client", basic("client_nobody", "x"), nil},
			{"A66 wrong secret", basic(inHeader.ID, "x"), nil},
			{"A66 disabled client", basic(disabled.ID, disabled.secret), nil},
			{"A66 unknown client in the body", nil, []string{"client_id", "client_nobody", "client_secret", "x"}},
			{"A66 wrong secret in the body", nil, []string{"client_id", inBody.ID, "client_secret", "x"}},
			{"A68 registered for the header, sent in the body", nil, []string{"client_id", inHeader.ID, "client_secret", inHeader.secret}},
			{"A68 registered for the body, sent in the header", basic(inBody.ID, inBody.secret), nil},
			{"A68 public client with a secret", nil, []string{"client_id", open.ID, "client_secret", "x"}},
			{"A68 confidential client without", nil, []string{"client_id", inHeader.ID}},
			{"A68 assertion", nil, []string{"client_id", open.ID, "client_assertion", "a.b.c", "client_assertion_type", "x"}},
			{"A69 no colon", http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(inHeader.ID))}}, nil},
			{"A69 stray padding", http.Header{"Authorization": {basic(inHeader.ID, inHeader.secret).Get("Authorization") + "="}}, nil},
			{"A69 bad escape", basic(inHeader.ID, "%zz"), nil},
			{"another scheme", http.Header{"Authorization": {"Bearer x"}}, nil},
			{"nobody", nil, nil},
		} {
			got := inHeader.attempt(v.header, v.pairs...)
			wantToken(t, v.name, got, 401, "invalid_client")
			if challenged := strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Basic "); challenged != (v.header != nil) {
				t.Errorf("%s: WWW-Authenticate %q", v.name, got.header.Get("WWW-Authenticate"))
			}
			bodies[got.raw] = true
		}
		if len(bodies) != 1 {
			t.Errorf("A66 the answers differ: %v", bodies)
		}
		both := basic(inHeader.ID, inHeader.secret)
		wantToken(t, "A67 header and body", inHeader.attempt(both.Clone(), "client_secret", inHeader.secret), 400, "invalid_request")
		wantToken(t, "A67 header and assertion", inHeader.attempt(both.Clone(), "client_assertion", "x"), 400, "invalid_request")
		wantToken(t, "A67 secret and assertion", inHeader.attempt(nil, "client_id", inBody.ID, "client_secret", inBody.secret, "client_assertion", "x"), 400, "invalid_request")
		wantToken(t, "A67 two client ids", inHeader.attempt(both.Clone(), "client_id", inBody.ID), 400, "invalid_request")
		wantToken(t, "A67 two headers", inHeader.attempt(http.Header{"Authorization": {both.Get("Authorization"), both.Get("Authorization")}}), 400, "invalid_request")
		// What is right gets as far as the code.
		wantToken(t, "header", inHeader.attempt(both.Clone()), 400, "invalid_grant")
		wantToken(t, "header with the same client_id", inHeader.attempt(both.Clone(), "client_id", inHeader.ID), 400, "invalid_grant")
		wantToken(t, "body", inHeader.attempt(nil, "client_id", inBody.ID, "client_secret", inBody.secret), 400, "invalid_grant")
		wantToken(t, "public", inHeader.attempt(nil, "client_id", open.ID), 400, "invalid_grant")
	})
}

func TestA170TokenEndpointAnswersAnyOrigin(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		b := h.newBrowser()
		p := b.do("OPTIONS", h.issuer+"/token", nil, "Origin", "https://spa.example", "Access-Control-Request-Method", "POST")
		if p.status != http.StatusNoContent || p.header.Get("Access-Control-Allow-Origin") != "*" || p.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("preflight: %d %v", p.status, p.header)
		}
		if p := b.do("POST", h.issuer+"/token", url.Values{}, "Origin", "https://spa.example"); p.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("error answer: %v", p.header)
		}
		for _, path := range []string{"/authorize", "/interactions/x", "/apps"} {
			if p := b.get(h.issuer+path, "Origin", "https://spa.example"); p.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s answers other origins", path)
			}
		}
	})
}

// No secret of any request is in a log line, an event or a row.
func TestA176AndA187SecretsAreNowhere(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		b.signIn("alice")
		p := b.get(partner.authorizeURL("scope", "openid offline_access notes:read"))
		interaction := p.location[strings.LastIndexByte(p.location, '/')+1:]
		consent := b.follow(p)
		code := b.decide(consent, lockspire.DecisionApprove).answer(t).Get("code")
		first := partner.redeem(code)
		second := partner.refresh(first.Refresh)
		partner.redeem(code)
		partner.refresh(first.Refresh, "scope", "bad")
		partner.attempt(basic(partner.ID, "canary-secret"))
		var cookie string
		issuer, _ := url.Parse(h.issuer)
		for _, c := range b.client.Jar.Cookies(issuer) {
			if strings.HasPrefix(c.Name, "__Host-lockspire-") {
				cookie = c.Value
			}
		}
		sinks := map[string]string{"log": h.logs.String(), "events": h.events.dump(), "database": dump(t, h)}
		for name, secret := range map[string]string{
			"interaction id": interaction, "decision token": tokenPattern.FindStringSubmatch(consent.body)[1], "code": code,
			"access token": first.Access, "refresh token": first.Refresh, "successor": second.Refresh, "ID token": first.ID,
			"client secret": partner.secret, "wrong secret": "canary-secret", "verifier": testVerifier, "cookie": cookie, "session": "session-alice-",
		} {
			for sink, content := range sinks {
				if secret == "" || strings.Contains(content, secret) {
					t.Errorf("the %s (%q) is in the %s", name, secret, sink)
				}
			}
		}
	})
}

// What the client is not told, its operator can read: libraries choose between
// header and body by themselves.
func TestWrongMethodIsInTheLogAndNotInTheAnswer(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		inBody := *partner
		inBody.AuthMethod = lockspire.AuthClientSecretPost
		got := inBody.token("grant_type", "refresh_token", "refresh_token", "x")
		inBody.secret = "wrong"
		if wrong := inBody.token("grant_type", "refresh_token", "refresh_token", "x"); wrong.raw != got.raw || got.status != 401 || got.Error != "invalid_client" {
			t.Errorf("right secret %s, wrong secret %s", got.raw, wrong.raw)
		}
		const want = "the client is registered for client_secret_basic and used client_secret_post"
		var said []string
		for _, line := range strings.Split(h.logs.String(), "\n") {
			if strings.Contains(line, want) {
				said = append(said, line)
			}
		}
		if len(said) != 1 || !strings.Contains(said[0], "client_id="+partner.ID+" ") {
			t.Errorf("the log does not say once %q of %s:\n%s", want, partner.ID, h.logs)
		}
	})
}
