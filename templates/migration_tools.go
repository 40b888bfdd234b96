package templates

import (
	"fmt"
	"slices"

	"github.com/lockspire/lockspire/runtime/migrations"
)

// migrationTool is how one tool wants the files of a schema version.
type migrationTool struct {
	files        []migrationForm
	postgresOnly bool
	naming       string // of a directory that has no file yet
	width        int
}

// migrationForm is one file of a schema version.
type migrationForm struct {
	suffix  string
	content func(m migrations.Migration) string
	down    bool
}

func (f migrationForm) why(version int) string {
	if f.down {
		return fmt.Sprintf("takes schema %d back", version)
	}
	return fmt.Sprintf("lockspire_* tables, schema %d", version)
}

// sections is a file with both directions, each below a line that the tool looks for. No statement needs a mark of its
// own: tools split on the semicolons that end a line, and ours are nowhere else. None needs to leave the transaction.
func sections(up, down string) []migrationForm {
	return []migrationForm{{suffix: ".sql", content: func(m migrations.Migration) string {
		return up + m.Up + "\n\n" + down + m.Down + "\n"
	}}}
}

// upOnly is for what runs files in order and knows no way back.
var upOnly = []migrationForm{{suffix: ".sql", content: func(m migrations.Migration) string { return m.Up + "\n" }}}

var migrationTools = map[string]migrationTool{
	// goose of pressly, and its ancestor of liamstask.
	MigrationsGoose: {files: sections("-- +goose Up\n", "-- +goose Down\n"), naming: NamingTimestamp, width: 14},
	MigrationsGolangMigrate: {naming: NamingTimestamp, width: 14, files: []migrationForm{
		{suffix: ".up.sql", content: func(m migrations.Migration) string { return m.Up + "\n" }},
		{suffix: ".down.sql", content: func(m migrations.Migration) string { return m.Down + "\n" }, down: true},
	}},
	MigrationsDbmate:     {files: sections("-- migrate:up\n", "-- migrate:down\n"), naming: NamingTimestamp, width: 14},
	MigrationsSQLMigrate: {files: sections("-- +migrate Up\n", "-- +migrate Down\n"), naming: NamingTimestamp, width: 14},
	// tern demands numbers without a gap, from 1.
	MigrationsTern:  {files: sections("", "---- create above / drop below ----\n\n"), postgresOnly: true, naming: NamingSequence, width: 3},
	MigrationsAtlas: {files: upOnly, naming: NamingTimestamp, width: 14},
	MigrationsPlain: {files: upOnly, naming: NamingTimestamp, width: 14},
}

// MigrationTools are the modes that write files, in the order in which they are offered.
var MigrationTools = []string{
	MigrationsGoose, MigrationsGolangMigrate, MigrationsDbmate, MigrationsTern, MigrationsSQLMigrate, MigrationsAtlas, MigrationsPlain,
}

// MigrationModes are all that --migrations takes.
var MigrationModes = append(slices.Clone(MigrationTools), MigrationsRuntime, MigrationsPrint)

// WritesMigrations reports whether a mode writes files into the host's migration directory.
func WritesMigrations(mode string) bool { return slices.Contains(MigrationTools, mode) }

// MigrationNaming is how a tool numbers the files of a directory that has none yet.
func MigrationNaming(tool string) (naming string, width int) {
	t := migrationTools[tool]
	return t.naming, t.width
}

// MigrationEngines are the engines that have migration files, the host's own first. The second is there where the host
// keeps a directory for each.
func (in Inputs) MigrationEngines() []string {
	engines := []string{in.Engine}
	if in.MigrationsOther != "" {
		engines = append(engines, otherEngine(in.Engine))
	}
	return engines
}

// MigrationsDirOf is the directory of an engine's migration files, "" where it has none.
func (in Inputs) MigrationsDirOf(engine string) string {
	if engine == in.Engine {
		return in.MigrationsDir
	}
	return in.MigrationsOther
}

func otherEngine(engine string) string {
	if engine == EnginePG {
		return EngineSQLite
	}
	return EnginePG
}
