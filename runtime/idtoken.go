package lockspire

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
)

// issuance is what one token response is made of.
type issuance struct {
	family           family
	account          Account
	scopes, audience []string
	nonce            string
}

// signTokens asks the host for claims and signs or makes an access token and,
// with openid, signs an ID token. It runs before the transaction that lets them out, so
// that no connection is held meanwhile; what loses the race is never sent.
func (p *Provider) signTokens(ctx context.Context, client Client, i issuance) (*tokenResponse, error) {
	if err := p.keys.settle(ctx); err != nil {
		return nil, err
	}
	now := p.now()
	expires := now.Add(p.config.TTLs.AccessToken)
	if expires.After(i.family.expiresAt) {
		expires = i.family.expiresAt
	}
	response := &tokenResponse{
		TokenType: "Bearer",
		ExpiresIn: expires.Unix() - now.Unix(),
		Scope:     strings.Join(i.scopes, " "),
	}
	var err error
	if p.opaqueFor(client, i.audience) {
		response.opaque = newOpaque(i, now, expires)
		response.AccessToken = response.opaque.token
	} else {
		response.AccessToken, err = p.keys.sign(algES256, typAccessToken, p.accessTokenClaims(i, now.Unix(), expires.Unix()))
	}
	if err != nil {
		return nil, err
	}
	if !slices.Contains(i.scopes, scopeOpenID) {
		return response, nil
	}
	claims, err := p.accountClaims(ctx, i.account, ClaimsRequest{
		Scopes: i.scopes, ClientID: client.ID, IDToken: true, Names: i.family.claims.IDToken,
	})
	if err != nil {
		return nil, err
	}
	p.addProtocolClaims(claims, i, response.AccessToken, now.Unix())
	response.IDToken, err = p.keys.sign(client.IDTokenAlg, typIDToken, claims)
	return response, err
}

// accessTokenClaims are RFC 9068 §2.2, and the family that the token lives
// and dies with, where there is one.
func (p *Provider) accessTokenClaims(i issuance, issued, expires int64) map[string]any {
	claims := map[string]any{
		"iss":       p.config.Issuer,
		"sub":       i.family.subject,
		"aud":       i.audience,
		"client_id": i.family.clientID,
		"scope":     strings.Join(i.scopes, " "),
		"jti":       newID("at_"),
		"iat":       issued,
		"exp":       expires,
	}
	if i.family.id != "" {
		claims["fid"] = i.family.id
	}
	addAuthentication(claims, i.family)
	return claims
}

// addProtocolClaims sets what OIDC Core §2 says about the token itself. They
// come last, so nothing of the host's stands in their place.
func (p *Provider) addProtocolClaims(claims Claims, i issuance, accessToken string, issued int64) {
	claims["iss"] = p.config.Issuer
	claims["sub"] = i.family.subject
	claims["aud"] = i.family.clientID
	claims["iat"] = issued
	claims["exp"] = issued + int64(p.config.TTLs.IDToken.Seconds())
	claims["at_hash"] = accessTokenHash(accessToken)
	if i.nonce != "" {
		claims["nonce"] = i.nonce
	}
	if i.family.sid != "" {
		claims["sid"] = i.family.sid
	}
	addAuthentication(claims, i.family)
}

// addAuthentication states how and when the user signed in, as it was at the
// time of approval (OIDC Core §2, RFC 9068 §2.2.1).
func addAuthentication(claims map[string]any, f family) {
	if !f.authTime.IsZero() {
		claims["auth_time"] = f.authTime.Unix()
	}
	if f.acr != "" {
		claims["acr"] = f.acr
	}
	if len(f.amr) > 0 {
		claims["amr"] = f.amr
	}
}

// accessTokenHash is at_hash: the left half of the hash that the ID token's
// algorithm uses, SHA-256 for both RS256 and ES256 (OIDC Core §3.1.3.6).
func accessTokenHash(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
