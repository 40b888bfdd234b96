package lockspire

import (
	"context"
	"database/sql"
	"errors"
	"slices"
)

// standingGrant is the live grant of a subject to a client; its id is "" when
// there is none.
type standingGrant struct {
	id                        string
	scopes, resources, claims []string
}

func (p *Provider) liveGrant(ctx context.Context, subject, clientID string) (standingGrant, error) {
	var g standingGrant
	var scopes, resources, claims string
	err := p.store.read().queryRow(ctx, `SELECT id, scopes, resources, claims FROM @.lockspire_grants
		WHERE subject = $1 AND client_id = $2 AND revoked_at IS NULL`, subject, clientID).Scan(&g.id, &scopes, &resources, &claims)
	if errors.Is(err, sql.ErrNoRows) {
		return g, nil
	}
	if err != nil {
		return g, p.store.fault(err)
	}
	if g.claims, err = parseList(claims); err != nil {
		return g, err
	}
	if g.scopes, err = parseList(scopes); err != nil {
		return g, err
	}
	g.resources, err = parseList(resources)
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
	if grant.id == "" || !subset(request.Scopes, grant.scopes) || !subset(request.Resources, grant.resources) ||
		!subset(request.Claims.names(), grant.claims) {
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
