package lockspire

import (
	"context"
	"crypto"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/lockspire/lockspire/runtime/internal/jwt"
)

// Signing algorithms. Access tokens are ES256, since an RS256 signature costs
// 25 times as much; ID tokens are RS256 unless the client says otherwise,
// since that is the registered default (OIDC Core §3.1.3.7).
const (
	algES256 = "ES256"
	algRS256 = "RS256"
)

// signingAlgs are the algorithms that there is a key for.
var signingAlgs = []string{algES256, algRS256}

// The "typ" header of each kind of JWT (RFC 9068 §2.1, RFC 8725 §3.11).
const (
	typAccessToken = "at+jwt"
	typIDToken     = "JWT"
)

// keyCooldown bounds how often tokens with an unknown kid make this process
// look for keys that another replica created.
const keyCooldown = time.Second

// keyTimeout bounds one reading of the key rows, for which others wait.
const keyTimeout = 5 * time.Second

// keyring is the signing keys of the issuer: sealed rows in the database, and
// an opened copy in memory. The rows decide; the copy is refreshed from them,
// and settle asks them before anything is signed or published.
type keyring struct {
	store   *store
	secrets *secretSet
	now     func() time.Time
	// cacheControl is for the published set.
	cacheControl string

	set atomic.Pointer[keySet]

	// reload admits one reading at a time; loadedAt is when the last one began.
	reload   chan struct{}
	loadedAt time.Time
}

// keySet is one immutable reading of the key rows.
type keySet struct {
	byKID  map[string]*signingKey
	active map[string]*signingKey
	// jwks is the published document (RFC 7517 §5).
	jwks document
	// until is when the first of the keys is over; zero for never.
	until time.Time
	// unreadable says, by kid, which keys could not be opened for want of a
	// secret.
	unreadable map[string]error

	// ask is the statement that agrees runs, kids its arguments.
	ask  string
	kids []any
}

type signingKey struct {
	kid, alg, state string
	// expiresAt is zero until the key retires.
	expiresAt time.Time
	private   crypto.Signer
	public    jose.JSONWebKey
	// signers by typ; building one costs more than a map read.
	signers map[string]jose.Signer
}

// openKeyring reads the key rows and creates what is missing. It fails, naming
// the secret, when a row was sealed with a secret that is not listed.
func openKeyring(ctx context.Context, rows *Keys, cacheControl string) (*keyring, error) {
	k := &keyring{store: rows.store, secrets: rows.secrets, now: rows.now, cacheControl: cacheControl,
		reload: make(chan struct{}, 1)}
	if err := k.load(ctx); err != nil {
		return nil, err
	}
	created := false
	for _, alg := range signingAlgs {
		if k.set.Load().active[alg] != nil {
			continue
		}
		if err := rows.create(ctx, alg, KeyActive, rows.secrets.id()); err != nil {
			return nil, fmt.Errorf("creating the %s signing key: %w", alg, err)
		}
		created = true
	}
	if created {
		if err := k.load(ctx); err != nil {
			return nil, err
		}
	}
	for _, alg := range signingAlgs {
		if k.set.Load().active[alg] == nil {
			return nil, fmt.Errorf("no active %s signing key, though one was created: is the database being restored?", alg)
		}
	}
	return k, nil
}

// load replaces the copy in memory by what the rows say.
func (k *keyring) load(ctx context.Context) error {
	rows, err := k.store.readKeys(ctx, k.now())
	if err != nil {
		return err
	}
	known := k.set.Load()
	set := &keySet{byKID: map[string]*signingKey{}, active: map[string]*signingKey{}, unreadable: map[string]error{}}
	published := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, row := range rows {
		key, err := k.open(row, known)
		if known != nil && errors.As(err, new(missingSecretError)) {
			// A replica with newer secrets made it. That is no reason to
			// withhold the other keys; Run reports it.
			set.unreadable[row.kid] = err
			continue
		}
		if err != nil {
			return err
		}
		set.byKID[key.kid] = key
		if key.state == KeyActive {
			set.active[key.alg] = key
		}
		if end := key.expiresAt; !end.IsZero() && (set.until.IsZero() || end.Before(set.until)) {
			set.until = end
		}
		published.Keys = append(published.Keys, key.public)
	}
	if set.jwks, err = newDocument(published); err != nil {
		return err
	}
	set.jwks.cacheControl = k.cacheControl
	set.prepare()
	k.set.Store(set)
	return nil
}

