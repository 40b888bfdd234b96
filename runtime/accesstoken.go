package lockspire

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// clockLeeway is how far another clock may be off (RFC 8725 §3; A147).
const clockLeeway = 60 * time.Second

// accessClaims are the claims of an access token (RFC 9068 §2.2) with the
// private claim "fid", the family it descends from. A token of the client
// credentials grant descends from none.
type accessClaims struct {
	issuer, subject, clientID, scope, jti, familyID string
	audience                                        []string
	issuedAt, expiresAt                             time.Time
	// kid names the key that the token is signed with.
	kid string
	// stored is set for an opaque token, which has no jti and no key.
	stored *storedToken
}

// errInvalidToken: the token is not one that this provider honours (any more).
// The wrapped text is for the log.
var errInvalidToken = errors.New("access token refused")

// readAccessToken verifies signature and form of an access token, or looks an
// opaque one up, and returns its claims, expired or not. One that is no access
// token is errBadJWT.
func (p *Provider) readAccessToken(ctx context.Context, token string) (accessClaims, error) {
	if tokenShaped(token) {
		return p.readOpaque(ctx, token)
	}
	kid, members, err := p.keys.verifyInMemory(ctx, token, algES256, typAccessToken)
	if err != nil {
		return accessClaims{}, err
	}
	claims, err := decodeAccessClaims(members)
	if err != nil {
		return accessClaims{}, err
	}
	claims.kid = kid
	if claims.issuer != p.config.Issuer {
		return accessClaims{}, fmt.Errorf("%w: another issuer", errBadJWT)
	}
	return claims, nil
}

// decodeAccessClaims reads the claims by their exact names. A name that
// differs only in case is refused: a lenient reader would take it (RFC 8725
// §3.12).
func decodeAccessClaims(members map[string]json.RawMessage) (accessClaims, error) {
	var c accessClaims
	var issued, expires, notBefore int64
	for name, raw := range members {
		ok := true
		switch name {
		case "iss":
			ok = jsonString(raw, &c.issuer)
		case "sub":
			ok = jsonString(raw, &c.subject)
		case "client_id":
			ok = jsonString(raw, &c.clientID)
		case "scope":
			ok = jsonString(raw, &c.scope)
		case "jti":
			ok = jsonString(raw, &c.jti)
		case "fid":
			ok = jsonString(raw, &c.familyID)
		case "aud":
			c.audience, ok = jsonAudience(raw)
		case "iat":
			ok = jsonSeconds(raw, &issued)
		case "exp":
			ok = jsonSeconds(raw, &expires)
		case "nbf":
			ok = jsonSeconds(raw, &notBefore)
		default:
			switch strings.ToLower(name) {
			case "iss", "sub", "client_id", "scope", "jti", "fid", "aud", "iat", "exp", "nbf":
				ok = false
			}
		}
		if !ok {
			return c, fmt.Errorf("%w: claim %.20q", errBadJWT, name)
		}
	}
	if c.issuer == "" || c.subject == "" || c.clientID == "" || c.jti == "" ||
		len(c.audience) == 0 || issued == 0 || expires == 0 {
		return c, fmt.Errorf("%w: a required claim is missing", errBadJWT)
	}
	if c.familyID == "" && c.subject != c.clientID {
		// Without a family nothing would vouch for the subject.
		return c, fmt.Errorf("%w: no family", errBadJWT)
	}
	if notBefore > issued {
		// Lockspire sets no nbf; one that is ahead of iat is honoured.
		issued = notBefore
	}
	c.issuedAt, c.expiresAt = time.Unix(issued, 0).UTC(), time.Unix(expires, 0).UTC()
	return c, nil
}

// clientOnly says that no user stands behind the token (RFC 6749 §4.4).
func (c accessClaims) clientOnly() bool { return c.familyID == "" }

