package lockspire

import (
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
)

// The well-known names (RFC 8414 §3, OIDC Discovery §4, RFC 9728 §3).
const (
	wellKnownOIDC     = "/.well-known/openid-configuration"
	wellKnownServer   = "/.well-known/oauth-authorization-server"
	wellKnownResource = "/.well-known/oauth-protected-resource"
)

// serverMetadata is the authorization server metadata (RFC 8414 §2), which is
// also the OpenID provider configuration (OIDC Discovery §3). A member whose
// absence would mean "yes", or would leave a client guessing, has no omitempty.
type serverMetadata struct {
	Issuer                string `json:"issuer"`
	AuthorizationEndpoint string `json:"authorization_endpoint"`
	TokenEndpoint         string `json:"token_endpoint"`
	UserinfoEndpoint      string `json:"userinfo_endpoint"`
	RevocationEndpoint    string `json:"revocation_endpoint"`
	IntrospectionEndpoint string `json:"introspection_endpoint"`
	JWKSURI               string `json:"jwks_uri"`

	ScopesSupported        []string `json:"scopes_supported"`
	ResponseTypesSupported []string `json:"response_types_supported"`
	ResponseModesSupported []string `json:"response_modes_supported"`
	GrantTypesSupported    []string `json:"grant_types_supported"`
	SubjectTypesSupported  []string `json:"subject_types_supported"`
	IDTokenAlgs            []string `json:"id_token_signing_alg_values_supported"`
	TokenAuthMethods       []string `json:"token_endpoint_auth_methods_supported"`
	RevocationAuthMethods  []string `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectAuthMethods  []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAlgs      []string `json:"introspection_signing_alg_values_supported"`
	CodeChallengeMethods   []string `json:"code_challenge_methods_supported"`
	ClaimTypesSupported    []string `json:"claim_types_supported"`
	ClaimsSupported        []string `json:"claims_supported"`
	PromptValues           []string `json:"prompt_values_supported"`

	IssParameter               bool `json:"authorization_response_iss_parameter_supported"`
	ClaimsParameter            bool `json:"claims_parameter_supported"`
	RequestParameter           bool `json:"request_parameter_supported"`
	RequestURIParameter        bool `json:"request_uri_parameter_supported"`
	RequireRequestRegistration bool `json:"require_request_uri_registration"`

	ProtectedResources []string `json:"protected_resources"`
}

// resourceMetadata is the protected resource metadata (RFC 9728 §2).
type resourceMetadata struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	ScopesSupported      []string `json:"scopes_supported,omitempty"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	ResourceName         string   `json:"resource_name,omitempty"`
}

// metadata holds the published documents. They follow from the configuration,
// which does not change after New.
type metadata struct {
	server document
	// resources by root path, and the query after it where the identifier
	// has one.
	resources map[string]document
	// paths are the root paths without their queries, each once.
	paths []string
}

// newMetadata encodes the documents of config, whose defaults are filled in.
func newMetadata(config Config) (metadata, error) {
	m := metadata{resources: map[string]document{}}
	var err error
	if m.server, err = newDocument(describeServer(config)); err != nil {
		return m, err
	}
	for _, resource := range config.Resources {
		path, ok := resourceMetadataPath(config.Issuer, resource.Identifier)
		if !ok {
			continue
		}
		doc, err := newDocument(describeResource(config, resource))
		if err != nil {
			return m, err
		}
		if !slices.Contains(m.paths, path) {
			m.paths = append(m.paths, path)
		}
		m.resources[path+resourceQuery(resource.Identifier)] = doc
	}
	return m, nil
}

func describeServer(config Config) serverMetadata {
	authMethods := []string{AuthNone, AuthClientSecretBasic, AuthClientSecretPost}
	m := serverMetadata{
		Issuer:                config.Issuer,
		AuthorizationEndpoint: config.Issuer + "/authorize",
		TokenEndpoint:         config.Issuer + "/token",
		UserinfoEndpoint:      config.Issuer + "/userinfo",
		RevocationEndpoint:    config.Issuer + "/revoke",
		IntrospectionEndpoint: config.Issuer + "/introspect",
		JWKSURI:               config.Issuer + "/jwks",

		ScopesSupported:        append([]string{"openid", "offline_access"}, catalogue(config)...),
		ResponseTypesSupported: []string{"code"},
		ResponseModesSupported: []string{modeQuery, modeFormPost},
		GrantTypesSupported:    []string{grantAuthorizationCode, grantRefreshToken, grantClientCredentials},
		SubjectTypesSupported:  []string{"public"},
		IDTokenAlgs:            []string{algRS256, algES256},
		TokenAuthMethods:       authMethods,
		RevocationAuthMethods:  authMethods,
		IntrospectAuthMethods:  authMethods[1:],
		IntrospectionAlgs:      []string{algRS256, algES256},
		CodeChallengeMethods:   []string{"S256"},
		ClaimTypesSupported:    []string{"normal"},
		ClaimsSupported:        []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"},
		PromptValues:           []string{"none", "login", "consent", "select_account", "create"},

		IssParameter:       true,
		ClaimsParameter:    true,
		ProtectedResources: []string{},
	}
	m.ClaimsSupported = append(m.ClaimsSupported, union(standardClaims(catalogue(config)), config.Claims)...)
	for _, resource := range config.Resources {
		m.ProtectedResources = append(m.ProtectedResources, resource.Identifier)
	}
	return m
}

