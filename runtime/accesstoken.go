package lockspire

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lockspire/lockspire/runtime/internal/bearer"
	"github.com/lockspire/lockspire/runtime/internal/jwt"
)

// clockLeeway is how far another clock may be off (RFC 8725 §3; A147).
const clockLeeway = jwt.Leeway

// accessClaims are the claims of an access token and the key that signed it.
type accessClaims struct {
	jwt.AccessClaims
	// kid names the key that the token is signed with.
	kid string
	// stored is set for an opaque token, which has no jti and no key.
	stored *storedToken
}

var (
	// errBadJWT: not a JWT that this provider signed, as what it has to be.
	errBadJWT = jwt.ErrMalformed
	// errInvalidToken: the token is not one that this provider honours (any
	// more). The wrapped text is for the log.
	errInvalidToken = jwt.ErrInvalid
)

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
	decoded, err := jwt.DecodeAccess(members)
	if err != nil {
		return accessClaims{}, err
	}
	claims := accessClaims{AccessClaims: decoded, kid: kid}
	if claims.Issuer != p.config.Issuer {
		return accessClaims{}, fmt.Errorf("%w: another issuer", errBadJWT)
	}
	return claims, nil
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
	if c.ClientOnly() {
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
		WHERE f.id = $1`, c.FamilyID, c.ID, c.kid).
		Scan(&clientID, &live.subject, &live.grantID, &expires, &claims,
			&familyRevoked, &grantRevoked, &lastUsed, &disabled, &jtiRevoked)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return live, fmt.Errorf("%w: unknown family, or the key was revoked", errInvalidToken)
	case err != nil:
		return live, fmt.Errorf("%w: liveness: %w", errUnavailable, err)
	case clientID != c.ClientID:
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
		WHERE c.id = $1`, c.ClientID, c.ID, c.kid).Scan(&grants, &disabled, &jtiRevoked)
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
	return liveToken{subject: c.Subject}, keepsGrant(grants)
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
	if err := claims.CheckTime(p.now()); err != nil {
		return nil, err
	}
	switch {
	case demands.userinfo && claims.ClientOnly():
		// A good token that lacks what is needed, whatever resource it is for
		// (OIDC Core §5.3); it is refused below, once it is known to be live.
	case demands.userinfo:
		err = claims.checkIssuerAudience(p.config.Issuer)
	default:
		err = claims.CheckAudience(demands.resource, p.config.Issuer)
	}
	if err != nil {
		return nil, err
	}
	live, err := p.checkLive(ctx, claims)
	if err != nil {
		return nil, err
	}
	if demands.userinfo && claims.ClientOnly() {
		return nil, bearer.ErrScope
	}
	scopes := strings.Fields(claims.Scope)
	admitted := &AccessToken{
		Subject:   live.subject,
		ClientID:  claims.ClientID,
		GrantID:   live.grantID,
		Scopes:    scopes,
		Audience:  claims.Audience,
		IssuedAt:  claims.IssuedAt,
		ExpiresAt: claims.ExpiresAt,
		ACR:       claims.ACR,
		AuthTime:  claims.AuthTime,

		ClientOnly: claims.ClientOnly(),
		goodFor:    p.hierarchy.with(scopes),
		claims:     live.claims,
	}
	if err := demands.Check(claims.AccessClaims, admitted.HasScope, p.now()); err != nil {
		return nil, err
	}
	if !claims.ClientOnly() {
		p.lastUse.note(live.grantID, live.lastUsed, p.now())
	}
	return admitted, nil
}

// checkIssuerAudience is the rule for userinfo, and for userinfo only: a token
// for an API that is also good there names both. A host's API whose identifier
// happens to be the issuer is a resource like any other, or every token for
// another API would open it.
func (c accessClaims) checkIssuerAudience(issuer string) error {
	for _, audience := range c.Audience {
		if audience == issuer {
			return nil
		}
	}
	return fmt.Errorf("%w: not for the issuer", errInvalidToken)
}
