package hostrepo

import (
	"cmp"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// toolMarks are the annotations by which a migration tool's SQL files are told apart.
var toolMarks = []struct {
	tool string
	mark *regexp.Regexp
}{
	{"goose", regexp.MustCompile(`(?m)^--\s*\+goose\s+Up\b`)},
	{"sql-migrate", regexp.MustCompile(`(?m)^--\s*\+migrate\s+Up\b`)},
	{"dbmate", regexp.MustCompile(`(?m)^--\s*migrate:up\b`)},
	{"tern", regexp.MustCompile(`(?m)^---- create above / drop below ----`)},
}

// PlainSQL is the tool of a directory of numbered SQL files that carry nobody's annotations.
const PlainSQL = "plain"

var (
	versionName = regexp.MustCompile(`^([0-9]+)[_.-]`)
	versionDir  = regexp.MustCompile(`^v?[0-9]+(\.[0-9]+)*$`)
	makesTables = regexp.MustCompile(`(?i)\b(CREATE|ALTER)\s+TABLE\b`)
)

// findMigrations lists the directories that a migration tool reads, and those of numbered SQL files that something must
// read. What decides is, in this order: annotations in the files and their names, configuration files, Go code that uses
// the tool.
func findMigrations(ix *index, t *tree) ([]MigrationDir, []Migrator) {
	s := &migrationScan{ix: ix, tree: t, dirs: map[[2]string]*MigrationDir{}, texts: map[string]string{}}
	s.readFiles()
	s.readConfigs()
	s.readCode()
	s.dropPlain()
	var out []MigrationDir
	for _, m := range s.dirs {
		s.complete(m)
		out = append(out, *m)
	}
	slices.SortFunc(out, func(a, b MigrationDir) int {
		return cmp.Or(cmp.Compare(b.Files, a.Files), cmp.Compare(a.Dir, b.Dir), cmp.Compare(a.Tool, b.Tool))
	})
	slices.SortStableFunc(s.others, func(a, b Migrator) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), comparePositions(a.Position, b.Position))
	})
	return out, s.others
}

// migrationScan collects directories by path and tool.
type migrationScan struct {
	ix     *index
	tree   *tree
	dirs   map[[2]string]*MigrationDir
	texts  map[string]string // all SQL of a directory
	others []Migrator
}

// dir returns the entry of a directory and tool, a new one where there is none.
func (s *migrationScan) dir(dir, tool string) *MigrationDir {
	key := [2]string{dir, tool}
	if s.dirs[key] == nil {
		s.dirs[key] = &MigrationDir{Dir: dir, Tool: tool}
	}
	return s.dirs[key]
}

func (s *migrationScan) readFiles() {
	versions := map[string]bool{}
	for _, rel := range s.tree.sql {
		data, err := os.ReadFile(filepath.Join(s.ix.repo.ModuleRoot, filepath.FromSlash(rel)))
		if err != nil {
			continue
		}
		dir := path.Dir(rel)
		tool, why := toolOf(rel, string(data))
		if tool == PlainSQL && versionDir.MatchString(path.Base(dir)) {
			if parent := path.Dir(dir); !versions[parent] {
				versions[parent] = true
				s.others = append(s.others, Migrator{MigratorVersions, Position{File: rel, Line: 1, Col: 1}})
			}
			continue
		}
		if tool == "" {
			continue
		}
		m := s.dir(dir, tool)
		if m.Files == 0 {
			m.Why = append(m.Why, why)
		}
		m.Files++
		m.version(path.Base(rel))
		s.texts[dir] += string(data) + "\n"
	}
	for _, m := range s.dirs {
		for _, name := range s.tree.dir[m.Dir] { // goose also runs Go files that are numbered like the others
			if m.Tool == "goose" && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
				m.version(name)
			}
		}
	}
}

// toolOf tells whose file it is, and by what.
func toolOf(rel, text string) (tool, why string) {
	for _, m := range toolMarks {
		if at := m.mark.FindStringIndex(text); at != nil {
			return m.tool, lineOf(rel, text, at[0]) + " carries " + m.tool + " annotations"
		}
	}
	base := path.Base(rel)
	switch {
	case !versionName.MatchString(base):
		return "", ""
	case strings.HasSuffix(base, ".up.sql"), strings.HasSuffix(base, ".down.sql"):
		return "golang-migrate", rel + " is named as golang-migrate wants it"
	}
	return PlainSQL, rel + " is numbered SQL of no tool that is known"
}

