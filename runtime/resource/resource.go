package resource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/lockspire/lockspire/runtime/internal/bearer"
	"github.com/lockspire/lockspire/runtime/internal/jwt"
)

// Config is what [New] needs. The zero value is refused.
type Config struct {
	// Issuer is the issuer identifier, byte for byte as in its metadata. https;
	// http is accepted for loopback hosts only. Required.
	Issuer string

	// Identifier is this API's resource identifier, spelled as the issuer's
	// Config.Resources has it: an absolute URL without fragment. Tokens must name
	// it as their audience. Required.
	Identifier string

	// Algorithms are the signature algorithms that are accepted, of ES256, ES384,
	// ES512, PS256, RS256 and EdDSA. The token chooses none that is not here.
	// Defaults to ES256, which Lockspire signs access tokens with.
	Algorithms []string

	// Scopes are the scopes this API understands, for its metadata. Defaults to
	// none.
	Scopes []string

	// Implies says what a scope stands for beside itself, as the issuer's
	// catalogue does: tokens carry only what was granted. What the implied ones
	// imply comes along. Defaults to none.
	Implies map[string][]string

	// HTTPClient fetches metadata and keys from the issuer. Redirects are not
	// followed, whatever it says. Defaults to http.DefaultClient's transport.
	HTTPClient *http.Client

	// Logger receives a line per refused request and per failed fetch, and never
	// a token. Defaults to slog.Default().
	Logger *slog.Logger

	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
}

// Verifier verifies access tokens. It is safe for concurrent use; a service needs
// one for each of its resource identifiers.
type Verifier struct {
	config      Config
	metadataURL *url.URL
	keys        *keySet
}

// New validates config, and reports everything that is wrong with it at once. It
// fetches nothing: the issuer may start later than this service. Requests are
// answered 503 until its keys have been read.
func New(config Config) (*Verifier, error) {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if len(config.Algorithms) == 0 {
		config.Algorithms = []string{string(jose.ES256)}
	}
	issuer, err := absoluteURL("Issuer", config.Issuer)
	var problems []error
	problems = append(problems, err)
	if err == nil && (!secure(issuer) || issuer.RawQuery != "" || issuer.ForceQuery) {
		problems = append(problems, fmt.Errorf("%s: %q has to be https without query (http on loopback only)", "Issuer", config.Issuer))
	}
	identifier, err := absoluteURL("Identifier", config.Identifier)
	problems = append(problems, err)
	for _, alg := range config.Algorithms {
		if !slices.Contains(asymmetric, jose.SignatureAlgorithm(alg)) {
			problems = append(problems, fmt.Errorf("%s: %q is none of %v", "Algorithms", alg, asymmetric))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("resource: %w", err)
	}
	return &Verifier{config: config, metadataURL: metadataURL(identifier), keys: newKeySet(config, issuer)}, nil
}

// asymmetric lists what a published key set can hold the keys for.
var asymmetric = []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512, jose.PS256, jose.RS256, jose.EdDSA}

func absoluteURL(field, value string) (*url.URL, error) {
	u, err := url.Parse(value)
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || strings.Contains(value, "#") {
		return nil, fmt.Errorf("%s: %q is no absolute URL without user and fragment", field, value)
	}
	return u, nil
}

// secure reports whether what u serves cannot be changed on the way.
func secure(u *url.URL) bool {
	switch u.Hostname() {
	case "localhost", "127.0.0.1", "::1":
		return u.Scheme == "https" || u.Scheme == "http"
	}
	return u.Scheme == "https"
}

// An Option narrows what [Verifier.Protect] admits.
type Option func(*demands)

type demands struct{ bearer.Demands }

// RequireScope demands every scope named; one that implies it will do.
func RequireScope(scopes ...string) Option {
	return func(d *demands) { d.Scopes = append(d.Scopes, scopes...) }
}

// RequireACR demands that the user signed in with one of the authentication
// contexts named, in order of preference (RFC 9470 §3). Protect panics on no
// value, and on one that no acr can be.
func RequireACR(values ...string) Option {
	return func(d *demands) { d.Demands.RequireACR(values...) }
}

