package lockspire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxStateBytes bounds the state that is stored and given back.
const maxStateBytes = 4 << 10

// authorizeParameters are the single-valued parameters of an authorization
// request (RFC 6749 §4.1.1, RFC 7636 §4.3, OIDC Core §3.1.2.1).
var authorizeParameters = []string{
	"response_type", "client_id", "redirect_uri", "scope", "state", "response_mode",
	"code_challenge", "code_challenge_method", "nonce", "display", "prompt", "max_age",
	"ui_locales", "claims_locales", "id_token_hint", "login_hint", "acr_values", "claims",
	"request", "request_uri", "registration", "dpop_jkt", "authorization_details",
}

// authRequest is a validated authorization request. It is kept as JSON with
// its interaction, so nothing of it comes from the browser a second time.
type authRequest struct {
	ClientID      string   `json:"client_id"`
	RedirectURI   string   `json:"redirect_uri"`
	State         string   `json:"state,omitempty"`
	Nonce         string   `json:"nonce,omitempty"`
	CodeChallenge string   `json:"code_challenge"`
	Scopes        []string `json:"scopes"`
	Resources     []string `json:"resources"`
	// ResourceNamed says that Resources came from the request and not from
	// the default.
	ResourceNamed bool `json:"resource_named,omitempty"`

	Prompt      []string `json:"prompt,omitempty"`
	MaxAge      *int64   `json:"max_age,omitempty"`
	HintSubject string   `json:"hint_subject,omitempty"`
	LoginHint   string   `json:"login_hint,omitempty"`
	ACRValues   []string `json:"acr_values,omitempty"`
	UILocales   []string `json:"ui_locales,omitempty"`
	// Claims are named by the claims parameter. ACRDemanded says that only a
	// login of EssentialACR will do, or of any acr when that is empty.
	Claims       namedClaims `json:"claims,omitzero"`
	EssentialACR []string    `json:"essential_acr,omitempty"`
	ACRDemanded  bool        `json:"acr_demanded,omitempty"`
	// FormPost says that the answer goes by response_mode=form_post.
	FormPost bool `json:"form_post,omitempty"`
	// RequestedAt is when the request came in, in Unix seconds.
	RequestedAt int64 `json:"requested_at"`

	// Judged says that the two below have been decided, from the account that
	// was signed in when the request came.
	Judged bool `json:"judged,omitempty"`
	// NeedFresh demands a login later than SeenAuthTime (Unix seconds, zero
	// when none was seen).
	NeedFresh    bool  `json:"need_fresh,omitempty"`
	SeenAuthTime int64 `json:"seen_auth_time,omitempty"`
}

// parseAuthRequest reads a request from its row.
func parseAuthRequest(stored string) (*authRequest, error) {
	var q *authRequest
	err := json.Unmarshal([]byte(stored), &q)
	if err == nil && (q == nil || q.ClientID == "" || q.RedirectURI == "") {
		err = errors.New("it names no client or redirect URI")
	}
	if err != nil {
		return nil, fmt.Errorf("reading a stored authorization request: %w", err)
	}
	return q, nil
}

func (q *authRequest) target() *redirectTarget {
	return &redirectTarget{uri: q.RedirectURI, state: q.State, formPost: q.FormPost}
}

func (q *authRequest) prompts(value string) bool { return slices.Contains(q.Prompt, value) }

