package lockspire

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// The labels that subkeys are derived under. A label is never reused for a
// second purpose: two uses of one key are two chances to break it.
const (
	labelRefresh    = "refresh"
	labelCode       = "code"
	labelDecision   = "decision"
	labelSID        = "sid"
	labelSigningKey = "signing-key"
)

// minSecretBytes is 256 bits, the strength of everything derived from it.
const minSecretBytes = 32

// secretSet holds Config.Secrets by id. It is immutable.
//
// Rows that are sealed with or derived from a secret carry its id, so that a
// secret can be replaced while rows of the old one are still around, and so
// that a secret which is missing can be named.
type secretSet struct {
	current string
	byID    map[string][]byte
}

// newSecretSet checks secrets and derives their ids. The first is current.
func newSecretSet(secrets [][]byte) (*secretSet, error) {
	if len(secrets) == 0 {
		return nil, errors.New("Config.Secrets: at least one secret of 32 random bytes is required")
	}
	set := &secretSet{byID: make(map[string][]byte, len(secrets))}
	for i, secret := range secrets {
		if len(secret) < minSecretBytes {
			return nil, fmt.Errorf("Config.Secrets[%d]: %d bytes long; at least %d random bytes are required", i, len(secret), minSecretBytes)
		}
		id := secretID(secret)
		if i == 0 {
			set.current = id
		}
		set.byID[id] = append([]byte(nil), secret...)
	}
	return set, nil
}

// secretID is 64 bits of the secret's own HKDF output. It says nothing about
// any subkey, so it may stand in rows, logs and errors.
func secretID(secret []byte) string {
	return hex.EncodeToString(expand(secret, "id", 8))
}

// id returns the id of the secret that new rows use.
func (s *secretSet) id() string { return s.current }

// has reports whether the secret with that id is listed.
func (s *secretSet) has(id string) bool {
	_, ok := s.byID[id]
	return ok
}

// subkey returns the 256-bit key for label under the secret with that id, and
// false when Config.Secrets does not list it.
func (s *secretSet) subkey(id, label string) ([]byte, bool) {
	secret, ok := s.byID[id]
	if !ok {
		return nil, false
	}
	return expand(secret, "key/"+label, 32), true
}

// expand is HKDF-SHA256 (RFC 5869) without salt: the input is uniformly random
// already.
func expand(secret []byte, info string, length int) []byte {
	out, err := hkdf.Key(sha256.New, secret, nil, "lockspire/v1/"+info, length)
	if err != nil {
		// Only a length above 255 hashes, or a FIPS policy that forbids the
		// input, gets here: both are programming errors.
		panic("lockspire: hkdf: " + err.Error())
	}
	return out
}

// errSealed: sealed bytes do not open. Either the row was tampered with or
// moved, or the secret is not the one that sealed it.
var errSealed = errors.New("sealed row does not open")

// seal encrypts plaintext with AES-256-GCM under the current secret's subkey
// for label. bound is what the row is about: it is authenticated, so that
// sealed bytes copied into another row do not open there.
func (s *secretSet) seal(label, bound string, plaintext []byte) (secretID string, sealed []byte, err error) {
	sealed, err = s.sealWith(s.current, label, bound, plaintext)
	return s.current, sealed, err
}

// sealWith is seal under the secret with that id.
func (s *secretSet) sealWith(secretID, label, bound string, plaintext []byte) ([]byte, error) {
	aead, err := s.aead(secretID, label)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	randomBytes(nonce)
	return aead.Seal(nonce, nonce, plaintext, []byte(bound)), nil
}

// open reverses seal. It returns errSealed when the bytes, the label or bound
// are not what was sealed.
func (s *secretSet) open(secretID, label, bound string, sealed []byte) ([]byte, error) {
	aead, err := s.aead(secretID, label)
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, errSealed
	}
	plaintext, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], []byte(bound))
	if err != nil {
		return nil, errSealed
	}
	return plaintext, nil
}

func (s *secretSet) aead(secretID, label string) (cipher.AEAD, error) {
	key, ok := s.subkey(secretID, label)
	if !ok {
		return nil, fmt.Errorf("Config.Secrets: the secret with id %s is not listed", secretID)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
