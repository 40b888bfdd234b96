package lockspire

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"time"
)

// approval is a decision to issue a code: what was asked, what was allowed,
// and the facts about the sign-in that tokens will state.
type approval struct {
	// interaction is nil when the answer is given at GET /authorize itself.
	interaction *interaction
	client      Client
	request     *authRequest
	scopes      []string
	// allowed is the same as the consent that is kept with the grant.
	allowed consent
	account Account
	// session is the host's session as rows know it.
	session hashedSession
	// grantID names a grant that has to be live still. "" lets the approval
	// begin one.
	grantID string
	code    string
	at      time.Time
	// The rest is computed once, so that a retried transaction repeats it.
	familyID, newGrantID string
	event                Event
}

func (p *Provider) newApproval(client Client, request *authRequest, account Account, scopes []string) *approval {
	a := &approval{
		client: client, request: request, scopes: scopes, allowed: p.consentTo(request, scopes), account: account,
		at: p.now(), familyID: newID("fam_"), newGrantID: newID("grant_"),
	}
	a.session.secretID = p.secrets.id()
	a.session.hash, _ = p.sessionHash(a.session.secretID, account.SessionID)
	a.event = newEvent(a.at, "consent.approved")
	a.event.ClientID, a.event.Subject, a.event.FamilyID = client.ID, account.Subject, a.familyID
	return a
}

// keptError is an outcome of a transaction that the caller has to see as it
// is. The transaction is rolled back.
type keptError string

func (e keptError) Error() string { return string(e) }
func (keptError) keepForCaller()  {}

const (
	errDecided          = keptError("the interaction was decided already")
	errConsentWithdrawn = keptError("the consent was withdrawn while the page was shown")
)

// issueApproved turns the user's approval into a grant, a family and a code.
// The conditional UPDATE of the interaction decides: of two approvals one
// issues, the other gets errDecided.
func (p *Provider) issueApproved(ctx context.Context, a *approval) error {
	i := a.interaction
	a.grantID = i.pin.grantID
	err := p.store.write(ctx, func(t tx) error {
		// The session's id may have changed since the page was answered: what
		// the row says is what the family hangs on.
		err := t.queryRow(ctx, `UPDATE @.lockspire_interactions SET state = $1
			WHERE id_hash = $2 AND state = $3 AND decision_salt = $4 AND decision_until > $5 AND expires_at > $5
			RETURNING session_hash`,
			interactionApproved, hashToken(i.id), interactionPending, i.pin.salt, micros(a.at)).Scan(&a.session.hash)
		if errors.Is(err, sql.ErrNoRows) {
			return errDecided
		}
		if err != nil {
			return err
		}
		a.session.secretID = i.pin.secretID
		grantID, err := t.approveGrant(ctx, a)
		if err != nil {
			return err
		}
		return p.insertCode(ctx, t, a, grantID)
	})
	if err == nil {
		p.emit(ctx, a.event)
	}
	return err
}

// issueRemembered issues a code under a.grantID without asking. It reports
// false when that grant was withdrawn meanwhile, so that the user is asked.
func (p *Provider) issueRemembered(ctx context.Context, a *approval) (bool, error) {
	a.event.Name = "consent.remembered"
	issue := p.issueAtOnce
	if a.interaction != nil {
		issue = p.issueResumed
	}
	err := issue(ctx, a)
	if errors.Is(err, errConsentWithdrawn) {
		return false, nil
	}
	if err == nil {
		p.emit(ctx, a.event)
	}
	return err == nil, err
}

// issueAtOnce issues a code at GET /authorize itself. The grant decides, and keeps
// its row: a withdrawal is seen, or it waits and then finds the new family. To
// disable a client is to withdraw its grants.
func (p *Provider) issueAtOnce(ctx context.Context, a *approval) error {
	steps, err := p.codeSteps(a, a.grantID)
	if err != nil {
		return err
	}
	won, err := p.store.chain(ctx, append([]step{{`UPDATE @.lockspire_grants SET last_used_at = $1
		WHERE id = $2 AND revoked_at IS NULL
			AND EXISTS (SELECT 1 FROM @.lockspire_clients c WHERE c.id = client_id AND c.disabled_at IS NULL)`,
		[]any{micros(a.at), a.grantID}}}, steps...)...)
	if err != nil || won {
		return err
	}
	if _, err := p.liveClient(ctx, a.client.ID); err != nil {
		return err
	}
	return errConsentWithdrawn
}

// issueResumed issues a code to a browser that is back from the login. Of two
// requests of that browser one issues.
func (p *Provider) issueResumed(ctx context.Context, a *approval) error {
	return p.store.write(ctx, func(t tx) error {
		won, err := claimed(t.exec(ctx, `UPDATE @.lockspire_interactions SET state = $1
			WHERE id_hash = $2 AND state = $3 AND expires_at > $4`,
			interactionApproved, hashToken(a.interaction.id), interactionPending, micros(a.at)))
		if err != nil {
			return err
		}
		if !won {
			return errAnswered
		}
		if err := t.touchGrant(ctx, a.grantID, a.at); err != nil {
			return err
		}
		return p.insertCode(ctx, t, a, a.grantID)
	})
}

// touchGrant claims a grant that has to be live.
func (t tx) touchGrant(ctx context.Context, grantID string, at time.Time) error {
	live, err := claimed(t.exec(ctx, `UPDATE @.lockspire_grants SET last_used_at = $1 WHERE id = $2 AND revoked_at IS NULL`,
		micros(at), grantID))
	if err == nil && !live {
		return errConsentWithdrawn
	}
	return err
}

