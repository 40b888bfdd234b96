package dbtest

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

func TestConformanceBasicServer(t *testing.T) {
	conforms(t, func(c *conversation) {
		got := c.complete()
		known := map[string]bool{
			"iss": true, "sub": true, "aud": true, "exp": true, "iat": true, "auth_time": true,
			"nonce": true, "acr": true, "amr": true, "at_hash": true, "sid": true,
		}
		for name := range got.id {
			if !known[name] {
				c.Errorf("the ID token has %s, which nobody asked for", name)
			}
		}
		c.checkScopes(got.userinfo)
		if c.met.logins != 1 || c.met.consents != 1 {
			c.Errorf("%d logins, %d consents", c.met.logins, c.met.consents)
		}
	})
}

func TestConformanceBasicResponseTypeMissing(t *testing.T) {
	conforms(t, func(c *conversation) {
		if code := c.refusal(c.response(c.ask("response_type", ""))); code != "invalid_request" && code != "unsupported_response_type" {
			c.Errorf("error is %q", code)
		}
	})
}

func TestConformanceBasicIDTokenSignature(t *testing.T) {
	conforms(t, func(c *conversation) {
		c.note(notRun)
		got := c.complete()
		if header := c.jwtHeader(got.ID); header["alg"] != "RS256" || header["kid"] == nil {
			c.Errorf("the ID token's header is %v", header)
		}
	})
}

func TestConformanceBasicIDTokenUnsigned(t *testing.T) {
	conforms(t, func(c *conversation) {
		c.note(notRun)
		for _, alg := range c.metadata()["id_token_signing_alg_values_supported"].([]any) {
			if alg == "none" {
				c.Error("discovery offers alg none")
			}
		}
		_, _, err := c.h.provider.Clients().Create(c.Context(), lockspire.NewClient{
			Name: "Unsigned", RedirectURIs: []string{"https://partner.example/cb"}, IDTokenAlg: "none",
		})
		if err == nil || !strings.HasPrefix(err.Error(), "IDTokenAlg: ") {
			c.Errorf("registering alg none: %v", err)
		}
	})
}

func TestConformanceBasicUserinfoGet(t *testing.T) {
	conforms(t, func(c *conversation) { c.complete() })
}

func TestConformanceBasicUserinfoPostHeader(t *testing.T) {
	conforms(t, func(c *conversation) {
		got := c.complete()
		claims := c.checkUserinfo(c.b.do("POST", c.h.issuer+"/userinfo", nil, "Authorization", "Bearer "+got.Access))
		if claims["sub"] != got.id["sub"] {
			c.Errorf("userinfo is about %v", claims["sub"])
		}
	})
}

func TestConformanceBasicUserinfoPostBody(t *testing.T) {
	conforms(t, func(c *conversation) {
		got := c.complete()
		p := c.b.do("POST", c.h.issuer+"/userinfo", map[string][]string{"access_token": {got.Access}})
		if p.status != http.StatusBadRequest || !strings.Contains(p.header.Get("WWW-Authenticate"), `error="invalid_request"`) {
			c.Errorf("userinfo answered %d %s", p.status, p.header.Get("WWW-Authenticate"))
		}
		c.note(warning)
	})
}

func TestConformanceBasicWithoutNonce(t *testing.T) {
	conforms(t, func(c *conversation) { c.complete("nonce", "") })
}

func TestConformanceBasicScopeProfile(t *testing.T) { conformsForScopes(t, "profile") }
func TestConformanceBasicScopeEmail(t *testing.T)   { conformsForScopes(t, "email") }
func TestConformanceBasicScopeAddress(t *testing.T) { conformsForScopes(t, "address") }
func TestConformanceBasicScopePhone(t *testing.T)   { conformsForScopes(t, "phone") }
func TestConformanceBasicScopeAll(t *testing.T) {
	conformsForScopes(t, "address", "email", "phone", "profile")
}

func conformsForScopes(t *testing.T, scopes ...string) {
	t.Helper()
	conforms(t, func(c *conversation) {
		got := c.complete("scope", "openid "+strings.Join(scopes, " "))
		c.checkScopes(got.userinfo, scopes...)
	})
}

