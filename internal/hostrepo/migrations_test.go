package hostrepo

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestM03AndM08AndM12MigrationsAreFoundWithEvidence reads one module with the shape of each tool, and of runners that are
// nobody's: those give no directory, or a plain one.
func TestM03AndM08AndM12MigrationsAreFoundWithEvidence(t *testing.T) {
	name := filepath.Join("testdata", "many", "migrations.txtar")
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := expand(t, a)
	before := snapshot(t, dir)
	r, err := Load(context.Background(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	sameTree(t, dir, before)
	for _, e := range r.Errors {
		t.Errorf("%s:%d: %s", e.File, e.Line, e.Msg)
	}
	var got strings.Builder
	for _, m := range r.Migrations {
		fmt.Fprintf(&got, "%s %s %s/%d newest=%d files=%d engine=%s", m.Dir, m.Tool, m.Naming, m.Width, m.Newest, m.Files, m.Engine)
		if m.Table != "" {
			fmt.Fprintf(&got, " table=%s", m.Table)
		}
		if m.Hashed {
			got.WriteString(" hashed")
		}
		if m.SQLC != "" {
			fmt.Fprintf(&got, " sqlc=%s", m.SQLC)
		}
		got.WriteString("\n")
		for _, why := range m.Why {
			fmt.Fprintf(&got, "  %s\n", why)
		}
		for _, e := range m.Misses("20260301120000_lockspire_init.sql") {
			fmt.Fprintf(&got, "  misses ours: %s:%d\n", e.File, e.Line)
		}
	}
	for _, m := range r.Migrators {
		fmt.Fprintf(&got, "%s at %s:%d\n", m.Name, m.File, m.Line)
	}
	if strings.Contains(got.String(), "secret") {
		t.Error("a password is among the facts")
	}
	compareWant(t, name, a, got.String())
}

func TestM12APatternTakesInWhatEmbedWould(t *testing.T) {
	for _, c := range []struct {
		base, pattern, file string
		want                bool
	}{
		{"db", "migrations/*.sql", "db/migrations/3_x.sql", true},
		{"db", "migrations", "db/migrations/3_x.sql", true},
		{"db", "all:migrations", "db/migrations/3_x.sql", true},
		{"db", "*/*.sql", "db/migrations/3_x.sql", true},
		{"db", "*", "db/migrations/3_x.sql", true},
		{".", "db/migrations/*.sql", "db/migrations/3_x.sql", true},
		{"db/migrations", "*.sql", "db/migrations/3_x.sql", true},
		{"db/migrations", "0*.sql", "db/migrations/3_x.sql", false},
		{"db/migrations", "*.up.sql", "db/migrations/3_x.down.sql", false},
		{"db", "*.sql", "db/migrations/3_x.sql", false},
		{"other", "*.sql", "db/migrations/3_x.sql", false},
		{"d", "b/migrations/*.sql", "db/migrations/3_x.sql", false},
	} {
		e := Embed{Pattern: c.pattern, Base: c.base}
		if got := e.takes(c.file); got != c.want {
			t.Errorf("in %s, %s takes %s: %v", c.base, c.pattern, c.file, got)
		}
	}
}