// jsonAudience reads aud: one string or an array of strings (RFC 7519 §4.1.3).
func jsonAudience(raw json.RawMessage) ([]string, bool) {
	var one string
	if jsonString(raw, &one) {
		return []string{one}, one != ""
	}
	var parts []json.RawMessage
	if json.Unmarshal(raw, &parts) != nil {
		return nil, false
	}
	many := make([]string, len(parts))
	for i, part := range parts {
		if !jsonString(part, &many[i]) || many[i] == "" {
			return nil, false
		}
	}
	return many, len(many) > 0
}

// jsonSeconds reads a NumericDate that is a whole number of seconds, which is
// how Lockspire writes it.
func jsonSeconds(raw json.RawMessage, target *int64) bool {
	return len(raw) > 0 && raw[0] != 'n' && json.Unmarshal(raw, target) == nil && *target > 0
}

// checkTime refuses a token outside its life.
func (c accessClaims) checkTime(now time.Time) error {
	switch {
	case !now.Before(c.expiresAt.Add(clockLeeway)):
		return fmt.Errorf("%w: expired", errInvalidToken)
	case now.Add(clockLeeway).Before(c.issuedAt):
		return fmt.Errorf("%w: not valid yet", errInvalidToken)
	}
	return nil
}

// checkAudience refuses a token that another resource could have been handed
// and replay here: each audience is resource itself or the issuer (A142).
func (c accessClaims) checkAudience(resource, issuer string) error {
	found := false
	for _, audience := range c.audience {
		switch {
		case audience == resource:
			found = true
		case audience != issuer:
			return fmt.Errorf("%w: for another audience", errInvalidToken)
		}
	}
	if !found {
		return fmt.Errorf("%w: for another audience", errInvalidToken)
	}
	return nil
}

// liveToken is what the database says about a token right now.
type liveToken struct {
	// subject is the host's own identifier.
	subject, grantID string
	lastUsed         time.Time
	claims           namedClaims
}

// checkLive asks in one statement, by primary keys only, whether family, grant,
// client and signing key still stand and the token itself was not revoked. It
// returns errInvalidToken when not, and errUnavailable when it could not ask. Of
// an opaque token the statement that found it has told already.
func (p *Provider) checkLive(ctx context.Context, c accessClaims) (liveToken, error) {
	if c.stored != nil {
		return c.stored.live, c.stored.dead
	}
	if c.clientOnly() {
		return p.checkLiveClient(ctx, c)
	}
	var live liveToken
	var clientID string
	var expires, lastUsed int64
	var familyRevoked, grantRevoked, disabled, jtiRevoked sql.NullInt64
	var claims sql.NullString
	err := p.store.read().queryRow(ctx, `SELECT f.client_id, f.subject, f.grant_id, f.expires_at, f.claims,
			f.revoked_at, g.revoked_at, g.last_used_at, c.disabled_at, r.expires_at
		FROM @.lockspire_families f
		JOIN @.lockspire_grants g ON g.id = f.grant_id
		JOIN @.lockspire_clients c ON c.id = f.client_id
		JOIN @.lockspire_keys k ON k.kid = $3
		LEFT JOIN @.lockspire_revoked_tokens r ON r.jti = $2
		WHERE f.id = $1`, c.familyID, c.jti, c.kid).
		Scan(&clientID, &live.subject, &live.grantID, &expires, &claims,
			&familyRevoked, &grantRevoked, &lastUsed, &disabled, &jtiRevoked)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return live, fmt.Errorf("%w: unknown family, or the key was revoked", errInvalidToken)
	case err != nil:
		return live, fmt.Errorf("%w: liveness: %w", errUnavailable, err)
	case clientID != c.clientID:
		return live, fmt.Errorf("%w: another client's family", errInvalidToken)
	case familyRevoked.Valid, grantRevoked.Valid, jtiRevoked.Valid:
		return live, fmt.Errorf("%w: revoked", errInvalidToken)
	case disabled.Valid:
		return live, fmt.Errorf("%w: client is disabled", errInvalidToken)
	case !p.now().Before(time.UnixMicro(expires).Add(clockLeeway)):
		return live, fmt.Errorf("%w: family is over", errInvalidToken)
	}
	if live.claims, err = decodeNamed(claims.String); err != nil {
		return live, fmt.Errorf("%w: liveness: %w", errUnavailable, err)
	}
	live.lastUsed = time.UnixMicro(lastUsed).UTC()
	return live, nil
}

