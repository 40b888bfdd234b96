// Package jwt reads JWTs the one way that Lockspire writes them: nothing that a
// lenient parser would let pass (RFC 8725 §3), and access tokens by the claims of
// RFC 9068. It is shared by the authorization server and by package resource, so
// that both refuse the same tokens.
package jwt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
)

const (
	// MaxBytes is checked before anything is parsed: no work is done on a
	// megabyte of dots.
	MaxBytes = 16 << 10
	// MaxDepth is far above what any claim set of ours has.
	MaxDepth = 8
)

// ErrMalformed covers every way in which a JWT is not acceptable. The wrapped
// text is for the log; clients learn only that the token is invalid.
var ErrMalformed = errors.New("JWT refused")

// Header is the whole header of a JWT that Lockspire signs. A header
// with any other member is refused: jwk, jku, x5u and x5c would let the token
// bring its own key, crit and b64 would change what the signature means (RFC
// 7515 §4.1, RFC 8725 §3.10).
type Header struct{ Alg, KID, Typ string }

// Split takes a JWT in compact serialization (RFC 7515 §7.1) apart without
// verifying it. It refuses what a lenient parser would let pass, so that there
// is exactly one spelling of each token.
func Split(token string) (Header, map[string]json.RawMessage, error) {
	var header Header
	if len(token) > MaxBytes {
		return header, nil, fmt.Errorf("%w: longer than %d bytes", ErrMalformed, MaxBytes)
	}
	if strings.Count(token, ".") != 2 {
		return header, nil, fmt.Errorf("%w: not three parts", ErrMalformed)
	}
	parts := strings.Split(token, ".")
	var decoded [3][]byte
	for i, part := range parts {
		raw, err := decodeBase64(part)
		if err != nil || len(raw) == 0 {
			return header, nil, fmt.Errorf("%w: part %d is not base64url", ErrMalformed, i+1)
		}
		decoded[i] = raw
	}
	members, err := Object(decoded[0])
	if err != nil {
		return header, nil, fmt.Errorf("%w: header: %v", ErrMalformed, err)
	}
	for name, raw := range members {
		target := map[string]*string{"alg": &header.Alg, "kid": &header.KID, "typ": &header.Typ}[name]
		if target == nil || !String(raw, target) {
			return header, nil, fmt.Errorf("%w: header member not accepted", ErrMalformed)
		}
	}
	claims, err := Object(decoded[1])
	if err != nil {
		return header, nil, fmt.Errorf("%w: claims: %v", ErrMalformed, err)
	}
	return header, claims, nil
}

// VerifySignature checks the signature of a token that Split accepted, with
// a key and an algorithm that the caller chose; the token chooses neither (RFC
// 8725 §3.1).
func VerifySignature(token string, alg jose.SignatureAlgorithm, key any) error {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{alg})
	if err != nil {
		return fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if _, err := signed.Verify(key); err != nil {
		return fmt.Errorf("%w: signature", ErrMalformed)
	}
	return nil
}

// decodeBase64 decodes base64url without padding (RFC 7515 §2). Go's decoder
// skips CR and LF and, unless told, ignores trailing bits; both would give one
// token many spellings.
func decodeBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("line break in base64url")
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}

// Object parses data as one JSON object and returns its members by
// their exact names. It refuses duplicate names at any depth, invalid UTF-8,
// deep nesting and trailing data (RFC 7515 §4, RFC 8259 §4).
func Object(data []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	// Where the members are is read off the decoder's tokens, which mean what
	// they should in valid JSON.
	if !json.Valid(data) {
		return nil, errors.New("not JSON")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	first, err := decoder.Token()
	if err != nil || first != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	members := map[string]json.RawMessage{}
	err = walkObject(decoder, 1, func(name string, begin, end int64) {
		// From the end of the name to that of the value: a colon, and space.
		members[name] = bytes.TrimLeft(data[begin:end], ": \t\r\n")
	})
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("data after the JSON object")
	}
	return members, nil
}

// walkObject reads an object to its end, and tells found where each of its
// values is.
func walkObject(decoder *json.Decoder, depth int, found func(name string, begin, end int64)) error {
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		name, begin := token.(string), decoder.InputOffset()
		if seen[name] {
			return errors.New("duplicate member")
		}
		seen[name] = true
		if err := walkValue(decoder, depth); err != nil {
			return err
		}
		found(name, begin, decoder.InputOffset())
	}
	_, err := decoder.Token()
	return err
}

func walkValue(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	delim, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	if depth >= MaxDepth {
		return errors.New("nested too deeply")
	}
	if delim == '{' {
		return walkObject(decoder, depth+1, func(string, int64, int64) {})
	}
	for decoder.More() {
		if err := walkValue(decoder, depth+1); err != nil {
			return err
		}
	}
	_, err = decoder.Token()
	return err
}

// String stores raw into target when it is a JSON string, and reports
// whether it was one. (json.Unmarshal alone would accept null.)
func String(raw json.RawMessage, target *string) bool {
	return len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, target) == nil
}
