package lockspire

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
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

func (q *authRequest) target() *redirectTarget {
	return &redirectTarget{uri: q.RedirectURI, state: q.State, formPost: q.FormPost}
}

func (q *authRequest) prompts(value string) bool { return slices.Contains(q.Prompt, value) }

// serveAuthorize is the authorization endpoint (RFC 6749 §3.1). It reads top
// to bottom: who asks and where the answer may go; what is asked; who is
// signed in; then a code, the host's login or the consent page.
func (p *Provider) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	query := parseParams(r.URL.RawQuery)
	form := asPage
	var err error
	switch {
	case r.Method == http.MethodPost:
		form, err = asLeavePage, p.authorizePosted(w, r, query.with(formOf(r)))
	case len(query.values["client_id"]) == 0 && query.get(postedParam) != "":
		form, err = asLeavePage, p.continuePosted(w, r, query.get(postedParam))
	default:
		err = p.authorize(w, r, query)
	}
	if err != nil {
		p.fail(w, r, err, form)
	}
}

func (p *Provider) authorize(w http.ResponseWriter, r *http.Request, query params) error {
	client, request, err := p.validRequest(r, query)
	if err != nil {
		return err
	}
	return p.begin(w, r, client, request, asPage)
}

// authorizePosted takes a request by POST (OIDC Core §3.1.2.1). It is checked
// as any other, and answered by a GET.
func (p *Provider) authorizePosted(w http.ResponseWriter, r *http.Request, form params) error {
	client, request, err := p.validRequest(r, form)
	if err != nil {
		return err
	}
	return p.storePosted(w, r, client, request)
}

// continuePosted goes on with a request that came by POST.
func (p *Provider) continuePosted(w http.ResponseWriter, r *http.Request, id string) error {
	client, request, err := p.takePosted(r.Context(), id)
	if err != nil {
		return err
	}
	infoOf(r).clientID = client.ID
	return p.begin(w, r, client, request, asLeavePage)
}

// validRequest checks a whole request: where the answer may go first, since
// that decides how the rest is refused.
func (p *Provider) validRequest(r *http.Request, query params) (Client, *authRequest, error) {
	client, target, err := p.provenTarget(r, query)
	if err != nil {
		return Client{}, nil, err
	}
	request, err := p.readAuthRequest(r.Context(), client, query)
	if err != nil {
		return Client{}, nil, asOAuthError(err).to(target)
	}
	request.RedirectURI, request.State, request.FormPost = target.uri, target.state, target.formPost
	return client, request, nil
}

// begin answers a valid request: who is signed in decides what comes next. A
// form that was posted before this is what form says.
func (p *Provider) begin(w http.ResponseWriter, r *http.Request, client Client, request *authRequest, form errorForm) error {
	target := request.target()
	if request.prompts("none") && !mayRemember(client, request.RedirectURI) {
		// Before anything is known of the account, so that a program which
		// poses as this client learns nothing (RFC 8252 §8.6).
		return errConsentRequired.to(target)
	}
	account, err := p.currentAccount(r)
	if err != nil && !errors.Is(err, ErrAccountGone) {
		return err
	}
	if account == nil && !request.prompts("none") && r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		return p.askAgain(w, r, client, request)
	}
	request.judge(account, infoOf(r).arrived)
	if account == nil || request.demandsLogin(account) {
		if request.prompts("none") {
			return errLoginRequired.to(target)
		}
		return p.beginLogin(w, r, client, request)
	}
	return p.beginConsent(w, r, client, request, *account, form)
}

var (
	errLoginRequired   = &oauthError{code: "login_required", description: "The user has to sign in."}
	errUnmet           = &oauthError{code: "unmet_authentication_requirements", description: "The sign-in is not as strong as the request demands."}
	errConsentRequired = &oauthError{code: "consent_required", description: "The user has to consent."}
	errAccessDenied    = &oauthError{code: "access_denied", description: "The request was denied."}

	// One answer for unknown, disabled and deleted clients, and nothing that
	// tells whether the redirect URI would have been right.
	errUnknownClient = badRequest("The app that sent you here is not known to this site, or may not sign you in any more.")
	errRedirectURI   = badRequest("The app that sent you here asked to send you on to an address that it has not registered.")
)

// provenTarget finds the client and proves the redirect URI. Until both stand,
// nothing is redirected anywhere (RFC 6749 §4.1.2.1, RFC 9700 §4.1).
func (p *Provider) provenTarget(r *http.Request, query params) (Client, *redirectTarget, error) {
	clientID := query.get("client_id")
	if !query.usable("client_id") || clientID == "" {
		return Client{}, nil, errUnknownClient
	}
	client, err := p.liveClient(r.Context(), clientID)
	if err != nil {
		return Client{}, nil, err
	}
	infoOf(r).clientID = client.ID
	uri := query.get("redirect_uri")
	if !query.usable("redirect_uri") || !redirectURIAllowed(uri, client.RedirectURIs) {
		return Client{}, nil, errRedirectURI
	}
	target := &redirectTarget{uri: uri}
	if state := query.get("state"); query.usable("state") && len(state) <= maxStateBytes {
		target.state = state
	}
	target.formPost = query.usable("response_mode") && query.get("response_mode") == modeFormPost && formPostable(uri)
	return client, target, nil
}