// checkLiveClient is checkLive for a token that has no family: it lives while
// its client is enabled and still has the grant.
func (p *Provider) checkLiveClient(ctx context.Context, c accessClaims) (liveToken, error) {
	var grants string
	var disabled, jtiRevoked sql.NullInt64
	err := p.store.read().queryRow(ctx, `SELECT c.grant_types, c.disabled_at, r.expires_at
		FROM @.lockspire_clients c
		JOIN @.lockspire_keys k ON k.kid = $3
		LEFT JOIN @.lockspire_revoked_tokens r ON r.jti = $2
		WHERE c.id = $1`, c.clientID, c.jti, c.kid).Scan(&grants, &disabled, &jtiRevoked)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return liveToken{}, fmt.Errorf("%w: unknown client, or the key was revoked", errInvalidToken)
	case err != nil:
		return liveToken{}, fmt.Errorf("%w: liveness: %w", errUnavailable, err)
	case jtiRevoked.Valid:
		return liveToken{}, fmt.Errorf("%w: revoked", errInvalidToken)
	case disabled.Valid:
		return liveToken{}, fmt.Errorf("%w: client is disabled", errInvalidToken)
	}
	return liveToken{subject: c.subject}, keepsGrant(grants)
}

// keepsGrant refuses a token without family whose client has lost the grant
// type that it comes from.
func keepsGrant(grantTypes string) error {
	allowed, err := parseList(grantTypes)
	if err != nil {
		return fmt.Errorf("%w: liveness: %w", errUnavailable, err)
	}
	if !slices.Contains(allowed, grantClientCredentials) {
		return fmt.Errorf("%w: client has lost the grant", errInvalidToken)
	}
	return nil
}

// admit verifies token for what demands names: signature, life, audience,
// liveness.
func (p *Provider) admit(ctx context.Context, token string, demands protection) (*AccessToken, error) {
	claims, err := p.readAccessToken(ctx, token)
	if err != nil {
		return nil, err
	}
	if err := claims.checkTime(p.now()); err != nil {
		return nil, err
	}
	switch {
	case demands.userinfo && claims.clientOnly():
		// A good token that lacks what is needed, whatever resource it is for
		// (OIDC Core §5.3); it is refused below, once it is known to be live.
	case demands.userinfo:
		err = claims.checkIssuerAudience(p.config.Issuer)
	default:
		err = claims.checkAudience(demands.resource, p.config.Issuer)
	}
	if err != nil {
		return nil, err
	}
	live, err := p.checkLive(ctx, claims)
	if err != nil {
		return nil, err
	}
	if demands.userinfo && claims.clientOnly() {
		return nil, errInsufficientScope
	}
	if !claims.clientOnly() {
		p.lastUse.note(live.grantID, live.lastUsed, p.now())
	}
	scopes := strings.Fields(claims.scope)
	return &AccessToken{
		Subject:   live.subject,
		ClientID:  claims.clientID,
		GrantID:   live.grantID,
		Scopes:    scopes,
		Audience:  claims.audience,
		IssuedAt:  claims.issuedAt,
		ExpiresAt: claims.expiresAt,

		ClientOnly: claims.clientOnly(),
		goodFor:    p.hierarchy.with(scopes),
		claims:     live.claims,
	}, nil
}

// checkIssuerAudience is the rule for userinfo, and for userinfo only: a token
// for an API that is also good there names both. A host's API whose identifier
// happens to be the issuer is a resource like any other, or every token for
// another API would open it.
func (c accessClaims) checkIssuerAudience(issuer string) error {
	for _, audience := range c.audience {
		if audience == issuer {
			return nil
		}
	}
	return fmt.Errorf("%w: not for the issuer", errInvalidToken)
}
