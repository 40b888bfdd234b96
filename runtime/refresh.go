package lockspire

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const reasonRefreshReused = "refresh_reused"

// errBadRefresh is one answer for every refresh token that issues nothing.
var errBadRefresh = invalidGrant("The refresh token is invalid, expired, revoked or was issued to another client.")

// refreshRow is a refresh token's row. A token is rotated once: its successor
// is derived from it, from salt and from the secret named on the row, so a
// client that lost the answer gets the same successor again and no token is
// kept in clear.
type refreshRow struct {
	id, parentID, clientID string
	salt                   []byte
	secretID               string
	validUntil, rotatedAt  time.Time
	// successorUsedAt is when the successor was rotated in its turn.
	successorUsedAt time.Time
	family          family
}

// refresh rotates a refresh token (RFC 6749 §6, RFC 9700 §4.14.2).
func (p *Provider) refresh(r *http.Request, client Client, form params) (*tokenResponse, error) {
	ctx := r.Context()
	presented := form.get("refresh_token")
	if presented == "" {
		return nil, badRequest("The refresh_token is missing.")
	}
	if !tokenShaped(presented) {
		return nil, errBadRefresh
	}
	row, err := p.loadRefresh(ctx, p.store.read(), hashToken(presented))
	if err != nil {
		return nil, p.store.classify(err)
	}
	if row.clientID != client.ID {
		// Before the claim: a stranger neither rotates nor revokes anything.
		if err := p.record(ctx, p.familyEvent("refresh.refused", row.family, client.ID)); err != nil {
			return nil, err
		}
		return nil, errBadRefresh
	}
	switch verdict := p.judgeRefresh(row, infoOf(r).arrived); verdict {
	case refreshDead:
		return nil, errBadRefresh
	case refreshReused:
		_, err := p.rotatedBefore(r, row, presented, nil)
		return nil, err
	}
	response, err := p.signRefreshed(ctx, client, row.family, form)
	if errors.Is(err, ErrAccountGone) {
		return nil, errBadRefresh
	}
	if err != nil {
		return nil, err
	}
	if response.RefreshToken, err = p.rotate(r, row, presented, response.opaque); err != nil {
		return nil, err
	}
	return response, nil
}

// signRefreshed asks the host about the account and signs what the client
// asked for, within what was granted: less of it may be a scope that a granted
// one implies. Narrowing does not shrink the family. It returns ErrAccountGone
// when the host says so.
func (p *Provider) signRefreshed(ctx context.Context, client Client, f family, form params) (*tokenResponse, error) {
	scopes := f.scopes
	if requested := form.get("scope"); requested != "" {
		narrowed, err := parseScope(requested)
		if err != nil || !subset(narrowed, p.hierarchy.with(f.scopes)) {
			return nil, &oauthError{code: "invalid_scope", description: "The scope is malformed, or was not granted."}
		}
		scopes = narrowed
	}
	audience, err := p.audience(f, form.all("resource"), scopes)
	if err != nil {
		return nil, err
	}
	account, err := p.accountBySubject(ctx, f.subject)
	if err != nil {
		return nil, err
	}
	// No nonce: it belongs to the first ID token alone (OIDC Core §12.2).
	return p.signTokens(ctx, client, issuance{family: f, account: account, scopes: scopes, audience: audience})
}

// loadRefresh reads a token's row by its hash, with the state of its family
// and of its successor.
func (p *Provider) loadRefresh(ctx context.Context, t tx, hash []byte) (refreshRow, error) {
	var row refreshRow
	var parent, secretID sql.NullString
	var validUntil int64
	var rotated, used sql.NullInt64
	var err error
	row.family, err = scanFamily(t.queryRow(ctx, `SELECT r.id, r.parent_id, r.client_id, r.salt, r.secret_id,
			r.valid_until, r.rotated_at, s.rotated_at, `+familyColumns+`
		FROM @.lockspire_refresh_tokens r
		JOIN @.lockspire_families f ON f.id = r.family_id
		JOIN @.lockspire_grants g ON g.id = f.grant_id
		LEFT JOIN @.lockspire_refresh_tokens s ON s.parent_id = r.id
		WHERE r.hash = $1`, hash), p.now(),
		&row.id, &parent, &row.clientID, &row.salt, &secretID, &validUntil, &rotated, &used)
	if errors.Is(err, sql.ErrNoRows) {
		return row, errBadRefresh
	}
	row.parentID, row.secretID = parent.String, secretID.String
	row.validUntil, row.rotatedAt, row.successorUsedAt = time.UnixMicro(validUntil), fromMicros(rotated), fromMicros(used)
	return row, err
}

// refreshVerdict is what presenting a token means, given its row.
type refreshVerdict int

const (
	refreshLive    refreshVerdict = iota // never rotated: rotate it
	refreshRetried                       // rotated just now: the same successor again
	refreshReused                        // rotated, and the window is shut: stolen
	refreshDead                          // revoked or over: refuse, and nothing more
)

