package lockspire

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
)

// validChallenge reports whether s is an S256 code challenge: 43 base64url
// characters (RFC 7636 §4.2).
func validChallenge(s string) bool { return tokenShaped(s) }

// mayOmitPKCE reports whether the client's secret and redirect URI may stand in
// for a code challenge.
func (c Client) mayOmitPKCE() bool { return c.PKCEOptional && c.Confidential() }

// verifierMatches reports whether verifier is well formed and hashes to
// challenge (RFC 7636 §4.1, §4.6). It compares in constant time.
func verifierMatches(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	for i := 0; i < len(verifier); i++ {
		if !unreserved(verifier[i]) {
			return false
		}
	}
	sum := sha256.Sum256([]byte(verifier))
	computed := base64.RawURLEncoding.EncodeToString(sum[:])
	return challenge != "" && subtle.ConstantTimeCompare([]byte(computed), []byte(challenge)) == 1
}

// unreserved is the character class of RFC 3986 §2.3.
func unreserved(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return c == '-' || c == '.' || c == '_' || c == '~'
}
