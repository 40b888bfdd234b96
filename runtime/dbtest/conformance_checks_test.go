package dbtest

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// longEnough reports whether a random value has 128 bits of length and, as far
// as its letters tell, of chance (RFC 6749 §10.10). The estimate is Shannon's,
// which is low for short texts: 96 bits have to do.
func longEnough(value string) bool {
	counts := map[byte]float64{}
	for i := range len(value) {
		counts[value[i]]++
	}
	entropy := 0.0
	for _, n := range counts {
		entropy -= n * math.Log2(n/float64(len(value)))
	}
	return len(value)*8 >= 128 && entropy >= 96
}

// checkTokens holds a token response to RFC 6749 §5.1.
func (c *conversation) checkTokens(got tokens) {
	c.Helper()
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/json" {
		c.Fatalf("the token endpoint answered %d %s: %s", got.status, got.header.Get("Content-Type"), got.raw)
	}
	if got.header.Get("Cache-Control") != "no-store" {
		c.Errorf("Cache-Control is %q", got.header.Get("Cache-Control"))
	}
	if !longEnough(got.Access) || !strings.EqualFold(got.Type, "bearer") || got.Expires <= 0 {
		c.Errorf("the token response is %s", got.raw)
	}
}

// checkRefusedGrant holds an error of the token endpoint to RFC 6749 §5.2.
func (c *conversation) checkRefusedGrant(got tokens) {
	c.Helper()
	if got.status != http.StatusBadRequest || got.Error != "invalid_grant" || got.header.Get("Content-Type") != "application/json" {
		c.Errorf("the token endpoint answered %d %s: %s", got.status, got.header.Get("Content-Type"), got.raw)
	}
	if strings.ContainsFunc(got.Description, func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }) {
		c.Errorf("error_description is %q", got.Description)
	}
}

// checkIDToken verifies an ID token as OIDC Core §3.1.3.7 tells a client to,
// with the keys that discovery leads to.
func (c *conversation) checkIDToken(got tokens, nonce string) (*oidc.IDToken, map[string]any) {
	c.Helper()
	ctx := oidc.ClientContext(c.Context(), c.h.server.Client())
	issuer, err := oidc.NewProvider(ctx, c.h.issuer)
	if err != nil {
		c.Fatal(err)
	}
	token, err := issuer.Verifier(&oidc.Config{ClientID: c.rp.ID, Now: c.h.clock.Now}).Verify(ctx, got.ID)
	if err != nil {
		c.Fatal(err)
	}
	if err := token.VerifyAccessToken(got.Access); err != nil {
		c.Errorf("at_hash: %v", err)
	}
	claims := claimsIn(c, got.ID)
	if _, sent := claims["nonce"]; token.Nonce != nonce || sent != (nonce != "") {
		c.Errorf("nonce is %q, want %q", token.Nonce, nonce)
	}
	if token.Subject == "" || !token.IssuedAt.Equal(c.h.clock.Now()) {
		c.Errorf("sub %q, iat %s", token.Subject, token.IssuedAt)
	}
	if at, sent := claims["auth_time"].(float64); sent && time.Unix(int64(at), 0).After(c.h.clock.Now()) {
		c.Errorf("auth_time is in the future: %v", at)
	}
	if acr, sent := claims["acr"]; sent && acr == "" {
		c.Error("acr is empty")
	}
	return token, claims
}

// jwtHeader decodes the first part of a JWT.
func (c *conversation) jwtHeader(token string) map[string]any {
	c.Helper()
	first, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		c.Fatal(err)
	}
	var header map[string]any
	if err := json.Unmarshal(raw, &header); err != nil {
		c.Fatal(err)
	}
	return header
}

// userinfo asks by GET with a bearer header, and checks the claims.
func (c *conversation) userinfo(accessToken string) map[string]any {
	c.Helper()
	return c.checkUserinfo(c.b.get(c.h.issuer+"/userinfo", "Authorization", "Bearer "+accessToken))
}

// checkUserinfo holds a userinfo response to OIDC Core §5.1 and §5.3.2.
func (c *conversation) checkUserinfo(p page) map[string]any {
	c.Helper()
	if p.status != http.StatusOK || p.header.Get("Content-Type") != "application/json" {
		c.Fatalf("userinfo answered %d %s: %s", p.status, p.header.Get("Content-Type"), p.body)
	}
	var claims map[string]any
	if err := json.Unmarshal([]byte(p.body), &claims); err != nil {
		c.Fatal(err)
	}
	if sub, _ := claims["sub"].(string); sub == "" {
		c.Errorf("userinfo has no sub: %s", p.body)
	}
	for name, value := range claims {
		if !rightType(name, value) {
			c.Errorf("userinfo says %s = %#v", name, value)
		}
	}
	return claims
}

// rightType reports whether a standard claim has the JSON type of OIDC Core
// §5.1.
func rightType(name string, value any) bool {
	switch name {
	case "email_verified", "phone_number_verified":
		_, ok := value.(bool)
		return ok
	case "updated_at":
		n, ok := value.(float64)
		return ok && n > 0 && n < 1e11
	case "address":
		_, ok := value.(map[string]any)
		return ok
	}
	text, ok := value.(string)
	switch name {
	case "email":
		_, err := mail.ParseAddress(text)
		return ok && err == nil
	case "profile", "picture", "website":
		u, err := url.Parse(text)
		return ok && err == nil && u.IsAbs()
	}
	return ok && text != ""
}

// checkScopes says whether userinfo has all that scopes stand for (OIDC Core
// §5.4). A host that knows less is not wrong: it is a warning.
func (c *conversation) checkScopes(claims map[string]any, scopes ...string) {
	c.Helper()
	for _, scope := range scopes {
		for name := range conformanceClaims[scope] {
			if _, known := claims[name]; !known {
				c.Logf("userinfo has no %s", name)
				c.note(warning)
			}
		}
	}
	for scope, names := range conformanceClaims {
		for name := range names {
			if _, given := claims[name]; given && !slices.Contains(scopes, scope) {
				c.Errorf("userinfo has %s without the scope %s", name, scope)
			}
		}
	}
}
