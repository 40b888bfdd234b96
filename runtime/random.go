package lockspire

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// newToken returns 256 random bits as 43 base64url characters: a code, token,
// interaction id or cookie value. crypto/rand.Read does not return when the
// system has no randomness, so there is no weak token to guard against
// (RFC 6749 §10.10).
func newToken() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// newID returns prefix followed by 128 random bits: a row id that is no
// secret. The prefix keeps ids of different kinds, subjects among them, from
// ever being equal (RFC 9700 §4.15).
func newID(prefix string) string {
	var b [16]byte
	rand.Read(b[:])
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// hashToken is how a token is stored: its 256 bits of randomness make a salt
// or a slow hash pointless.
func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// tokenShaped reports whether s could have come from newToken, so that
// anything else is refused without a query.
func tokenShaped(s string) bool {
	if len(s) != 43 {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil
}