func TestConformanceBasicAlternateHappyFlow(t *testing.T) {
	conforms(t, func(c *conversation) {
		values := c.request("scope", "email openid")
		// Encode sorts by name; this is the other way round.
		parts := strings.Split(values.Encode(), "&")
		query := ""
		for _, part := range parts {
			query = part + "&" + query
		}
		got := c.finish(c.codeIn(c.response(c.walk(c.b.get(c.h.issuer + "/authorize?" + strings.TrimSuffix(query, "&"))))))
		c.checkScopes(got.userinfo, "email")
	})
}

func TestConformanceBasicDisplayPage(t *testing.T) {
	conforms(t, func(c *conversation) { c.complete("display", "page") })
}

func TestConformanceBasicDisplayPopup(t *testing.T) {
	conforms(t, func(c *conversation) { c.complete("display", "popup") })
}

func TestConformanceBasicPromptLogin(t *testing.T) {
	conforms(t, func(c *conversation) {
		c.note(reviewed)
		first := c.complete()
		second := c.again(time.Second, "prompt", "login")
		if c.met.logins != 1 {
			c.Errorf("the login page was shown %d times", c.met.logins)
		}
		c.isLater(first, second)
	})
}

func TestConformanceBasicPromptNoneNotLoggedIn(t *testing.T) {
	conforms(t, func(c *conversation) {
		if code := c.refusal(c.response(c.ask("prompt", "none", "state", strings.Repeat("0123456789abcdef", 8)))); code != "login_required" {
			c.Errorf("error is %q", code)
		}
		c.sawNothing()
	})
}

func TestConformanceBasicPromptNoneLoggedIn(t *testing.T) {
	conforms(t, func(c *conversation) {
		first := c.complete()
		second := c.again(time.Second, "prompt", "none")
		c.sawNothing()
		c.isSameLogin(first, second)
	})
}

func TestConformanceBasicMaxAge1(t *testing.T) {
	conforms(t, func(c *conversation) {
		c.note(reviewed)
		first := c.complete()
		second := c.again(2*time.Second, "max_age", "1")
		if c.met.logins != 1 {
			c.Errorf("the login page was shown %d times", c.met.logins)
		}
		c.isLater(first, second)
		if at, sent := second.id["auth_time"].(float64); !sent || c.h.clock.Now().Sub(time.Unix(int64(at), 0)) > time.Second {
			c.Errorf("auth_time is %v", second.id["auth_time"])
		}
	})
}

func TestConformanceBasicMaxAge10000(t *testing.T) {
	conforms(t, func(c *conversation) {
		first := c.complete("max_age", "15000")
		second := c.again(time.Second, "max_age", "10000")
		if first.id["auth_time"] == nil || c.met.logins != 0 {
			c.Errorf("auth_time is %v; %d logins the second time", first.id["auth_time"], c.met.logins)
		}
		c.isSameLogin(first, second)
	})
}

// isSameLogin: two ID tokens that come from one sign-in.
func (c *conversation) isSameLogin(first, second signedIn) {
	c.Helper()
	if first.id["sub"] != second.id["sub"] || first.id["auth_time"] != second.id["auth_time"] {
		c.Errorf("first %v, then %v", first.id, second.id)
	}
}

// isLater: the second ID token comes from a later sign-in.
func (c *conversation) isLater(first, second signedIn) {
	c.Helper()
	before, _ := first.id["auth_time"].(float64)
	after, _ := second.id["auth_time"].(float64)
	if after <= before {
		c.Errorf("auth_time was %v, then %v", first.id["auth_time"], second.id["auth_time"])
	}
}

func (c *conversation) sawNothing() {
	c.Helper()
	if c.met.logins+c.met.consents != 0 {
		c.Errorf("%d login pages and %d consent pages were shown", c.met.logins, c.met.consents)
	}
}

// metadata is the discovery document.
func (c *conversation) metadata() map[string]any {
	c.Helper()
	return c.document(c.h.issuer + "/.well-known/openid-configuration")
}

// document fetches JSON as a machine does, without cookies.
func (c *conversation) document(target string) map[string]any {
	c.Helper()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, target, nil)
	if err != nil {
		c.Fatal(err)
	}
	response, err := c.h.server.Client().Do(request)
	if err != nil {
		c.Fatal(err)
	}
	defer response.Body.Close()
	var document map[string]any
	if err := json.NewDecoder(response.Body).Decode(&document); err != nil || response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/json" {
		c.Fatalf("%s: %d %s (%v)", target, response.StatusCode, response.Header.Get("Content-Type"), err)
	}
	return document
}
