package lockspire

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

const (
	// maxSecretOverlap keeps an overlap something that ends.
	maxSecretOverlap = 90 * 24 * time.Hour
	// maxLiveSecrets bounds what one failed authentication costs.
	maxLiveSecrets = 5
)

// Refusals of [Clients.RotateSecret].
var (
	// ErrClientHasNoSecret says that the client is public.
	ErrClientHasNoSecret = errors.New("lockspire: the client is public and has no secret")
	// ErrClientDisabled says that the client was disabled.
	ErrClientDisabled = errors.New("lockspire: the client is disabled")
	// ErrTooManySecrets says that as many secrets as are allowed overlap
	// already. An overlap of zero ends them all.
	ErrTooManySecrets = errors.New("lockspire: too many secrets of the client overlap")
)

// RotateSecret gives a client a new secret and returns it; only its hash is
// kept. Older secrets work until overlap is over, 0 to 90 days; with 0 they
// stop at once. One that was to end sooner still does. The error is
// ErrClientNotFound, ErrClientHasNoSecret, ErrClientDisabled or
// ErrTooManySecrets where the client is the reason.
func (c *Clients) RotateSecret(ctx context.Context, clientID string, overlap time.Duration) (secret string, err error) {
	if overlap < 0 || overlap > maxSecretOverlap {
		return "", fmt.Errorf("lockspire: overlap: %v is not between 0 and %v", overlap, maxSecretOverlap)
	}
	e := newEvent(c.now(), "client.secret_rotated")
	e.ClientID = clientID
	until := e.At.Add(overlap)
	e.Detail = map[string]string{"old_secrets_until": until.Format(time.RFC3339)}
	secret, id := newToken(), newID("secret_")
	err = c.store.write(ctx, func(t tx) error {
		if err := t.mayRotateSecret(ctx, clientID, e.At); err != nil {
			return err
		}
		if err := t.endSecrets(ctx, clientID, e.At, until); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `INSERT INTO @.lockspire_client_secrets (id, client_id, hash, created_at)
			VALUES ($1, $2, $3, $4)`, id, clientID, hashToken(secret), micros(e.At)); err != nil {
			return err
		}
		return t.audit(ctx, e)
	})
	if err != nil {
		return "", err
	}
	c.tell(ctx, e)
	return secret, nil
}

// refused rolls a transaction back for a reason that the caller sees.
type refused struct{ error }

func (refused) keepForCaller()  {}
func (r refused) Unwrap() error { return r.error }

// mayRotateSecret takes the client's row, so that rotations of one client
// queue, and refuses a client that cannot have another secret.
func (t tx) mayRotateSecret(ctx context.Context, clientID string, now time.Time) error {
	var method string
	var disabled sql.NullInt64
	err := t.queryRow(ctx, `UPDATE @.lockspire_clients SET updated_at = $1 WHERE id = $2
		RETURNING token_endpoint_auth_method, disabled_at`, micros(now), clientID).Scan(&method, &disabled)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return refused{ErrClientNotFound}
	case err != nil:
		return err
	case method == AuthNone:
		return refused{ErrClientHasNoSecret}
	case disabled.Valid:
		return refused{ErrClientDisabled}
	}
	return nil
}

// endSecrets gives the client's live secrets an end, and drops those that are
// over.
func (t tx) endSecrets(ctx context.Context, clientID string, now, until time.Time) error {
	if _, err := t.exec(ctx, `UPDATE @.lockspire_client_secrets SET expires_at = $1
		WHERE client_id = $2 AND (expires_at IS NULL OR expires_at > $1)`, micros(until), clientID); err != nil {
		return err
	}
	if _, err := t.exec(ctx, `DELETE FROM @.lockspire_client_secrets
		WHERE client_id = $1 AND expires_at <= $2`, clientID, micros(now)); err != nil {
		return err
	}
	var live int
	if err := t.queryRow(ctx, `SELECT COUNT(*) FROM @.lockspire_client_secrets WHERE client_id = $1`, clientID).Scan(&live); err != nil {
		return err
	}
	if live >= maxLiveSecrets {
		return refused{ErrTooManySecrets}
	}
	return nil
}
