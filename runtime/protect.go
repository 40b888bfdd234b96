package lockspire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// protection is what one use of Protect demands.
type protection struct {
	scopes   []string
	resource string
	// userinfo is true for that endpoint alone, which is no resource: a token
	// for it names the issuer, and a user stands behind it.
	userinfo bool
	// metadataURL is the resource's RFC 9728 document, or "".
	metadataURL string
}

// protect resolves the options once, when the host builds its routes.
func (p *Provider) protect(options ...ProtectOption) func(http.Handler) http.Handler {
	demands := protection{resource: p.config.Resources[0].Identifier}
	for _, option := range options {
		option(&demands)
	}
	known := p.knownScopes()
	for _, scope := range demands.scopes {
		if !known[scope] {
			panic(fmt.Sprintf("lockspire: RequireScope(%q): Config.Scopes does not declare that scope", scope))
		}
	}
	if !p.declaresResource(demands.resource) {
		panic(fmt.Sprintf("lockspire: ForResource(%q): Config.Resources does not declare that resource", demands.resource))
	}
	demands.metadataURL = resourceMetadataURL(p.config.Issuer, demands.resource)

	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// A preflight carries no token and reaches no data (Fetch §3.3).
			if r.Method == http.MethodOptions {
				next.ServeHTTP(w, r)
				return
			}
			token, ok := p.authorizeBearer(w, r, demands)
			if !ok {
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, token)))
		})
	}
}

func (p *Provider) knownScopes() map[string]bool {
	known := map[string]bool{"openid": true, "offline_access": true}
	for _, scope := range p.config.Scopes {
		known[scope.Name] = true
	}
	return known
}

func (p *Provider) declaresResource(identifier string) bool {
	for _, resource := range p.config.Resources {
		if resource.Identifier == identifier {
			return true
		}
	}
	return false
}

// authorizeBearer returns the request's verified token, or answers the request
// itself.
func (p *Provider) authorizeBearer(w http.ResponseWriter, r *http.Request, demands protection) (*AccessToken, bool) {
	raw, err := bearerToken(r)
	if err != nil {
		p.challenge(w, r, demands, err)
		return nil, false
	}
	ctx, cancel := p.bounded(r.Context())
	defer cancel()
	token, err := p.admit(ctx, raw, demands)
	if err != nil {
		p.challenge(w, r, demands, err)
		return nil, false
	}
	for _, scope := range demands.scopes {
		if !token.HasScope(scope) {
			p.challenge(w, r, demands, errInsufficientScope)
			return nil, false
		}
	}
	return token, true
}

var (
	errNoToken           = errors.New("no access token")
	errInsufficientScope = errors.New("scope is missing")
)

// errBearerRequest is a request that presents a token in a way that is not
// accepted (RFC 6750 §3.1 invalid_request).
type errBearerRequest string

func (e errBearerRequest) Error() string { return string(e) }

// bearerToken reads the one place where a token may be: the Authorization
// header (RFC 6750 §2.1). A token in a URL ends up in logs and histories, so
// one there is refused even beside a good header (RFC 9700 §4.3.2).
func bearerToken(r *http.Request) (string, error) {
	if query, _ := url.ParseQuery(r.URL.RawQuery); query.Has("access_token") {
		return "", errBearerRequest("the access token must be in the Authorization header, not in the query")
	}
	if formHasToken(r) {
		return "", errBearerRequest("the access token must be in the Authorization header, not in the body")
	}
	headers := r.Header.Values("Authorization")
	if len(headers) > 1 {
		return "", errBearerRequest("more than one Authorization header")
	}
	if len(headers) == 0 {
		return "", errNoToken
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", errNoToken
	}
	token = strings.Trim(token, " ")
	if token == "" || strings.IndexFunc(token, notToken68) >= 0 {
		return "", errBearerRequest("the Authorization header is malformed")
	}
	return token, nil
}

// notToken68 reports characters that RFC 6750 §2.1 does not allow in a token.
func notToken68(c rune) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return false
	}
	return !strings.ContainsRune("-._~+/=", c)
}

// maxFormPeek bounds how much of a form is searched for a token.
const maxFormPeek = 64 << 10

// formHasToken looks for access_token in the beginning of a form body, and
// leaves the body as it was for the handler.
func formHasToken(r *http.Request) bool {
	if r.Body == nil || r.Body == http.NoBody {
		return false
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return false
	}
	if r.PostForm != nil {
		return r.PostForm.Has("access_token")
	}
	head, err := io.ReadAll(io.LimitReader(r.Body, maxFormPeek))
	rest := io.Reader(r.Body)
	if err != nil {
		rest = failedReader{err}
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), rest), r.Body}
	values, _ := url.ParseQuery(string(head))
	return values.Has("access_token")
}

// failedReader repeats a read error, so that the handler sees it too.
type failedReader struct{ err error }

func (f failedReader) Read([]byte) (int, error) { return 0, f.err }

// challenge answers a request that is not admitted (RFC 6750 §3).
func (p *Provider) challenge(w http.ResponseWriter, r *http.Request, demands protection, reason error) {
	var malformed errBearerRequest
	status, code, description := http.StatusUnauthorized, "", ""
	switch {
	case errors.Is(reason, errNoToken):
		// No error code: the client has not tried yet (RFC 6750 §3.1).
	case errors.As(reason, &malformed):
		status, code, description = http.StatusBadRequest, "invalid_request", string(malformed)
	case errors.Is(reason, errBadJWT), errors.Is(reason, errInvalidToken), errors.Is(reason, ErrAccountGone):
		code, description = "invalid_token", "the access token is expired, revoked or not for this resource"
	case errors.Is(reason, errInsufficientScope):
		status, code, description = http.StatusForbidden, "insufficient_scope", "the access token lacks a scope that this resource needs"
	default:
		p.writeJSONError(w, r, reason)
		return
	}
	p.config.Logger.LogAttrs(r.Context(), slog.LevelInfo, "lockspire: request not admitted",
		slog.String("request_id", infoOf(r).id), slog.Int("status", status),
		slog.String("error", code), slog.String("reason", reason.Error()))

	params := []string{"error", code, "error_description", description}
	if code != "invalid_request" {
		params = append(params, "scope", strings.Join(demands.scopes, " "))
	}
	h := w.Header()
	h.Set("WWW-Authenticate", challengeValue(append(params, "resource_metadata", demands.metadataURL)...))
	h.Set("Cache-Control", "no-store")
	if code == "" {
		w.WriteHeader(status)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		fmt.Fprintf(w, `{"error":%q,"error_description":%q}`, code, description)
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
