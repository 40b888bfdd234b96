package verify

import (
	"bytes"
	"go/constant"
	"go/types"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/templates"
)

var migrationMissing = &Rule{
	ID: "LS401", Family: FamilyMigrations, Name: "migration-missing", Severity: Error, Since: "0.1.0",
	Title: "A migration that install wrote is no longer there.",
	Doc: Doc{
		Why: "The manifest records every migration file. Without it a new database lacks the lockspire_* tables and the server refuses to " +
			"start. A file that was only renumbered within its directory is found by its content.",
		After: "git checkout -- db/migrations/00008_lockspire_init.sql",
	},
	run: func(p *pass) {
		for _, m := range p.recordedMigrations() {
			if _, ok := p.migrationFile(m); !ok {
				p.report(p.manifestLine(m.Path), "the migration %s is missing", m.Path).Fix = "git checkout -- " + m.Path
			}
		}
	},
}

var migrationEdited = &Rule{
	ID: "LS402", Family: FamilyMigrations, Name: "migration-edited", Severity: Error, Since: "0.1.0",
	Title: "A migration that install wrote was edited.",
	Doc: Doc{
		Why: "A migration that has been applied somewhere is history: an edit makes databases differ without anybody noticing. Line ends, " +
			"blanks at line ends and a byte order mark do not count. What the host wants to add goes into a migration of its own.",
		Before: "-- in 00008_lockspire_init.sql\nCREATE TABLE lockspire_clients (id TEXT, note TEXT);",
		After:  "-- in 00009_client_notes.sql\nALTER TABLE lockspire_clients ADD COLUMN note TEXT;",
	},
	run: func(p *pass) {
		for _, m := range p.recordedMigrations() {
			data, ok := p.migrationFile(m)
			if !ok || manifest.Normalized(m.Path, data) == m.Normalized {
				continue // missing is LS401
			}
			f := p.report(hostrepo.Position{File: m.Path, Line: p.firstDifference(m, data), Col: 1}, "the migration was edited after it was generated")
			f.related(p.manifestLine(m.Path), "recorded here")
			f.Fix = "git checkout -- " + m.Path + "    # and put the change into a migration of its own"
		}
	},
}

var migrationVersion = &Rule{
	ID: "LS403", Family: FamilyMigrations, Name: "migration-version", Severity: Error, Since: "0.1.0",
	Title: "The migrations do not bring the schema to the version that the runtime needs.",
	Doc: Doc{
		Why: "Each version of the runtime needs one schema version, and refuses to start on an older one. After the runtime was raised in " +
			"go.mod, `lockspire upgrade` adds the migration that belongs to it.",
		After: "lockspire upgrade",
	},
	run: func(p *pass) {
		if p.manifest == nil {
			return // without a record nothing is known about files in the host's directory
		}
		switch p.inputs.Migrations {
		case templates.MigrationsRuntime:
			return // Migrate brings the schema along at start
		case templates.MigrationsPrint:
			p.unproven(p.manifestLine("migrations"), "the host carries the schema into its own migrations, which are not followed; the server checks the schema version when it starts")
			return
		}
		need, ok := p.schemaVersion()
		if !ok {
			p.unproven(p.manifestLine("migrations"), "the runtime was not loaded, so the schema version that it needs is not known")
			return
		}
		have := map[int]string{}
		newest := 0
		for _, m := range p.manifest.Migrations {
			if m.Engine == p.inputs.Engine || p.inputs.Engine == "" {
				have[m.Version] = m.Path
				newest = max(newest, m.Version)
			}
		}
		for v := 1; v <= need; v++ {
			if have[v] == "" {
				p.report(p.manifestLine("migrations"), "there is no migration to schema version %d, and the runtime needs version %d", v, need).Fix = "lockspire upgrade"
			}
		}
		if newest > need {
			f := p.report(p.manifestLine(have[newest]), "the migrations lead to schema version %d, and the runtime in go.mod knows %d", newest, need)
			f.Severity = Warning
			f.Fix = "go get " + hostrepo.RuntimeModule + "@" + p.manifest.Runtime
		}
	},
}

func (h *host) recordedMigrations() []manifest.Migration {
	if h.manifest == nil {
		return nil
	}
	return h.manifest.Migrations
}

// migrationFile reads a migration at its place, or under another number in the same directory.
func (h *host) migrationFile(m manifest.Migration) ([]byte, bool) {
	if data, err := h.read(m.Path); err == nil {
		return data, true
	}
	entries, err := os.ReadDir(filepath.Join(h.repo.ModuleRoot, filepath.FromSlash(path.Dir(m.Path))))
	if err != nil {
		return nil, false
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".sql") || e.IsDir() {
			continue
		}
		data, err := h.read(path.Join(path.Dir(m.Path), e.Name()))
		if err == nil && manifest.Normalized(e.Name(), data) == m.Normalized {
			return data, true
		}
	}
	return nil, false
}

// firstDifference is the first line that differs from what this version renders for the migration, 1 when that is not it.
func (h *host) firstDifference(m manifest.Migration, data []byte) int {
	want, ok := templates.MigrationFile(h.inputs, m.Engine, m.Version, path.Base(m.Path))
	if !ok || manifest.Normalized(m.Path, want) != m.Normalized {
		return 1
	}
	a, b := bytes.Split(want, []byte("\n")), bytes.Split(data, []byte("\n"))
	for i := range min(len(a), len(b)) {
		if !bytes.Equal(bytes.TrimRight(a[i], " \t\r"), bytes.TrimRight(b[i], " \t\r")) {
			return i + 1
		}
	}
	return max(1, min(len(a), len(b)))
}

// schemaVersion is what the runtime that the host loads says it needs.
func (h *host) schemaVersion() (int, bool) {
	pkg := h.repo.Types(hostrepo.RuntimeModule + "/migrations")
	if pkg == nil {
		return 0, false
	}
	c, ok := pkg.Scope().Lookup("Latest").(*types.Const)
	if !ok {
		return 0, false
	}
	n, exact := constant.Int64Val(constant.ToInt(c.Val()))
	return int(n), exact
}