// lineOf is file:line of an offset.
func lineOf(rel, text string, offset int) string {
	return rel + ":" + strconv.Itoa(1+strings.Count(text[:offset], "\n"))
}

// version learns the naming style from one file name.
func (m *MigrationDir) version(base string) {
	v := versionName.FindStringSubmatch(base)
	if v == nil {
		return
	}
	n, err := strconv.ParseInt(v[1], 10, 64)
	if err != nil || n < m.Newest {
		return
	}
	m.Newest, m.Width = n, len(v[1])
	switch {
	case len(v[1]) == 10 && n > 1e9:
		m.Naming = "unix"
	case len(v[1]) >= 12 && v[1][0] != '0':
		m.Naming = "timestamp"
	default:
		m.Naming = "sequence"
	}
}

// dropPlain forgets plain directories that a tool reads after all, and those that no one could take for migrations.
func (s *migrationScan) dropPlain() {
	for key, m := range s.dirs {
		if m.Tool != PlainSQL {
			continue
		}
		told := strings.Contains(strings.ToLower(m.Dir), "migrat")
		taken := !makesTables.MatchString(s.texts[m.Dir]) || m.Files < 2 && !told
		for other := range s.dirs {
			taken = taken || other[0] == m.Dir && other[1] != PlainSQL
		}
		if taken {
			delete(s.dirs, key)
		}
	}
}

// complete adds what is said about a directory once its tool is known.
func (s *migrationScan) complete(m *MigrationDir) {
	m.Hashed = slices.Contains(s.tree.dir[m.Dir], "atlas.sum")
	m.Embeds = embedsOf(s.ix, m.Dir, s.tree)
	for _, e := range m.Embeds {
		m.Why = append(m.Why, "embedded at "+at(e.Position)+" as "+e.Pattern)
	}
	if m.Engine == "" {
		m.Engine = engineOfSQL(m.Dir, s.texts[m.Dir])
	}
	if m.Engine == "" && m.Tool == "tern" {
		m.Engine = "postgres"
	}
	if m.Engine == "" && m.Tool == "goose" {
		m.Engine = gooseDialect(s.ix)
	}
	if m.Engine == "" {
		m.Engine = onlyEngine(s.ix.repo.Engines)
	}
}

func at(p Position) string { return p.File + ":" + strconv.Itoa(p.Line) }

var (
	postgresWords = regexp.MustCompile(`(?i)\b(BIGSERIAL|SERIAL|JSONB|TIMESTAMPTZ|BYTEA|plpgsql|gen_random_uuid|CREATE EXTENSION|GENERATED (ALWAYS|BY DEFAULT) AS IDENTITY)\b`)
	sqliteWords   = regexp.MustCompile(`(?i)\b(AUTOINCREMENT|PRAGMA|WITHOUT ROWID|strftime|datetime\('now')\b`)
	mysqlWords    = regexp.MustCompile(`(?i)(\bAUTO_INCREMENT\b|\bENGINE\s*=\s*InnoDB\b)`)
)

// dirWords are engines by what a directory's name contains.
var dirWords = []struct{ word, engine string }{
	{"sqlite", "sqlite"}, {"postgres", "postgres"}, {"/pg", "postgres"}, {"mysql", "mysql"}, {"mariadb", "mysql"},
	{"mssql", "mssql"}, {"sqlserver", "mssql"}, {"clickhouse", "clickhouse"}, {"cockroach", "cockroach"},
}

// engineOfSQL decides by the directory's name, then by words that only one engine knows.
func engineOfSQL(dir, text string) string {
	found := map[string]bool{}
	for _, w := range dirWords {
		if strings.Contains("/"+strings.ToLower(dir), w.word) {
			found[w.engine] = true
		}
	}
	if len(found) != 1 {
		found = map[string]bool{}
		for engine, words := range map[string]*regexp.Regexp{"sqlite": sqliteWords, "postgres": postgresWords, "mysql": mysqlWords} {
			if words.MatchString(text) {
				found[engine] = true
			}
		}
	}
	if len(found) == 1 {
		for engine := range found {
			return engine
		}
	}
	return ""
}

func onlyEngine(es []Engine) string {
	engine := ""
	for _, e := range es {
		if engine != "" && e.Engine != engine {
			return ""
		}
		engine = e.Engine
	}
	return engine
}
