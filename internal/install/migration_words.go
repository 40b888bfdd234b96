package install

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/templates"
)

// What install says of migrations; the rest of its words is in words.go.

const (
	wordWhoseDir          = "nothing tells which migration tool reads this directory"
	wordSchemaExistsAlone = "--schema-exists needs the schema: --schema"
)

func wordNoMigrationDir(tool string) string {
	return "no " + tool + " directory was found for this database; say where the files go"
}

func wordTernIsPostgres(engine string) string {
	return "tern is for PostgreSQL, and this host is on " + engine
}

func wordManyMigrationDirs(d hostrepo.MigrationDir, n int) string {
	return fmt.Sprintf("one of %d migration directories (%s): %s; say which one is for the lockspire_* tables", n, d.Tool, strings.Join(d.Why, ", "))
}

func wordPlainDir(d hostrepo.MigrationDir) string {
	return "cannot be decided how the lockspire_* tables come: " + strings.Join(d.Why, ", ")
}

func wordToolWithoutDir(tool string) string {
	return tool + " is imported, and no directory of its files was found in this module; say how the lockspire_* tables come"
}

func wordNotEmbedded(pattern, file string) string {
	return "the pattern " + pattern + " does not take in " + file + ", so the program would never apply it"
}

// migrationsFound says where the tables come from, and by what that was decided.
func (j *job) migrationsFound() []string {
	var lines []string
	switch j.in.Migrations {
	case templates.MigrationsRuntime:
		lines = append(lines, "lockspire.Migrate at start")
	case templates.MigrationsPrint:
		lines = append(lines, "printed as SQL")
	default:
		line := fmt.Sprintf("%s files in %s, numbered by %s", j.in.Migrations, j.in.MigrationsDir, j.in.MigrationsNaming)
		if d := j.chosenDir(); d != nil && len(d.Why) > 0 {
			line += "; " + d.Why[0]
		}
		lines = append(lines, line)
		if j.in.MigrationsOther != "" {
			lines = append(lines, "the same for the other engine in "+j.in.MigrationsOther)
		}
	}
	for _, m := range j.repo.Migrators {
		switch m.Name {
		case hostrepo.MigratorGORM, hostrepo.MigratorEnt:
			lines = append(lines, fmt.Sprintf("%s at %s:%d makes your own tables; it leaves others as they are", m.Name, m.File, m.Line))
		case hostrepo.MigratorVersions:
			lines = append(lines, fmt.Sprintf("%s, %s: a runner of your own, which is left alone", m.Name, m.File))
		}
	}
	return slices.Compact(lines)
}

func (j *job) chosenDir() *hostrepo.MigrationDir {
	for i := range j.repo.Migrations {
		d := &j.repo.Migrations[i]
		if d.Dir == j.in.MigrationsDir && (d.Tool == j.in.Migrations || j.Migrations != "") {
			return d
		}
	}
	return nil
}

// migrationWarnings are about directories that get nothing, and tools that would take the tables away again.
func (j *job) migrationWarnings() []string {
	var out []string
	for _, d := range j.repo.Migrations {
		if d.Engine != "" && d.Engine != templates.EnginePG && d.Engine != templates.EngineSQLite {
			out = append(out, fmt.Sprintf("%s is for %s, which Lockspire does not run on: nothing is written there", d.Dir, d.Engine))
		}
	}
	for _, m := range j.repo.Migrators {
		if m.Name == hostrepo.MigratorAtlas && m.File != "" && strings.HasSuffix(m.File, ".hcl") && !j.mentionsTables(m.File) {
			out = append(out, fmt.Sprintf("%s: atlas schema apply and atlas migrate diff drop tables that your schema does not declare. "+
				"Keep the lockspire_* tables out of it, in env and in its migration block:\n"+
				"exclude = [\"%slockspire_*\"]", m.File, j.schemaGlob()))
		}
	}
	return out
}

func (j *job) schemaGlob() string {
	if j.in.Schema == "" {
		return ""
	}
	return j.in.Schema + "."
}

// mentionsTables reports whether a configuration file of the host speaks of our tables already.
func (j *job) mentionsTables(file string) bool {
	data, err := os.ReadFile(filepath.Join(j.repo.ModuleRoot, filepath.FromSlash(file)))
	return err == nil && strings.Contains(string(data), "lockspire_")
}

// migrationsTodo is how the host applies what was written.
func (j *job) migrationsTodo() []string {
	if j.in.Migrations == templates.MigrationsPrint {
		return []string{"Carry the SQL on standard output into your own migrations and apply it."}
	}
	if !templates.WritesMigrations(j.in.Migrations) {
		return nil
	}
	var commands []string
	d := j.chosenDir()
	for _, engine := range j.in.MigrationEngines() {
		dir := j.in.MigrationsDirOf(engine)
		if d != nil && d.Hashed || j.in.Migrations == templates.MigrationsAtlas {
			commands = append(commands, atlasHash(j.in.Migrations, dir))
		}
		commands = append(commands, j.applyCommand(engine, dir)...)
	}
	if len(commands) == 0 {
		return []string{"Let your own runner apply " + j.in.MigrationsDir + "/…_lockspire_init.sql as it does your own files."}
	}
	todo := []string{"Apply the migration as you apply your own:\n" + strings.Join(commands, "\n")}
	if d != nil && d.SQLC != "" {
		todo = append(todo, "sqlc reads the directory ("+d.SQLC+"): it makes models of the lockspire_* tables, and no queries:\nsqlc generate")
	}
	return todo
}

func (j *job) applyCommand(engine, dir string) []string {
	switch j.in.Migrations {
	case templates.MigrationsGoose:
		dialect, table := "sqlite3", ""
		if engine == templates.EnginePG {
			dialect = "postgres"
		}
		if j.in.MigrationsTable != "" {
			table = "-table " + j.in.MigrationsTable + " "
		}
		return []string{"goose " + table + "-dir " + dir + " " + dialect + " \"$DATABASE_URL\" up"}
	case templates.MigrationsGolangMigrate:
		command := "migrate -path " + dir + " -database \"$DATABASE_URL\" "
		before := j.newestMigration()
		if before == 0 {
			before = -1 // golang-migrate's word for none
		}
		return []string{command + "up", fmt.Sprintf("# if up stops halfway, nothing of it is left but the mark \"dirty\": %sforce %d", command, before)}
	case templates.MigrationsDbmate:
		return []string{"dbmate --migrations-dir " + dir + " up"}
	case templates.MigrationsTern:
		return []string{"tern migrate --migrations " + dir}
	case templates.MigrationsSQLMigrate:
		return []string{"sql-migrate up"}
	case templates.MigrationsAtlas:
		return []string{"atlas migrate apply --dir \"file://" + dir + "\" --url \"$DATABASE_URL\""}
	}
	return nil
}

// atlasHash renews the sum that atlas checks before it does anything.
func atlasHash(tool, dir string) string {
	format := ""
	if tool != templates.MigrationsAtlas && tool != templates.MigrationsPlain {
		format = "?format=" + tool
	}
	return "atlas migrate hash --dir \"file://" + dir + format + "\""
}
