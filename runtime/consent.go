package lockspire

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
)

// foreignFields change what was asked, so a consent form that carries one was
// tampered with. Other unknown names are free for the host's own purposes, a
// CSRF field say.
var foreignFields = []string{
	"client_id", "redirect_uri", "resource", "audience", "claims", "state", "nonce", "response_type",
	"response_mode", "code_challenge", "code_challenge_method", "prompt", "max_age", "acr_values",
	"authorization_details", "request", "request_uri", "registration", "subject", "sub", "login_hint", "id_token_hint",
}

// showConsent pins account to the interaction and renders the host's page.
func (p *Provider) showConsent(w http.ResponseWriter, r *http.Request, i *interaction, account Account) error {
	ctx := r.Context()
	grant, err := p.liveGrant(ctx, account.Subject, i.client.ID)
	if err != nil {
		return err
	}
	pinned := p.newPin(i, account, grant.id)
	if err := p.storePin(ctx, i, pinned); err != nil {
		return err
	}
	page := ConsentPage{
		Action:    p.interactionPath(i.id),
		Token:     p.decisionToken(i),
		Client:    pageClient(i.client, i.request.RedirectURI),
		Account:   account,
		Resources: p.describeResources(i.request.Resources),
		Claims:    i.request.Claims.names(),
	}
	page.Scopes = p.consentScopes(i.request, union(grant.scopes, grant.consents.shown()))
	page.Nonce = p.page(w)
	p.config.Pages.Consent(w, r, page)
	return nil
}

// consentScopes are the scopes that a page asks about. One that comes with
// another that cannot be unticked is no question of its own: it is shown as part
// of that one.
func (p *Provider) consentScopes(request *authRequest, allowed []string) []ConsentScope {
	var settled []string
	for _, name := range request.Scopes {
		if scope, _ := p.scope(name); !scope.Optional {
			settled = union(settled, p.hierarchy[name])
		}
	}
	var shown []ConsentScope
	for _, scope := range p.inCatalogueOrder(request.Scopes) {
		if slices.Contains(settled, scope.Name) {
			continue
		}
		shown = append(shown, ConsentScope{
			Scope:    scope,
			Includes: p.inCatalogueOrder(p.hierarchy[scope.Name]),
			Granted:  subset(p.hierarchy.with([]string{scope.Name}), allowed),
		})
	}
	return shown
}

func (p *Provider) storePin(ctx context.Context, i *interaction, pinned pin) error {
	encoded, err := json.Marshal(i.request)
	if err != nil {
		return err
	}
	err = p.store.write(ctx, func(t tx) error {
		pending, err := claimed(t.exec(ctx, `UPDATE @.lockspire_interactions
			SET request = $1, bounces = $2, subject = $3, session_hash = $4, epoch = $5, grant_id = $6,
				secret_id = $7, decision_salt = $8, decision_until = $9
			WHERE id_hash = $10 AND state = $11`,
			string(encoded), i.bounces, pinned.subject, pinned.sessionHash, nullText(pinned.epoch), nullText(pinned.grantID),
			pinned.secretID, pinned.salt, micros(pinned.until), hashToken(i.id), interactionPending))
		if err == nil && !pending {
			return errAnswered
		}
		return err
	})
	i.pin = pinned
	return err
}

func pageClient(client Client, redirectURI string) PageClient {
	return PageClient{
		ID: client.ID, Name: client.Name,
		URI: pageLink(client.URI), PolicyURI: pageLink(client.PolicyURI), TOSURI: pageLink(client.TOSURI),
		RedirectHost: redirectHost(redirectURI),
		Loopback:     kindOfRedirect(redirectURI) == redirectLoopback,
		Trusted:      client.Trusted,
	}
}

// pageLink is a link of a registration, or "" where the row holds something that
// registration would have refused: hosts print it as a href (A53).
func pageLink(uri string) string {
	if !isHTTPSLink(uri) {
		return ""
	}
	return uri
}

func (p *Provider) describeResources(identifiers []string) []Resource {
	var described []Resource
	for _, identifier := range identifiers {
		resource := Resource{Identifier: identifier, Name: identifier}
		for _, known := range p.config.Resources {
			if known.Identifier == identifier {
				resource = known
			}
		}
		described = append(described, resource)
	}
	return described
}

