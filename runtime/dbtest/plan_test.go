package dbtest

import (
	"bytes"
	"fmt"
	"html"
	"net/http"
	"slices"
	"sync"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// Every statement that the runtime sends finds its rows by an index, and looks
// at no more of them when the tables are a hundred times as long.
func TestEveryStatementHasAnIndexAndItsRowsDoNotGrow(t *testing.T) {
	var mu sync.Mutex
	found := map[lockspire.Dialect][]*planned{}
	t.Run("engines", func(t *testing.T) {
		for _, engine := range engines {
			t.Run(string(engine), func(t *testing.T) {
				t.Parallel()
				var all []*planned
				for _, p := range recordPlans(t, engine).seen {
					all = append(all, p)
					judgePlan(t, engine, p)
				}
				for _, missed := range missedStatements(t, all) {
					t.Errorf("no flow here sends this statement; add one to planflows_test.go:\n%s", missed)
				}
				mu.Lock()
				defer mu.Unlock()
				found[engine] = all
			})
		}
	})
	if !t.Failed() {
		checkPlanDoc(t, planTable(found))
	}
}

// recordPlans runs every flow on tables of two lengths.
func recordPlans(t *testing.T, engine lockspire.Dialect) *planRecorder {
	dsn := newDSN(t, engine)
	r, db := newPlanRecorder(t, engine, dsn)
	if err := lockspire.Migrate(t.Context(), db, engine, ""); err != nil {
		t.Fatal(err)
	}
	h := &planHost{recorder: r, host: newHost(t, db, engine, func(c *lockspire.Config) {
		c.Secrets = [][]byte{testSecret, bytes.Repeat([]byte{9}, 32)}
		c.Pages.AuthorizedApps = func(w http.ResponseWriter, _ *http.Request, page lockspire.AuthorizedAppsPage) {
			fmt.Fprintf(w, `<input name="decision_token" value="%s">`, html.EscapeString(page.Token))
			for _, grant := range page.Grants {
				fmt.Fprintf(w, `<input name="grant_id" value="%s">`, grant.ID)
			}
		}
	})}
	h.popular = h.newApp(func(n *lockspire.NewClient) { n.IntrospectsFor = []string{h.server.URL} })
	r.during(forBackground, func() { tended(h.host) })
	have := 0
	for _, n := range []int{planSmall, planLarge} {
		fillTables(t, db, engine, h.popular.ID, h.clock.Now(), have, n)
		have = n
		// The keys that the flows retire are published for a while.
		mustExec(t, db, "DELETE FROM lockspire_keys WHERE state = 'retiring' AND expires_at > $1", h.clock.Now().UnixMicro())
		r.mu.Lock()
		r.rows = n
		r.mu.Unlock()
		r.during(forRequest, func() { planRequests(t, h, fmt.Sprint("requests-", n)) })
		r.during(forBackground, func() { planBackground(t, h, fmt.Sprint("background-", n)) })
		r.during(forOperator, func() { planOperator(t, h, fmt.Sprint("operator-", n)) })
	}
	if r.fault != nil {
		t.Fatal(r.fault)
	}
	return r
}

// planReadsAll are the statements of operators' tools that count or list
// everything there is, some of them in batches.
var planReadsAll = []string{"Clients.list", "Keys.addUses", "eraseHints"}

// judgePlan holds one statement to the rules.
func judgePlan(t *testing.T, engine lockspire.Dialect, p *planned) {
	t.Helper()
	if slices.Contains(planReadsAll, p.caller) && len(p.uses) == 1 && p.uses[forOperator] {
		return
	}
	for flaw := range p.flaws {
		t.Errorf("%s, sent by %s, %s:\n%s", flaw, p.caller, engine, p.statement)
	}
	small, large := p.touched[planSmall], p.touched[planLarge]
	// A bitmap counts each row twice, and the flows leave old versions behind.
	if large > 2*small+8 {
		t.Errorf("%s, %s, looks at %d rows of %d and %d of %d:\n%s", p.caller, engine, small, planSmall, large, planLarge, p.statement)
	}
}

// Deleting a row looks for the rows that refer to it: each such column leads
// an index.
func TestEveryForeignKeyLeadsAnIndex(t *testing.T) {
	found := `SELECT m.name || '.' || f."from", EXISTS (
			SELECT 1 FROM pragma_index_list(m.name) l, pragma_index_info(l.name) i
			WHERE l.partial = 0 AND i.seqno = 0 AND i.name = f."from")
		FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'`
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			if engine == lockspire.PostgreSQL {
				found = `SELECT c.conrelid::regclass || '.' || a.attname, EXISTS (
						SELECT 1 FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indpred IS NULL AND i.indkey[0] = a.attnum)
					FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
					WHERE c.contype = 'f'`
			}
			rows, err := openDB(t, engine).QueryContext(t.Context(), found)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			n := 0
			for ; rows.Next(); n++ {
				var column string
				var indexed bool
				if err := rows.Scan(&column, &indexed); err != nil {
					t.Fatal(err)
				}
				if !indexed {
					t.Errorf("%s has no index", column)
				}
			}
			if err := rows.Err(); err != nil || n < 6 {
				t.Errorf("%d foreign keys: %v", n, err)
			}
		})
	}
}
