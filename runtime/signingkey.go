package lockspire

import (
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
	"time"

	"github.com/go-jose/go-jose/v4"
)

// rsaBits is the least that RFC 7518 §3.3 allows, and 112 bits of strength.
const rsaBits = 2048

// keyRow is a row of lockspire_keys.
type keyRow struct {
	kid, alg, state, public, secretID string
	sealed                            []byte
	createdAt                         time.Time
	// activatedAt is when the key began to sign. On a next key it is when
	// somebody asked that it take over, or zero.
	activatedAt time.Time
	// expiresAt is when a retiring key is over.
	expiresAt time.Time
}

// newKeyRow generates a key for alg and seals it with the secret of that id.
// It takes a while, so no connection may be held.
func newKeyRow(secrets *secretSet, secretID, alg, state string) (keyRow, error) {
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
	row := keyRow{kid: kid, alg: alg, state: state, public: string(public), secretID: secretID}
	row.sealed, err = secrets.sealWith(secretID, labelSigningKey, sealContext(kid, alg), plain)
	return row, err
}

// missingSecretError says that a row needs a secret which is not listed.
type missingSecretError struct{ kid, secretID string }

func (e missingSecretError) Error() string {
	return fmt.Sprintf("Config.Secrets: signing key %s is sealed with the secret whose id is %s, which is not listed; add that secret after the current one", e.kid, e.secretID)
}

// openRow unseals a row and checks that the key in it is the one it claims to
// be.
func openRow(secrets *secretSet, row keyRow) (crypto.Signer, error) {
	if !secrets.has(row.secretID) {
		return nil, missingSecretError{row.kid, row.secretID}
	}
	plain, err := secrets.open(row.secretID, labelSigningKey, sealContext(row.kid, row.alg), row.sealed)
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
	return private, nil
}

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
