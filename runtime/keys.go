package lockspire

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Signing algorithms. Access tokens are ES256, since an RS256 signature costs
// 25 times as much; ID tokens are RS256 unless the client says otherwise,
// since that is the registered default (OIDC Core §3.1.3.7).
const (
	algES256 = "ES256"
	algRS256 = "RS256"
)

// The "typ" header of each kind of JWT (RFC 9068 §2.1, RFC 8725 §3.11).
const (
	typAccessToken = "at+jwt"
	typIDToken     = "JWT"
)

// keyActive is the state of the one key for each algorithm that signs.
const keyActive = "active"

// rsaBits is the least that RFC 7518 §3.3 allows, and 112 bits of strength.
const rsaBits = 2048

// keyCooldown bounds how often a token with an unknown kid makes this process
// look for keys that another replica created.
const keyCooldown = 10 * time.Second

// keyTimeout bounds one reading of the key rows, for which others wait.
const keyTimeout = 5 * time.Second

// keyring is the signing keys of the issuer: sealed rows in the database, and
// an opened copy in memory. The rows decide; the copy is refreshed from them.
//
// A key is "next" (published, not yet used), "active" (one for each algorithm,
// held by a unique index) or "retiring" (published until the last token it
// signed is over).
type keyring struct {
	store   *store
	secrets *secretSet
	now     func() time.Time

	set atomic.Pointer[keySet]

	// reload admits one refresh at a time; loadedAt is when the last one began.
	reload   chan struct{}
	loadedAt time.Time
}

// keySet is one immutable reading of the key rows.
type keySet struct {
	byKID  map[string]*signingKey
	active map[string]*signingKey
	// jwks is the published document (RFC 7517 §5).
	jwks document
}

type signingKey struct {
	kid, alg, state string
	private         crypto.Signer
	public          jose.JSONWebKey
	// signers by typ; building one costs more than a map read.
	signers map[string]jose.Signer
}

// openKeyring reads the key rows and creates what is missing. It fails, naming
// the secret, when a row was sealed with a secret that is not listed.
func openKeyring(ctx context.Context, s *store, secrets *secretSet, now func() time.Time) (*keyring, error) {
	k := &keyring{store: s, secrets: secrets, now: now, reload: make(chan struct{}, 1)}
	if err := k.load(ctx); err != nil {
		return nil, err
	}
	created := false
	for _, alg := range []string{algES256, algRS256} {
		if k.set.Load().active[alg] != nil {
			continue
		}
		if err := k.create(ctx, alg); err != nil {
			return nil, fmt.Errorf("creating the %s signing key: %w", alg, err)
		}
		created = true
	}
	if created {
		if err := k.load(ctx); err != nil {
			return nil, err
		}
	}
	for _, alg := range []string{algES256, algRS256} {
		if k.set.Load().active[alg] == nil {
			return nil, fmt.Errorf("no active %s signing key, though one was created: is the database being restored?", alg)
		}
	}
	return k, nil
}

// create makes an active key unless there is one. N replicas that start at
// once all try; the unique index lets one row in and the others read it.
func (k *keyring) create(ctx context.Context, alg string) error {
	row, err := k.newRow(alg)
	if err != nil {
		return err
	}
	now := k.now()
	return k.store.write(ctx, func(t tx) error {
		inserted, err := claimed(t.exec(ctx, `INSERT INTO @.lockspire_keys
			(kid, alg, state, public_jwk, sealed, secret_id, created_at, activated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT DO NOTHING`,
			row.kid, row.alg, row.state, row.public, row.sealed, row.secretID, micros(now), micros(now)))
		if err != nil || !inserted {
			return err
		}
		e := newEvent(now, "key.created")
		e.Detail = map[string]string{"kid": row.kid, "alg": row.alg}
		return t.audit(ctx, e)
	})
}

// newRow generates an active key for alg and seals it.
func (k *keyring) newRow(alg string) (keyRow, error) {
	private, err := generateKey(alg)
	if err != nil {
		return keyRow{}, err
	}
	kid, err := thumbprint(private.Public())
	if err != nil {
		return keyRow{}, err
	}
	public, err := json.Marshal(publicJWK(private.Public(), kid, alg))
	if err != nil {
		return keyRow{}, err
	}
	plain, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return keyRow{}, err
	}
	row := keyRow{kid: kid, alg: alg, state: keyActive, public: string(public)}
	row.secretID, row.sealed, err = k.secrets.seal(labelSigningKey, sealContext(kid, alg), plain)
	return row, err
}

// load replaces the copy in memory by what the rows say.
func (k *keyring) load(ctx context.Context) error {
	rows, err := k.readRows(ctx)
	if err != nil {
		return fmt.Errorf("%w: reading the signing keys: %w", errUnavailable, err)
	}
	set := &keySet{byKID: map[string]*signingKey{}, active: map[string]*signingKey{}}
	published := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, row := range rows {
		key, err := k.open(row)
		if err != nil {
			return err
		}
		set.byKID[key.kid] = key
		if key.state == keyActive {
			set.active[key.alg] = key
		}
		published.Keys = append(published.Keys, key.public)
	}
	if set.jwks, err = newDocument(published); err != nil {
		return err
	}
	k.set.Store(set)
	return nil
}

