package lockspire

import (
	"net/http"
	"slices"
)

const grantClientCredentials = "client_credentials"

// clientCredentials gives a client a token in its own name (RFC 6749 §4.4).
// There is no user, and so no family, refresh token or ID token: the token
// lives as long as its client is enabled and it was not revoked by itself.
func (p *Provider) clientCredentials(r *http.Request, client Client, form params) (*tokenResponse, error) {
	if !client.Confidential() {
		// Anyone can send a public client's id.
		return nil, errGrantNotAllowed
	}
	scopes, err := p.machineScopes(client, form.get("scope"))
	if err != nil {
		return nil, err
	}
	resources, _, err := p.requestedResources(client, form.all("resource"))
	if err != nil {
		return nil, err
	}
	if len(resources) > 1 {
		return nil, &oauthError{code: "invalid_target", description: "An access token is for one resource; name one."}
	}
	issued := issuance{scopes: scopes, audience: resources, family: family{
		clientID: client.ID, subject: client.ID, expiresAt: p.now().Add(p.config.TTLs.AccessToken),
	}}
	response, err := p.signTokens(r.Context(), client, issued)
	if err != nil {
		return nil, err
	}
	e := newEvent(p.now(), "client_token.issued")
	e.ClientID = client.ID
	e.Detail = map[string]string{"scope": response.Scope, "resource": resources[0]}
	steps, err := response.opaque.steps()
	if err != nil {
		return nil, err
	}
	record, err := e.step()
	if err != nil {
		return nil, err
	}
	if _, err := p.store.chain(r.Context(), append(steps, record)...); err != nil {
		return nil, err
	}
	p.emit(r.Context(), e)
	return response, nil
}

// machineScopes turns the scope parameter into the scopes of a token that has
// no user behind it. Nobody is signed in and nobody is away, so openid and
// offline_access mean nothing here and are refused, not left out: a client that
// asks for them expects an ID token or a refresh token.
func (p *Provider) machineScopes(client Client, parameter string) ([]string, error) {
	tokens, err := parseScope(parameter)
	if err != nil {
		return nil, &oauthError{code: "invalid_scope", description: "The scope parameter is malformed."}
	}
	if len(tokens) == 0 {
		tokens = slices.DeleteFunc(p.defaultScopes(client), userScope)
	}
	if len(tokens) == 0 {
		// RFC 6749 §3.3: without a default the request fails.
		return nil, &oauthError{code: "invalid_scope", description: "The scope is missing, and this client has no default scope."}
	}
	for _, token := range tokens {
		if userScope(token) || !p.mayAsk(client, token) {
			return nil, &oauthError{code: "invalid_scope", description: "A requested scope is unknown or not allowed to this client."}
		}
	}
	return tokens, nil
}

// userScope reports whether scope only means something where there is a user.
func userScope(scope string) bool { return scope == scopeOpenID || scope == scopeOffline }
