package lockspire

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// revokedParam names the grant that was just removed, in the redirect back to
// the list. It is an id that is looked up again; nothing of it is printed.
const revokedParam = "revoked"

// serveApps is the authorized-apps page: GET lists the signed-in account's
// grants, POST withdraws one and goes back to the list.
func (p *Provider) serveApps(w http.ResponseWriter, r *http.Request) {
	account, err := p.config.Accounts.CurrentAccount(r)
	switch {
	case errors.Is(err, ErrNotSignedIn), errors.Is(err, ErrSignInIncomplete), errors.Is(err, ErrAccountGone):
		location, err := p.hostLoginURL(r, Interaction{ReturnTo: p.appsPath()})
		if err != nil {
			p.fail(w, r, err, asPage)
			return
		}
		seeOther(w, location)
		return
	case err == nil && account.Subject == "":
		err = errors.New("CurrentAccount returned an account without a subject")
	}
	if err != nil {
		p.fail(w, r, hostFault(err), asPage)
		return
	}
	if r.Method == http.MethodPost {
		err = p.withdraw(w, r, account)
	} else {
		err = p.listApps(w, r, account)
	}
	if err != nil {
		p.fail(w, r, err, asPage)
	}
}

func (p *Provider) appsPath() string { return p.issuerPath + "/apps" }

func (p *Provider) listApps(w http.ResponseWriter, r *http.Request, account Account) error {
	grants, err := p.grants(r.Context(), account.Subject)
	if err != nil {
		return err
	}
	revoked, err := p.revokedClientName(r.Context(), account.Subject, r.URL.Query().Get(revokedParam))
	if err != nil {
		return err
	}
	cookie := p.browserCookie(w, r)
	nonce := p.page(w)
	p.config.Pages.AuthorizedApps(w, r, AuthorizedAppsPage{
		Action:  p.appsPath(),
		Token:   p.pageToken("apps", cookie, account.Subject, account.SessionID),
		Nonce:   nonce,
		Account: account,
		Grants:  grants,
		Revoked: revoked,
	})
	return nil
}

// withdraw revokes the posted grant. The token ties the form to this browser,
// account and session (A45).
func (p *Provider) withdraw(w http.ResponseWriter, r *http.Request, account Account) error {
	form := formOf(r)
	if err := form.check(FieldToken, FieldDecision, FieldGrant); err != nil {
		return err
	}
	cookie, ok := p.existingBrowserCookie(r)
	if !ok || !p.postedFromHere(r) ||
		!p.verifyPageToken(form.get(FieldToken), "apps", cookie, account.Subject, account.SessionID) {
		return &oauthError{code: "access_denied", status: http.StatusForbidden,
			description: "The form is too old, or did not come from this page. Go back, reload the page and try again."}
	}
	if form.get(FieldDecision) != DecisionRevoke || form.get(FieldGrant) == "" {
		return badRequest("The form is incomplete.")
	}
	if err := p.revokeGrant(r.Context(), account.Subject, form.get(FieldGrant)); err != nil {
		return err
	}
	seeOther(w, p.appsPath()+"?"+url.Values{revokedParam: {form.get(FieldGrant)}}.Encode())
	return nil
}

// revokedClientName returns the name of the client whose grant the subject has
// withdrawn, and "" for any id that is not such a grant.
func (p *Provider) revokedClientName(ctx context.Context, subject, grantID string) (string, error) {
	if grantID == "" || !clean(grantID) {
		return "", nil
	}
	var name string
	err := p.store.read().queryRow(ctx, `SELECT c.name FROM @.lockspire_grants g
		JOIN @.lockspire_clients c ON c.id = g.client_id
		WHERE g.id = $1 AND g.subject = $2 AND g.revoked_at IS NOT NULL`, grantID, subject).Scan(&name)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("%w: reading a grant: %w", errUnavailable, err)
	}
	return name, nil
}

// postedFromHere reports whether a form POST comes from a page of this origin,
// as far as the browser says. Sec-Fetch-Site decides when present, then
// Origin; where neither tells, the form's token decides alone (A45).
func (p *Provider) postedFromHere(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return true
	case "":
	default:
		return false
	}
	origin := r.Header.Get("Origin")
	return origin == "" || origin == "null" || origin == p.origin
}
