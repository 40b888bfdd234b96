package hostrepo

import (
	"path"
	"strings"
)

// MigrationDir is a directory of migrations.
type MigrationDir struct {
	Dir    string // module-relative
	Tool   string // "goose", "golang-migrate", "dbmate", "tern", "sql-migrate", "atlas", or "plain" for numbered SQL of no known tool
	Naming string // "timestamp", "unix" or "sequence"
	Width  int    // digits of the version
	Newest int64
	Files  int
	Engine string   // "" when not decidable
	Why    []string // evidence, one line each, with file:line

	Hashed bool    // atlas.sum is kept in it, whatever the tool: atlas migrate hash has to renew it
	Table  string  // where the tool keeps its versions, when the host says so; "" for the tool's default
	SQLC   string  // file:line of the sqlc configuration that reads it
	Embeds []Embed // directives that compile it in; empty when it is read from disk
}

// Embed is a go:embed pattern that reads a migration directory.
type Embed struct {
	Position
	Pattern string // as written
	Base    string // module-relative directory of the Go file
}

// Misses returns the directives of the directory when none of them takes in a file of the given base name: a program
// would then never see it. A directory that is not embedded misses nothing.
func (m *MigrationDir) Misses(name string) []Embed {
	for _, e := range m.Embeds {
		if e.takes(path.Join(m.Dir, name)) {
			return nil
		}
	}
	return m.Embeds
}

// takes reports whether the pattern includes a module-relative file: by name, or with a directory above it.
func (e Embed) takes(file string) bool {
	rel := file
	if e.Base != "." {
		var below bool
		if rel, below = strings.CutPrefix(file, e.Base+"/"); !below {
			return false
		}
	}
	pattern := strings.TrimPrefix(e.Pattern, "all:")
	for name := rel; name != "." && name != "/"; name = path.Dir(name) {
		if ok, err := path.Match(pattern, name); ok && err == nil {
			return true
		}
	}
	return pattern == "."
}

// Migrator is a part of the host that makes or changes tables and is not a directory of SQL files.
type Migrator struct {
	Name string // "goose" and the like for a tool that is imported, else one of the Migrator constants
	Position
}

// Migrators that are no tool for SQL files.
const (
	MigratorGORM     = "gorm AutoMigrate"
	MigratorEnt      = "ent Schema.Create"
	MigratorAtlas    = "atlas"                  // an atlas.hcl: atlas schema apply drops what it does not know
	MigratorVersions = "directories by version" // 0.10/00__name.sql and the like: a runner of the host's own
)