// liveClient returns the client unless it is unknown or disabled.
func (p *Provider) liveClient(ctx context.Context, clientID string) (Client, error) {
	client, err := p.clients.get(ctx, clientID)
	switch {
	case errors.Is(err, ErrClientNotFound):
		return Client{}, errUnknownClient
	case err != nil:
		return Client{}, p.store.fault(err)
	case !client.DisabledAt.IsZero():
		return Client{}, errUnknownClient
	}
	return client, nil
}

// readAuthRequest checks every parameter but client_id and redirect_uri.
func (p *Provider) readAuthRequest(ctx context.Context, client Client, query params) (*authRequest, error) {
	if len(query.get("state")) > maxStateBytes {
		return nil, badRequest("The state parameter is too long.")
	}
	// Fragment and web_message are not offered, and an app behind a private-use
	// scheme cannot be posted to.
	mode, uri := query.get("response_mode"), query.get("redirect_uri")
	if mode != "" && mode != modeQuery && (mode != modeFormPost || !formPostable(uri)) {
		return nil, badRequest("The response_mode is not supported.")
	}
	if err := query.check(authorizeParameters...); err != nil {
		return nil, err
	}
	// Nothing is fetched, and no parameter is taken from elsewhere (OIDC Core
	// §6, §7.2.1).
	for _, name := range []string{"request", "request_uri", "registration"} {
		if query.get(name) != "" {
			return nil, &oauthError{code: name + "_not_supported", description: "The " + name + " parameter is not supported."}
		}
	}
	switch query.get("response_type") {
	case "code":
	case "":
		return nil, badRequest("The response_type is missing.")
	default:
		return nil, &oauthError{code: "unsupported_response_type", description: "The response_type must be code."}
	}
	if !slices.Contains(client.GrantTypes, grantAuthorizationCode) {
		return nil, &oauthError{code: "unauthorized_client", description: "The client may not use the authorization code grant."}
	}
	// RFC 7636 §4.4.1; "plain", also by leaving the method out, is refused.
	method, challenge := query.get("code_challenge_method"), query.get("code_challenge")
	without := client.mayOmitPKCE() && method == "" && challenge == ""
	if !without && (method != "S256" || !validChallenge(challenge)) {
		return nil, badRequest("A code_challenge with method S256 is required.")
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

// judge decides, once, whether the request demands a new login of the account
// that was signed in when it came in. max_age counts back from the request
// (OIDC Core §3.1.2.1); an unknown age cannot be young enough.
func (q *authRequest) judge(account *Account, now time.Time) {
	q.Judged = true
	known := account != nil && !account.AuthTime.IsZero()
	if known {
		q.SeenAuthTime = account.AuthTime.Unix()
	}
	q.NeedFresh = q.prompts("login")
	if q.MaxAge != nil && (*q.MaxAge == 0 || !known || now.Unix()-q.SeenAuthTime > *q.MaxAge) {
		q.NeedFresh = true
	}
}

// demandsLogin reports whether the account seen first has to pass the host's
// login page, however well signed in it is.
func (q *authRequest) demandsLogin(account *Account) bool {
	return q.prompts("select_account") || q.prompts("create") || !q.satisfied(account)
}

// satisfied reports whether account is the one that was hinted at and its
// login is as fresh as demanded. Coming back from the login page is no proof:
// the login must be later than the one seen before, and not older than the
// request. Clocks are whole seconds and may be a few apart.
func (q *authRequest) satisfied(account *Account) bool {
	if q.HintSubject != "" && q.HintSubject != account.Subject {
		return false
	}
	if !q.reaches(account) {
		return false
	}
	if !q.NeedFresh {
		return true
	}
	if account.AuthTime.IsZero() {
		return false
	}
	at := account.AuthTime.Unix()
	return at > q.SeenAuthTime && at >= q.RequestedAt-int64(clockSkew/time.Second)
}

// need is what the host's login page is told.
func (q *authRequest) need() Need {
	need := Need{
		Reauthenticate: q.NeedFresh,
		SelectAccount:  q.prompts("select_account"),
		Create:         q.prompts("create"),
		ACRValues:      q.ACRValues,
		LoginHint:      q.LoginHint,
		UILocales:      q.UILocales,
	}
	if q.MaxAge != nil {
		age := time.Duration(*q.MaxAge) * time.Second
		need.MaxAge = &age
	}
	return need
}

// currentAccount asks the host who is signed in. No account is nil; an error
// is ErrAccountGone, or a fault of which nothing may be concluded.
func (p *Provider) currentAccount(r *http.Request) (*Account, error) {
	account, err := p.config.Accounts.CurrentAccount(r)
	switch {
	case errors.Is(err, ErrNotSignedIn), errors.Is(err, ErrSignInIncomplete):
		return nil, nil
	case errors.Is(err, ErrAccountGone):
		return nil, ErrAccountGone
	case err != nil:
		return nil, hostFault(err)
	case account.Subject == "" || len(account.Subject) > 255 || !clean(account.Subject):
		return nil, hostFault(errors.New("CurrentAccount returned an account whose Subject is not 1 to 255 bytes of text"))
	}
	return &account, nil
}

// accountBySubject asks the host whether the account behind subject still exists.
// It returns ErrAccountGone, or a fault.
func (p *Provider) accountBySubject(ctx context.Context, subject string) (Account, error) {
	account, err := p.config.Accounts.AccountBySubject(ctx, subject)
	switch {
	case errors.Is(err, ErrAccountGone):
		return Account{}, ErrAccountGone
	case err != nil:
		return Account{}, hostFault(err)
	case account.Subject != subject:
		return Account{}, hostFault(errors.New("AccountBySubject returned another account"))
	}
	return account, nil
}
