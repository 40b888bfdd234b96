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

// SessionEnded says that the host's session with that id is over: the person
// signed out, an administrator ended it, or it ran out. The host calls it after
// the session is gone on its side, with the id it gave as [Account.SessionID].
//
// What began in the session and is not for while the person is away ends with
// it, in one transaction: its codes, and the access and refresh tokens of
// grants without "offline_access" (OIDC Back-Channel Logout §2.7). Grants with
// it go on, with no sid in later ID tokens. Consent pages that were shown in the
// session, and the requests behind them, are void. The person's consent stays
// remembered; [Provider.RevokeGrant] and [Provider.RevokeSubject] are for that.
//
// Calling it again, with an unknown id or with "" is no error and does nothing.
// An error means that nothing was changed. A request that was let in with the
// session just before may still be answered with a code.
func (p *Provider) SessionEnded(ctx context.Context, sessionID string) error {
	return p.endSession(ctx, sessionID)
}

// SessionRenewed says that the session goes on under another id, as it should
// when somebody signs in or gains privileges (session fixation). Consent pages
// that are open go on working, and what began in the session ends with
// [Provider.SessionEnded] of the new id. The sid claim of ID tokens stays what
// clients know. The host calls it once the new id is in effect.
//
// Do not call it where another person took over the browser: that is the end of
// one session and the beginning of another.
//
// Calling it again, with an unknown oldID or with "" as oldID does nothing; an
// empty newID is an error. An error means that nothing was changed.
func (p *Provider) SessionRenewed(ctx context.Context, oldID, newID string) error {
	return p.renewSession(ctx, oldID, newID)
}

// RevokeSubject ends everything that subject has allowed: every grant, code,
// access and refresh token and every open consent page, for all clients, in one
// transaction. [Provider.Protect] and userinfo refuse from the next request on;
// a service that verifies JWTs by itself sees it when they end. It is what a
// host calls when an account is disabled or taken over, or by "sign out
// everywhere". Consent is asked for afresh; an account that must not come back
// has to be refused by the resolver too.
//
// reason is a few words for the audit log, cut at 200 bytes; it should not name
// anybody. Calling it again does nothing. An empty subject is an error, since
// nothing would be revoked; any error means that nothing was changed.
func (p *Provider) RevokeSubject(ctx context.Context, subject, reason string) error {
	return p.revokeSubject(ctx, subject, reason)
}

// EraseSubject removes subject from the tables, for a person who is erased from
// the host (GDPR Art. 17). Everything ends as by [Provider.RevokeSubject] in the
// first transaction; then the rows are deleted in batches, with the evidence of
// replay among them, since a token without its row is dead as well. Audit rows
// stay, with a random name in place of the subject that is the same for all of
// them and is kept nowhere else, and without the reasons of revocations.
//
// Call it after the account is gone in the host, or a sign-in that is under way
// writes new rows. Calling it again does nothing, or finishes a call that was
// cut short; an error means that it has to be called again. An empty subject is
// an error. What Config.Events and the logger were told before is the host's to
// erase.
func (p *Provider) EraseSubject(ctx context.Context, subject string) error {
	return p.eraseSubject(ctx, subject)
}

// Protect returns middleware that admits requests with a live access token
// issued by this provider (RFC 6750), and answers the others with the
// challenge of RFC 6750 §3, RFC 9470 §3 and RFC 9728 §5.1. Signature, audience and lifetime
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
	return func(p *protection) { p.Scopes = append(p.Scopes, scopes...) }
}

// ForResource demands that the token was issued for the resource with that
// identifier. Defaults to the first of Config.Resources.
func ForResource(identifier string) ProtectOption {
	return func(p *protection) { p.resource = identifier }
}

// RequireACR demands that the user signed in with one of the authentication
// contexts named, in order of preference ([Account.ACR]). A request with another
// is answered 401 insufficient_user_authentication with acr_values, by which the
// client knows what to ask for (RFC 9470 §3). A token of the client credentials
// grant never meets it. Protect panics at start on no value, and on one that no
// acr can be.
func RequireACR(values ...string) ProtectOption {
	return func(p *protection) { p.Demands.RequireACR(values...) }
}

// RequireMaxAge demands that the user signed in at most age ago
// ([Account.AuthTime], whole seconds), however young the token is. A request with
// an older or unknown time is answered 401 insufficient_user_authentication with
// max_age (RFC 9470 §3). A token of the client credentials grant never meets it.
// Protect panics at start on less than a second.
func RequireMaxAge(age time.Duration) ProtectOption {
	return func(p *protection) { p.Demands.RequireMaxAge(age) }
}

// CheckAccount asks [AccountResolver.AccountBySubject] about the user on each
// request, after everything else was found good: [ErrAccountGone] refuses the
// token, any other error is a 503. It is for hosts that cannot call
// [Provider.RevokeSubject] when an account is disabled; it costs what the resolver
// costs. Tokens of the client credentials grant have no user to ask about.
func CheckAccount() ProtectOption {
	return func(p *protection) { p.checkAccount = true }
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
	// ACR and AuthTime say how and when the user signed in; empty and zero
	// where the host did not say.
	ACR      string
	AuthTime time.Time

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
