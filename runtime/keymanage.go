package lockspire

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// The states of a signing key. A key that is over, or was revoked, has no row.
const (
	// KeyNext is published and waits to take over.
	KeyNext = "next"
	// KeyActive signs; there is one for each algorithm.
	KeyActive = "active"
	// KeyRetiring signs no more, and is published until the last token that it
	// signed is over.
	KeyRetiring = "retiring"
)

var (
	// ErrKeyNotFound says that no signing key has that kid.
	ErrKeyNotFound = errors.New("lockspire: signing key not found")
	// ErrNoKeys says that the issuer of the tables has not started yet: it
	// makes its first keys when it does.
	ErrNoKeys = errors.New("lockspire: there are no signing keys")
	// ErrSecretsNeeded says that a key has to be made, and none of the secrets
	// that the issuer seals its keys with is known.
	ErrSecretsNeeded = errors.New("lockspire: making a signing key needs the secret that the issuer's keys are sealed with")
)

// Key is a signing key without its private half.
type Key struct {
	// KID is the key's RFC 7638 thumbprint.
	KID string
	// Alg is "ES256" (access tokens, and ID tokens of clients that ask for it)
	// or "RS256" (ID tokens).
	Alg string
	// State is KeyNext, KeyActive or KeyRetiring.
	State string
	// SecretID names the secret that the private half is sealed with.
	SecretID string
	// CreatedAt is when the key was made and published.
	CreatedAt time.Time
	// ActivatedAt is when it began to sign; zero for a next key.
	ActivatedAt time.Time
	// RequestedAt is when somebody asked that a next key take over; zero where
	// nobody did.
	RequestedAt time.Time
	// ExpiresAt is when a retiring key is over; zero for the others.
	ExpiresAt time.Time
}

// Rotation is what [Keys.Rotate] did for one algorithm.
type Rotation struct {
	Alg string
	// Active is the kid that signs now.
	Active string
	// Retired is the kid that Active took over from; "" where the rotation
	// waits, or was done by somebody else a moment ago.
	Retired string
	// Waiting is the kid that is to take over, once clients have had the time
	// to read it; "" where nothing waits.
	Waiting string
}

// Keys manages the signing keys. Its methods are safe for concurrent use, also
// by several processes: each step of a key is one conditional statement.
type Keys struct {
	store *store
	// secrets is nil for a tool that has none.
	secrets *secretSet
	now     func() time.Time
	// emit tells a provider's event sink; nil for tools.
	emit func(ctx context.Context, events ...Event)
	// ring is a provider's copy in memory; nil for tools.
	ring *keyring

	// publish is how long a key is published before it may sign, retire how
	// long after its last signature a token may live, period how long a key
	// signs, window how long a rotated refresh token needs its secret.
	publish, retire, period, window time.Duration
}

// Bounds that hold whatever a host configures, for tools that do not know its
// configuration. normalizeTTLs has the same.
const (
	maxTokenTTL     = 24 * time.Hour
	maxJWKSMaxAge   = 24 * time.Hour
	maxRefreshReuse = 5 * time.Minute
)

// NewKeys returns the signing keys of the tables in db, for tools that have no
// [Provider]. secrets are those of the host and may be nil: then nothing that
// has to make a key works. now defaults to time.Now. The database is not
// touched.
//
// A tool does not know the host's lifetimes and goes by the longest that they
// may be: Rotate leaves a key that was published less than a day ago to the
// host's Run, and a retired key stays published for a day.
func NewKeys(db *sql.DB, dialect Dialect, schema string, secrets [][]byte, now func() time.Time) (*Keys, error) {
	k := &Keys{store: newStore(db, dialect, schema), now: now,
		publish: maxJWKSMaxAge + keyRefresh, retire: retirement(maxTokenTTL), window: maxRefreshReuse}
	if k.now == nil {
		k.now = time.Now
	}
	if len(secrets) > 0 {
		var err error
		if k.secrets, err = newSecretSet(secrets); err != nil {
			return nil, fmt.Errorf("lockspire: %w", err)
		}
	}
	return k, nil
}

// providerKeys are the keys as p's configuration wants them.
func providerKeys(p *Provider) *Keys {
	ttls := p.config.TTLs
	return &Keys{store: p.store, secrets: p.secrets, now: p.now, emit: p.emit,
		publish: ttls.JWKSMaxAge + keyRefresh, retire: retirement(max(ttls.AccessToken, ttls.IDToken)),
		period: ttls.KeyRotation, window: max(ttls.RefreshReuseWindow, 0)}
}

// retirement is how long a key stays published after its last signature. A
// replica that chose the key just before it retired may still be signing, and
// clocks differ.
func retirement(life time.Duration) time.Duration { return life + clockLeeway + keyRefresh }

// List returns the keys: for each algorithm the active one, the next one, and
// the retiring ones, latest first.
func (k *Keys) List(ctx context.Context) ([]Key, error) { return k.list(ctx) }

// Rotate lets the next key of every algorithm take over, and makes a new next
// one. Where the next key has not been published for as long as clients may
// cache the key set, it is marked and a running provider makes it active when
// that time has come. Asked for again within a minute, it does nothing.
func (k *Keys) Rotate(ctx context.Context) ([]Rotation, error) { return k.rotate(ctx, false) }

// RotateNow is Rotate without the wait. Clients that have cached the key set
// refuse new tokens until they read it again, which many do as soon as they see
// an unknown kid, and all do within TTLs.JWKSMaxAge.
func (k *Keys) RotateNow(ctx context.Context) ([]Rotation, error) { return k.rotate(ctx, true) }

// Revoke removes a key that somebody else may have: it leaves the published set
// at once, and every token that it signed is refused from now on by Protect and
// every endpoint, in every replica. Refresh tokens live on, so clients get new
// tokens at their next refresh. Services that verify signatures by themselves
// refuse the old tokens once they have read the key set again.
//
// In place of an active key the next one signs, or a new one where there is no
// next, in the same transaction; its kid is returned, and "" for other keys.
// There is no way to be left without an active key. A kid that is not there is
// ErrKeyNotFound.
func (k *Keys) Revoke(ctx context.Context, kid string) (replacement string, err error) {
	return k.revoke(ctx, kid)
}

// Status says which secrets the rows still need, by what and until when.
func (k *Keys) Status(ctx context.Context) (KeysStatus, error) { return k.status(ctx) }
