package install

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// chooseMigrations decides how the tables come: through the host's migration tool where exactly one directory of one is
// found, by lockspire.Migrate where the host has nothing of the kind. Everything between is a question.
func (j *job) chooseMigrations() plan.Refusals {
	j.in.Migrations = j.Migrations
	if j.Migrations == templates.MigrationsRuntime || j.Migrations == templates.MigrationsPrint {
		return nil
	}
	if j.Migrations == templates.MigrationsTern && j.in.Engine != templates.EnginePG {
		return plan.Refusals{{Exit: 2, What: wordTernIsPostgres(j.in.Engine), Next: "lockspire install --migrations runtime"}}
	}
	dirs := j.migrationDirs()
	switch {
	case len(dirs) > 1:
		return j.manyMigrationDirs(dirs)
	case len(dirs) == 1 && dirs[0].Tool == hostrepo.PlainSQL && j.Migrations == "" && j.MigrationsDir == "":
		return plan.Refusals{j.howRefusal(dirs[0].Dir, wordPlainDir(dirs[0]), "lockspire install --migrations plain --migrations-dir "+dirs[0].Dir)}
	case len(dirs) == 1:
		return j.takeDir(dirs[0])
	case j.MigrationsDir != "":
		return j.newMigrationDir()
	case j.Migrations != "":
		return plan.Refusals{{Exit: 3, What: wordNoMigrationDir(j.Migrations), Next: "lockspire install --migrations " + j.Migrations + " --migrations-dir db/migrations"}}
	}
	for _, m := range j.repo.Migrators {
		if templates.WritesMigrations(m.Name) && m.Name != hostrepo.MigratorAtlas && !j.knownTool(m.Name) {
			r := j.howRefusal(m.File, wordToolWithoutDir(m.Name), "lockspire install --migrations "+m.Name+" --migrations-dir db/migrations")
			r.Line, r.Col = m.Line, m.Col
			return plan.Refusals{r}
		}
	}
	j.in.Migrations = templates.MigrationsRuntime
	return nil
}

// migrationDirs are the directories that the flags and the engine leave. Numbered SQL that nobody is known to read counts
// where no tool has a directory.
func (j *job) migrationDirs() []hostrepo.MigrationDir {
	var tools, plain []hostrepo.MigrationDir
	for _, d := range j.repo.Migrations {
		switch {
		case d.Engine != "" && d.Engine != j.in.Engine, j.MigrationsDir != "" && d.Dir != j.MigrationsDir,
			j.Migrations != "" && d.Tool != j.Migrations:
		case d.Tool == hostrepo.PlainSQL:
			plain = append(plain, d)
		default:
			tools = append(tools, d)
		}
	}
	if len(tools) > 0 {
		return tools
	}
	return plain
}

func (j *job) knownTool(tool string) bool {
	return slices.ContainsFunc(j.repo.Migrations, func(d hostrepo.MigrationDir) bool { return d.Tool == tool })
}

func (j *job) manyMigrationDirs(dirs []hostrepo.MigrationDir) plan.Refusals {
	var refusals plan.Refusals
	for _, d := range dirs {
		refusals = append(refusals, &plan.Refusal{
			Exit: 3, Path: d.Dir, What: wordManyMigrationDirs(d, len(dirs)),
			Next: "lockspire install --migrations " + d.Tool + " --migrations-dir " + d.Dir,
		})
	}
	return refusals
}

// howRefusal is the question how the tables come, where nothing but a person knows.
func (j *job) howRefusal(where, what, files string) *plan.Refusal {
	return &plan.Refusal{Exit: 3, Path: where, What: what, Next: files + "\n" +
		"lockspire install --migrations runtime    # lockspire.Migrate at start\n" +
		"lockspire install --migrations print    # the SQL, for your own runner"}
}

// takeDir settles on a directory that was found.
func (j *job) takeDir(d hostrepo.MigrationDir) plan.Refusals {
	naming, width := templates.MigrationNaming(d.Tool)
	j.in.Migrations, j.in.MigrationsDir = d.Tool, d.Dir
	j.in.MigrationsNaming, j.in.MigrationsWidth = cmp.Or(d.Naming, naming), cmp.Or(d.Width, width)
	j.in.MigrationsTable = j.MigrationsTable
	if j.in.MigrationsTable == "" && templates.TableName(d.Table) {
		j.in.MigrationsTable = d.Table
	}
	if other := j.otherEngineDir(d); other != nil {
		j.in.MigrationsOther = other.Dir
	}
	return nil
}

// otherEngineDir is the directory for the engine that this host also runs on, where it has one for each.
func (j *job) otherEngineDir(d hostrepo.MigrationDir) *hostrepo.MigrationDir {
	var found *hostrepo.MigrationDir
	for i := range j.repo.Migrations {
		o := &j.repo.Migrations[i]
		if d.Engine == "" || o.Tool != d.Tool || o.Engine == d.Engine || o.Engine != templates.EnginePG && o.Engine != templates.EngineSQLite || !templates.Below(o.Dir) {
			continue
		}
		if found != nil {
			return nil // several: the host's own business
		}
		found = o
	}
	return found
}

