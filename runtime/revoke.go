package lockspire

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
)

// serveRevoke answers RFC 7009. A refresh token takes its family with it, and
// so every access token of that family; an access token goes alone.
func (p *Provider) serveRevoke(w http.ResponseWriter, r *http.Request) {
	if err := p.revokeToken(r); err != nil {
		p.writeJSONError(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	w.WriteHeader(http.StatusOK)
}

func (p *Provider) revokeToken(r *http.Request) error {
	client, token, err := p.presentedToken(r)
	if err != nil {
		return err
	}
	if err := p.limitScan(r, client); err != nil {
		return err
	}
	// token_type_hint is ignored: both kinds are looked for, and a wrong hint
	// must not make a live token look unknown (RFC 7009 §2.1).
	found, err := p.revokeRefreshToken(r.Context(), client, token)
	if found || err != nil {
		return err
	}
	found, err = p.revokeAccessToken(r.Context(), client, token)
	if !found && err == nil {
		p.noteMiss(r, client)
	}
	return err
}

// revokeRefreshToken revokes the family of a refresh token, rotated ones
// included: who holds an old one and wants it dead wants the family dead. It
// reports whether the token is a refresh token at all.
func (p *Provider) revokeRefreshToken(ctx context.Context, client Client, token string) (found bool, err error) {
	var owner, familyID, grantID, subject string
	err = p.store.read().queryRow(ctx, `SELECT r.client_id, f.id, f.grant_id, f.subject
		FROM @.lockspire_refresh_tokens r JOIN @.lockspire_families f ON f.id = r.family_id
		WHERE r.hash = $1`, hashToken(token)).Scan(&owner, &familyID, &grantID, &subject)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%w: looking for a refresh token: %w", errUnavailable, err)
	case owner != client.ID:
		return true, p.refuseRevocation(ctx, client, grantID, familyID)
	}
	e := newEvent(p.now(), "refresh.revoked")
	e.ClientID, e.Subject, e.GrantID, e.FamilyID = client.ID, subject, grantID, familyID
	revoked := false
	err = p.store.write(ctx, func(t tx) error {
		var err error
		revoked, err = claimed(t.exec(ctx, `UPDATE @.lockspire_families SET revoked_at = $1, reason = $2
			WHERE id = $3 AND revoked_at IS NULL`, micros(e.At), reasonTokenRevoked, familyID))
		if err != nil || !revoked {
			return err
		}
		return t.audit(ctx, e)
	})
	if err == nil && revoked {
		p.emit(ctx, e)
	}
	return true, err
}

// revokeAccessToken marks one access token as revoked until it would be over
// anyway, or removes an opaque one. What is not an access token of ours is
// unknown, which is success (RFC 7009 §2.2).
func (p *Provider) revokeAccessToken(ctx context.Context, client Client, token string) (found bool, err error) {
	claims, err := p.readAccessToken(ctx, token)
	if errors.Is(err, errBadJWT) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	now := p.now()
	if claims.CheckTime(now) != nil {
		return true, nil
	}
	if claims.stored == nil {
		if stands, err := p.keys.stands(ctx, claims.kid); err != nil || !stands {
			// Whoever has the revoked key can write tokens; none leaves a row.
			return err == nil, err
		}
	}
	if claims.ClientID != client.ID {
		return true, p.refuseRevocation(ctx, client, "", claims.FamilyID)
	}
	e := newEvent(now, "access_token.revoked")
	e.ClientID, e.FamilyID = client.ID, claims.FamilyID
	if !claims.ClientOnly() {
		e.Subject = claims.Subject
	}
	revoked := false
	err = p.store.write(ctx, func(t tx) error {
		var err error
		if claims.stored != nil {
			revoked, err = claimed(t.exec(ctx, `DELETE FROM @.lockspire_access_tokens WHERE hash = $1`, claims.stored.hash))
		} else {
			// The row stays until no clock would take the token any more, so
			// that a revoked token has no leeway (A147).
			revoked, err = claimed(t.exec(ctx, `INSERT INTO @.lockspire_revoked_tokens (jti, expires_at)
				VALUES ($1, $2) ON CONFLICT DO NOTHING`, claims.ID, micros(claims.ExpiresAt.Add(clockLeeway))))
		}
		if err != nil || !revoked {
			return err
		}
		return t.audit(ctx, e)
	})
	if err == nil && revoked {
		p.emit(ctx, e)
	}
	return true, err
}

// refuseRevocation answers a client that holds another's token: the token
// stays valid, and the attempt is on record (A136).
func (p *Provider) refuseRevocation(ctx context.Context, client Client, grantID, familyID string) error {
	e := newEvent(p.now(), "revocation.refused")
	e.ClientID, e.GrantID, e.FamilyID = client.ID, grantID, familyID
	if err := p.store.write(ctx, func(t tx) error { return t.audit(ctx, e) }); err != nil {
		return err
	}
	p.emit(ctx, e)
	return &oauthError{code: "unauthorized_client", description: "The token was issued to another client."}
}
