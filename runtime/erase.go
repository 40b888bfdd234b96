package lockspire

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
)

// eraseBatch bounds how many rows one transaction of an erasure changes.
const eraseBatch = 500

// erasures are the rows that go, children before parents: a family that is
// deleted takes its tokens along, and one that was refreshed for a year has
// more of them than one transaction should hold.
var erasures = []struct{ table, key, of string }{
	{"access_tokens", "hash", `SELECT a.hash FROM @.lockspire_access_tokens a
		JOIN @.lockspire_families f ON f.id = a.family_id WHERE f.subject = $1 LIMIT $2`},
	{"refresh_tokens", "id", `SELECT r.id FROM @.lockspire_refresh_tokens r
		JOIN @.lockspire_families f ON f.id = r.family_id WHERE f.subject = $1 LIMIT $2`},
	{"codes", "hash", `SELECT c.hash FROM @.lockspire_codes c
		JOIN @.lockspire_families f ON f.id = c.family_id WHERE f.subject = $1 LIMIT $2`},
	{"families", "id", `SELECT id FROM @.lockspire_families WHERE subject = $1 LIMIT $2`},
	{"grants", "id", `SELECT id FROM @.lockspire_grants WHERE subject = $1 LIMIT $2`},
	{"interactions", "id_hash", `SELECT id_hash FROM @.lockspire_interactions WHERE subject = $1 LIMIT $2`},
}

// eraseSubject ends everything of a subject in one transaction, so that nothing
// works any more from there on, and then removes the rows in batches. Each step
// can be repeated, so a call that was cut short is finished by the next one.
func (p *Provider) eraseSubject(ctx context.Context, subject string) error {
	if subject == "" {
		return errNoSubject
	}
	e := newEvent(p.now(), "subject.erased")
	// The audit log keeps that these things happened to one person, and
	// nothing that says to whom.
	e.Subject = newID("erased_")
	known := false
	err := p.store.write(ctx, func(t tx) error {
		var n int
		err := t.queryRow(ctx, `SELECT CASE WHEN
				EXISTS (SELECT 1 FROM @.lockspire_grants WHERE subject = $1)
				OR EXISTS (SELECT 1 FROM @.lockspire_interactions WHERE subject = $1)
				OR EXISTS (SELECT 1 FROM @.lockspire_audit WHERE subject = $1) THEN 1 ELSE 0 END`, subject).Scan(&n)
		if known = n > 0; err != nil || !known {
			return err
		}
		if e.Detail, err = t.endSubject(ctx, subject, e.At); err != nil {
			return err
		}
		return t.audit(ctx, e)
	})
	if err != nil {
		return err
	}
	if known {
		p.emit(ctx, e)
	}
	for _, erasure := range erasures {
		statement := fmt.Sprintf(`DELETE FROM @.lockspire_%s WHERE %s `+p.store.oneOf(), erasure.table, erasure.key, erasure.of)
		if err := p.inBatches(ctx, statement, subject, eraseBatch); err != nil {
			return err
		}
	}
	if err := p.eraseHints(ctx, subject); err != nil {
		return err
	}
	// The reason of a revocation is the host's own words.
	return p.inBatches(ctx, fmt.Sprintf(`UPDATE @.lockspire_audit
		SET subject = $3, detail = CASE WHEN name = 'subject.revoked' THEN '{}' ELSE detail END
		WHERE id `+p.store.oneOf(), `SELECT id FROM @.lockspire_audit WHERE subject = $1 LIMIT $2`), subject, eraseBatch, e.Subject)
}

// inBatches runs a statement, whose second argument is the size of a batch, in
// a transaction each until there is less than a batch left to do.
func (p *Provider) inBatches(ctx context.Context, statement string, args ...any) error {
	for {
		var changed int64
		err := p.store.write(ctx, func(t tx) error {
			result, err := t.exec(ctx, statement, args...)
			if err != nil {
				return err
			}
			changed, err = result.RowsAffected()
			return err
		})
		if err != nil || changed < int64(args[1].(int)) {
			return err
		}
	}
}

// eraseHints removes the requests that name the subject before anybody has
// signed in for them: by an ID token, by the claims parameter, or as login_hint.
// Nothing indexes what a request says; its rows live for an hour.
func (p *Provider) eraseHints(ctx context.Context, subject string) error {
	for last, more := []byte{}, true; more; {
		rows, err := p.store.read().query(ctx, `SELECT id_hash, request FROM @.lockspire_interactions
			WHERE id_hash > $1 ORDER BY id_hash LIMIT $2`, last, eraseBatch)
		if err != nil {
			return p.store.fault(err)
		}
		var named [][]byte
		if last, more, named, err = readHints(rows, subject); err != nil {
			return p.store.fault(err)
		}
		for _, hash := range named {
			err := p.store.write(ctx, func(t tx) error {
				_, err := t.exec(ctx, `DELETE FROM @.lockspire_interactions WHERE id_hash = $1`, hash)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// readHints reads one batch to its end and says where it ended, whether there
// may be more, and which of its rows name subject.
func readHints(rows *sql.Rows, subject string) (last []byte, more bool, named [][]byte, err error) {
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var hash []byte
		var stored string
		if err := rows.Scan(&hash, &stored); err != nil {
			return nil, false, nil, err
		}
		last = hash
		var request authRequest
		if err := json.Unmarshal([]byte(stored), &request); err != nil {
			return nil, false, nil, fmt.Errorf("reading a stored authorization request: %w", err)
		}
		if request.HintSubject == subject || request.LoginHint == subject {
			named = append(named, hash)
		}
	}
	return last, n == eraseBatch, named, rows.Err()
}