// newMigrationDir takes a directory that --migrations-dir names and nothing is known of, or that is known as another
// tool's.
func (j *job) newMigrationDir() plan.Refusals {
	tool := j.Migrations
	if tool == "" {
		var imported []string
		for _, m := range j.repo.Migrators {
			if templates.WritesMigrations(m.Name) {
				imported = append(imported, m.Name)
			}
		}
		if imported = slices.Compact(imported); len(imported) != 1 {
			var next []string
			for _, t := range templates.MigrationTools {
				next = append(next, "lockspire install --migrations "+t+" --migrations-dir "+j.MigrationsDir)
			}
			return plan.Refusals{{Exit: 3, Path: j.MigrationsDir, What: wordWhoseDir, Next: strings.Join(next, "\n")}}
		}
		tool = imported[0]
	}
	d := hostrepo.MigrationDir{Dir: j.MigrationsDir, Tool: tool}
	for _, known := range j.repo.Migrations {
		if known.Dir == d.Dir {
			d.Naming, d.Width = known.Naming, known.Width
		}
	}
	return j.takeDir(d)
}

// newestMigration is the highest version in the migration directories, whoever reads them.
func (j *job) newestMigration() int64 {
	var newest int64
	for _, d := range j.repo.Migrations {
		if d.Dir == j.in.MigrationsDir || d.Dir == j.in.MigrationsOther {
			newest = max(newest, d.Newest)
		}
	}
	return newest
}

// migrations plans the files of schema versions that the directories do not have. The refusals are about a program that
// would not see them.
func (j *job) migrations(next *manifest.Manifest) (plan.Refusals, error) {
	have := 0
	for _, m := range next.Migrations {
		have = max(have, m.Version)
	}
	fresh, err := templates.Migrations(j.in, have, j.newestMigration(), j.Now())
	if err != nil {
		return nil, err
	}
	var refusals plan.Refusals
	for _, version := range byVersion(fresh) {
		there, err := j.leftOver(version)
		if err != nil {
			return nil, err
		}
		stem := ""
		for _, name := range there {
			if name != "" {
				stem, _, _ = strings.Cut(path.Base(name), ".")
			}
		}
		for i, m := range version {
			if name := there[i]; name != "" {
				next.Migrations = append(next.Migrations, manifest.NewMigration(m.Version, m.Engine, name, m.Content))
				j.adopted = append(j.adopted, name)
				continue
			}
			if stem != "" { // its other half was left over: the numbers belong together
				_, suffix, _ := strings.Cut(path.Base(m.Path), ".")
				m.Path = path.Join(path.Dir(m.Path), stem+"."+suffix)
			}
			change, err := j.plan.File(m.Path, plan.Managed, m.Content, m.Why)
			if err != nil {
				return nil, err
			}
			j.plan.Add(change)
			refusals = append(refusals, j.notEmbedded(m.Path)...)
			next.Migrations = append(next.Migrations, manifest.NewMigration(m.Version, m.Engine, m.Path, m.Content))
		}
	}
	return refusals, nil
}

// byVersion groups the files of each schema version.
func byVersion(files []templates.Migration) [][]templates.Migration {
	var out [][]templates.Migration
	for _, m := range files {
		if len(out) == 0 || out[len(out)-1][0].Version != m.Version {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], m)
	}
	return out
}

// leftOver finds the files of one schema version that an earlier, partly reverted run left in the directories: for each
// of the fresh ones the name, or "".
func (j *job) leftOver(fresh []templates.Migration) ([]string, error) {
	found := make([]string, len(fresh))
	for i, m := range fresh {
		_, suffix, _ := strings.Cut(path.Base(m.Path), ".")
		for _, candidate := range j.filesIn(path.Dir(m.Path)) {
			base := path.Base(candidate)
			if _, had, _ := strings.Cut(base, "."); had != suffix {
				continue
			}
			if _, ours := templates.MigrationFile(j.in, m.Engine, m.Version, base); !ours {
				continue
			}
			before, _, err := plan.ReadHost(j.repo.ModuleRoot, candidate)
			if err != nil {
				return nil, err
			}
			if manifest.Normalized(candidate, before) == manifest.Normalized(candidate, m.Content) {
				found[i] = candidate
			}
		}
	}
	return found, nil
}

// notEmbedded refuses a file that no go:embed pattern of its directory takes in: the program would start without it, and
// nobody would be told.
func (j *job) notEmbedded(name string) plan.Refusals {
	var refusals plan.Refusals
	for _, d := range j.repo.Migrations {
		if d.Dir != path.Dir(name) {
			continue
		}
		for _, e := range d.Misses(path.Base(name)) {
			refusals = append(refusals, &plan.Refusal{
				Exit: 1, Path: e.File, Line: e.Line, Col: e.Col, What: wordNotEmbedded(e.Pattern, name), Next: nextEmbed(e, d.Dir),
			})
		}
		break
	}
	return refusals
}

// nextEmbed is a directive that takes in what the directory holds and will hold.
func nextEmbed(e hostrepo.Embed, dir string) string {
	pattern := "*.sql"
	if rel, below := strings.CutPrefix(dir, e.Base+"/"); below {
		pattern = rel + "/*.sql"
	} else if e.Base == "." {
		pattern = dir + "/*.sql"
	}
	return "//go:embed " + pattern + "    # in place of it, then lockspire install"
}
