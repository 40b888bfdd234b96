package lockspire

import (
	"context"
	"database/sql"
	"fmt"
	"sort"
	"time"
)

// What a secret is needed for.
const (
	// SecretForKeys: signing keys are sealed with it. Without it no provider
	// starts. Run seals them again with the first of Config.Secrets.
	SecretForKeys = "signing_keys"
	// SecretForRefresh: refresh tokens were derived with it a moment ago.
	// Without it clients that lost the answer get 503 until the window shuts.
	SecretForRefresh = "refresh_tokens"
	// SecretForConsent: consent pages are open that carry a token made with it.
	// Without it those people see the page once more.
	SecretForConsent = "consent_pages"
	// SecretForSessions: tokens name the host's session by a hash made with it.
	// Without it the end of that session is not found to concern them.
	SecretForSessions = "sessions"
)

// KeysStatus is what [Keys.Status] found.
type KeysStatus struct {
	Keys []Key
	// Secrets are those that rows need and those that are configured, the
	// current one first.
	Secrets []SecretStatus
}

// SecretStatus says what one secret is needed for. A secret that has no uses
// and is not current can be taken out of Config.Secrets an hour after it was
// last the first: forms made with it may be open until then.
type SecretStatus struct {
	// ID is what rows, logs and errors call the secret by.
	ID string
	// Listed says that the secret is configured, Current that it is the first.
	// Both are false for a tool that was given no secrets.
	Listed, Current bool
	Uses            []SecretUse
}

// SecretUse is one reason to keep a secret.
type SecretUse struct {
	// For is one of the SecretFor constants.
	For  string
	Rows int
	// Until is when the last of the rows needs it no more by itself; zero where
	// it takes Run to seal them again.
	Until time.Time
}

// secretUses are the statements that find uses: secret id, rows, and the
// latest time in them. They are an operator's, not a request's.
var secretUses = []struct {
	use, statement string
	// extra is added to the latest time.
	extra func(k *Keys) time.Duration
}{
	{SecretForKeys, `SELECT secret_id, COUNT(*), NULL FROM @.lockspire_keys
		WHERE (expires_at IS NULL OR expires_at > $1) GROUP BY secret_id`, nil},
	{SecretForRefresh, `SELECT secret_id, COUNT(*), MAX(rotated_at) FROM @.lockspire_refresh_tokens
		WHERE secret_id IS NOT NULL AND rotated_at > $1 GROUP BY secret_id`,
		func(k *Keys) time.Duration { return k.window }},
	{SecretForConsent, `SELECT secret_id, COUNT(*), MAX(decision_until) FROM @.lockspire_interactions
		WHERE secret_id IS NOT NULL AND decision_until > $1 GROUP BY secret_id`, nil},
	{SecretForSessions, `SELECT secret_id, COUNT(*), MAX(expires_at) FROM @.lockspire_families
		WHERE session_hash IS NOT NULL AND secret_id IS NOT NULL AND revoked_at IS NULL AND expires_at > $1 GROUP BY secret_id`, nil},
}

func (k *Keys) status(ctx context.Context) (KeysStatus, error) {
	var status KeysStatus
	var err error
	if status.Keys, err = k.list(ctx); err != nil {
		return status, err
	}
	byID := map[string]*SecretStatus{}
	if k.secrets != nil {
		for id := range k.secrets.byID {
			byID[id] = &SecretStatus{ID: id, Listed: true, Current: id == k.secrets.id()}
		}
	}
	for _, source := range secretUses {
		extra := time.Duration(0)
		if source.extra != nil {
			extra = source.extra(k)
		}
		if err := k.addUses(ctx, byID, source.use, source.statement, extra); err != nil {
			return status, err
		}
	}
	for _, secret := range byID {
		status.Secrets = append(status.Secrets, *secret)
	}
	sort.Slice(status.Secrets, func(i, j int) bool {
		a, b := status.Secrets[i], status.Secrets[j]
		if a.Current != b.Current {
			return a.Current
		}
		return a.ID < b.ID
	})
	return status, nil
}

func (k *Keys) addUses(ctx context.Context, byID map[string]*SecretStatus, use, statement string, extra time.Duration) error {
	fault := func(err error) error {
		return fmt.Errorf("%w: reading what secrets are needed for: %w", errUnavailable, err)
	}
	rows, err := k.store.read().query(ctx, statement, micros(k.now().Add(-extra)))
	if err != nil {
		return fault(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var until sql.NullInt64
		u := SecretUse{For: use}
		if err := rows.Scan(&id, &u.Rows, &until); err != nil {
			return fault(err)
		}
		if until.Valid {
			u.Until = fromMicros(until).Add(extra)
		}
		if byID[id] == nil {
			byID[id] = &SecretStatus{ID: id}
		}
		byID[id].Uses = append(byID[id].Uses, u)
	}
	if err := rows.Err(); err != nil {
		return fault(err)
	}
	return nil
}

func (k *Keys) list(ctx context.Context) ([]Key, error) {
	rows, err := k.store.readKeys(ctx, k.now())
	if err != nil {
		return nil, err
	}
	order := map[string]int{KeyActive: 0, KeyNext: 1, KeyRetiring: 2}
	sort.SliceStable(rows, func(i, j int) bool {
		if rows[i].alg != rows[j].alg {
			return rows[i].alg < rows[j].alg
		}
		return order[rows[i].state] < order[rows[j].state]
	})
	all := make([]Key, len(rows))
	for i, row := range rows {
		all[i] = Key{KID: row.kid, Alg: row.alg, State: row.state, SecretID: row.secretID,
			CreatedAt: row.createdAt, ActivatedAt: row.activatedAt, ExpiresAt: row.expiresAt}
		if row.state == KeyNext {
			all[i].ActivatedAt, all[i].RequestedAt = time.Time{}, row.activatedAt
		}
	}
	return all, nil
}
