package bearer

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lockspire/lockspire/runtime/internal/jwt"
)

var (
	// ErrScope: the token lacks a scope that is needed (RFC 6750 §3.1).
	ErrScope = errors.New("scope is missing")
	// ErrAuthentication: the user's sign-in is too old or not of the kind that
	// is needed (RFC 9470 §3).
	ErrAuthentication = errors.New("the user's sign-in does not do")
	// ErrGone: nobody stands behind the token any more.
	ErrGone = errors.New("account is gone")
)

// Demands is what an API asks of a token beside being good.
type Demands struct {
	// Scopes are all needed.
	Scopes []string
	// ACRValues are the authentication contexts of which one will do. None
	// means any.
	ACRValues []string
	// MaxAge is how old the sign-in may be. Zero means any age.
	MaxAge time.Duration
	// MetadataURL is the resource's RFC 9728 document, or "".
	MetadataURL string
}

// RequireACR adds to ACRValues. It panics on a value that no acr can be.
func (d *Demands) RequireACR(values ...string) {
	if len(values) == 0 {
		panic("lockspire: RequireACR needs a value")
	}
	for _, value := range values {
		if value == "" || strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '\\' }) {
			panic(fmt.Sprintf("lockspire: RequireACR(%q): acr values are visible ASCII without spaces, quotes and backslashes", value))
		}
	}
	d.ACRValues = append(d.ACRValues, values...)
}

// RequireMaxAge sets MaxAge. It panics on less than a second, which no sign-in
// could meet: auth_time is in whole seconds.
func (d *Demands) RequireMaxAge(age time.Duration) {
	if age < time.Second {
		panic(fmt.Sprintf("lockspire: RequireMaxAge(%v): at least one second", age))
	}
	d.MaxAge = age.Truncate(time.Second)
}

// Check returns ErrAuthentication or ErrScope. The sign-in comes first: its
// challenge names the scopes too, so that one more authorization is enough.
func (d Demands) Check(claims jwt.AccessClaims, hasScope func(string) bool, now time.Time) error {
	if len(d.ACRValues) > 0 && !slices.Contains(d.ACRValues, claims.ACR) {
		return fmt.Errorf("%w: acr %.40q", ErrAuthentication, claims.ACR)
	}
	if d.MaxAge > 0 && (claims.AuthTime.IsZero() || now.Sub(claims.AuthTime) > d.MaxAge) {
		return fmt.Errorf("%w: too old", ErrAuthentication)
	}
	for _, scope := range d.Scopes {
		if !hasScope(scope) {
			return ErrScope
		}
	}
	return nil
}

// Refusal is how a request without a token that will do is answered.
type Refusal struct {
	Status            int
	Code, Description string
	params            []string
}

// Refuse returns the refusal for reason, and false when reason is none of those
// that a client can do something about.
func (d Demands) Refuse(reason error) (Refusal, bool) {
	var malformed RequestError
	r := Refusal{Status: http.StatusUnauthorized}
	switch {
	case errors.Is(reason, ErrNoToken):
		// No error code: the client has not tried yet (RFC 6750 §3.1).
	case errors.As(reason, &malformed):
		r.Status, r.Code, r.Description = http.StatusBadRequest, "invalid_request", string(malformed)
	case errors.Is(reason, jwt.ErrMalformed), errors.Is(reason, jwt.ErrInvalid), errors.Is(reason, ErrGone):
		r.Code, r.Description = "invalid_token", "the access token is expired, revoked or not for this resource"
	case errors.Is(reason, ErrScope):
		r.Status, r.Code, r.Description = http.StatusForbidden, "insufficient_scope", "the access token lacks a scope that this resource needs"
	case errors.Is(reason, ErrAuthentication):
		r.Code, r.Description = "insufficient_user_authentication", "this resource needs a more recent or another kind of sign-in"
		r.params = []string{"acr_values", strings.Join(d.ACRValues, " ")}
		if d.MaxAge > 0 {
			r.params = append(r.params, "max_age", strconv.FormatInt(int64(d.MaxAge/time.Second), 10))
		}
	default:
		return r, false
	}
	if r.Code != "invalid_request" {
		r.params = append(r.params, "scope", strings.Join(d.Scopes, " "))
	}
	r.params = append(r.params, "resource_metadata", d.MetadataURL)
	return r, true
}

// Write answers with the challenge of RFC 6750 §3, RFC 9470 §3 and RFC 9728 §5.1.
func (r Refusal) Write(w http.ResponseWriter, method string) {
	h := w.Header()
	h.Set("WWW-Authenticate", challengeValue(append([]string{"error", r.Code, "error_description", r.Description}, r.params...)...))
	h.Set("Cache-Control", "no-store")
	if r.Code == "" {
		w.WriteHeader(r.Status)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(r.Status)
	if method != http.MethodHead {
		fmt.Fprintf(w, `{"error":%q,"error_description":%q}`, r.Code, r.Description)
	}
}

// challengeValue builds one Bearer challenge from names and values; empty
// values are left out. Values are quoted-strings (RFC 9110 §5.6.4): what could
// end the string or the header is escaped or dropped.
func challengeValue(pairs ...string) string {
	var b strings.Builder
	b.WriteString("Bearer")
	separator := " "
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		b.WriteString(separator)
		separator = ", "
		b.WriteString(pairs[i])
		b.WriteString(`="`)
		for _, c := range []byte(pairs[i+1]) {
			switch {
			case c == '"', c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c < 0x20, c >= 0x7f:
			default:
				b.WriteByte(c)
			}
		}
		b.WriteByte('"')
	}
	return b.String()
}
