package dbtest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

func TestConformanceBasicUnknownParameter(t *testing.T) {
	conforms(t, func(c *conversation) { c.complete("extra", "foobar") })
}

func TestConformanceBasicIDTokenHint(t *testing.T) {
	conforms(t, func(c *conversation) {
		first := c.complete()
		second := c.again(time.Second, "prompt", "none", "id_token_hint", first.ID)
		c.sawNothing()
		c.isSameLogin(first, second)
	})
}

func TestConformanceBasicLoginHint(t *testing.T) {
	conforms(t, func(c *conversation) {
		c.complete("login_hint", "buffy@app.example")
		if hint := c.h.people.interaction().Need.LoginHint; hint != "buffy@app.example" {
			c.Errorf("the login page was told %q", hint)
		}
	})
}

func TestConformanceBasicUILocales(t *testing.T) {
	conforms(t, func(c *conversation) {
		c.complete("ui_locales", "se")
		if locales := c.h.people.interaction().Need.UILocales; !slices.Equal(locales, []string{"se"}) {
			c.Errorf("the login page was told %q", locales)
		}
	})
}

func TestConformanceBasicClaimsLocales(t *testing.T) {
	conforms(t, func(c *conversation) { c.complete("claims_locales", "se") })
}

func TestConformanceBasicACRValues(t *testing.T) {
	conforms(t, func(c *conversation) {
		if got := c.complete("acr_values", "1 2"); got.id["acr"] != "1" && got.id["acr"] != "2" {
			c.Logf("acr is %v", got.id["acr"])
			c.note(warning)
		}
	})
}

func TestConformanceBasicCodeReuse(t *testing.T) {
	conforms(t, func(c *conversation) {
		code := c.success()
		got := c.finish(code)
		c.checkRefusedGrant(c.redeem(code))
		c.userinfo(got.Access)
	})
}

func TestConformanceBasicCodeReuse30Seconds(t *testing.T) {
	conforms(t, func(c *conversation) {
		code := c.success()
		got := c.finish(code)
		c.h.clock.advance(30 * time.Second)
		c.checkRefusedGrant(c.redeem(code))
		p := c.b.get(c.h.issuer+"/userinfo", "Authorization", "Bearer "+got.Access)
		if p.status != http.StatusUnauthorized || !strings.Contains(p.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
			c.Logf("the access token still works: %d", p.status)
			c.note(warning)
		}
	})
}

func TestConformanceBasicRegisteredRedirectURI(t *testing.T) {
	conforms(t, func(c *conversation) {
		c.note(reviewed)
		call, p := c.ask("redirect_uri", c.rp.redirectURI+"/bK3xTq9Zw0")
		c.isErrorPage(call, p)
	})
}

// isErrorPage: a page of our own, and nothing at the client.
func (c *conversation) isErrorPage(call *callback, p page) {
	c.Helper()
	if call != nil || p.status != http.StatusBadRequest || p.location != "" || !strings.Contains(p.header.Get("Content-Type"), "text/html") {
		c.Errorf("%d %s to %q, callback %v", p.status, p.header.Get("Content-Type"), p.location, call)
	}
	c.sawNothing()
}

func TestConformanceBasicPostRequest(t *testing.T) {
	conforms(t, func(c *conversation) {
		p := c.b.do("POST", c.h.issuer+"/authorize", c.request(), "Sec-Fetch-Site", "cross-site")
		c.finish(c.codeIn(c.response(c.walk(p))))
	})
}

func TestConformanceBasicClientSecretPost(t *testing.T) {
	conforms(t, func(c *conversation) {
		c.rp = newRelyingParty(c.h, lockspire.AuthClientSecretPost)
		c.complete()
		if methods := c.metadata()["token_endpoint_auth_methods_supported"].([]any); !slices.Contains(methods, any("client_secret_post")) {
			c.Errorf("discovery offers %v", methods)
		}
	})
}

