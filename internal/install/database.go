package install

import (
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// Which database the tables go to.
const (
	databaseHost     = "host"
	databaseSeparate = "separate" // a pool of our own, also where the host's is in scope
)

const (
	pgxPool   = "github.com/jackc/pgx/v5/pgxpool"
	pgxStdlib = "github.com/jackc/pgx/v5/stdlib"
)

func supported(engine string) bool {
	return engine == templates.EngineSQLite || engine == templates.EnginePG
}

// chooseDatabase finds the handle that the call passes, or settles for a pool of our own on the host's driver.
func (j *job) chooseDatabase() plan.Refusals {
	handle := j.bestHandle()
	engine := j.Engine
	switch {
	case engine != "":
	case handle != nil && handle.Engine != "":
		engine = handle.Engine
	case handle != nil && bothEngines(handle):
		// The host decides when it starts, so the generated code asks the database. Tests take the one that needs no server.
		engine, j.in.EngineAtStart = templates.EngineSQLite, true
	default:
		var refusals plan.Refusals
		if engine, refusals = j.onlyEngine(); len(refusals) > 0 {
			return refusals
		}
	}
	j.in.Engine = engine
	j.handle = handle
	j.in.Database = templates.DatabaseOwn
	switch {
	case handle != nil && handle.Kind == hostrepo.HandlePgx:
		j.in.Database, j.in.DriverImport = templates.DatabasePgx, pgxPool
		return nil
	case handle != nil && handle.Kind == hostrepo.HandleGorm:
		j.in.Database = templates.DatabaseGorm
		j.in.DriverImport, j.in.DriverName = j.dialector(engine)
		return nil
	case handle != nil || j.NoWire && j.router == nil && j.Database != databaseSeparate:
		j.in.Database = templates.DatabaseSQL
	}
	if handle == nil && j.in.Database == templates.DatabaseSQL && j.imports(pgxPool) && engine == templates.EnginePG {
		j.in.Database, j.in.DriverImport = templates.DatabasePgx, pgxPool
		return nil
	}
	return j.chooseDriver()
}

// bestHandle is the first handle in scope that is, or may be, of an engine that we support and that was asked for.
func (j *job) bestHandle() *hostrepo.Handle {
	if j.router == nil || j.Database == databaseSeparate {
		return nil
	}
	for i := range j.router.Database {
		if h := &j.router.Database[i]; j.fits(h) {
			return h
		}
	}
	return nil
}

func (j *job) fits(h *hostrepo.Handle) bool {
	switch h.Kind {
	case hostrepo.HandlePgx:
		if strings.Contains(h.Import, "/pgx/v4") {
			return false
		}
		h.Engine = templates.EnginePG
	case hostrepo.HandleGorm:
		engine := h.Engine
		if engine == "" {
			engine = j.Engine
		}
		if engine == "" && bothEngines(h) {
			engine = templates.EngineSQLite
		}
		if found, _ := j.dialector(engine); found == "" {
			return false // the tests could not open a database the way the host does
		}
	}
	switch {
	case h.Engine != "":
		return h.Engine == j.Engine || j.Engine == "" && supported(h.Engine)
	case len(h.Engines) == 0:
		return true
	case j.Engine != "":
		return slices.Contains(h.Engines, j.Engine)
	}
	return slices.ContainsFunc(h.Engines, supported)
}

// bothEngines reports whether the host may open either engine that we support when it starts, from the calls that open the
// handle or, where those do not say, from the drivers that it has.
func bothEngines(h *hostrepo.Handle) bool {
	return h.Engine == "" && slices.Contains(h.Engines, templates.EngineSQLite) && slices.Contains(h.Engines, templates.EnginePG)
}

// dialector is the package that the host gives to gorm.Open for an engine, and the driver that it brings along.
func (j *job) dialector(engine string) (importPath, driver string) {
	for _, e := range j.repo.Engines {
		if e.Engine == engine && templates.Dialector(e.Import) {
			return e.Import, e.Driver
		}
	}
	return "", ""
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
		return "", plan.Refusals{{Exit: 1, Path: e.File, Line: e.Line, Col: e.Col, What: wordUnsupportedEngine(other), Next: wordSeparateDatabase}}
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
	if d, ok := j.repo.RequiredDriver(j.in.Engine); ok {
		j.in.DriverImport, j.in.DriverName = d.Import, d.Driver
		return nil
	}
	return plan.Refusals{{Exit: 1, What: wordNoDriver(j.in.Engine), Next: j.getDriver()}}
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

// getDriver is the command that brings a driver. database.go imports it; elsewhere the host does.
func (j *job) getDriver() string {
	get := map[string]string{templates.EnginePG: "go get github.com/jackc/pgx/v5", templates.EngineSQLite: "go get modernc.org/sqlite"}[j.in.Engine]
	if j.in.Database == templates.DatabaseOwn {
		command := get + " && lockspire install --engine " + j.in.Engine
		if j.Database != "" {
			command += " --database " + j.Database
		}
		return command
	}
	return wordGetDriver(j.in.Engine)
}
