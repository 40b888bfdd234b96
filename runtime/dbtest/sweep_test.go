package dbtest

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// runFor runs the background work for a while: what is due at its start and
// what is written at its end.
func runFor(t *testing.T, p *lockspire.Provider, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d+200*time.Millisecond)
	defer cancel()
	if err := p.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestA181SweepKeepsTheEvidenceUntilTheFamilyIsOver(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, clock, client := protected(t, db, engine)
		now := clock.Now()
		year := now.Add(365 * 24 * time.Hour).UnixMicro()
		mustExec(t, db, `INSERT INTO lockspire_codes (hash, family_id, client_id, redirect_uri, code_challenge, created_at, valid_until, redeemed_at, expires_at)
			VALUES ($1, $2, $3, 'x', 'x', 1, 1, 1, $4)`, []byte("code"), client.familyID, client.client.ID, year)
		mustExec(t, db, "UPDATE lockspire_refresh_tokens SET rotated_at = 1, valid_until = 1 WHERE id = 'rt_Partner0'")
		for i, end := range []int64{now.Add(-time.Hour).UnixMicro(), year} {
			mustExec(t, db, "INSERT INTO lockspire_revoked_tokens (jti, expires_at) VALUES ($1, $2)", fmt.Sprint("jti", i), end)
			mustExec(t, db, `INSERT INTO lockspire_interactions (id_hash, client_id, browser_hash, request, state, created_at, expires_at)
				VALUES ($1, $2, $3, '{}', 'pending', 1, $4)`, []byte{byte(i)}, client.client.ID, []byte("b"), end)
		}
		if err := p.RevokeGrant(t.Context(), "alice", client.grantID); err != nil {
			t.Fatal(err)
		}
		rows := func() string {
			text := ""
			for _, table := range []string{"revoked_tokens", "interactions", "codes", "refresh_tokens", "families", "grants", "clients"} {
				text += fmt.Sprintf("%s %d, ", table, count(t, db, "SELECT COUNT(*) FROM lockspire_"+table))
			}
			return text
		}
		const audit = "SELECT COUNT(*) FROM lockspire_audit WHERE name NOT LIKE 'key.%'"
		audits := count(t, db, audit)
		runFor(t, p, 0)
		if got, want := rows(), "revoked_tokens 1, interactions 1, codes 1, refresh_tokens 2, families 1, grants 1, clients 1, "; got != want {
			t.Errorf("while the family could live:\n%s\nwant\n%s", got, want)
		}
		clock.advance(365*24*time.Hour + 10*time.Minute)
		runFor(t, p, 0)
		if got, want := rows(), "revoked_tokens 0, interactions 0, codes 0, refresh_tokens 0, families 0, grants 0, clients 1, "; got != want {
			t.Errorf("after the family's end:\n%s\nwant\n%s", got, want)
		}
		if n := count(t, db, audit); n != audits {
			t.Errorf("the sweep changed the audit log from %d to %d rows", audits, n)
		}
	})
}

func TestSweepKeepsLiveGrantsWhoseFamiliesAreOver(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, clock, _ := protected(t, db, engine)
		clock.advance(366 * 24 * time.Hour)
		runFor(t, p, 0)
		if n := count(t, db, "SELECT COUNT(*) FROM lockspire_families"); n != 0 {
			t.Errorf("%d families are left", n)
		}
		if grants, err := p.Grants(t.Context(), "alice"); err != nil || len(grants) != 1 {
			t.Errorf("the consent went with its tokens: %v %v", grants, err)
		}
	})
}

func TestSweepWorksInBatchesFromEveryReplica(t *testing.T) {
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			dsn := newDSN(t, engine)
			db := openDSN(t, engine, dsn)
			if err := lockspire.Migrate(t.Context(), db, engine, ""); err != nil {
				t.Fatal(err)
			}
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			for i := range 1700 {
				if _, err := tx.Exec("INSERT INTO lockspire_revoked_tokens (jti, expires_at) VALUES ($1, 1)", fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			for range 3 {
				p := mustNew(t, baseConfig(openDSN(t, engine, dsn), engine))
				go func() {
					defer func() { done <- struct{}{} }()
					runFor(t, p, 2*time.Second)
				}()
			}
			for range 3 {
				<-done
			}
			if n := count(t, db, "SELECT COUNT(*) FROM lockspire_revoked_tokens"); n != 0 {
				t.Errorf("%d rows are left", n)
			}
		})
	}
}

func TestCloseEndsRunAndWaitsForIt(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p := mustNew(t, baseConfig(db, engine))
		ended := make(chan error, 1)
		go func() { ended <- p.Run(context.Background()) }()
		time.Sleep(50 * time.Millisecond)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Run goes on after Close")
		}
		if err := p.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if err := p.Run(context.Background()); err != nil {
			t.Errorf("Run after Close: %v", err)
		}
	})
}
