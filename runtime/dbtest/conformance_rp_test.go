package dbtest

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// conformanceScopes and conformanceClaims are a host that knows everything
// about its users that OIDC Core §5.1 has a name for.
var (
	conformanceScopes = []lockspire.Scope{
		{Name: "profile", Title: "Your profile"}, {Name: "email", Title: "Your e-mail address"},
		{Name: "address", Title: "Your address"}, {Name: "phone", Title: "Your telephone number"},
	}
	conformanceClaims = map[string]lockspire.Claims{
		"profile": {
			"name": "Alice Liddell", "given_name": "Alice", "family_name": "Liddell", "middle_name": "Pleasance",
			"nickname": "Al", "preferred_username": "alice", "profile": "https://app.example/alice",
			"picture": "https://app.example/alice.png", "website": "https://alice.example", "gender": "female",
			"birthdate": "1852-05-04", "zoneinfo": "Europe/London", "locale": "en-GB", "updated_at": 1767225600,
		},
		"email":   {"email": "alice@example.com", "email_verified": true},
		"address": {"address": map[string]any{"formatted": "Christ Church, Oxford", "country": "UK"}},
		"phone":   {"phone_number": "+44 1865 276150", "phone_number_verified": false},
	}
)

// conformanceHost is such a host: everything goes to userinfo, and into the ID
// token only what was asked for there by name.
func conformanceHost(t testing.TB, engine lockspire.Dialect) *host {
	h := newHost(t, openDB(t, engine), engine, func(c *lockspire.Config) {
		c.Scopes = append([]lockspire.Scope{{Name: "notes:read"}}, conformanceScopes...)
		c.Claims = []string{"name", "email"}
	})
	h.people.claims = func(request lockspire.ClaimsRequest) lockspire.Claims {
		claims := lockspire.Claims{}
		for scope, known := range conformanceClaims {
			for name, value := range known {
				if request.Has(scope) && !request.IDToken || slices.Contains(request.Names, name) {
					claims[name] = value
				}
			}
		}
		return claims
	}
	return h
}

// relyingParty is a client on a TLS server of its own, registered by an
// operator: confidential, and free to leave PKCE out, since none of the
// modules but one sends a code_challenge.
type relyingParty struct {
	*app
	server *httptest.Server

	mu     sync.Mutex
	called []callback
}

// callback is one request to the redirect URI.
type callback struct {
	method, contentType string
	query, form         url.Values
}

func newRelyingParty(h *host, authMethod string) *relyingParty {
	h.t.Helper()
	rp := &relyingParty{}
	mux := http.NewServeMux()
	mux.HandleFunc("/callback", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		rp.mu.Lock()
		defer rp.mu.Unlock()
		rp.called = append(rp.called, callback{r.Method, r.Header.Get("Content-Type"), r.URL.Query(), r.PostForm})
	})
	rp.server = httptest.NewTLSServer(mux)
	h.t.Cleanup(rp.server.Close)
	rp.app = h.newApp(withoutPKCE, func(n *lockspire.NewClient) {
		n.Name, n.AuthMethod = "Relying party", authMethod
		n.RedirectURIs = []string{rp.server.URL + "/callback"}
		n.Scopes = []string{"openid", "profile", "email", "address", "phone", "offline_access"}
	})
	return rp
}

// lastCall is the newest request to the redirect URI, or nil.
func (rp *relyingParty) lastCall() *callback {
	rp.mu.Lock()
	defer rp.mu.Unlock()
	if len(rp.called) == 0 {
		return nil
	}
	return &rp.called[len(rp.called)-1]
}

// conversation is one run of one module: a client, a person with a browser,
// and what has been noted for the verdict.
type conversation struct {
	*testing.T
	h    *host
	rp   *relyingParty
	b    *browser
	mode string // response_mode
	// verdict is the worst that was noted.
	verdict verdict

	state, nonce string
	// met counts what the person saw since the last request.
	met struct{ logins, consents int }
	// login is the host's page as it was last shown.
	login page
}

// request is an authorization request of the module's default form, with pairs
// changed or added; an empty value removes a parameter.
func (c *conversation) request(pairs ...string) url.Values {
	c.state, c.nonce = rand.Text(), rand.Text()
	values := url.Values{
		"response_type": {"code"}, "client_id": {c.rp.ID}, "redirect_uri": {c.rp.redirectURI},
		"scope": {"openid"}, "state": {c.state}, "nonce": {c.nonce},
	}
	if c.mode == "form_post" {
		values.Set("response_mode", c.mode)
	}
	for i := 0; i < len(pairs); i += 2 {
		switch {
		case pairs[i+1] == "":
			values.Del(pairs[i])
		default:
			values.Set(pairs[i], pairs[i+1])
		}
	}
	c.state, c.nonce = values.Get("state"), values.Get("nonce")
	return values
}