func describeResource(config Config, resource Resource) resourceMetadata {
	m := resourceMetadata{
		Resource:             resource.Identifier,
		AuthorizationServers: []string{config.Issuer},
		BearerMethods:        []string{"header"},
		ResourceName:         resource.Name,
	}
	scopes := resource.Scopes
	if scopes == nil {
		scopes = catalogue(config)
	}
	// openid and offline_access are asked of the authorization server; no
	// resource understands them (MCP SEP-2207).
	for _, scope := range scopes {
		if scope != "openid" && scope != "offline_access" {
			m.ScopesSupported = append(m.ScopesSupported, scope)
		}
	}
	return m
}

// catalogue lists the host's scopes in their order, without the two that are
// always known.
func catalogue(config Config) []string {
	names := []string{}
	for _, scope := range config.Scopes {
		if scope.Name != "openid" && scope.Name != "offline_access" {
			names = append(names, scope.Name)
		}
	}
	return names
}

// standardClaims lists the claims of OIDC Core §5.4 that scopes stand for.
func standardClaims(scopes []string) []string {
	names := []string{}
	for claim, scope := range scopeOfClaim {
		for _, have := range scopes {
			if have == scope {
				names = append(names, claim)
			}
		}
	}
	sort.Strings(names)
	return names
}

// resourceMetadataPath is the decoded URL path where the metadata of a resource is published: the
// well-known name goes between host and path (RFC 9728 §3.1). It reports false
// for a resource on another origin, whose well-known paths are not ours.
func resourceMetadataPath(issuer, identifier string) (string, bool) {
	ours, err := url.Parse(issuer)
	if err != nil {
		return "", false
	}
	theirs, err := url.Parse(identifier)
	if err != nil || !strings.EqualFold(ours.Scheme, theirs.Scheme) || !strings.EqualFold(ours.Host, theirs.Host) {
		return "", false
	}
	path := theirs.Path
	if path == "/" {
		path = ""
	}
	return wellKnownResource + path, true
}

// resourceQuery is the query of a resource identifier with its "?", which is
// part of where the metadata is (RFC 9728 §3.1), or "".
func resourceQuery(identifier string) string {
	if _, query, found := strings.Cut(identifier, "?"); found && query != "" {
		return "?" + query
	}
	return ""
}

// resourceMetadataURL is what a challenge points to, or "".
func resourceMetadataURL(issuer, identifier string) string {
	path, ok := resourceMetadataPath(issuer, identifier)
	if !ok {
		return ""
	}
	u, err := url.Parse(identifier)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + (&url.URL{Path: path}).EscapedPath() + resourceQuery(identifier)
}

func (p *Provider) resourceMetadataPaths() []string {
	return append([]string(nil), p.metadata.paths...)
}

// serveMetadata answers OpenID Connect discovery and RFC 8414, in every place
// where clients look for them. One document serves both.
func (p *Provider) serveMetadata(w http.ResponseWriter, r *http.Request) {
	p.metadata.server.serve(w, r)
}

// serveResourceMetadata answers RFC 9728 for the resource whose document lives
// at the request's path and query. A query that is no resource's is ignored.
func (p *Provider) serveResourceMetadata(w http.ResponseWriter, r *http.Request) {
	doc, ok := p.metadata.resources[r.URL.Path+"?"+r.URL.RawQuery]
	if !ok {
		doc, ok = p.metadata.resources[r.URL.Path]
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	doc.serve(w, r)
}

// serveJWKS publishes the public halves of the signing keys (RFC 7517).
func (p *Provider) serveJWKS(w http.ResponseWriter, r *http.Request) {
	// A key that was revoked is gone at once, a new one is there within
	// keyRefresh. A fault is no reason to withhold the keys that are known.
	err := p.keys.settle(r.Context())
	if err == nil {
		err = p.keys.refresh(r.Context(), keyRefresh)
	}
	if err != nil {
		p.config.Logger.WarnContext(r.Context(), "lockspire: reading the signing keys failed; serving the known ones")
	}
	p.keys.jwks().serve(w, r)
}
