package lockspire

import (
	"context"
	"errors"
	"net/http"
)

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
