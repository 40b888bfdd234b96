package lockspire

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// The states of an interaction. A decision moves it out of pending once.
const (
	interactionPending  = "pending"
	interactionApproved = "approved"
	interactionDenied   = "denied"
)

// interaction is one authorization request between /authorize and the
// decision: a row, and the id that only the browser has.
type interaction struct {
	id      string
	client  Client
	request *authRequest
	state   string
	// bounces counts how often the browser was sent to the host's login.
	bounces   int
	expiresAt time.Time
	pin       pin
	// browser is the cookie that the row is bound to.
	browser string
}

// pin is the account that a consent page was shown to, and for how long that
// page can be answered. Another account or session is another pin, and so
// another decision token.
type pin struct {
	subject, epoch, grantID, secretID string
	sessionHash, salt                 []byte
	until                             time.Time
}

var (
	errNoInteraction = badRequest("This sign-in was started in another browser, or too long ago. Go back to the app, in the browser where you began, and start again.")
	errAnswered      = badRequest("This request has been answered already. Go back to the app and start again if you need to.")
	errForm          = &oauthError{code: "access_denied", status: http.StatusForbidden, description: "The form is too old, or did not come from this page. Go back to the app and start again."}
)

// startInteraction stores request and ties it to the browser. It is only
// called once client and redirect URI are proven.
func (p *Provider) startInteraction(w http.ResponseWriter, r *http.Request, client Client, request *authRequest, bounces int) (*interaction, error) {
	if err := p.limitInteractions(r, client.ID); err != nil {
		return nil, err
	}
	i := &interaction{
		id: newToken(), client: client, request: request, state: interactionPending, bounces: bounces,
		expiresAt: p.now().Add(p.config.TTLs.Interaction),
		browser:   p.browserCookie(w, r),
	}
	encoded, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	ctx := r.Context()
	return i, p.store.write(ctx, func(t tx) error {
		_, err := t.exec(ctx, `INSERT INTO @.lockspire_interactions
			(id_hash, client_id, browser_hash, request, state, bounces, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			hashToken(i.id), client.ID, hashToken(i.browser), string(encoded), interactionPending, bounces,
			micros(p.now()), micros(i.expiresAt))
		return err
	})
}

// loadInteraction returns the interaction with that id if this browser began
// it and it is not over. Anyone else gets the same answer as for an id that
// never was, and the row is untouched (an attacker's link opened by a victim).
func (p *Provider) loadInteraction(r *http.Request, id string) (*interaction, error) {
	browser, ok := p.existingBrowserCookie(r)
	if !ok || !tokenShaped(id) {
		return nil, errNoInteraction
	}
	i := &interaction{id: id, browser: browser}
	var clientID, request string
	var subject, epoch, grantID, secretID sql.NullString
	var until sql.NullInt64
	var expires int64
	err := p.store.read().queryRow(r.Context(), `SELECT client_id, request, state, bounces, expires_at,
			subject, session_hash, epoch, grant_id, secret_id, decision_salt, decision_until
		FROM @.lockspire_interactions
		WHERE id_hash = $1 AND browser_hash = $2 AND expires_at > $3`,
		hashToken(id), hashToken(browser), micros(p.now())).
		Scan(&clientID, &request, &i.state, &i.bounces, &expires,
			&subject, &i.pin.sessionHash, &epoch, &grantID, &secretID, &i.pin.salt, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoInteraction
	}
	if err != nil {
		return nil, p.store.fault(err)
	}
	if i.request, err = parseAuthRequest(request); err != nil {
		return nil, err
	}
	i.pin.subject, i.pin.epoch, i.pin.grantID, i.pin.secretID = subject.String, epoch.String, grantID.String, secretID.String
	i.pin.until, i.expiresAt = fromMicros(until), time.UnixMicro(expires)
	i.client, err = p.liveClient(r.Context(), clientID)
	infoOf(r).clientID = clientID
	return i, err
}

func (p *Provider) interactionPath(id string) string { return p.issuerPath + interactionsPrefix + id }

// loginURL is where the host signs people in for i.
func (p *Provider) loginURL(r *http.Request, i *interaction, need Need) (string, error) {
	return p.hostLoginURL(r, Interaction{
		ID:         i.id,
		ReturnTo:   p.interactionPath(i.id),
		ClientID:   i.client.ID,
		ClientName: i.client.Name,
		Need:       need,
	})
}

// hostLoginURL asks the host for its sign-in page. No page is a fault: a
// redirect to nowhere would show the person nothing at all.
func (p *Provider) hostLoginURL(r *http.Request, i Interaction) (string, error) {
	location := p.config.Accounts.LoginURL(r, i)
	if location == "" {
		return "", hostFault(errors.New("LoginURL returned nothing"))
	}
	return location, nil
}

// askAgain stores the request and has the browser come back from a page of our
// own. A host's SameSite=Strict session cookie is not sent on the way in from
// another site, so only the second request shows who is signed in.
func (p *Provider) askAgain(w http.ResponseWriter, r *http.Request, client Client, request *authRequest) error {
	i, err := p.startInteraction(w, r, client, request, 0)
	if err != nil {
		return err
	}
	p.leave(w, p.interactionPath(i.id))
	return nil
}

// beginLogin sends the browser from /authorize to the host's login page.
func (p *Provider) beginLogin(w http.ResponseWriter, r *http.Request, client Client, request *authRequest) error {
	i, err := p.startInteraction(w, r, client, request, 1)
	if err != nil {
		return err
	}
	location, err := p.loginURL(r, i, request.need())
	if err != nil {
		return err
	}
	seeOther(w, location)
	return nil
}

// beginConsent answers /authorize for an account that is signed in as the
// request demands: with a code where earlier consent covers everything, else
// with the consent page at its own address.
func (p *Provider) beginConsent(w http.ResponseWriter, r *http.Request, client Client, request *authRequest, account Account, form errorForm) error {
	a, remembered, err := p.remembered(r.Context(), client, request, account)
	if err != nil {
		return err
	}
	if remembered {
		issued, err := p.issueRemembered(r.Context(), a)
		if err != nil {
			return err
		}
		if issued {
			p.respond(w, request.target(), form, "code", a.code)
			return nil
		}
	}
	if request.prompts("none") {
		return errConsentRequired.to(request.target())
	}
	i, err := p.startInteraction(w, r, client, request, 0)
	if err != nil {
		return err
	}
	seeOther(w, p.interactionPath(i.id))
	return nil
}

// serveInteraction is where the host's login returns to, where the consent
// page lives, and where its form posts to.
func (p *Provider) serveInteraction(w http.ResponseWriter, r *http.Request, id string) {
	var err error
	if r.Method == http.MethodPost {
		err = p.decide(w, r, id)
	} else {
		err = p.resume(w, r, id)
	}
	if err != nil {
		p.fail(w, r, err, asLeavePage)
	}
}

// resume answers GET: who is signed in now decides what comes next.
func (p *Provider) resume(w http.ResponseWriter, r *http.Request, id string) error {
	i, err := p.loadInteraction(r, id)
	if err != nil {
		return err
	}
	if i.state != interactionPending {
		return errAnswered
	}
	account, err := p.currentAccount(r)
	if err != nil && !errors.Is(err, ErrAccountGone) {
		return err
	}
	return p.proceed(w, r, i, account)
}

// proceed takes a pending interaction as far as it goes with account, which is
// nil when nobody is signed in.
func (p *Provider) proceed(w http.ResponseWriter, r *http.Request, i *interaction, account *Account) error {
	if !i.request.Judged {
		i.request.judge(account, infoOf(r).arrived)
	}
	if account == nil {
		return p.bounce(w, r, i, max(i.bounces, 1))
	}
	if i.bounces == 0 && i.request.demandsLogin(account) {
		return p.bounce(w, r, i, 1)
	}
	if !i.request.satisfied(account) {
		// Back from the login page as before. One more try, unless the host
		// cannot tell when people signed in: then no try helps.
		if i.bounces >= 2 || (i.request.NeedFresh && account.AuthTime.IsZero()) {
			if !i.request.reaches(account) {
				return errUnmet.to(i.request.target())
			}
			return errLoginRequired.to(i.request.target())
		}
		return p.bounce(w, r, i, 2)
	}
	a, remembered, err := p.remembered(r.Context(), i.client, i.request, *account)
	if err != nil {
		return err
	}
	if remembered {
		a.interaction = i
		issued, err := p.issueRemembered(r.Context(), a)
		if err != nil {
			return err
		}
		if issued {
			p.respond(w, i.request.target(), asLeavePage, "code", a.code)
			return nil
		}
	}
	return p.showConsent(w, r, i, *account)
}

// bounce sends the browser to the host's login page and forgets whom a consent
// page was shown to.
func (p *Provider) bounce(w http.ResponseWriter, r *http.Request, i *interaction, bounces int) error {
	i.bounces = bounces
	if err := p.unpin(r.Context(), i); err != nil {
		return err
	}
	location, err := p.loginURL(r, i, i.request.need())
	if err != nil {
		return err
	}
	p.toLogin(w, r, location)
	return nil
}

// toLogin leaves for the host's login page, which is on this origin: no
// form-action policy stands against a redirect after GET. A POST is followed
// by the leave page like any other.
func (p *Provider) toLogin(w http.ResponseWriter, r *http.Request, location string) {
	if r.Method == http.MethodPost {
		p.leave(w, location)
		return
	}
	seeOther(w, location)
}

// unpin stores the interaction's progress and makes every consent page shown
// so far void.
func (p *Provider) unpin(ctx context.Context, i *interaction) error {
	i.pin = pin{}
	encoded, err := json.Marshal(i.request)
	if err != nil {
		return err
	}
	return p.store.write(ctx, func(t tx) error {
		pending, err := claimed(t.exec(ctx, `UPDATE @.lockspire_interactions
			SET request = $1, bounces = $2, subject = NULL, session_hash = NULL, epoch = NULL, grant_id = NULL,
				secret_id = NULL, decision_salt = NULL, decision_until = NULL
			WHERE id_hash = $3 AND state = $4`,
			string(encoded), i.bounces, hashToken(i.id), interactionPending))
		if err == nil && !pending {
			return errAnswered
		}
		return err
	})
}

// sessionHash is how a host's session id is kept: it never leaves the host,
// and a dump does not reveal it.
func (p *Provider) sessionHash(secretID, sessionID string) ([]byte, bool) {
	return p.keyedHash(secretID, labelSID, sessionID)
}

// newPin pins account, keeping an earlier pin's salt where everything is as it
// was: then a page opened in a second tab carries the same decision token.
func (p *Provider) newPin(i *interaction, account Account, grantID string) pin {
	until := p.now().Add(p.config.TTLs.Decision)
	if until.After(i.expiresAt) {
		until = i.expiresAt
	}
	if p.pinned(i, account) && i.pin.grantID == grantID && p.now().Before(i.pin.until) {
		same := i.pin
		same.until = until
		return same
	}
	secretID := p.secrets.id()
	session, _ := p.sessionHash(secretID, account.SessionID)
	salt := make([]byte, 16)
	randomBytes(salt)
	return pin{subject: account.Subject, epoch: account.Epoch, grantID: grantID, secretID: secretID, sessionHash: session, salt: salt, until: until}
}

// pinned reports whether account, in its present session, is the one that the
// consent page was shown to.
func (p *Provider) pinned(i *interaction, account Account) bool {
	if i.pin.subject == "" || i.pin.subject != account.Subject || i.pin.epoch != account.Epoch {
		return false
	}
	session, ok := p.sessionHash(i.pin.secretID, account.SessionID)
	return ok && string(session) == string(i.pin.sessionHash)
}

// decisionToken is what the consent form carries: bound to the interaction,
// the browser, the account that the page named, and by the salt to the session
// that it was shown in, under whatever id that one goes by now (RFC 6819
// §4.4.1.10). It is "" while nothing is pinned.
func (p *Provider) decisionToken(i *interaction) string {
	if i.pin.subject == "" {
		return ""
	}
	mac, ok := p.keyedHash(i.pin.secretID, labelDecision, "interaction", i.id, i.browser,
		i.pin.subject, i.pin.epoch, string(i.pin.salt))
	if !ok {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(mac)
}

// decisionCode is the code that approving with token issues. It follows from
// the decision, so that a double click finds the same code (RFC 6749 §4.1.2
// asks for unguessable, which the key and the 256-bit id make it).
func (p *Provider) decisionCode(i *interaction, token string) (string, bool) {
	mac, ok := p.keyedHash(i.pin.secretID, labelCode, i.id, token)
	return base64.RawURLEncoding.EncodeToString(mac), ok
}