// RequireMaxAge demands that the user signed in at most age ago (RFC 9470 §3).
// Protect panics on less than a second.
func RequireMaxAge(age time.Duration) Option {
	return func(d *demands) { d.Demands.RequireMaxAge(age) }
}

// Protect returns middleware that admits requests with a good access token for
// this API, and answers the others with the challenge of RFC 6750 §3, RFC 9470 §3
// and RFC 9728 §5.1; 503 where the issuer's keys cannot be read. The token must be
// in the Authorization header: one in the query, or within the first 64 KiB of a
// form, is refused. It lets OPTIONS through, so that preflights work.
func (v *Verifier) Protect(options ...Option) func(http.Handler) http.Handler {
	d := demands{bearer.Demands{MetadataURL: v.metadataURL.String()}}
	for _, option := range options {
		option(&d)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// A preflight carries no token and reaches no data (Fetch §3.3).
			if r.Method == http.MethodOptions {
				next.ServeHTTP(w, r)
				return
			}
			token, err := v.admit(r, d)
			if err != nil {
				v.refuse(w, r, d, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, token)))
		})
	}
}

func (v *Verifier) admit(r *http.Request, d demands) (*AccessToken, error) {
	raw, err := bearer.Token(r)
	if err != nil {
		return nil, err
	}
	claims, err := v.read(r.Context(), raw)
	if err != nil {
		return nil, err
	}
	token := v.token(claims)
	return token, d.Check(claims, token.HasScope, v.config.Now())
}

// ErrInvalidToken is a token that is not for this API, or is not good (any more).
var ErrInvalidToken = errors.New("resource: the access token is not good for this API")

// Verify is for tokens that do not come by HTTP. It returns [ErrInvalidToken],
// wrapped with the reason, which is for the log; any other error means that the
// issuer's keys could not be read.
func (v *Verifier) Verify(ctx context.Context, token string) (*AccessToken, error) {
	claims, err := v.read(ctx, token)
	if errors.Is(err, jwt.ErrMalformed) || errors.Is(err, jwt.ErrInvalid) {
		return nil, fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	if err != nil {
		return nil, err
	}
	return v.token(claims), nil
}

// read verifies form, signature, issuer, life and audience (RFC 9068 §4).
func (v *Verifier) read(ctx context.Context, token string) (jwt.AccessClaims, error) {
	var none jwt.AccessClaims
	header, members, err := jwt.Split(token)
	if err != nil {
		return none, err
	}
	if header.Typ != "at+jwt" || !slices.Contains(v.config.Algorithms, header.Alg) {
		return none, fmt.Errorf("%w: another alg or typ", jwt.ErrMalformed)
	}
	key, err := v.keys.find(ctx, header.KID)
	if err != nil {
		return none, err
	}
	if key == nil || key.Algorithm != "" && key.Algorithm != header.Alg {
		return none, fmt.Errorf("%w: no such key", jwt.ErrMalformed)
	}
	if err := jwt.VerifySignature(token, jose.SignatureAlgorithm(header.Alg), key.Key); err != nil {
		return none, err
	}
	claims, err := jwt.DecodeAccess(members)
	if err != nil {
		return none, err
	}
	if claims.Issuer != v.config.Issuer {
		return none, fmt.Errorf("%w: another issuer", jwt.ErrInvalid)
	}
	if err := claims.CheckTime(v.config.Now()); err != nil {
		return none, err
	}
	return claims, claims.CheckAudience(v.config.Identifier, v.config.Issuer)
}

// refuse answers a request that is not admitted.
func (v *Verifier) refuse(w http.ResponseWriter, r *http.Request, d demands, reason error) {
	refusal, ok := d.Refuse(reason)
	if !ok {
		v.config.Logger.LogAttrs(r.Context(), slog.LevelWarn, "resource: access tokens cannot be verified",
			slog.String("issuer", v.config.Issuer), slog.String("cause", reason.Error()))
		h := w.Header()
		h.Set("Retry-After", "5")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, `{"error":"temporarily_unavailable","error_description":"access tokens cannot be verified right now"}`)
		return
	}
	v.config.Logger.LogAttrs(r.Context(), slog.LevelInfo, "resource: request not admitted",
		slog.Int("status", refusal.Status), slog.String("error", refusal.Code), slog.String("reason", reason.Error()))
	refusal.Write(w, r.Method)
}