// decide answers the consent form's POST.
func (p *Provider) decide(w http.ResponseWriter, r *http.Request, id string) error {
	if !p.postedFromHere(r) {
		return errForm
	}
	i, err := p.loadInteraction(r, id)
	if err != nil {
		return err
	}
	form := formOf(r)
	token, expected := form.get(FieldToken), p.decisionToken(i)
	if expected == "" || !hmac.Equal([]byte(token), []byte(expected)) {
		return errForm
	}
	granted, err := p.readDecision(i.request, form)
	if err != nil {
		return p.abort(r.Context(), i, err)
	}
	decision := form.get(FieldDecision)
	if decision == DecisionApprove && len(granted) == 0 {
		// Everything was unticked. The person knows what they did, and the app
		// is told.
		decision = DecisionDeny
	}
	if i.state != interactionPending {
		return p.repeat(w, r, i, decision, granted)
	}
	switch decision {
	case DecisionDeny:
		return p.deny(w, r, i)
	case DecisionSwitchAccount:
		return p.switchAccount(w, r, i)
	}
	return p.approve(w, r, i, granted)
}

// readDecision checks the form's fields and returns the scopes it grants:
// those that cannot be unticked, the ticked ones, and those that come with
// either, since leaving them out of the answer would not keep them from the
// client. A field that is no part of what was shown means that the form was
// tampered with.
func (p *Provider) readDecision(request *authRequest, form params) ([]string, error) {
	if err := form.check(append([]string{FieldToken, FieldDecision}, foreignFields...)...); err != nil {
		return nil, err
	}
	for _, name := range foreignFields {
		if len(form.values[name]) > 0 {
			return nil, badRequest("The form has a field that was not on the page.")
		}
	}
	ticked := form.all(FieldScope)
	if !subset(ticked, request.Scopes) {
		return nil, badRequest("The form has a scope that was not on the page.")
	}
	switch form.get(FieldDecision) {
	case DecisionApprove, DecisionDeny, DecisionSwitchAccount:
	default:
		return nil, badRequest("The form has no decision.")
	}
	var granted []string
	for _, name := range request.Scopes {
		scope, _ := p.scope(name)
		if !scope.Optional || slices.Contains(ticked, name) {
			granted = append(granted, name)
		}
	}
	goodFor := p.hierarchy.with(granted)
	return slices.DeleteFunc(slices.Clone(request.Scopes), func(name string) bool { return !slices.Contains(goodFor, name) }), nil
}

// abort ends an interaction whose form was tampered with.
func (p *Provider) abort(ctx context.Context, i *interaction, reason error) error {
	e := p.decisionEvent(i, "consent.aborted")
	if _, err := p.settle(ctx, i, interactionDenied, e); err != nil {
		return err
	}
	return reason
}

// deny ends the interaction; whoever holds its page may.
func (p *Provider) deny(w http.ResponseWriter, r *http.Request, i *interaction) error {
	settled, err := p.settle(r.Context(), i, interactionDenied, p.decisionEvent(i, "consent.denied"))
	if err != nil {
		return err
	}
	if !settled {
		return p.repeatFresh(w, r, i, DecisionDeny, nil)
	}
	return errAccessDenied.to(i.request.target())
}

func (p *Provider) decisionEvent(i *interaction, name string) Event {
	e := newEvent(p.now(), name)
	e.ClientID, e.Subject, e.GrantID = i.client.ID, i.pin.subject, i.pin.grantID
	return e
}

// settle moves a pending interaction to state and records e, or reports false
// when another decision was first.
func (p *Provider) settle(ctx context.Context, i *interaction, state string, e Event) (bool, error) {
	settled := false
	err := p.store.write(ctx, func(t tx) error {
		var err error
		settled, err = claimed(t.exec(ctx, `UPDATE @.lockspire_interactions SET state = $1 WHERE id_hash = $2 AND state = $3`,
			state, hashToken(i.id), interactionPending))
		if err != nil || !settled {
			return err
		}
		return t.audit(ctx, e)
	})
	if err == nil && settled {
		p.emit(ctx, e)
	}
	return settled, err
}