// requestObject is an unsigned one that says what values says (OIDC Core §6.1).
func (c *conversation) requestObject(pairs ...string) (string, []string) {
	c.Helper()
	values := c.request(pairs...)
	object := map[string]string{"iss": c.rp.ID, "aud": c.h.issuer}
	for name := range values {
		object[name] = values.Get(name)
	}
	claims, err := json.Marshal(object)
	if err != nil {
		c.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	// Outside stay the parameters that OAuth itself demands.
	return encode([]byte(`{"alg":"none"}`)) + "." + encode(claims) + ".", []string{"state", "", "nonce", "", "response_mode", values.Get("response_mode")}
}

func TestConformanceBasicRequestURI(t *testing.T) {
	conforms(t, func(c *conversation) {
		c.note(notRun)
		fetched := false
		c.rp.server.Config.Handler.(*http.ServeMux).HandleFunc("/object", func(http.ResponseWriter, *http.Request) { fetched = true })
		code := c.refusal(c.response(c.ask("state", "", "request_uri", c.rp.server.URL+"/object")))
		if code != "request_uri_not_supported" || fetched {
			c.Errorf("error is %q; fetched: %v", code, fetched)
		}
		if c.metadata()["request_uri_parameter_supported"] != false {
			c.Error("discovery does not say that request_uri is not supported")
		}
	})
}

func TestConformanceBasicRequestObject(t *testing.T) {
	conforms(t, func(c *conversation) {
		c.note(skipped)
		object, outside := c.requestObject()
		if code := c.refusal(c.response(c.ask(append(outside, "request", object)...))); code != "request_not_supported" {
			c.Errorf("error is %q", code)
		}
		if c.metadata()["request_parameter_supported"] != false {
			c.Error("discovery does not say that request is not supported")
		}
	})
}

func TestConformanceBasicClaimsEssential(t *testing.T) {
	conforms(t, func(c *conversation) {
		got := c.complete("claims", `{"userinfo":{"name":{"essential":true}}}`)
		if got.userinfo["name"] == nil || got.id["name"] != nil {
			c.Logf("name is %v at userinfo and %v in the ID token", got.userinfo["name"], got.id["name"])
			c.note(warning)
		}
	})
}

func TestConformanceBasicRequestObjectRedirectURI(t *testing.T) {
	conforms(t, func(c *conversation) {
		c.note(reviewed)
		object, outside := c.requestObject()
		call, p := c.ask(append(outside, "request", object, "redirect_uri", c.rp.redirectURI+"/bad")...)
		c.isErrorPage(call, p)
	})
}

func TestConformanceBasicRefreshToken(t *testing.T) {
	conforms(t, func(c *conversation) {
		if grants := c.metadata()["grant_types_supported"].([]any); !slices.Contains(grants, any("refresh_token")) {
			c.Errorf("discovery offers %v", grants)
		}
		ask := func() signedIn {
			return c.complete("scope", "openid offline_access", "prompt", "consent")
		}
		refreshed := c.refresh(ask(), "scope", "openid offline_access")
		first := c.rp
		c.rp = newRelyingParty(c.h, lockspire.AuthClientSecretBasic)
		second := c.refresh(ask())
		// The second client's token is the second client's alone.
		c.checkRefusedGrant(first.token("grant_type", "refresh_token", "refresh_token", second.Refresh))
		if refreshed.Refresh == "" || second.Refresh == "" {
			c.Error("no refresh token")
		}
	})
}

// refresh uses the refresh token of got after a second, and compares the ID
// tokens as OIDC Core §12.2 does.
func (c *conversation) refresh(got signedIn, pairs ...string) tokens {
	c.Helper()
	c.h.clock.advance(time.Second)
	next := c.rp.refresh(got.Refresh, pairs...)
	c.checkTokens(next)
	if !longEnough(next.Refresh) || next.Access == got.Access {
		c.Errorf("refresh gave %s", next.raw)
	}
	_, id := c.checkIDToken(next, "")
	for _, name := range []string{"iss", "sub", "aud", "auth_time", "azp"} {
		if id[name] != got.id[name] {
			c.Errorf("%s was %v and is %v", name, got.id[name], id[name])
		}
	}
	if id["iat"] == got.id["iat"] {
		c.Errorf("iat is still %v", id["iat"])
	}
	c.userinfo(next.Access)
	return next
}

func TestConformanceBasicPKCE(t *testing.T) {
	conforms(t, func(c *conversation) {
		code := c.success("code_challenge", challengeOf(testVerifier), "code_challenge_method", "S256")
		c.checkRefusedGrant(c.redeem(code))
		c.finish(code, "code_verifier", testVerifier)
	})
}
