package lockspire

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Provider is the authorization server: one http.Handler that dispatches on
// the full URL path. It is safe for concurrent use, and any number of
// processes may share one database.
type Provider struct {
	config  Config
	store   *store
	clients *Clients
	keys    *keyring
	keyRows *Keys
	secrets *secretSet
	now     func() time.Time
	// origin and issuerPath are the two halves of the issuer.
	origin, issuerPath string
	endpoints          map[string]endpoint
	metadata           metadata
	hierarchy          hierarchy

	// lastUse waits for Run to write it; warned holds what was logged once.
	lastUse lastUse
	warned  sync.Map

	// begun counts interactions, failed client authentication, missed tokens
	// that were asked about and not found.
	begun, failed, missed limiter

	// patience bounds a request's wait for database and host. Zero is
	// requestPatience; tests have less.
	patience time.Duration

	// closing ends when stop is called. Each Run holds running for reading.
	closing context.Context
	stop    context.CancelFunc
	running sync.RWMutex
}

// New validates config, checks the schema, creates signing keys if there are
// none, and returns a provider. It fails when the configuration is incomplete
// (every field at once), when the schema is missing or too old (with the
// command that mends it), when a secret that sealed rows need is missing, or
// when the tables belong to another issuer.
func New(ctx context.Context, config Config) (*Provider, error) {
	return newProvider(ctx, config)
}

// Run does the background work (expired rows, last-use times, rotation of the
// signing keys, sealing again after a new secret) until ctx ends or Close is
// called. It is safe in every replica at once and returns nil when it was asked
// to stop.
func (p *Provider) Run(ctx context.Context) error { return p.background(ctx, p.run) }

// Close stops Run and waits for it. The database pool stays the host's.
func (p *Provider) Close() error { return p.close() }

// ServeHTTP answers every endpoint. Paths that are none of ours get 404.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.serve(w, r) }

// Issuer returns the issuer identifier.
func (p *Provider) Issuer() string { return p.config.Issuer }

// Clients returns the client registry.
func (p *Provider) Clients() *Clients { return p.clients }

// Keys returns the signing keys.
func (p *Provider) Keys() *Keys { return p.keyRows }

// ResourceMetadataPaths returns the root paths of the protected resource
// metadata documents (RFC 9728 §3.1), one for each of Config.Resources on
// the issuer's own origin.
func (p *Provider) ResourceMetadataPaths() []string { return p.resourceMetadataPaths() }

// Grants returns what subject has allowed, most recently used first.
func (p *Provider) Grants(ctx context.Context, subject string) ([]Grant, error) {
	return p.grants(ctx, subject)
}

// RevokeGrant withdraws one of subject's grants: its codes and tokens stop at
// once, and consent is asked for again. A grant that is not subject's, or is
// gone already, is not an error.
func (p *Provider) RevokeGrant(ctx context.Context, subject, grantID string) error {
	return p.revokeGrant(ctx, subject, grantID)
}

// Protect returns middleware that admits requests with a live access token
// issued by this provider (RFC 6750), and answers the others with the
// challenge of RFC 6750 §3 and RFC 9728 §5.1. Signature, audience and lifetime
// are verified, and then the database is asked whether grant and client still
// stand; 503 when it cannot answer. The token must be in the Authorization
// header: one in the query, or within the first 64 KiB of a form, is refused.
// It lets OPTIONS through, so that preflights work. An option that names an
// undeclared scope or resource panics at start.
func (p *Provider) Protect(options ...ProtectOption) func(http.Handler) http.Handler {
	return p.protect(options...)
}

// ProtectOption narrows what [Provider.Protect] admits.
type ProtectOption func(*protection)

// RequireScope demands every scope named; a wider one that implies it will do.
func RequireScope(scopes ...string) ProtectOption {
	return func(p *protection) { p.scopes = append(p.scopes, scopes...) }
}

// ForResource demands that the token was issued for the resource with that
// identifier. Defaults to the first of Config.Resources.
func ForResource(identifier string) ProtectOption {
	return func(p *protection) { p.resource = identifier }
}

// AccessToken is a verified access token, as handlers behind
// [Provider.Protect] see it.
type AccessToken struct {
	// Subject is the host's own identifier of the user.
	Subject  string
	ClientID string
	GrantID  string
	// Scopes are what was granted. HasScope also knows what they imply.
	Scopes    []string
	Audience  []string
	IssuedAt  time.Time
	ExpiresAt time.Time

	// ClientOnly says that the client acts in its own name (RFC 6749 §4.4):
	// there is no user, Subject is the ClientID and GrantID is "". A client id
	// is never a user's subject, but a handler that acts for a user should
	// refuse such a token instead of looking its subject up.
	ClientOnly bool

	// goodFor are Scopes and what they imply.
	goodFor []string
	// claims are what userinfo may say beside what the scopes stand for.
	claims namedClaims
}

// HasScope reports whether the token is good for scope: it carries it, or one
// that implies it ([Scope.Implies]).
func (t *AccessToken) HasScope(scope string) bool {
	return slices.Contains(t.Scopes, scope) || slices.Contains(t.goodFor, scope)
}

type tokenKey struct{}

// TokenFrom returns the access token that [Provider.Protect] verified, and
// false where there is none.
func TokenFrom(ctx context.Context) (*AccessToken, bool) {
	token, ok := ctx.Value(tokenKey{}).(*AccessToken)
	return token, ok
}