type keyRow struct {
	kid, alg, state, public, secretID string
	sealed                            []byte
}

func (k *keyring) readRows(ctx context.Context) ([]keyRow, error) {
	rows, err := k.store.read().query(ctx, `SELECT kid, alg, state, sealed, secret_id
		FROM @.lockspire_keys WHERE expires_at IS NULL OR expires_at > $1
		ORDER BY created_at DESC, kid`, micros(k.now()))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []keyRow
	for rows.Next() {
		var row keyRow
		if err := rows.Scan(&row.kid, &row.alg, &row.state, &row.sealed, &row.secretID); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// open unseals a row and checks that the key in it is the one it claims to be.
func (k *keyring) open(row keyRow) (*signingKey, error) {
	if !k.secrets.has(row.secretID) {
		return nil, fmt.Errorf("Config.Secrets: signing key %s is sealed with the secret whose id is %s, which is not listed; add that secret after the current one", row.kid, row.secretID)
	}
	plain, err := k.secrets.open(row.secretID, labelSigningKey, sealContext(row.kid, row.alg), row.sealed)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", row.kid, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: not a PKCS #8 key", row.kid)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok || !keyFits(private, row.alg) {
		return nil, fmt.Errorf("signing key %s: not a key for %s", row.kid, row.alg)
	}
	if kid, err := thumbprint(private.Public()); err != nil || kid != row.kid {
		return nil, fmt.Errorf("signing key %s: its thumbprint differs", row.kid)
	}
	key := &signingKey{kid: row.kid, alg: row.alg, state: row.state, private: private,
		public: publicJWK(private.Public(), row.kid, row.alg), signers: map[string]jose.Signer{}}
	for _, typ := range []string{typAccessToken, typIDToken} {
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

// sign returns claims as a JWT in compact form, signed with the active key for
// alg. It does not touch the database.
func (k *keyring) sign(alg, typ string, claims any) (string, error) {
	key := k.set.Load().active[alg]
	if key == nil {
		return "", fmt.Errorf("no active %s signing key", alg)
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
	header, claims, err := splitJWT(token)
	if err != nil {
		return nil, err
	}
	if header.alg != alg || header.typ != typ {
		return nil, fmt.Errorf("%w: another alg or typ", errBadJWT)
	}
	key, err := k.find(ctx, header.kid)
	if err != nil {
		return nil, err
	}
	if key == nil || key.alg != alg {
		return nil, fmt.Errorf("%w: no such key", errBadJWT)
	}
	if err := verifySignature(token, jose.SignatureAlgorithm(alg), key.private.Public()); err != nil {
		return nil, err
	}
	return claims, nil
}

// find returns the key with exactly that kid, looking once in the rows when
// this process does not know it: another replica may have made it since.
func (k *keyring) find(ctx context.Context, kid string) (*signingKey, error) {
	if key := k.set.Load().byKID[kid]; key != nil {
		return key, nil
	}
	if len(kid) != thumbprintLength {
		return nil, nil
	}
	if err := k.refresh(ctx, keyCooldown); err != nil {
		// A row that does not open, too: another replica may have the secret
		// that this one lacks, so nothing is known about the token.
		return nil, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return k.set.Load().byKID[kid], nil
}

// refresh reads the rows again unless that was done less than age ago.
func (k *keyring) refresh(ctx context.Context, age time.Duration) error {
	select {
	case k.reload <- struct{}{}:
		defer func() { <-k.reload }()
	case <-ctx.Done():
		return fmt.Errorf("%w: waiting for the signing keys: %w", errUnavailable, ctx.Err())
	}
	now := k.now()
	if now.Sub(k.loadedAt) < age {
		return nil
	}
	k.loadedAt = now
	// This reading is everybody's: a client that asks for it and hangs up must
	// not use up the cool-down for nothing.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyTimeout)
	defer cancel()
	return k.load(ctx)
}

// jwks returns the published key set.
func (k *keyring) jwks() document { return k.set.Load().jwks }

func generateKey(alg string) (crypto.Signer, error) {
	switch alg {
	case algES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case algRS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return nil, errors.New("unknown algorithm " + alg)
}

// keyFits reports whether a key is the kind and strength that alg demands (RFC
// 7518 §3.3, §3.4).
func keyFits(key crypto.Signer, alg string) bool {
	switch public := key.Public().(type) {
	case *ecdsa.PublicKey:
		return alg == algES256 && public.Curve == elliptic.P256()
	case *rsa.PublicKey:
		return alg == algRS256 && public.N.BitLen() >= rsaBits && public.E >= 65537
	}
	return false
}

func publicJWK(public crypto.PublicKey, kid, alg string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: public, KeyID: kid, Algorithm: alg, Use: "sig"}
}

// thumbprintLength is the length of a SHA-256 thumbprint in base64url.
const thumbprintLength = 43

// thumbprint is the kid: the RFC 7638 SHA-256 thumbprint of the public key.
func thumbprint(public crypto.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum), err
}

// sealContext binds sealed bytes to the row they belong to.
func sealContext(kid, alg string) string { return "lockspire_keys/" + kid + "/" + alg }
