package install

import (
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

func supported(engine string) bool {
	return engine == templates.EngineSQLite || engine == templates.EnginePG
}

// chooseDatabase finds the handle that the call passes, or settles for a pool of our own on the host's driver.
func (j *job) chooseDatabase() plan.Refusals {
	handle := j.bestHandle()
	engine := j.Engine
	if engine == "" && handle != nil {
		engine = handle.Engine
	}
	if engine == "" {
		var refusals plan.Refusals
		if engine, refusals = j.onlyEngine(); len(refusals) > 0 {
			return refusals
		}
	}
	j.in.Engine = engine
	if handle != nil && handle.Kind == hostrepo.HandlePgx {
		j.handle = handle
		j.in.Database, j.in.DriverImport = templates.DatabasePgx, pgxPool
		return nil
	}
	j.handle = handle
	j.in.Database = templates.DatabaseOwn
	if handle != nil || j.NoWire && j.router == nil {
		j.in.Database = templates.DatabaseSQL
	}
	if handle == nil && j.NoWire && j.router == nil && j.imports(pgxPool) && engine == templates.EnginePG {
		j.in.Database, j.in.DriverImport = templates.DatabasePgx, pgxPool
		return nil
	}
	return j.chooseDriver()
}

const (
	pgxPool   = "github.com/jackc/pgx/v5/pgxpool"
	pgxStdlib = "github.com/jackc/pgx/v5/stdlib"
)

// bestHandle is the first handle in scope that is, or may be, of an engine that we support and that was asked for.
func (j *job) bestHandle() *hostrepo.Handle {
	if j.router == nil {
		return nil
	}
	for i := range j.router.Database {
		h := &j.router.Database[i]
		if h.Kind == hostrepo.HandlePgx && (j.Engine == templates.EngineSQLite || strings.Contains(h.Import, "/pgx/v4")) {
			continue
		}
		if h.Engine == "" || h.Engine == j.Engine || j.Engine == "" && supported(h.Engine) {
			if h.Kind == hostrepo.HandlePgx {
				h.Engine = templates.EnginePG
			}
			return h
		}
	}
	return nil
}

// onlyEngine is the one supported engine that the host has evidence for.
func (j *job) onlyEngine() (string, plan.Refusals) {
	first := map[string]hostrepo.Engine{}
	var found, other []string
	for _, e := range j.repo.Engines {
		if _, seen := first[e.Engine]; seen {
			continue
		}
		first[e.Engine] = e
		if supported(e.Engine) {
			found = append(found, e.Engine)
		} else {
			other = append(other, e.Engine)
		}
	}
	slices.Sort(found)
	slices.Sort(other)
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		var refusals plan.Refusals
		for _, engine := range found {
			e := first[engine]
			refusals = append(refusals, &plan.Refusal{
				Exit: 3, Path: e.File, Line: e.Line, Col: e.Col, What: wordManyEngines(engine, len(found)), Next: "lockspire install --engine " + engine,
			})
		}
		return "", refusals
	case len(other) > 0:
		e := first[other[0]]
		return "", plan.Refusals{{Exit: 1, Path: e.File, Line: e.Line, Col: e.Col, What: wordUnsupportedEngine(other), Next: wordOwnDatabase}}
	}
	return "", plan.Refusals{{Exit: 3, What: wordNoDatabase, Next: wordOwnDatabase}}
}

// chooseDriver finds the host's database/sql driver for the engine: what registers a name, and the name.
func (j *job) chooseDriver() plan.Refusals {
	if h := j.handle; h != nil && h.Import != "" && h.Driver != "" {
		j.in.DriverImport, j.in.DriverName = h.Import, h.Driver
		return nil
	}
	for _, e := range j.repo.Engines {
		if e.Engine == j.in.Engine && e.Import != "" && e.Driver != "" {
			j.in.DriverImport, j.in.DriverName = e.Import, e.Driver
			return nil
		}
	}
	if j.in.Engine == templates.EnginePG && (j.imports(pgxPool) || j.imports("github.com/jackc/pgx/v5")) {
		j.in.DriverImport, j.in.DriverName = pgxStdlib, "pgx"
		return nil
	}
	return plan.Refusals{{Exit: 1, What: wordNoDriver(j.in.Engine), Next: wordGetDriver(j.in.Engine)}}
}

// oldSQLite refuses a go-sqlite3 whose SQLite has no RETURNING yet (3.35): the host would not start. Its versions 2.0 are
// older than 1.14, which the go command cannot know.
func (j *job) oldSQLite() plan.Refusals {
	m := j.repo.GoMod
	if j.in.Engine != templates.EngineSQLite || !templates.Mattn(j.in.DriverImport) || m.MattnSQLite == "" || slices.Contains(j.Tags, "libsqlite3") {
		return nil
	}
	if semver.Compare(m.MattnSQLite, "v1.14.7") >= 0 && semver.Major(m.MattnSQLite) == "v1" {
		return nil
	}
	return plan.Refusals{{Exit: 1, Path: "go.mod", Line: m.MattnLine, What: wordOldSQLite(m.MattnSQLite), Next: wordGetSQLite}}
}

func (j *job) imports(path string) bool {
	return slices.ContainsFunc(j.repo.Engines, func(e hostrepo.Engine) bool { return e.Import == path })
}