// missing says which keys could not be opened, or is nil.
func (s *keySet) missing() error {
	return errors.Join(slices.Collect(maps.Values(s.unreadable))...)
}

// prepare writes the statement that asks about the set's keys.
func (s *keySet) prepare() {
	var marks []string
	for kid := range s.byKID {
		s.kids = append(s.kids, kid)
		marks = append(marks, fmt.Sprintf("$%d", len(s.kids)))
	}
	s.ask = `SELECT kid, state FROM @.lockspire_keys WHERE kid IN (` + strings.Join(marks, ", ") + `)`
}

// open returns the key of a row. One that is in memory already is not unsealed
// again: the kid is the key's thumbprint, so it is the same key, whatever it is
// sealed with by now.
func (k *keyring) open(row keyRow, known *keySet) (*signingKey, error) {
	if known != nil && known.byKID[row.kid] != nil && known.byKID[row.kid].alg == row.alg {
		key := *known.byKID[row.kid]
		key.state, key.expiresAt = row.state, row.expiresAt
		return &key, nil
	}
	private, err := openRow(k.secrets, row)
	if err != nil {
		return nil, err
	}
	key := &signingKey{kid: row.kid, alg: row.alg, state: row.state, expiresAt: row.expiresAt, private: private,
		public: publicJWK(private.Public(), row.kid, row.alg), signers: map[string]jose.Signer{}}
	for _, typ := range []string{typAccessToken, typIDToken, typIntrospection} {
		signer, err := jose.NewSigner(jose.SigningKey{
			Algorithm: jose.SignatureAlgorithm(row.alg),
			Key:       jose.JSONWebKey{Key: private, KeyID: row.kid},
		}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
		if err != nil {
			return nil, fmt.Errorf("signing key %s: %w", row.kid, err)
		}
		key.signers[typ] = signer
	}
	return key, nil
}

// settle makes the copy in memory agree with the rows about the keys it has,
// by one statement on the primary key. Whoever is about to sign or to publish
// calls it first: a key that another replica retired signs no more, and one
// that it revoked is gone.
func (k *keyring) settle(ctx context.Context) error {
	for range 3 {
		set := k.set.Load()
		agreed, err := k.agrees(ctx, set)
		if err != nil || agreed {
			return err
		}
		if err := k.replace(ctx, set); err != nil {
			return err
		}
	}
	// The keys change faster than they are read; this reading is fresh.
	return nil
}

// agrees reports whether the rows of set's keys say what set says.
func (k *keyring) agrees(ctx context.Context, set *keySet) (bool, error) {
	over := !set.until.IsZero() && !k.now().Before(set.until)
	if over || len(set.kids) == 0 {
		return false, nil
	}
	rows, err := k.store.read().query(ctx, set.ask, set.kids...)
	if err != nil {
		return false, fmt.Errorf("%w: asking about the signing keys: %w", errUnavailable, err)
	}
	defer rows.Close()
	found := 0
	for rows.Next() {
		var kid, state string
		if err := rows.Scan(&kid, &state); err != nil {
			return false, fmt.Errorf("%w: asking about the signing keys: %w", errUnavailable, err)
		}
		if set.byKID[kid].state == state {
			found++
		}
	}
	if err := rows.Err(); err != nil {
		return false, fmt.Errorf("%w: asking about the signing keys: %w", errUnavailable, err)
	}
	return found == len(set.kids), nil
}

// replace reads the rows again unless somebody did so since seen.
func (k *keyring) replace(ctx context.Context, seen *keySet) error {
	if err := k.takeReload(ctx); err != nil {
		return err
	}
	defer k.giveReload()
	if k.set.Load() != seen {
		return nil
	}
	return k.reread(ctx)
}

// stands reports whether the row of a key is there: it is not once the key was
// revoked, whatever this process has in memory.
func (k *keyring) stands(ctx context.Context, kid string) (bool, error) {
	var one int
	err := k.store.read().queryRow(ctx, `SELECT 1 FROM @.lockspire_keys WHERE kid = $1`, kid).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, k.store.fault(err)
}

// sign returns claims as a JWT in compact form, signed with the active key for
// alg. It does not touch the database.
func (k *keyring) sign(alg, typ string, claims any) (string, error) {
	set := k.set.Load()
	key := set.active[alg]
	if key == nil {
		return "", errors.Join(fmt.Errorf("%w: no active %s signing key", errUnavailable, alg), set.missing())
	}
	signer := key.signers[typ]
	if signer == nil {
		return "", fmt.Errorf("no JWT of typ %q is signed here", typ)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// verify returns the claims of a JWT that this issuer signed with alg as typ.
// It proves the signature and nothing else: what the claims say about time,
// audience and client is the caller's to judge. A token that is not acceptable
// is errBadJWT; errUnavailable means that the keys could not be read.
func (k *keyring) verify(ctx context.Context, token, alg, typ string) (map[string]json.RawMessage, error) {
	kid, claims, err := k.verifyInMemory(ctx, token, alg, typ)
	if err != nil {
		return nil, err
	}
	stands, err := k.stands(ctx, kid)
	if err == nil && !stands {
		err = errKeyRevoked
	}
	if err != nil {
		return nil, err
	}
	return claims, nil
}

// errKeyRevoked: the key is in memory and has no row any more.
var errKeyRevoked = fmt.Errorf("%w: the key was revoked", errBadJWT)

// verifyInMemory is verify without asking the rows, for a caller that asks
// whether the key still stands in a statement of its own.
func (k *keyring) verifyInMemory(ctx context.Context, token, alg, typ string) (kid string, claims map[string]json.RawMessage, err error) {
	header, claims, err := jwt.Split(token)
	if err != nil {
		return "", nil, err
	}
	if header.Alg != alg || header.Typ != typ {
		return "", nil, fmt.Errorf("%w: another alg or typ", errBadJWT)
	}
	key, err := k.find(ctx, header.KID)
	if err != nil {
		return "", nil, err
	}
	if key == nil || key.alg != alg {
		return "", nil, fmt.Errorf("%w: no such key", errBadJWT)
	}
	if err := jwt.VerifySignature(token, jose.SignatureAlgorithm(alg), key.private.Public()); err != nil {
		return "", nil, err
	}
	return key.kid, claims, nil
}

// find returns the key with exactly that kid, looking in the rows when this
// process does not know it: another replica may have made it since.
func (k *keyring) find(ctx context.Context, kid string) (*signingKey, error) {
	key := k.set.Load().byKID[kid]
	if key == nil && len(kid) == thumbprintLength {
		if err := k.refresh(ctx, keyCooldown); err != nil {
			return nil, fmt.Errorf("%w: %w", errUnavailable, err)
		}
		set := k.set.Load()
		if err := set.unreadable[kid]; err != nil {
			// Other replicas have the secret that this one lacks, so nothing
			// is known about the token.
			return nil, fmt.Errorf("%w: %w", errUnavailable, err)
		}
		key = set.byKID[kid]
	}
	if key != nil && !key.expiresAt.IsZero() && !k.now().Before(key.expiresAt) {
		return nil, nil
	}
	return key, nil
}

// refresh reads the rows again unless that was done less than age ago.
func (k *keyring) refresh(ctx context.Context, age time.Duration) error {
	if err := k.takeReload(ctx); err != nil {
		return err
	}
	defer k.giveReload()
	if k.now().Sub(k.loadedAt) < age {
		return nil
	}
	return k.reread(ctx)
}

// takeReload waits for the readings before this one, no longer than its
// request does.
func (k *keyring) takeReload(ctx context.Context) error {
	select {
	case k.reload <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: waiting for the signing keys: %w", errUnavailable, ctx.Err())
	}
}

func (k *keyring) giveReload() { <-k.reload }

// reread loads the rows for whoever took reload. The reading is everybody's: a
// client that asks for it and hangs up must not use up the cool-down for
// nothing.
func (k *keyring) reread(ctx context.Context) error {
	k.loadedAt = k.now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyTimeout)
	defer cancel()
	return k.load(ctx)
}

// jwks returns the published key set.
func (k *keyring) jwks() document { return k.set.Load().jwks }
