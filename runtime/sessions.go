package lockspire

import (
	"context"
	"errors"
)

const reasonSessionEnded = "session_ended"

// forAway is the condition that a family is for while the user is away: it
// outlives the session that it began in. A scope token has no quotes in it, so
// the name in quotes is that scope and no other. (LIKE would take another case
// for the same on SQLite.)
const forAway = `REPLACE(scopes, '"` + scopeOffline + `"', '') <> scopes`

// endSession ends what hangs on a session. The interactions come first: an
// approval that is being written holds its interaction's row, so it is either
// seen by the second statement or finds its interaction ended.
func (p *Provider) endSession(ctx context.Context, sessionID string) error {
	if sessionID == "" {
		return nil
	}
	e := newEvent(p.now(), "session.ended")
	var interactions, families tally
	err := p.store.write(ctx, func(t tx) error {
		interactions, families = tally{}, tally{}
		for _, session := range p.sessionHashes(sessionID) {
			if err := interactions.add(t.query(ctx, `UPDATE @.lockspire_interactions SET state = $1
				WHERE session_hash = $2 AND state = $3 RETURNING subject`,
				interactionDenied, session.hash, interactionPending)); err != nil {
				return err
			}
			if err := families.add(t.query(ctx, `UPDATE @.lockspire_families SET revoked_at = $1, reason = $2
				WHERE session_hash = $3 AND revoked_at IS NULL AND NOT (`+forAway+`) RETURNING subject`,
				micros(e.At), reasonSessionEnded, session.hash)); err != nil {
				return err
			}
			// The others go on without a session: no sid in later ID tokens.
			if _, err := t.exec(ctx, `UPDATE @.lockspire_families SET session_hash = NULL, sid = NULL
				WHERE session_hash = $1`, session.hash); err != nil {
				return err
			}
		}
		if interactions.rows+families.rows == 0 {
			return nil
		}
		e.Subject = families.subject
		if e.Subject == "" {
			e.Subject = interactions.subject
		}
		e.Detail = map[string]string{"families": families.String(), "interactions": interactions.String()}
		return t.audit(ctx, e)
	})
	if err == nil && interactions.rows+families.rows > 0 {
		p.emit(ctx, e)
	}
	return err
}

// renewSession moves what hangs on a session to its new id. The sid claim stays
// what clients know it as.
func (p *Provider) renewSession(ctx context.Context, oldID, newID string) error {
	switch {
	case oldID == "" || oldID == newID:
		return nil
	case newID == "":
		return errors.New("lockspire: the new session id is empty; use SessionEnded for a session that is over")
	}
	e := newEvent(p.now(), "session.renewed")
	current, _ := p.sessionHash(p.secrets.id(), newID)
	var interactions, families tally
	err := p.store.write(ctx, func(t tx) error {
		interactions, families = tally{}, tally{}
		for _, session := range p.sessionHashes(oldID) {
			// Under the row's own secret, which its decision token hangs on.
			renewed, _ := p.sessionHash(session.secretID, newID)
			if err := interactions.add(t.query(ctx, `UPDATE @.lockspire_interactions SET session_hash = $1
				WHERE session_hash = $2 AND state = $3 RETURNING subject`,
				renewed, session.hash, interactionPending)); err != nil {
				return err
			}
			if err := families.add(t.query(ctx, `UPDATE @.lockspire_families SET session_hash = $1, secret_id = $2
				WHERE session_hash = $3 RETURNING subject`, current, p.secrets.id(), session.hash)); err != nil {
				return err
			}
		}
		if interactions.rows+families.rows == 0 {
			return nil
		}
		e.Subject = families.subject
		if e.Subject == "" {
			e.Subject = interactions.subject
		}
		e.Detail = map[string]string{"families": families.String(), "interactions": interactions.String()}
		return t.audit(ctx, e)
	})
	if err == nil && interactions.rows+families.rows > 0 {
		p.emit(ctx, e)
	}
	return err
}

// hashedSession is a session id as rows know it that were written with one of
// the secrets.
type hashedSession struct {
	secretID string
	hash     []byte
}

// sessionHashes is how a session id may stand in rows: under each secret.
func (p *Provider) sessionHashes(sessionID string) []hashedSession {
	var all []hashedSession
	for id := range p.secrets.byID {
		hash, _ := p.sessionHash(id, sessionID)
		all = append(all, hashedSession{id, hash})
	}
	return all
}
