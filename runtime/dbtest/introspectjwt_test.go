package dbtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"

	lockspire "github.com/lockspire/lockspire/runtime"
)

const signedIntrospection = "application/token-introspection+jwt"

// signedAnswer asks for a JWT, verifies it against the published keys, and
// returns its header and claims.
func (a *app) signedAnswer(t *testing.T, token string) (header, claims map[string]any, raw string) {
	t.Helper()
	w := a.introspect(token, ":Accept", signedIntrospection)
	if w.Code != 200 || w.Header().Get("Content-Type") != signedIntrospection || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	raw = w.Body.String()
	ctx := oidc.ClientContext(t.Context(), a.h.server.Client())
	payload, err := oidc.NewRemoteKeySet(ctx, a.h.issuer+"/jwks").VerifySignature(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(headerBytes(t, strings.Split(raw, ".")[0]), &header); err != nil {
		t.Fatal(err)
	}
	return header, claims, raw
}

func TestIntrospectionIsSignedForWhoAsksForIt(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		server := h.newApp(serves(h.server.URL), func(n *lockspire.NewClient) { n.IntrospectionAlg = "ES256" })
		got := partner.redeem(partner.code())
		for _, c := range []struct {
			caller *app
			alg    string
		}{{partner, "RS256"}, {server, "ES256"}} {
			header, claims, _ := c.caller.signedAnswer(t, got.Access)
			if header["typ"] != "token-introspection+jwt" || header["alg"] != c.alg || len(header) != 3 || !slices.Contains(h.published(), fmt.Sprint(header["kid"])) {
				t.Errorf("header %v", header)
			}
			if claims["iss"] != h.issuer || claims["aud"] != c.caller.ID || claims["iat"] != float64(h.clock.Now().Unix()) || len(claims) != 4 {
				t.Errorf("claims %v", claims)
			}
			var plain any
			if err := json.Unmarshal(c.caller.introspect(got.Access).Body.Bytes(), &plain); err != nil || fmt.Sprint(claims["token_introspection"]) != fmt.Sprint(plain) {
				t.Errorf("signed %v, plain %v", claims["token_introspection"], plain)
			}
		}
		_, claims, _ := h.newApp().signedAnswer(t, got.Access)
		if fmt.Sprint(claims["token_introspection"]) != "map[active:false]" {
			t.Errorf("A133: to another client: %v", claims)
		}
		if w := partner.with("wrong").introspect(got.Access, ":Accept", signedIntrospection); w.Code != 401 || !jsonError(w, "invalid_client") {
			t.Errorf("an error: %d %s", w.Code, w.Body)
		}
	})
}

func TestIntrospectionAnswersWhatAcceptLikesBetter(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		for accept, signed := range map[string]bool{
			"": false, "*/*": false, "application/*": false, "application/json": false, "application/jwt": false,
			signedIntrospection: true, "Application/Token-Introspection+JWT": true,
			"application/json, " + signedIntrospection:        true,
			signedIntrospection + ";q=0":                      false,
			signedIntrospection + ";q=0.4, application/json":  false,
			signedIntrospection + ", application/json; q=0.4": true,
			signedIntrospection + ";q=NaN":                    false,
			signedIntrospection + ";q=x":                      false,
			"a\xff/;;=, " + signedIntrospection:               true,
			strings.Repeat(",", 500):                          false,
		} {
			if got := partner.introspect("x", ":Accept", accept).Header().Get("Content-Type") == signedIntrospection; got != signed {
				t.Errorf("Accept %q: signed %v", accept, got)
			}
		}
	})
}

func TestA79A141AnIntrospectionAnswerIsNoToken(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp(func(n *lockspire.NewClient) { n.IntrospectionAlg = "ES256" })
		got := partner.redeem(partner.code("scope", "openid notes:read offline_access"))
		_, _, answer := partner.signedAnswer(t, got.Access)
		if status := h.api(answer); status != 401 {
			t.Errorf("at the API: %d", status)
		}
		if status, _ := h.bearer("/lockspire/userinfo", answer); status != 401 {
			t.Errorf("at userinfo: %d", status)
		}
		wantInactive(t, "introspected", partner.introspect(answer))
		wantToken(t, "as refresh token", partner.refresh(answer), 400, "invalid_grant")
		wantToken(t, "as code", partner.redeem(answer), 400, "invalid_grant")
		rs := h.newApp()
		_, _, answer = rs.signedAnswer(t, got.Access)
		rs.wantError(t, "as id_token_hint", h.newBrowser().get(rs.authorizeURL("id_token_hint", answer)), "invalid_request")
	})
}

func TestIntrospectionIsSignedWithAKeyThatExists(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		other := h.replica()
		before, _, _ := partner.signedAnswer(t, "x")
		if _, err := other.provider.Keys().Revoke(t.Context(), fmt.Sprint(before["kid"])); err != nil {
			t.Fatal(err)
		}
		if after, _, _ := partner.signedAnswer(t, "x"); after["kid"] == before["kid"] {
			t.Error("signed with a key that was revoked")
		}
		h.db.Close()
		if w := partner.introspect("x", ":Accept", signedIntrospection); w.Code != http.StatusServiceUnavailable {
			t.Errorf("without the database: %d", w.Code)
		}
	})
}