// switchAccount forgets the account on the page and asks the host for another.
func (p *Provider) switchAccount(w http.ResponseWriter, r *http.Request, i *interaction) error {
	i.bounces = max(i.bounces, 1)
	if err := p.unpin(r.Context(), i); err != nil {
		return err
	}
	need := i.request.need()
	need.SelectAccount = true
	location, err := p.loginURL(r, i, need)
	if err != nil {
		return err
	}
	p.leave(w, location)
	return nil
}

// approve issues the code, if the page was answered in time by the account
// that it named, and nothing has changed since.
func (p *Provider) approve(w http.ResponseWriter, r *http.Request, i *interaction, granted []string) error {
	ctx := r.Context()
	account, err := p.currentAccount(r)
	if errors.Is(err, ErrAccountGone) {
		return p.accountGone(ctx, i)
	}
	if err != nil {
		return err
	}
	if account == nil || !p.pinned(i, *account) || !p.now().Before(i.pin.until) {
		// Signed out, another account, another session, or too late: the
		// page is void, and a new one names whoever is signed in now.
		if err := p.unpin(ctx, i); err != nil {
			return err
		}
		return p.proceed(w, r, i, account)
	}
	if _, err := p.accountBySubject(ctx, account.Subject); errors.Is(err, ErrAccountGone) {
		return p.accountGone(ctx, i)
	} else if err != nil {
		return err
	}
	code, ok := p.decisionCode(i, p.decisionToken(i))
	if !ok {
		return errForm
	}
	a := p.newApproval(i.client, i.request, *account, granted)
	a.code, a.interaction = code, i
	switch err := p.issueApproved(ctx, a); {
	case errors.Is(err, errDecided):
		return p.repeatFresh(w, r, i, DecisionApprove, granted)
	case errors.Is(err, errConsentWithdrawn):
		if err := p.unpin(ctx, i); err != nil {
			return err
		}
		return p.showConsent(w, r, i, *account)
	case err != nil:
		return err
	}
	p.respond(w, i.request.target(), asLeavePage, "code", code)
	return nil
}

// accountGone ends the interaction of an account that was removed meanwhile.
func (p *Provider) accountGone(ctx context.Context, i *interaction) error {
	if _, err := p.settle(ctx, i, interactionDenied, p.decisionEvent(i, "consent.denied")); err != nil {
		return err
	}
	return errAccessDenied.to(i.request.target())
}

// repeatFresh is repeat after another decision was first.
func (p *Provider) repeatFresh(w http.ResponseWriter, r *http.Request, i *interaction, decision string, granted []string) error {
	current, err := p.loadInteraction(r, i.id)
	if err != nil {
		return err
	}
	return p.repeat(w, r, current, decision, granted)
}

// repeat answers a decision on an interaction that has one: the same decision
// once more (a double click) gets the same answer while its code is unused,
// any other is told that it came too late.
func (p *Provider) repeat(w http.ResponseWriter, r *http.Request, i *interaction, decision string, granted []string) error {
	switch {
	case i.state == interactionPending:
		// Not decided after all: the page was shown anew meanwhile.
		return errForm
	case i.state == interactionDenied && decision == DecisionDeny:
		return errAccessDenied.to(i.request.target())
	case i.state != interactionApproved || decision != DecisionApprove:
		return errAnswered
	}
	code, ok := p.decisionCode(i, p.decisionToken(i))
	if !ok {
		return errAnswered
	}
	var scopes string
	err := p.store.read().queryRow(r.Context(), `SELECT f.scopes FROM @.lockspire_codes c
		JOIN @.lockspire_families f ON f.id = c.family_id
		WHERE c.hash = $1 AND c.redeemed_at IS NULL AND c.valid_until > $2 AND f.revoked_at IS NULL`,
		hashToken(code), micros(p.now())).Scan(&scopes)
	if errors.Is(err, sql.ErrNoRows) {
		return errAnswered
	}
	if err != nil {
		return p.store.fault(err)
	}
	if same, err := jsonList(granted); err != nil || same != scopes {
		return errAnswered
	}
	p.respond(w, i.request.target(), asLeavePage, "code", code)
	return nil
}
