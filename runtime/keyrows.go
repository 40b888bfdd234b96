package lockspire

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// readKeys returns the rows of keys that are not over, latest first.
func (s *store) readKeys(ctx context.Context, now time.Time) ([]keyRow, error) {
	fault := func(err error) error {
		return fmt.Errorf("%w: reading the signing keys: %w", errUnavailable, err)
	}
	rows, err := s.read().query(ctx, `SELECT kid, alg, state, sealed, secret_id, created_at, activated_at, expires_at
		FROM @.lockspire_keys WHERE expires_at IS NULL OR expires_at > $1
		ORDER BY created_at DESC, kid`, micros(now))
	if err != nil {
		return nil, fault(err)
	}
	defer rows.Close()
	var all []keyRow
	for rows.Next() {
		var row keyRow
		var created int64
		var activated, expires sql.NullInt64
		if err := rows.Scan(&row.kid, &row.alg, &row.state, &row.sealed, &row.secretID, &created, &activated, &expires); err != nil {
			return nil, fault(err)
		}
		row.createdAt = time.UnixMicro(created).UTC()
		row.activatedAt, row.expiresAt = fromMicros(activated), fromMicros(expires)
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		return nil, fault(err)
	}
	return all, nil
}

// insertKey stores a new key unless there is one for its algorithm in that
// state already; the unique index decides.
func (t tx) insertKey(ctx context.Context, row keyRow, now time.Time) (bool, error) {
	activated := sql.NullInt64{Int64: micros(now), Valid: row.state == KeyActive}
	return claimed(t.exec(ctx, `INSERT INTO @.lockspire_keys
		(kid, alg, state, public_jwk, sealed, secret_id, created_at, activated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT DO NOTHING`,
		row.kid, row.alg, row.state, row.public, row.sealed, row.secretID, micros(now), activated))
}

// create makes a key in that state unless there is one. N replicas that start
// at once all try; one row gets in and the others read it.
func (k *Keys) create(ctx context.Context, alg, state, secretID string) error {
	row, err := newKeyRow(k.secrets, secretID, alg, state)
	if err != nil {
		return err
	}
	e := k.event("key.created", "kid", row.kid, "alg", alg, "state", state)
	inserted := false
	err = k.store.write(ctx, func(t tx) error {
		var err error
		if inserted, err = t.insertKey(ctx, row, e.At); err != nil || !inserted {
			return err
		}
		return t.audit(ctx, e)
	})
	if err == nil && inserted {
		k.tell(ctx, e)
	}
	return err
}

// errKeyMoved rolls a transition back that found a key in another state than
// it was read in: another replica was here.
const errKeyMoved = keptError("the signing key is in another state by now")

// promote retires old and lets next sign, and reports whether it did: of any
// number of replicas one does. Old is claimed first, so they queue there.
func (k *Keys) promote(ctx context.Context, old, next keyRow) (bool, error) {
	e := k.event("key.rotated", "kid", next.kid, "alg", next.alg, "retired", old.kid)
	err := k.store.write(ctx, func(t tx) error {
		won, err := claimed(t.exec(ctx, `UPDATE @.lockspire_keys SET state = 'retiring', expires_at = $1
			WHERE kid = $2 AND state = 'active'`, micros(e.At.Add(k.retire)), old.kid))
		if err == nil && won {
			won, err = claimed(t.exec(ctx, `UPDATE @.lockspire_keys SET state = 'active', activated_at = $1
				WHERE kid = $2 AND state = 'next'`, micros(e.At), next.kid))
		}
		if err != nil {
			return err
		}
		if !won {
			return errKeyMoved
		}
		return t.audit(ctx, e)
	})
	if errors.Is(err, errKeyMoved) {
		return false, nil
	}
	if err == nil {
		k.tell(ctx, e)
	}
	return err == nil, err
}

// request marks a next key, so that it takes over once it may.
func (k *Keys) request(ctx context.Context, next keyRow) error {
	e := k.event("key.rotation_requested", "kid", next.kid, "alg", next.alg)
	marked := false
	err := k.store.write(ctx, func(t tx) error {
		var err error
		marked, err = claimed(t.exec(ctx, `UPDATE @.lockspire_keys SET activated_at = $1
			WHERE kid = $2 AND state = 'next' AND activated_at IS NULL`, micros(e.At), next.kid))
		if err != nil || !marked {
			return err
		}
		return t.audit(ctx, e)
	})
	if err == nil && marked {
		k.tell(ctx, e)
	}
	return err
}

// errNoReplacement rolls a revocation back that would leave no active key.
const errNoReplacement = keptError("there is no next key to take over")

