package lockspire

import (
	"context"
	"database/sql"
	"encoding/json"
	"log/slog"
	"time"
)

// newEvent starts an audit record. The id is made here and not in tx.audit, so
// that the row and the copy given to Config.Events carry the same one however
// often the transaction is run.
func newEvent(now time.Time, name string) Event {
	return Event{ID: newID("evt_"), At: now.UTC(), Name: name}
}

// audit writes e in the transaction of the change it records: there is no
// change without its record, and no record of a change that was rolled back.
func (t tx) audit(ctx context.Context, e Event) error {
	s, err := e.step()
	if err != nil {
		return err
	}
	return t.run(ctx, s)
}

// step inserts e; see tx.audit.
func (e Event) step() (step, error) {
	if e.ID == "" {
		e.ID = newID("evt_")
	}
	detail := []byte("{}")
	if len(e.Detail) > 0 {
		var err error
		if detail, err = json.Marshal(e.Detail); err != nil {
			return step{}, err
		}
	}
	return step{`INSERT INTO @.lockspire_audit
		(id, at, name, client_id, subject, grant_id, family_id, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, []any{
		e.ID, micros(e.At), e.Name, nullText(e.ClientID), nullText(e.Subject),
		nullText(e.GrantID), nullText(e.FamilyID), string(detail)}}, nil
}

// emit hands events to the log and to Config.Events. It is called after the
// commit, so that nobody is told of what did not happen.
func (p *Provider) emit(ctx context.Context, events ...Event) {
	for _, e := range events {
		attrs := []slog.Attr{slog.String("event", e.Name), slog.String("event_id", e.ID)}
		for _, attr := range []slog.Attr{
			slog.String("client_id", e.ClientID),
			slog.String("grant_id", e.GrantID),
			slog.String("family_id", e.FamilyID),
		} {
			if attr.Value.String() != "" {
				attrs = append(attrs, attr)
			}
		}
		p.config.Logger.LogAttrs(ctx, slog.LevelInfo, "lockspire event", attrs...)
		p.deliver(ctx, e)
	}
}

// deliver calls the host's sink. The change is committed: a sink that panics
// must not turn its response into a 500.
func (p *Provider) deliver(ctx context.Context, e Event) {
	if p.config.Events == nil {
		return
	}
	defer func() {
		if recover() != nil {
			p.config.Logger.LogAttrs(ctx, slog.LevelError, "lockspire: Config.Events panicked", slog.String("event", e.Name))
		}
	}()
	p.config.Events(e)
}

// nullText stores "" as NULL.
func nullText(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }
