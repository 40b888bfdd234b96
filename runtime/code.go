package lockspire

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"time"
)

const (
	// maxCodeFailures is how many attempts without proof a code survives:
	// one wrong attempt must not let a stranger burn it.
	maxCodeFailures = 5
	// replayGrace is how soon after a redemption a second one with proof
	// counts as a double submission and not as a theft.
	replayGrace = 2 * time.Second

	reasonCodeReplayed = "code_replayed"
)

// errBadCode is one answer for every code that issues nothing.
var errBadCode = invalidGrant("The authorization code is invalid, expired, used or was issued for another request.")

// storedCode is a code's row with the family it begins.
type storedCode struct {
	hash                   []byte
	clientID               string
	redirectURI, challenge string
	failures               int
	validUntil, redeemedAt time.Time
	family                 family
}

// redeem exchanges an authorization code (RFC 6749 §4.1.3). Proof comes first,
// so that only the rightful client learns or changes anything; then the host
// is asked and tokens are signed; then one transaction marks the code used and
// stores what it pays for.
func (p *Provider) redeem(r *http.Request, client Client, form params) (*tokenResponse, error) {
	ctx := r.Context()
	presented := form.get("code")
	if presented == "" {
		return nil, badRequest("The code is missing.")
	}
	if !tokenShaped(presented) {
		return nil, errBadCode
	}
	code, err := p.loadCode(ctx, presented)
	if err != nil {
		return nil, err
	}
	if flaw := code.unproven(client, form); flaw != "" {
		return nil, p.refuseCode(ctx, code, client, flaw)
	}
	if !code.redeemedAt.IsZero() {
		return nil, p.replayedCode(r, code)
	}
	if code.family.ended || code.failures >= maxCodeFailures || !p.now().Before(code.validUntil) {
		return nil, errBadCode
	}
	audience, err := p.audience(code.family, form.all("resource"), code.family.scopes)
	if err != nil {
		return nil, err
	}
	account, err := p.accountBySubject(ctx, code.family.subject)
	if errors.Is(err, ErrAccountGone) {
		return nil, errBadCode
	}
	if err != nil {
		return nil, err
	}
	response, err := p.signTokens(ctx, client, issuance{
		family: code.family, account: account, scopes: code.family.scopes, audience: audience, nonce: code.family.nonce,
	})
	if errors.Is(err, ErrAccountGone) {
		return nil, errBadCode
	}
	if err != nil {
		return nil, err
	}
	if refreshable(client, code.family.scopes) {
		response.RefreshToken = newToken()
	}
	won, err := p.claimCode(ctx, code, response)
	if err != nil {
		return nil, err
	}
	if !won {
		// Another request was faster, or the code was withdrawn meanwhile.
		if code, err = p.loadCode(ctx, presented); err != nil {
			return nil, err
		}
		if !code.redeemedAt.IsZero() {
			return nil, p.replayedCode(r, code)
		}
		return nil, errBadCode
	}
	return response, nil
}

func (p *Provider) loadCode(ctx context.Context, presented string) (storedCode, error) {
	c := storedCode{hash: hashToken(presented)}
	var redeemed sql.NullInt64
	var validUntil int64
	var err error
	c.family, err = scanFamily(p.store.read().queryRow(ctx, `SELECT d.client_id, d.redirect_uri, d.code_challenge,
			d.failures, d.valid_until, d.redeemed_at, `+familyColumns+`
		FROM @.lockspire_codes d
		JOIN @.lockspire_families f ON f.id = d.family_id
		JOIN @.lockspire_grants g ON g.id = f.grant_id
		WHERE d.hash = $1`, c.hash), p.now(),
		&c.clientID, &c.redirectURI, &c.challenge, &c.failures, &validUntil, &redeemed)
	if errors.Is(err, sql.ErrNoRows) {
		return c, errBadCode
	}
	c.validUntil, c.redeemedAt = time.UnixMicro(validUntil), fromMicros(redeemed)
	return c, p.store.fault(err)
}