// ask sends the browser off with a request and goes on until it is back at the
// relying party or stuck. The callback is nil in the second case.
func (c *conversation) ask(pairs ...string) (*callback, page) {
	c.Helper()
	return c.walk(c.b.get(c.h.issuer + "/authorize?" + c.request(pairs...).Encode()))
}

func (c *conversation) walk(p page) (*callback, page) {
	c.Helper()
	c.met.logins, c.met.consents = 0, 0
	for range 10 {
		p = c.b.follow(p)
		switch {
		case p.isConsent():
			c.met.consents++
			p = c.b.decide(p, lockspire.DecisionApprove)
		case strings.Contains(p.body, "login return_to="):
			c.met.logins++
			c.login = p
			at, err := url.Parse(p.at)
			if err != nil {
				c.Fatal(err)
			}
			p = c.b.signIn("alice", "return_to", at.Query().Get("return_to"), "auth_time", unix(c.h.clock.Now()), "nth", rand.Text())
		case p.location != "":
			return c.rp.reached(c.b.get(p.location)), p
		case strings.Contains(p.body, `<form method="post" action="`+c.rp.redirectURI+`"`):
			return c.rp.reached(c.b.do("POST", c.rp.redirectURI, p.formAnswer(c.T, c.rp.redirectURI))), p
		default:
			return nil, p
		}
	}
	c.Fatalf("the browser goes in circles at %s", p.at)
	return nil, p
}

func (rp *relyingParty) reached(p page) *callback {
	if p.status != http.StatusOK {
		return nil
	}
	return rp.lastCall()
}

// response are the parameters that came to the redirect URI, in the way that
// the response mode says and in no other.
func (c *conversation) response(call *callback, p page) url.Values {
	c.Helper()
	if call == nil {
		c.Fatalf("nothing came to the redirect URI: %d at %s\n%s", p.status, p.at, p.body)
	}
	got := call.query
	if c.mode == "form_post" {
		if call.method != http.MethodPost || call.contentType != "application/x-www-form-urlencoded" || len(call.query) > 0 {
			c.Errorf("form_post came as %s %q with the query %v", call.method, call.contentType, call.query)
		}
		got = call.form
	} else if call.method != http.MethodGet {
		c.Errorf("the response came by %s", call.method)
	}
	for name, values := range got {
		if len(values) != 1 {
			c.Errorf("%s came %d times", name, len(values))
		}
	}
	if got.Get("state") != c.state || got.Get("iss") != c.h.issuer {
		c.Errorf("state %q and iss %q, want %q and %q", got.Get("state"), got.Get("iss"), c.state, c.h.issuer)
	}
	return got
}

// success asks, and returns the code of a response that is no error.
func (c *conversation) success(pairs ...string) string {
	c.Helper()
	call, p := c.ask(pairs...)
	return c.codeIn(c.response(call, p))
}

func (c *conversation) codeIn(response url.Values) string {
	c.Helper()
	code := response.Get("code")
	if response.Has("error") || !longEnough(code) {
		c.Fatalf("the response is %v, want a code", response)
	}
	return code
}

// refusal checks an error response as RFC 6749 §4.1.2.1 and OIDC Core §3.1.2.6
// describe it, and returns the code.
func (c *conversation) refusal(response url.Values) string {
	c.Helper()
	known := map[string]bool{"error": true, "error_description": true, "error_uri": true, "state": true, "iss": true}
	for name := range response {
		if !known[name] {
			c.Errorf("the error response has %s", name)
		}
	}
	for _, r := range response.Get("error_description") {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			c.Errorf("error_description has %q", r)
		}
	}
	return response.Get("error")
}

// signedIn is what the token endpoint and userinfo gave.
type signedIn struct {
	tokens
	idToken  *oidc.IDToken
	id       map[string]any
	userinfo map[string]any
}

// finish redeems the code and checks everything that every module checks.
func (c *conversation) finish(code string, pairs ...string) signedIn {
	c.Helper()
	got := signedIn{tokens: c.redeem(code, pairs...)}
	c.checkTokens(got.tokens)
	got.idToken, got.id = c.checkIDToken(got.tokens, c.nonce)
	got.userinfo = c.userinfo(got.Access)
	if got.userinfo["sub"] != got.id["sub"] {
		c.Errorf("sub is %v at userinfo and %v in the ID token", got.userinfo["sub"], got.id["sub"])
	}
	return got
}

// redeem sends no code_verifier, unlike app.redeem.
func (c *conversation) redeem(code string, pairs ...string) tokens {
	c.Helper()
	return c.rp.token(append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", c.rp.redirectURI}, pairs...)...)
}

// complete is the whole flow.
func (c *conversation) complete(pairs ...string) signedIn {
	c.Helper()
	return c.finish(c.success(pairs...))
}

// again is a fresh authorization by the same browser, some time later.
func (c *conversation) again(after time.Duration, pairs ...string) signedIn {
	c.Helper()
	c.h.clock.advance(after)
	return c.complete(pairs...)
}