// judgeRefresh applies the rules of rotation. arrived is when the request came
// in: one that waited while its twin rotated the token, and even used the
// successor, is refused but is no evidence of theft.
func (p *Provider) judgeRefresh(row refreshRow, arrived time.Time) refreshVerdict {
	window := max(p.config.TTLs.RefreshReuseWindow, 0)
	switch {
	case row.family.ended:
		return refreshDead
	case row.rotatedAt.IsZero() && !p.now().Before(row.validUntil):
		return refreshDead
	case row.rotatedAt.IsZero():
		return refreshLive
	case window == 0 || arrived.Sub(row.rotatedAt) > window:
		return refreshReused
	case row.successorUsedAt.IsZero():
		return refreshRetried
	case arrived.Before(row.successorUsedAt):
		return refreshDead
	}
	return refreshReused
}

// rotate makes the successor of row and returns it, or returns the one that was
// made already while the window is open. Of any number of requests one makes the
// successor. The opaque access token that goes with either is stored in the same
// transaction.
func (p *Provider) rotate(r *http.Request, row refreshRow, presented string, access *opaqueToken) (string, error) {
	ctx := r.Context()
	tokens, err := access.steps()
	if err != nil {
		return "", err
	}
	made := row
	made.secretID = p.secrets.id()
	made.salt = make([]byte, 32)
	randomBytes(made.salt)
	successor, err := p.successor(made, presented)
	if err != nil {
		return "", err
	}
	won, err := p.claimRefresh(ctx, made, successor, tokens)
	switch {
	case err != nil:
		return "", err
	case won:
		return successor, nil
	}
	return p.rotatedBefore(r, row, presented, tokens)
}

// claimRefresh marks a live token rotated, which decides, and stores what that
// pays for.
func (p *Provider) claimRefresh(ctx context.Context, row refreshRow, successor string, tokens []step) (bool, error) {
	now := p.now()
	e := p.familyEvent("refresh.rotated", row.family, row.clientID)
	record, err := e.step()
	if err != nil {
		return false, err
	}
	claim := step{`UPDATE @.lockspire_refresh_tokens SET rotated_at = $1, salt = $2, secret_id = $3
		WHERE id = $4 AND rotated_at IS NULL AND valid_until > $1
			AND EXISTS (SELECT 1 FROM @.lockspire_families f
				JOIN @.lockspire_grants g ON g.id = f.grant_id
				JOIN @.lockspire_clients c ON c.id = f.client_id
				WHERE f.id = lockspire_refresh_tokens.family_id AND f.expires_at > $1 AND ` + familyLive + `)`,
		[]any{micros(now), row.salt, row.secretID, row.id}}
	next := p.newRefresh(refreshRow{id: newID("rt_"), parentID: row.id, family: row.family}, successor, now)
	steps := append([]step{claim, next}, tokens...)
	won, err := p.store.chain(ctx, append(steps, usedGrant(row.family.grantID, now), record)...)
	if won {
		p.emit(ctx, e)
	}
	return won, err
}

// rotatedBefore answers for a token that is not to be rotated (any more): the
// successor once more while the window is open. A reuse ends the family in the
// transaction that finds it (RFC 9700 §4.14.2).
func (p *Provider) rotatedBefore(r *http.Request, row refreshRow, presented string, tokens []step) (token string, err error) {
	ctx := r.Context()
	e := p.familyEvent("refresh.reused", row.family, row.clientID)
	reused := false
	err = p.store.write(ctx, func(t tx) error {
		token, reused = "", false
		current, err := p.loadRefresh(ctx, t, hashToken(presented))
		if err != nil {
			return err
		}
		switch p.judgeRefresh(current, infoOf(r).arrived) {
		case refreshRetried:
			if token, err = p.successor(current, presented); err != nil {
				return err
			}
			return t.runAll(ctx, tokens...)
		case refreshReused:
			reused = true
			return t.revokeFamily(ctx, row.family.id, reasonRefreshReused, e)
		}
		return nil
	})
	switch {
	case err != nil:
		return "", err
	case reused:
		p.emit(ctx, e)
	}
	if token == "" {
		return "", errBadRefresh
	}
	return token, nil
}

// successor derives the token that replaces presented. Without the secret that
// was used the answer is a fault, never a reuse: the client did nothing wrong.
func (p *Provider) successor(row refreshRow, presented string) (string, error) {
	key, ok := p.secrets.subkey(row.secretID, labelRefresh)
	if !ok {
		return "", fmt.Errorf("%w: a refresh token was derived with the secret %s, which is not in Config.Secrets", errUnavailable, row.secretID)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("rt1"))
	mac.Write([]byte(row.id))
	mac.Write(row.salt)
	mac.Write([]byte(presented))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}

// newRefresh stores a new token by its hash. It idles out by itself and never
// outlives the family.
func (p *Provider) newRefresh(row refreshRow, token string, now time.Time) step {
	validUntil := now.Add(p.config.TTLs.RefreshIdle)
	if validUntil.After(row.family.expiresAt) {
		validUntil = row.family.expiresAt
	}
	return step{`INSERT INTO @.lockspire_refresh_tokens
		(id, hash, family_id, client_id, parent_id, created_at, valid_until, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, []any{
		row.id, hashToken(token), row.family.id, row.family.clientID, nullText(row.parentID),
		micros(now), micros(validUntil), micros(row.family.expiresAt)}}
}
