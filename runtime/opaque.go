package lockspire

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// opaqueToken is an access token that says nothing by itself: 256 random bits,
// and a row that is found by their hash. A nil one stands for a JWT, which has
// no row.
type opaqueToken struct {
	token, familyID, clientID string
	scopes, audience          []string
	issuedAt, expiresAt       time.Time
}

// opaqueFor reports whether client, or a resource that the token is for, wants
// opaque access tokens.
func (p *Provider) opaqueFor(client Client, audience []string) bool {
	return client.OpaqueAccessTokens || slices.ContainsFunc(p.config.Resources, func(r Resource) bool {
		return r.OpaqueAccessTokens && slices.Contains(audience, r.Identifier)
	})
}

// newOpaque makes an opaque token, to be stored in the transaction
// that lets it out.
func newOpaque(i issuance, issuedAt, expiresAt time.Time) *opaqueToken {
	return &opaqueToken{
		token: newToken(), familyID: i.family.id, clientID: i.family.clientID, scopes: i.scopes, audience: i.audience,
		// Whole seconds, as the times of a JWT are.
		issuedAt: time.Unix(issuedAt.Unix(), 0), expiresAt: time.Unix(expiresAt.Unix(), 0),
	}
}

// steps store o, if there is one.
func (o *opaqueToken) steps() ([]step, error) {
	if o == nil {
		return nil, nil
	}
	scopes, err := jsonList(o.scopes)
	if err != nil {
		return nil, err
	}
	audience, err := jsonList(o.audience)
	if err != nil {
		return nil, err
	}
	return []step{{`INSERT INTO @.lockspire_access_tokens
		(hash, family_id, client_id, scopes, audience, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, []any{
		hashToken(o.token), nullText(o.familyID), o.clientID, scopes, audience, micros(o.issuedAt), micros(o.expiresAt)}}}, nil
}

// storedToken is what the row of an opaque token says beside its claims, read
// in the same statement.
type storedToken struct {
	hash []byte
	live liveToken
	// dead says why the token is not honoured, or is nil.
	dead error
}

// readOpaque finds an opaque token with all that decides whether it lives, in
// one statement. Whether it does is checkLive's to say.
func (p *Provider) readOpaque(ctx context.Context, token string) (accessClaims, error) {
	stored := &storedToken{hash: hashToken(token)}
	c := accessClaims{stored: stored}
	c.Issuer = p.config.Issuer
	var familyID, subject, grantID, claims, acr sql.NullString
	var scopes, audience string
	var issued, expires int64
	var lastUsed, authTime sql.NullInt64
	var s opaqueStanding
	err := p.store.read().queryRow(ctx, `SELECT a.family_id, a.client_id, a.scopes, a.audience, a.created_at, a.expires_at,
			c.grant_types, c.disabled_at, f.subject, f.grant_id, f.claims, f.acr, f.auth_time,
			f.expires_at, f.revoked_at, g.revoked_at, g.last_used_at
		FROM @.lockspire_access_tokens a
		JOIN @.lockspire_clients c ON c.id = a.client_id
		LEFT JOIN @.lockspire_families f ON f.id = a.family_id
		LEFT JOIN @.lockspire_grants g ON g.id = f.grant_id
		WHERE a.hash = $1`, stored.hash).
		Scan(&familyID, &c.ClientID, &scopes, &audience, &issued, &expires,
			&s.grantTypes, &s.disabled, &subject, &grantID, &claims, &acr, &authTime,
			&s.familyEnd, &s.familyRevoked, &s.grantRevoked, &lastUsed)
	if errors.Is(err, sql.ErrNoRows) {
		return c, fmt.Errorf("%w: nor an opaque token that is known", errBadJWT)
	}
	var granted []string
	var errs [4]error
	if errs[0] = err; err == nil {
		granted, errs[1] = parseList(scopes)
		c.Audience, errs[2] = parseList(audience)
		stored.live.claims, errs[3] = decodeNamed(claims.String)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return c, fmt.Errorf("%w: reading an access token: %w", errUnavailable, err)
	}
	c.FamilyID, c.Subject, c.Scope = familyID.String, subject.String, joinScopes(granted)
	if c.ClientOnly() {
		c.Subject = c.ClientID
	}
	c.IssuedAt, c.ExpiresAt = time.UnixMicro(issued).UTC(), time.UnixMicro(expires).UTC()
	c.ACR = acr.String
	if authTime.Valid {
		c.AuthTime = fromMicros(authTime).UTC().Truncate(time.Second)
	}
	stored.live.subject, stored.live.grantID, stored.live.lastUsed = c.Subject, grantID.String, fromMicros(lastUsed)
	stored.dead = s.judge(c.ClientOnly(), p.now())
	return c, nil
}

// opaqueStanding is what has to stand for an opaque token to be honoured: its
// client, and the family and grant where there is a user.
type opaqueStanding struct {
	grantTypes                                       string
	disabled, familyEnd, familyRevoked, grantRevoked sql.NullInt64
}

func (s opaqueStanding) judge(clientOnly bool, now time.Time) error {
	switch {
	case s.disabled.Valid:
		return fmt.Errorf("%w: client is disabled", errInvalidToken)
	case clientOnly:
		return keepsGrant(s.grantTypes)
	case s.familyRevoked.Valid, s.grantRevoked.Valid:
		return fmt.Errorf("%w: revoked", errInvalidToken)
	case !now.Before(fromMicros(s.familyEnd).Add(clockLeeway)):
		return fmt.Errorf("%w: family is over", errInvalidToken)
	}
	return nil
}
