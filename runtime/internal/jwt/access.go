package jwt

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Leeway is how far another clock may be off (RFC 8725 §3; A147).
const Leeway = 60 * time.Second

// ErrInvalid is a well-formed access token that is not good here or now. The
// wrapped text is for the log.
var ErrInvalid = errors.New("access token refused")

// AccessClaims are the claims of an access token (RFC 9068 §2.2) with the
// private claim "fid", the family it descends from. A token of the client
// credentials grant descends from none.
type AccessClaims struct {
	Issuer, Subject, ClientID, Scope, ID, FamilyID string
	Audience                                       []string
	IssuedAt, ExpiresAt                            time.Time
	// ACR and AuthTime say how and when the user signed in; both may be zero.
	ACR      string
	AuthTime time.Time
}

// DecodeAccess reads the claims of an access token by their exact names. A name
// that differs only in case is refused: a lenient reader would take it (RFC 8725
// §3.12). So is a token that is bound to a key (RFC 7800): nothing here asks its
// holder to prove that they have the key, and to admit it without would undo the
// binding.
func DecodeAccess(members map[string]json.RawMessage) (AccessClaims, error) {
	var c AccessClaims
	var issued, expires, notBefore, authTime int64
	for name, raw := range members {
		ok := true
		switch name {
		case "iss":
			ok = String(raw, &c.Issuer)
		case "sub":
			ok = String(raw, &c.Subject)
		case "client_id":
			ok = String(raw, &c.ClientID)
		case "scope":
			ok = String(raw, &c.Scope)
		case "jti":
			ok = String(raw, &c.ID)
		case "fid":
			ok = String(raw, &c.FamilyID)
		case "acr":
			ok = String(raw, &c.ACR)
		case "aud":
			c.Audience, ok = audience(raw)
		case "iat":
			ok = seconds(raw, &issued)
		case "exp":
			ok = seconds(raw, &expires)
		case "nbf":
			ok = seconds(raw, &notBefore)
		case "auth_time":
			ok = seconds(raw, &authTime)
		default:
			switch strings.ToLower(name) {
			case "iss", "sub", "client_id", "scope", "jti", "fid", "acr", "aud", "iat", "exp", "nbf", "auth_time", "cnf":
				ok = false
			}
		}
		if !ok {
			return c, fmt.Errorf("%w: claim %.20q", ErrMalformed, name)
		}
	}
	if c.Issuer == "" || c.Subject == "" || c.ClientID == "" || c.ID == "" ||
		len(c.Audience) == 0 || issued == 0 || expires == 0 {
		return c, fmt.Errorf("%w: a required claim is missing", ErrMalformed)
	}
	if c.FamilyID == "" && c.Subject != c.ClientID {
		// Without a family nothing would vouch for the subject.
		return c, fmt.Errorf("%w: no family", ErrMalformed)
	}
	if notBefore > issued {
		// Lockspire sets no nbf; one that is ahead of iat is honoured.
		issued = notBefore
	}
	c.IssuedAt, c.ExpiresAt = time.Unix(issued, 0).UTC(), time.Unix(expires, 0).UTC()
	if authTime != 0 {
		c.AuthTime = time.Unix(authTime, 0).UTC()
	}
	return c, nil
}

// ClientOnly says that no user stands behind the token (RFC 6749 §4.4).
func (c AccessClaims) ClientOnly() bool { return c.FamilyID == "" }

// audience reads aud: one string or an array of strings (RFC 7519 §4.1.3).
func audience(raw json.RawMessage) ([]string, bool) {
	var one string
	if String(raw, &one) {
		return []string{one}, one != ""
	}
	var parts []json.RawMessage
	if json.Unmarshal(raw, &parts) != nil {
		return nil, false
	}
	many := make([]string, len(parts))
	for i, part := range parts {
		if !String(part, &many[i]) || many[i] == "" {
			return nil, false
		}
	}
	return many, len(many) > 0
}

// seconds reads a NumericDate that is a whole number of seconds, which is
// how Lockspire writes it.
func seconds(raw json.RawMessage, target *int64) bool {
	return len(raw) > 0 && raw[0] != 'n' && json.Unmarshal(raw, target) == nil && *target > 0
}

// CheckTime refuses a token outside its life.
func (c AccessClaims) CheckTime(now time.Time) error {
	switch {
	case !now.Before(c.ExpiresAt.Add(Leeway)):
		return fmt.Errorf("%w: expired", ErrInvalid)
	case now.Add(Leeway).Before(c.IssuedAt):
		return fmt.Errorf("%w: not valid yet", ErrInvalid)
	}
	return nil
}

// CheckAudience refuses a token that another resource could have been handed
// and replay here: each audience is resource itself or the issuer (A142).
func (c AccessClaims) CheckAudience(resource, issuer string) error {
	found := false
	for _, member := range c.Audience {
		switch {
		case member == resource:
			found = true
		case member != issuer:
			return fmt.Errorf("%w: for another audience", ErrInvalid)
		}
	}
	if !found {
		return fmt.Errorf("%w: for another audience", ErrInvalid)
	}
	return nil
}
