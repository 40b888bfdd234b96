package lockspire

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"
)

const reasonSubjectRevoked = "subject_revoked"

// maxReason bounds the words that the host gives for the audit log.
const maxReason = 200

var errNoSubject = errors.New("lockspire: the subject is empty")

// tally counts the rows that a statement changed, and remembers whose they are.
type tally struct {
	rows    int
	subject string
}

// add reads the subjects that a statement returned. A result that is not read
// to its end is not known to be complete.
func (c *tally) add(rows *sql.Rows, err error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var subject sql.NullString
		if err := rows.Scan(&subject); err != nil {
			return err
		}
		c.rows, c.subject = c.rows+1, subject.String
	}
	return rows.Err()
}

func (c tally) String() string { return strconv.Itoa(c.rows) }

// revokeSubject ends everything that subject has allowed.
func (p *Provider) revokeSubject(ctx context.Context, subject, reason string) error {
	if subject == "" {
		return errNoSubject
	}
	e := newEvent(p.now(), "subject.revoked")
	e.Subject = subject
	ended := false
	err := p.store.write(ctx, func(t tx) error {
		counts, err := t.endSubject(ctx, subject, e.At)
		if ended = len(counts) > 0; err != nil || !ended {
			return err
		}
		counts["reason"] = shortened(reason)
		e.Detail = counts
		return t.audit(ctx, e)
	})
	if err == nil && ended {
		p.emit(ctx, e)
	}
	return err
}

// endSubject ends the interactions, grants and families of a subject and says
// how many of each, or nothing where there was nothing left to end.
//
// The order is that of an approval. One that is being written holds the row of
// its interaction, and of the grant where there is one: these statements wait
// for it and the next one sees what it wrote, or it waits for them and finds
// its interaction or its grant ended. Tokens that are being issued need no
// lock: whatever is written under a family that has ended is dead.
func (t tx) endSubject(ctx context.Context, subject string, at time.Time) (map[string]string, error) {
	counts, all := map[string]string{}, int64(0)
	note := func(what string, result sql.Result, err error) error {
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		counts[what], all = strconv.FormatInt(n, 10), all+n
		return err
	}
	result, err := t.exec(ctx, `UPDATE @.lockspire_interactions SET state = $1
		WHERE subject = $2 AND state = $3`, interactionDenied, subject, interactionPending)
	if err := note("interactions", result, err); err != nil {
		return nil, err
	}
	result, err = t.exec(ctx, `UPDATE @.lockspire_grants SET revoked_at = $1, expires_at = `+grantEnd+`
		WHERE subject = $2 AND revoked_at IS NULL`, micros(at), subject)
	if err := note("grants", result, err); err != nil {
		return nil, err
	}
	result, err = t.exec(ctx, `UPDATE @.lockspire_families SET revoked_at = $1, reason = $2
		WHERE subject = $3 AND revoked_at IS NULL`, micros(at), reasonSubjectRevoked, subject)
	if err := note("families", result, err); err != nil || all == 0 {
		return nil, err
	}
	return counts, nil
}

// shortened is the host's words for an audit row, of a bounded length.
func shortened(reason string) string {
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	return strings.ToValidUTF8(reason, "")
}
