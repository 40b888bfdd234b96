package lockspire

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
)

// randomBytes fills b, or panics: a request whose randomness fails is answered
// 500 before anything is issued, and its transaction is rolled back (RFC 6749
// §10.10). There is no weak token to guard against, and no error that a caller
// could forget. crypto/rand.Read would end the host's process instead.
func randomBytes(b []byte) {
	if _, err := io.ReadFull(rand.Reader, b); err != nil {
		panic(fmt.Errorf("no randomness: %w", err))
	}
}

// newToken returns 256 random bits as 43 base64url characters: a code, token,
// interaction id or cookie value.
func newToken() string {
	var b [32]byte
	randomBytes(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// newID returns prefix followed by 128 random bits: a row id that is no
// secret. The prefix keeps ids of different kinds, subjects among them, from
// ever being equal (RFC 9700 §4.15).
func newID(prefix string) string {
	var b [16]byte
	randomBytes(b[:])
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
