package lockspire

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// ErrClientNotFound says that no client has that id.
var ErrClientNotFound = errors.New("lockspire: client not found")

// How a client proves who it is (RFC 6749 §2.3, RFC 7591 §2).
const (
	AuthNone              = "none"
	AuthClientSecretBasic = "client_secret_basic"
	AuthClientSecretPost  = "client_secret_post"
)

// Client is a registered application.
type Client struct {
	ID   string
	Name string
	// AuthMethod is the token_endpoint_auth_method. A client uses exactly the
	// registered one.
	AuthMethod string
	// RedirectURIs are compared byte for byte; loopback ones ignore the port
	// (RFC 8252 §7.3).
	RedirectURIs []string
	// GrantTypes are among "authorization_code", "refresh_token" and
	// "client_credentials". A resource server may have none.
	GrantTypes []string
	// Scopes are what the client may ask for, "openid" and "offline_access"
	// included.
	Scopes []string
	// Resources are the identifiers the client may ask tokens for. Empty means
	// all of Config.Resources.
	Resources []string
	// IDTokenAlg is id_token_signed_response_alg, "RS256" or "ES256".
	IDTokenAlg string
	// OpaqueAccessTokens gives the client access tokens that are random text
	// and not JWTs, whatever they are for; see [Resource].
	OpaqueAccessTokens bool
	// Trusted says that an operator vouches for the client: its consent may be
	// remembered even when it is public, and it may use prompt=none.
	Trusted bool
	// IntrospectsFor are the identifiers of the resources that the client is
	// the server of: it may introspect access tokens that are meant for them,
	// whoever's they are (RFC 7662). Only an operator sets it.
	IntrospectsFor []string
	// IntrospectionAlg is introspection_signed_response_alg, "RS256" or "ES256":
	// what answers are signed with that the client asks for as JWTs (RFC 9701
	// §6).
	IntrospectionAlg string
	// PKCEOptional lets a confidential client leave code_challenge out, for old
	// software that cannot send one. Only an operator sets it. Then its
	// redirect_uri is mandatory at the token endpoint.
	PKCEOptional bool
	// URI, PolicyURI and TOSURI are https links shown on the consent page.
	URI, PolicyURI, TOSURI string

	CreatedAt, UpdatedAt time.Time
	// DisabledAt is zero for a live client.
	DisabledAt time.Time
}

// Confidential reports whether the client holds a secret.
func (c Client) Confidential() bool { return c.AuthMethod != AuthNone }

// NewClient is what [Clients.Create] takes.
type NewClient struct {
	// Name is shown to users. Required.
	Name string
	// RedirectURIs: at least one, each https, loopback http, or a private-use
	// scheme with a dot. No fragment, userinfo or wildcard. Required with the
	// authorization_code grant.
	RedirectURIs []string
	// AuthMethod defaults to AuthClientSecretBasic.
	AuthMethod string
	// GrantTypes default to authorization_code and refresh_token.
	// client_credentials (RFC 6749 §4.4) is for confidential clients: it gives
	// them tokens with no user behind them.
	GrantTypes []string
	// Scopes default to openid. A client that only has the client_credentials
	// grant has no default: openid and offline_access are about users.
	Scopes []string
	// Resources default to none, which means all.
	Resources []string
	// IDTokenAlg defaults to RS256.
	IDTokenAlg string
	// OpaqueAccessTokens defaults to false.
	OpaqueAccessTokens bool
	// Trusted defaults to false.
	Trusted bool
	// IntrospectsFor defaults to none. A client that has it and is given
	// neither GrantTypes nor RedirectURIs gets no grant types: a resource
	// server that asks for no tokens itself.
	IntrospectsFor []string
	// IntrospectionAlg defaults to RS256.
	IntrospectionAlg string
	// PKCEOptional defaults to false.
	PKCEOptional bool
	// URI, PolicyURI and TOSURI default to "".
	URI, PolicyURI, TOSURI string
}

// Clients manages client registrations. Its methods are safe for concurrent
// use, also by several processes.
type Clients struct {
	store *store
	now   func() time.Time
	// emit tells a provider's event sink; nil for tools.
	emit func(ctx context.Context, events ...Event)
}

// NewClients returns the registry of the tables in db, for tools that have no
// [Provider]. It does not touch the database.
func NewClients(db *sql.DB, dialect Dialect, schema string) *Clients {
	return &Clients{store: newStore(db, dialect, schema), now: time.Now}
}

// Create registers a client and returns it with its secret, which is stored
// only as a hash and cannot be shown again. The secret is "" for AuthNone.
// Invalid metadata is an error that names the field.
func (c *Clients) Create(ctx context.Context, n NewClient) (Client, string, error) {
	return c.create(ctx, n)
}

// Get returns a client, live or disabled, or ErrClientNotFound.
func (c *Clients) Get(ctx context.Context, clientID string) (Client, error) {
	return c.get(ctx, clientID)
}

// List returns all clients, newest first.
func (c *Clients) List(ctx context.Context) ([]Client, error) { return c.list(ctx) }

// Disable stops a client at once, with its codes and tokens, or returns
// ErrClientNotFound. Disabling twice is not an error.
func (c *Clients) Disable(ctx context.Context, clientID string) error {
	return c.disable(ctx, clientID)
}