// unproven says what the request lacks to be the rightful client's, or "". The
// redirect URI may be left out where PKCE ties the request to the code (OAuth
// 2.1 §10.2). A verifier for a code without challenge is a downgrade: somebody
// took the challenge out of the client's request (RFC 9700 §4.8).
func (c storedCode) unproven(client Client, form params) string {
	switch {
	case c.clientID != client.ID:
		return "client"
	case form.get("redirect_uri") != "" && form.get("redirect_uri") != c.redirectURI:
		return "redirect_uri"
	case c.challenge == "" && form.get("redirect_uri") == "":
		return "redirect_uri"
	case c.challenge == "" && form.get("code_verifier") == "" && client.mayOmitPKCE():
		return ""
	case !verifierMatches(form.get("code_verifier"), c.challenge):
		return "code_verifier"
	}
	return ""
}

// refuseCode counts an attempt without proof. The fifth burns the code; nothing
// else is revoked, or anyone who saw a code could end the user's session.
func (p *Provider) refuseCode(ctx context.Context, code storedCode, client Client, flaw string) error {
	e := p.familyEvent("code.refused", code.family, client.ID)
	e.Detail = map[string]string{"flaw": flaw}
	err := p.store.write(ctx, func(t tx) error {
		if _, err := t.exec(ctx, `UPDATE @.lockspire_codes SET failures = failures + 1
			WHERE hash = $1 AND redeemed_at IS NULL`, code.hash); err != nil {
			return err
		}
		return t.audit(ctx, e)
	})
	if err != nil {
		return err
	}
	p.emit(ctx, e)
	return errBadCode
}

// replayedCode answers a second redemption with full proof: somebody else has
// the code and the verifier, so everything that came from it stops (RFC 6749
// §4.1.2). A client that submits twice at once is spared.
func (p *Provider) replayedCode(r *http.Request, code storedCode) error {
	ctx := r.Context()
	e := p.familyEvent("code.replayed", code.family, code.clientID)
	if infoOf(r).arrived.Sub(code.redeemedAt) < replayGrace {
		e.Detail = map[string]string{"revoked": "no"}
		if err := p.record(ctx, e); err != nil {
			return err
		}
		return errBadCode
	}
	e.Detail = map[string]string{"revoked": "yes"}
	err := p.store.write(ctx, func(t tx) error { return t.revokeFamily(ctx, code.family.id, reasonCodeReplayed, e) })
	if err != nil {
		return err
	}
	p.emit(ctx, e)
	return errBadCode
}

// claimCode marks the code used and stores those tokens of the response that
// are rows, in one transaction. Of any number of attempts one reports true.
func (p *Provider) claimCode(ctx context.Context, code storedCode, response *tokenResponse) (bool, error) {
	now := p.now()
	e := p.familyEvent("code.redeemed", code.family, code.clientID)
	record, err := e.step()
	if err != nil {
		return false, err
	}
	tokens, err := response.opaque.steps()
	if err != nil {
		return false, err
	}
	if response.RefreshToken != "" {
		tokens = append(tokens, p.newRefresh(refreshRow{id: newID("rt_"), family: code.family}, response.RefreshToken, now))
	}
	steps := append([]step{code.claim(now)}, tokens...)
	won, err := p.store.chain(ctx, append(steps, usedGrant(code.family.grantID, now), record)...)
	if won {
		p.emit(ctx, e)
	}
	return won, err
}

// claim marks a code used that may still be: once, in time, and under a family, a
// grant and a client that stand (RFC 6749 §4.1.2).
func (c storedCode) claim(now time.Time) step {
	return step{`UPDATE @.lockspire_codes SET redeemed_at = $1
		WHERE hash = $2 AND redeemed_at IS NULL AND valid_until > $1 AND failures < $3
			AND EXISTS (SELECT 1 FROM @.lockspire_families f
				JOIN @.lockspire_grants g ON g.id = f.grant_id
				JOIN @.lockspire_clients c ON c.id = f.client_id
				WHERE f.id = lockspire_codes.family_id AND ` + familyLive + `)`,
		[]any{micros(now), c.hash, maxCodeFailures}}
}
