package lockspire

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
)

// Why a family was revoked; stored beside revoked_at.
const (
	reasonGrantRevoked   = "grant_revoked"
	reasonClientDisabled = "client_disabled"
	reasonTokenRevoked   = "token_revoked"
)

func (p *Provider) grants(ctx context.Context, subject string) ([]Grant, error) {
	rows, err := p.store.read().query(ctx, `SELECT g.id, g.client_id, c.name, g.subject, g.scopes,
			g.resources, g.created_at, g.last_used_at
		FROM @.lockspire_grants g
		JOIN @.lockspire_clients c ON c.id = g.client_id
		WHERE g.subject = $1 AND g.revoked_at IS NULL
		ORDER BY g.last_used_at DESC, g.id`, subject)
	if err != nil {
		return nil, fmt.Errorf("%w: reading grants: %w", errUnavailable, err)
	}
	defer rows.Close()
	var all []Grant
	for rows.Next() {
		g, err := p.scanGrant(rows)
		if err != nil {
			return nil, fmt.Errorf("%w: reading grants: %w", errUnavailable, err)
		}
		all = append(all, g)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%w: reading grants: %w", errUnavailable, err)
	}
	return all, nil
}

func (p *Provider) scanGrant(rows *sql.Rows) (Grant, error) {
	var g Grant
	var scopes, resources string
	var created, lastUsed sql.NullInt64
	if err := rows.Scan(&g.ID, &g.ClientID, &g.ClientName, &g.Subject, &scopes, &resources, &created, &lastUsed); err != nil {
		return g, err
	}
	var names []string
	if err := json.Unmarshal([]byte(scopes), &names); err != nil {
		return g, fmt.Errorf("scopes of grant %s: %w", g.ID, err)
	}
	if err := json.Unmarshal([]byte(resources), &g.Resources); err != nil {
		return g, fmt.Errorf("resources of grant %s: %w", g.ID, err)
	}
	g.Scopes = p.inCatalogueOrder(names)
	g.CreatedAt, g.LastUsedAt = fromMicros(created), fromMicros(lastUsed)
	return g, nil
}

// revokeGrant ends a grant with everything that descends from it, in one
// transaction. The subject is part of the condition: an id alone, guessed or
// leaked, revokes nothing.
func (p *Provider) revokeGrant(ctx context.Context, subject, grantID string) error {
	e := newEvent(p.now(), "grant.revoked")
	e.Subject, e.GrantID = subject, grantID
	revoked := false
	err := p.store.write(ctx, func(t tx) error {
		revoked = false
		err := t.queryRow(ctx, `UPDATE @.lockspire_grants
			SET revoked_at = $1, expires_at = `+grantEnd+`
			WHERE id = $2 AND subject = $3 AND revoked_at IS NULL
			RETURNING client_id`, micros(e.At), grantID, subject).Scan(&e.ClientID)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE @.lockspire_families SET revoked_at = $1, reason = $2
			WHERE grant_id = $3 AND revoked_at IS NULL`, micros(e.At), reasonGrantRevoked, grantID); err != nil {
			return err
		}
		revoked = true
		return t.audit(ctx, e)
	})
	if err == nil && revoked {
		p.emit(ctx, e)
	}
	return err
}

// grantEnd is when the row of a grant that is being revoked may go: when the
// last family under it is over, since the evidence of replay hangs on it
// (A181). $1 is the time of revocation.
const grantEnd = `COALESCE((SELECT MAX(f.expires_at) FROM @.lockspire_families f
	WHERE f.grant_id = lockspire_grants.id), $1)`
