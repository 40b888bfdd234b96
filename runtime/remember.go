package lockspire

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// standingGrant is the live grant of a subject to a client; its id is "" when
// there is none.
type standingGrant struct {
	id       string
	scopes   []string
	consents consents
}

// consent is what was allowed on one page: each of the scopes at each of the
// resources, and the claims that the request named beside them. Implied is what
// the scopes implied then: a scope that means more today was not allowed.
type consent struct {
	Scopes    []string `json:"scopes"`
	Implied   []string `json:"implied,omitempty"`
	Resources []string `json:"resources"`
	Claims    []string `json:"claims,omitempty"`
}

// consentTo is what a page asks for that shows q and of whose scopes those named
// are granted.
func (p *Provider) consentTo(q *authRequest, scopes []string) consent {
	implied := slices.Clone(p.hierarchy.with(scopes)[len(scopes):])
	return consent{Scopes: scopes, Implied: implied, Resources: q.Resources, Claims: q.Claims.names()}
}

// shown are the scopes that the page spoke of, by themselves or as part of
// others.
func (c consent) shown() []string { return union(c.Scopes, c.Implied) }

func (c consent) covers(other consent) bool {
	return subset(other.shown(), c.shown()) && subset(other.Resources, c.Resources) && subset(other.Claims, c.Claims)
}

// consents are what a grant was built from, as JSON on its row. The grant's own
// lists are their union, which says more than anybody allowed: reading notes
// and sending mail is no consent to send notes.
type consents []consent

func parseConsents(stored string) (consents, error) {
	var all consents
	if err := json.Unmarshal([]byte(stored), &all); err != nil {
		return nil, fmt.Errorf("reading stored consents: %w", err)
	}
	return all, nil
}

func (all consents) cover(asked consent) bool {
	return slices.ContainsFunc(all, func(c consent) bool { return c.covers(asked) })
}

// with returns all and allowed, without what allowed covers.
func (all consents) with(allowed consent) consents {
	kept := slices.DeleteFunc(slices.Clone(all), allowed.covers)
	return append(kept, allowed)
}

// shown are the scopes that any of the pages spoke of.
func (all consents) shown() []string {
	var scopes []string
	for _, c := range all {
		scopes = union(scopes, c.shown())
	}
	return scopes
}

func (all consents) encode() (string, error) {
	encoded, err := json.Marshal(all)
	return string(encoded), err
}

func (p *Provider) liveGrant(ctx context.Context, subject, clientID string) (standingGrant, error) {
	var g standingGrant
	var scopes, consents string
	err := p.store.read().queryRow(ctx, `SELECT id, scopes, consents FROM @.lockspire_grants
		WHERE subject = $1 AND client_id = $2 AND revoked_at IS NULL`, subject, clientID).Scan(&g.id, &scopes, &consents)
	if errors.Is(err, sql.ErrNoRows) {
		return g, nil
	}
	if err != nil {
		return g, p.store.fault(err)
	}
	if g.scopes, err = parseList(scopes); err != nil {
		return g, err
	}
	g.consents, err = parseConsents(consents)
	return g, err
}

// mayRemember reports whether earlier consent to client may answer for the
// user. It never does where another program could have begun the request or
// could receive the answer: public clients and private-use schemes (unless an
// operator vouches for the client), and loopback redirects (RFC 8252 §8.6).
func mayRemember(client Client, redirectURI string) bool {
	switch kindOfRedirect(redirectURI) {
	case redirectLoopback:
		return false
	case redirectPrivateScheme:
		return client.Trusted
	}
	return client.Trusted || client.Confidential()
}

// remembered reports whether the account's earlier consent covers all that
// request asks for, and if so prepares the approval.
func (p *Provider) remembered(ctx context.Context, client Client, request *authRequest, account Account) (*approval, bool, error) {
	if !mayRemember(client, request.RedirectURI) || request.prompts("consent") {
		return nil, false, nil
	}
	if slices.Contains(request.Scopes, scopeOffline) && !client.Trusted {
		// Access that outlasts the visit is asked for each time: prompt=consent
		// is implied (OIDC Core §11).
		return nil, false, nil
	}
	grant, err := p.liveGrant(ctx, account.Subject, client.ID)
	if err != nil {
		return nil, false, err
	}
	if grant.id == "" || !grant.consents.cover(p.consentTo(request, request.Scopes)) {
		return nil, false, nil
	}
	if _, err := p.accountBySubject(ctx, account.Subject); errors.Is(err, ErrAccountGone) {
		return nil, false, errAccessDenied.to(request.target())
	} else if err != nil {
		return nil, false, err
	}
	a := p.newApproval(client, request, account, request.Scopes)
	a.grantID, a.code = grant.id, newToken()
	return a, true, nil
}