func (k *Keys) revoke(ctx context.Context, kid string) (string, error) {
	replacement, err := k.remove(ctx, kid, nil)
	for attempt := 0; errors.Is(err, errNoReplacement) && attempt < maxAttempts; attempt++ {
		// It is active and nothing waits behind it: make one, and try again.
		var rows []keyRow
		if rows, err = k.store.readKeys(ctx, k.now()); err != nil {
			return "", err
		}
		var fresh keyRow
		if fresh, err = k.fresh(rows, kid); err != nil {
			return "", err
		}
		replacement, err = k.remove(ctx, kid, &fresh)
	}
	if err != nil {
		return "", err
	}
	k.reread(ctx)
	return replacement, nil
}

// reread tells this process's keyring of a change that is committed. A failure
// is no failure of the change: every use of a key asks the rows anyway.
func (k *Keys) reread(ctx context.Context) {
	if k.ring != nil {
		_ = k.ring.refresh(ctx, 0)
	}
}

// fresh makes an active key for the algorithm of kid.
func (k *Keys) fresh(rows []keyRow, kid string) (keyRow, error) {
	for _, row := range rows {
		if row.kid != kid {
			continue
		}
		secretID, err := k.sealingSecret(row)
		if err != nil {
			return keyRow{}, err
		}
		return newKeyRow(k.secrets, secretID, row.alg, KeyActive)
	}
	return keyRow{}, ErrKeyNotFound
}

// remove deletes the row of kid. For an active key the next one takes over, or
// fresh where there is no next, all in one transaction (A186).
func (k *Keys) remove(ctx context.Context, kid string, fresh *keyRow) (string, error) {
	e := k.event("key.revoked", "kid", kid)
	var replacement string
	err := k.store.write(ctx, func(t tx) error {
		replacement = ""
		var alg, state string
		err := t.queryRow(ctx, `DELETE FROM @.lockspire_keys WHERE kid = $1 RETURNING alg, state`, kid).Scan(&alg, &state)
		if err != nil {
			return err
		}
		if state == KeyActive {
			if replacement, err = t.replaceActive(ctx, alg, fresh, e.At); err != nil {
				return err
			}
		}
		e.Detail = map[string]string{"kid": kid, "alg": alg, "state": state, "replacement": replacement}
		return t.audit(ctx, e)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrKeyNotFound
	}
	if err == nil {
		k.tell(ctx, e)
	}
	return replacement, err
}

// replaceActive makes another key for alg sign, and returns its kid.
func (t tx) replaceActive(ctx context.Context, alg string, fresh *keyRow, now time.Time) (string, error) {
	var kid string
	// The second condition on the state is for SQLite, which compares it with
	// that of the partial index by its text.
	err := t.queryRow(ctx, `UPDATE @.lockspire_keys SET state = 'active', activated_at = $1
		WHERE alg = $2 AND state = 'next' AND state <> 'retiring' RETURNING kid`, micros(now), alg).Scan(&kid)
	if !errors.Is(err, sql.ErrNoRows) {
		return kid, err
	}
	if fresh == nil || fresh.alg != alg {
		return "", errNoReplacement
	}
	inserted, err := t.insertKey(ctx, *fresh, now)
	if err == nil && !inserted {
		err = errNoReplacement
	}
	return fresh.kid, err
}

// reseal puts a key under the current secret. The row says what it was sealed
// with, so a replica that came first is not undone.
func (k *Keys) reseal(ctx context.Context, row keyRow) error {
	plain, err := k.secrets.open(row.secretID, labelSigningKey, sealContext(row.kid, row.alg), row.sealed)
	if err != nil {
		return fmt.Errorf("signing key %s: %w", row.kid, err)
	}
	secretID, sealed, err := k.secrets.seal(labelSigningKey, sealContext(row.kid, row.alg), plain)
	if err != nil {
		return err
	}
	return k.store.write(ctx, func(t tx) error {
		_, err := t.exec(ctx, `UPDATE @.lockspire_keys SET sealed = $1, secret_id = $2
			WHERE kid = $3 AND secret_id = $4`, sealed, secretID, row.kid, row.secretID)
		return err
	})
}

// event is an audit record with details in pairs.
func (k *Keys) event(name string, pairs ...string) Event {
	e := newEvent(k.now(), name)
	e.Detail = map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		e.Detail[pairs[i]] = pairs[i+1]
	}
	return e
}

// tell passes events on after a commit, where there is somebody to tell.
func (k *Keys) tell(ctx context.Context, events ...Event) {
	if k.emit != nil {
		k.emit(ctx, events...)
	}
}
