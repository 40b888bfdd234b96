package lockspire

import (
	"database/sql"
	"log/slog"
	"net/http"
	"time"
)

// Dialect names the SQL dialect of [Config.DB].
type Dialect string

// The supported dialects. There is no default: guessing from a driver's name
// fails with wrapped drivers.
const (
	PostgreSQL Dialect = "postgres"
	SQLite     Dialect = "sqlite"
)

// Config is what a host hands to [New]. The zero value is refused; every
// problem found is reported at once, by field name, from New and never on the
// first request.
type Config struct {
	// Issuer is the issuer identifier: an https URL without query or fragment,
	// whose path is the mount path, for example
	// "https://app.example/lockspire". http is accepted for loopback hosts
	// only. Clients compare it byte for byte (RFC 8414 §3.3). Required.
	Issuer string

	// MountPath is the URL path under which the host's router serves this
	// provider. Defaults to the path of Issuer; set it only where a proxy
	// strips or adds a prefix: "/" is no prefix at all.
	MountPath string

	// DB is the pool that holds the lockspire_* tables. Required.
	DB *sql.DB

	// Dialect is the SQL dialect of DB. Required.
	Dialect Dialect

	// Schema is the PostgreSQL schema of the lockspire_* tables, matching
	// [a-z_][a-z0-9_]{0,62}. Defaults to the connection's search path. It must
	// be empty on SQLite.
	Schema string

	// Accounts answers for the host's users. Required.
	Accounts AccountResolver

	// Pages renders what a person sees. Pages.Consent and Pages.AuthorizedApps
	// are required.
	Pages Pages

	// Secrets seal signing keys and derive tokens: at least one of at least 32
	// random bytes. The first is used for new rows; older ones stay listed
	// until nothing is sealed with them. Required.
	Secrets [][]byte

	// Scopes is the catalogue of scopes that clients may ask for. "openid" and
	// "offline_access" are always known and need no entry. Defaults to none.
	Scopes []Scope

	// Claims are the names of the claims about a user that Accounts.Claims can
	// supply when a client names them one by one (the claims parameter, OIDC
	// Core §5.5): standard ones such as "email", or the host's own. The user
	// is asked about them. Others that a client names are ignored. Defaults to
	// none.
	Claims []string

	// Resources are the protected APIs that tokens are issued for (RFC 8707).
	// The first is the default audience. Defaults to one resource whose
	// identifier is the origin of Issuer.
	Resources []Resource

	// TTLs are lifetimes. Each zero field takes its default.
	TTLs TTLs

	// ClientIP returns the address that per-address limits count, after
	// whatever proxy handling the host needs. Defaults to nil: no per-address
	// limit, since behind a proxy all users would share one address.
	ClientIP func(r *http.Request) string

	// Logger receives one line per refused request and per background fault,
	// and never a token, code, secret, cookie or query string. Defaults to
	// slog.Default().
	Logger *slog.Logger

	// Events receives a copy of every audit record after its transaction
	// committed. It must not block; it is called from request goroutines,
	// concurrently. Defaults to nil: audit rows and log lines only.
	Events func(Event)

	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
}

// Scope is one entry of the scope catalogue (RFC 6749 §3.3).
type Scope struct {
	// Name is the scope token on the wire. Required.
	Name string
	// Title is what the consent page calls it, in a few words. Defaults to
	// Name.
	Title string
	// Description is one sentence for the consent page. Defaults to "".
	Description string
	// Default says that a client which names no scope gets this one, if it may
	// have it at all. Defaults to false.
	Default bool
	// Optional says that the user may untick this scope on the consent page.
	// Defaults to false.
	Optional bool
	// Implies names scopes that come with this one, so that "notes:write" can
	// stand for "notes:read" too: Protect and Claims honour it, and so does
	// narrowing at a refresh. What the implied ones imply comes along. Each is
	// in the catalogue and is neither "openid" nor "offline_access"; a circle is
	// refused. Tokens carry the scopes that were granted, not what they imply,
	// so a new entry here widens the tokens that are out already. Defaults to
	// none.
	Implies []string
}

// Resource is a protected API (RFC 8707, RFC 9728).
type Resource struct {
	// Identifier is an absolute URL without fragment; it becomes the audience
	// of access tokens. Required.
	Identifier string
	// Name is shown on the consent page and in the resource metadata. Defaults
	// to Identifier.
	Name string
	// OpaqueAccessTokens says that access tokens for this resource are random
	// text with a row in the database, and not JWTs: nothing can be read from
	// them, and only this provider can say what they are good for, by Protect
	// or by introspection. Defaults to false. It has effect on new tokens.
	OpaqueAccessTokens bool
	// Scopes are the scopes this resource understands, for its metadata.
	// Defaults to every scope of the catalogue.
	Scopes []string
}

// TTLs are the lifetimes of what Lockspire issues.
type TTLs struct {
	// AccessToken: 1 minute to 24 hours. Defaults to 10 minutes.
	AccessToken time.Duration
	// IDToken: 1 minute to 24 hours. Defaults to 10 minutes.
	IDToken time.Duration
	// Code is the life of an authorization code: 10 to 60 seconds. Defaults to
	// 60 seconds (RFC 6749 §4.1.2 recommends at most ten minutes).
	Code time.Duration
	// RefreshIdle is how long an unused refresh token lives: 1 hour to
	// 1 year. Defaults to 30 days.
	RefreshIdle time.Duration
	// RefreshAbsolute bounds a family of refresh tokens, however often it is
	// rotated: RefreshIdle to 5 years. Defaults to 1 year.
	RefreshAbsolute time.Duration
	// RefreshReuseWindow is how long a rotated refresh token still answers
	// with its one successor, for clients that lost the response: 0 to
	// 5 minutes. Zero means the default of 60 seconds; negative means strict,
	// with no window.
	RefreshReuseWindow time.Duration
	// Interaction is how long a person may take from the authorization
	// request to consent: 5 minutes to 24 hours. Defaults to 60 minutes.
	Interaction time.Duration
	// Decision is how long a shown consent page can be answered: 1 minute to
	// 1 hour. Defaults to 10 minutes.
	Decision time.Duration
	// KeyRotation is how long a signing key signs before Run lets the next one
	// take over: 1 day to 2 years. Defaults to 90 days.
	KeyRotation time.Duration
	// JWKSMaxAge is how long clients may keep the key set without asking
	// again, and so how long a key is published before Run lets it sign:
	// 1 minute to 24 hours. Defaults to 5 minutes.
	JWKSMaxAge time.Duration
}