// approveGrant adds what was allowed to the one live grant of subject and
// client, creating it if there is none. A grant that the page showed and that
// is gone now is not created again: its withdrawal came later than the page.
func (t tx) approveGrant(ctx context.Context, a *approval) (string, error) {
	if a.grantID != "" {
		if err := t.touchGrant(ctx, a.grantID, a.at); err != nil {
			return "", err
		}
	}
	scopes, err := jsonList(a.scopes)
	if err != nil {
		return "", err
	}
	resources, err := jsonList(a.request.Resources)
	if err != nil {
		return "", err
	}
	first, err := consents{a.allowed}.encode()
	if err != nil {
		return "", err
	}
	var grantID, haveScopes, haveResources, haveConsents string
	// DO UPDATE, not DO NOTHING: it locks the row, so that two approvals at
	// once cannot both read the old lists.
	err = t.queryRow(ctx, `INSERT INTO @.lockspire_grants (id, client_id, subject, scopes, resources, consents, created_at, last_used_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
		ON CONFLICT (subject, client_id) WHERE revoked_at IS NULL DO UPDATE SET last_used_at = excluded.last_used_at
		RETURNING id, scopes, resources, consents`,
		a.newGrantID, a.client.ID, a.account.Subject, scopes, resources, first, micros(a.at)).
		Scan(&grantID, &haveScopes, &haveResources, &haveConsents)
	if err != nil {
		return "", err
	}
	if grantID == a.newGrantID {
		return grantID, nil
	}
	have, err := parseConsents(haveConsents)
	if err != nil || have.cover(a.allowed) {
		return grantID, err
	}
	return grantID, t.growGrant(ctx, grantID, haveScopes, haveResources, have.with(a.allowed), a)
}

// growGrant adds what a allows to a grant, whose consents are now all.
func (t tx) growGrant(ctx context.Context, grantID, haveScopes, haveResources string, all consents, a *approval) error {
	scopes, err := parseList(haveScopes)
	if err != nil {
		return err
	}
	resources, err := parseList(haveResources)
	if err != nil {
		return err
	}
	allScopes, err := jsonList(union(scopes, a.scopes))
	if err != nil {
		return err
	}
	allResources, err := jsonList(union(resources, a.request.Resources))
	if err != nil {
		return err
	}
	allConsents, err := all.encode()
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `UPDATE @.lockspire_grants SET scopes = $1, resources = $2, consents = $3 WHERE id = $4`,
		allScopes, allResources, allConsents, grantID)
	return err
}

// insertCode writes codeSteps for a client that is still enabled.
func (p *Provider) insertCode(ctx context.Context, t tx, a *approval, grantID string) error {
	var disabled sql.NullInt64
	err := t.queryRow(ctx, `SELECT disabled_at FROM @.lockspire_clients WHERE id = $1`, a.client.ID).Scan(&disabled)
	if errors.Is(err, sql.ErrNoRows) || disabled.Valid {
		return errUnknownClient
	}
	if err != nil {
		return err
	}
	steps, err := p.codeSteps(a, grantID)
	if err != nil {
		return err
	}
	return t.runAll(ctx, steps...)
}

// codeSteps write the family, the code that begins it, and the audit row.
func (p *Provider) codeSteps(a *approval, grantID string) ([]step, error) {
	end := p.familyEnd(refreshable(a.client, a.scopes), a.at)
	family, err := a.family(grantID, end)
	if err != nil {
		return nil, err
	}
	code := step{`INSERT INTO @.lockspire_codes
		(hash, family_id, client_id, redirect_uri, code_challenge, created_at, valid_until, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, []any{
		hashToken(a.code), a.familyID, a.client.ID, a.request.RedirectURI, a.request.CodeChallenge,
		micros(a.at), micros(a.at.Add(p.config.TTLs.Code)), micros(end)}}
	a.event.GrantID = grantID
	record, err := a.event.step()
	return []step{family, code, record}, err
}

// family is what tokens will state of the sign-in and of what was allowed.
func (a *approval) family(grantID string, end time.Time) (step, error) {
	scopes, err := jsonList(a.scopes)
	if err != nil {
		return step{}, err
	}
	resources, err := jsonList(a.request.Resources)
	if err != nil {
		return step{}, err
	}
	amr, err := jsonList(a.account.AMR)
	if err != nil {
		return step{}, err
	}
	claims, err := encodeNamed(a.request.Claims)
	if err != nil {
		return step{}, err
	}
	named := 0
	if a.request.ResourceNamed {
		named = 1
	}
	session, sid := a.session, ""
	if a.account.SessionID == "" {
		session.hash = nil
	} else {
		sid = base64.RawURLEncoding.EncodeToString(session.hash)
	}
	return step{`INSERT INTO @.lockspire_families
		(id, grant_id, client_id, subject, sid, session_hash, secret_id, epoch, acr, amr, auth_time, nonce,
			scopes, resources, resource_named, claims, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $18, $6, $7, $8, $9, $10, $11, $12, $13, $14, $17, $15, $16)`, []any{
		a.familyID, grantID, a.client.ID, a.account.Subject, nullText(sid), session.secretID, nullText(a.account.Epoch),
		nullText(a.account.ACR), amr, nullTime(a.account.AuthTime), nullText(a.request.Nonce),
		scopes, resources, named, micros(a.at), micros(end), nullText(claims), session.hash}}, nil
}

// familyEnd is when nothing of a family can be live any more. Evidence of
// replay is kept until then, so a family without refresh tokens is short.
func (p *Provider) familyEnd(refreshable bool, now time.Time) time.Time {
	if refreshable {
		return now.Add(p.config.TTLs.RefreshAbsolute)
	}
	return now.Add(p.config.TTLs.Code + p.config.TTLs.AccessToken + 10*time.Minute)
}