// readAuthRequest checks every parameter but client_id and redirect_uri.
func (p *Provider) readAuthRequest(ctx context.Context, client Client, query params) (*authRequest, error) {
	if err := checkOffered(client, query); err != nil {
		return nil, err
	}
	request := &authRequest{
		ClientID:      client.ID,
		Nonce:         query.get("nonce"),
		CodeChallenge: query.get("code_challenge"),
		LoginHint:     query.get("login_hint"),
		ACRValues:     strings.Fields(query.get("acr_values")),
		UILocales:     strings.Fields(query.get("ui_locales")),
		RequestedAt:   p.now().Unix(),
	}
	var err error
	if request.Scopes, err = p.requestedScopes(client, query.get("scope")); err != nil {
		return nil, err
	}
	if request.Resources, request.ResourceNamed, err = p.requestedResources(client, query.all("resource")); err != nil {
		return nil, err
	}
	if request.Prompt, err = parsePrompt(query.get("prompt")); err != nil {
		return nil, err
	}
	if request.MaxAge, err = parseMaxAge(query.get("max_age")); err != nil {
		return nil, err
	}
	if hint := query.get("id_token_hint"); hint != "" {
		if request.HintSubject, err = p.hintedSubject(ctx, client, hint); err != nil {
			return nil, err
		}
	}
	return request, p.readClaims(request, query.get("claims"))
}

// checkOffered refuses what no client gets from this endpoint, or this client
// does not: response modes and types, requests by reference, no PKCE.
func checkOffered(client Client, query params) error {
	if len(query.get("state")) > maxStateBytes {
		return badRequest("The state parameter is too long.")
	}
	// Fragment and web_message are not offered, and an app behind a private-use
	// scheme cannot be posted to.
	mode, uri := query.get("response_mode"), query.get("redirect_uri")
	if mode != "" && mode != modeQuery && (mode != modeFormPost || !formPostable(uri)) {
		return badRequest("The response_mode is not supported.")
	}
	if err := query.check(authorizeParameters...); err != nil {
		return err
	}
	// Nothing is fetched, and no parameter is taken from elsewhere (OIDC Core
	// §6, §7.2.1).
	for _, name := range []string{"request", "request_uri", "registration"} {
		if query.get(name) != "" {
			return &oauthError{code: name + "_not_supported", description: "The " + name + " parameter is not supported."}
		}
	}
	switch query.get("response_type") {
	case "code":
	case "":
		return badRequest("The response_type is missing.")
	default:
		return &oauthError{code: "unsupported_response_type", description: "The response_type must be code."}
	}
	if !slices.Contains(client.GrantTypes, grantAuthorizationCode) {
		return &oauthError{code: "unauthorized_client", description: "The client may not use the authorization code grant."}
	}
	// RFC 7636 §4.4.1; "plain", also by leaving the method out, is refused.
	method, challenge := query.get("code_challenge_method"), query.get("code_challenge")
	without := client.mayOmitPKCE() && method == "" && challenge == ""
	if !without && (method != "S256" || !validChallenge(challenge)) {
		return badRequest("A code_challenge with method S256 is required.")
	}
	return nil
}

// parsePrompt reads prompt (OIDC Core §3.1.2.1). Unknown values are ignored,
// but none stands alone.
func parsePrompt(s string) ([]string, error) {
	values := strings.Fields(s)
	if slices.Contains(values, "none") && len(values) > 1 {
		return nil, badRequest("The prompt value none must be alone.")
	}
	return values, nil
}

// parseMaxAge reads max_age, whole seconds. Zero demands a new login.
func parseMaxAge(s string) (*int64, error) {
	if s == "" {
		return nil, nil
	}
	seconds, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return nil, badRequest("The max_age parameter is not a number of seconds.")
	}
	age := int64(seconds)
	return &age, nil
}

// hintedSubject returns the sub of an ID token that this issuer gave to this
// client. An expired one still says who is meant (OIDC Core §3.1.2.1).
func (p *Provider) hintedSubject(ctx context.Context, client Client, hint string) (string, error) {
	bad := badRequest("The id_token_hint is not an ID token of this issuer for this client.")
	claims, err := p.keys.verify(ctx, hint, client.IDTokenAlg, typIDToken)
	if errors.Is(err, errBadJWT) {
		return "", bad
	}
	if err != nil {
		return "", err
	}
	var issuer, audience, subject string
	for name, target := range map[string]*string{"iss": &issuer, "aud": &audience, "sub": &subject} {
		if json.Unmarshal(claims[name], target) != nil {
			return "", bad
		}
	}
	if issuer != p.config.Issuer || audience != client.ID || subject == "" {
		return "", bad
	}
	return subject, nil
}
