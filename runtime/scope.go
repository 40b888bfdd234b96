package lockspire

import (
	"errors"
	"slices"
	"strings"
)

// Bounds on the scope parameter; a request beyond them is no honest one.
const (
	maxScopeBytes  = 2 << 10
	maxScopeTokens = 50
)

const (
	scopeOpenID  = "openid"
	scopeOffline = "offline_access"
)

var errScopeSyntax = errors.New("scope is not a list of scope tokens")

// parseScope splits the scope parameter into its tokens, in order and without
// repetition (RFC 6749 §3.3). The empty string has no tokens.
func parseScope(s string) ([]string, error) {
	if len(s) > maxScopeBytes {
		return nil, errScopeSyntax
	}
	var tokens []string
	for _, token := range strings.Split(s, " ") {
		if token == "" {
			// The grammar has single spaces only; clients in the field send
			// doubled and trailing ones, and nothing hides in them.
			continue
		}
		for i := 0; i < len(token); i++ {
			// scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
			if c := token[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
				return nil, errScopeSyntax
			}
		}
		if !slices.Contains(tokens, token) {
			tokens = append(tokens, token)
		}
		if len(tokens) > maxScopeTokens {
			return nil, errScopeSyntax
		}
	}
	return tokens, nil
}

// identityScopes are the scopes that a client may send along without knowing
// whether this provider has them (OIDC Core §3.1.2.1, §11).
var identityScopes = []string{scopeOpenID, "profile", "email", "address", "phone", scopeOffline}

// requestedScopes turns the scope parameter of client into the scopes to ask
// the user for. With "openid" among them, identity scopes that are unknown or
// not allowed are left out; anything else unknown is invalid_scope (RFC 6749
// §3.3). No parameter means the client's defaults.
func (p *Provider) requestedScopes(client Client, parameter string) ([]string, error) {
	tokens, err := parseScope(parameter)
	if err != nil {
		return nil, &oauthError{code: "invalid_scope", description: "The scope parameter is malformed."}
	}
	if len(tokens) == 0 {
		tokens = p.defaultScopes(client)
	}
	withOpenID := slices.Contains(tokens, scopeOpenID)
	var scopes []string
	for _, token := range tokens {
		switch {
		case p.mayAsk(client, token):
			scopes = append(scopes, token)
		case withOpenID && slices.Contains(identityScopes, token):
			// left out; the token response states what was granted
		default:
			return nil, &oauthError{code: "invalid_scope", description: "A requested scope is unknown or not allowed to this client."}
		}
	}
	if len(scopes) == 0 {
		return nil, &oauthError{code: "invalid_scope", description: "No requested scope is allowed to this client."}
	}
	return scopes, nil
}

// mayAsk reports whether scope exists and client may have it. A client that may
// have a scope may ask for less, which is what it implies. Offline access means
// a refresh token, so it needs that grant type (OIDC Core §11).
func (p *Provider) mayAsk(client Client, scope string) bool {
	if !slices.Contains(p.hierarchy.with(client.Scopes), scope) {
		return false
	}
	switch scope {
	case scopeOpenID:
		return true
	case scopeOffline:
		return slices.Contains(client.GrantTypes, grantRefreshToken)
	}
	_, known := p.scope(scope)
	return known
}

func (p *Provider) defaultScopes(client Client) []string {
	var scopes []string
	for _, scope := range p.config.Scopes {
		if scope.Default && p.mayAsk(client, scope.Name) {
			scopes = append(scopes, scope.Name)
		}
	}
	return scopes
}

// scope returns the catalogue entry of name. The two protocol scopes have one
// even when the host's catalogue does not name them.
func (p *Provider) scope(name string) (Scope, bool) {
	for _, scope := range p.config.Scopes {
		if scope.Name == name {
			return scope, true
		}
	}
	switch name {
	case scopeOpenID:
		return Scope{Name: name, Title: "Sign you in", Description: "Learn who you are in this app."}, true
	case scopeOffline:
		return Scope{Name: name, Title: "Stay connected", Description: "Keep this access when you are not using the app."}, true
	}
	return Scope{}, false
}

// inCatalogueOrder returns scopes as entries, "openid" first, then as the host
// listed them, then "offline_access". Names that left the catalogue since come
// last, under their own name: hiding them would hide what was allowed.
func (p *Provider) inCatalogueOrder(scopes []string) []Scope {
	order := []string{scopeOpenID}
	for _, scope := range p.config.Scopes {
		if scope.Name != scopeOpenID && scope.Name != scopeOffline {
			order = append(order, scope.Name)
		}
	}
	order = append(order, scopeOffline)
	var entries []Scope
	for _, name := range order {
		if slices.Contains(scopes, name) {
			entry, _ := p.scope(name)
			entries = append(entries, entry)
		}
	}
	for _, name := range scopes {
		if !slices.Contains(order, name) {
			entries = append(entries, Scope{Name: name, Title: name})
		}
	}
	return entries
}

// joinScopes is how scopes are written (RFC 6749 §3.3).
func joinScopes(scopes []string) string { return strings.Join(scopes, " ") }

// subset reports whether every element of part is in whole.
func subset(part, whole []string) bool {
	for _, s := range part {
		if !slices.Contains(whole, s) {
			return false
		}
	}
	return true
}

// union returns a followed by what only b has.
func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}
