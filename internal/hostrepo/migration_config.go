package hostrepo

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// migrationConfig is a configuration file of a migration tool: the lines of it that name a directory or the tool's table.
type migrationConfig struct {
	names []string
	tool  string
	dir   *regexp.Regexp // the directory is its first group, relative to the file or to the module root
	table *regexp.Regexp
	own   string // the directory, relative to the file, where no line needs to name it
}

// Only these keys are read: the files beside them hold passwords.
var migrationConfigs = []migrationConfig{
	{names: []string{"atlas.hcl"}, tool: "atlas", dir: regexp.MustCompile(`(?m)^\s*dir\s*=\s*"file://([^"?]+)`)},
	{names: []string{"dbconfig.yml", "dbconfig.yaml"}, tool: "sql-migrate",
		dir: regexp.MustCompile(`(?m)^\s+dir:\s*["']?([^"'\s#]+)`), table: regexp.MustCompile(`(?m)^\s+table:\s*["']?([^"'\s#]+)`)},
	{names: []string{"dbconf.yml"}, tool: "goose", own: "migrations"}, // the goose of liamstask
	{names: []string{"tern.conf"}, tool: "tern", own: ".", table: regexp.MustCompile(`(?m)^\s*version_table\s*=\s*(\S+)`)},
	{names: []string{".env", ".env.example", ".env.sample"}, tool: "dbmate",
		dir: regexp.MustCompile(`(?m)^\s*(?:export\s+)?DBMATE_MIGRATIONS_DIR=["']?([^"'\s#]+)`), table: regexp.MustCompile(`(?m)^\s*(?:export\s+)?DBMATE_MIGRATIONS_TABLE=["']?([^"'\s#]+)`)},
	{names: []string{".env", ".env.example", ".env.sample"}, tool: "goose",
		dir: regexp.MustCompile(`(?m)^\s*(?:export\s+)?GOOSE_MIGRATION_DIR=["']?([^"'\s#]+)`), table: regexp.MustCompile(`(?m)^\s*(?:export\s+)?GOOSE_TABLE=["']?([^"'\s#]+)`)},
	{names: []string{"sqlc.yaml", "sqlc.yml", "sqlc.json"}, tool: "sqlc", dir: regexp.MustCompile(`(?m)"?schema"?:\s*\[?["']?([^"'\s,\]#]+)`)},
}

func (s *migrationScan) readConfigs() {
	var dirs []string
	for dir := range s.tree.dir {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	for _, c := range migrationConfigs {
		for _, dir := range dirs {
			for _, name := range c.names {
				if slices.Contains(s.tree.dir[dir], name) {
					s.readConfig(c, path.Join(dir, name))
				}
			}
		}
	}
	for _, dir := range dirs { // atlas.sum is in no other directory than one that atlas reads
		if m := s.dirs[[2]string{dir, PlainSQL}]; m != nil && slices.Contains(s.tree.dir[dir], "atlas.sum") {
			s.adopt(dir, "atlas", path.Join(dir, "atlas.sum")+" is there")
		}
	}
}

func (s *migrationScan) readConfig(c migrationConfig, rel string) {
	data, err := os.ReadFile(filepath.Join(s.ix.repo.ModuleRoot, filepath.FromSlash(rel)))
	if err != nil || len(data) > 1<<20 {
		return
	}
	text, table := string(data), ""
	if c.table != nil {
		if found := c.table.FindStringSubmatch(text); found != nil {
			table = found[1]
		}
	}
	if c.tool == "atlas" {
		s.others = append(s.others, Migrator{MigratorAtlas, Position{File: rel, Line: 1, Col: 1}})
	}
	use := func(named, where string) {
		for _, base := range []string{path.Dir(rel), "."} {
			dir := path.Join(base, filepath.ToSlash(named))
			if !s.isDir(dir) {
				continue
			}
			if c.tool == "sqlc" {
				s.sqlc(dir, where)
			} else if m := s.adopt(dir, c.tool, where+" names it for "+c.tool); m != nil && table != "" {
				m.Table = table
			}
			return
		}
	}
	if c.own != "" {
		use(c.own, rel+":1")
	}
	if c.dir == nil {
		return
	}
	for _, found := range c.dir.FindAllStringSubmatchIndex(text, -1) {
		use(text[found[2]:found[3]], lineOf(rel, text, found[2]))
	}
}

// adopt says that tool reads dir. A directory whose files carry the annotations of another tool stays that one's, unless
// the tool is atlas, which reads many formats: then the evidence is noted. nil means that nothing was learned.
func (s *migrationScan) adopt(dir, tool, why string) *MigrationDir {
	if m := s.dirs[[2]string{dir, tool}]; m != nil {
		if !slices.Contains(m.Why, why) {
			m.Why = append(m.Why, why)
		}
		return m
	}
	for key, m := range s.dirs {
		if key[0] == dir && key[1] != PlainSQL {
			if tool == "atlas" {
				m.Why = append(m.Why, why)
			}
			return nil
		}
	}
	plain := s.dirs[[2]string{dir, PlainSQL}]
	if plain == nil && dir == "." {
		return nil // any string could be read as the module root
	}
	m := s.dir(dir, tool)
	if plain != nil {
		*m = *plain
		m.Tool, m.Why = tool, nil
		delete(s.dirs, [2]string{dir, PlainSQL})
	}
	m.Why = append(m.Why, why)
	return m
}

// sqlc notes that sqlc reads a directory, whoever else does.
func (s *migrationScan) sqlc(dir, where string) {
	for key, m := range s.dirs {
		if key[0] == dir {
			m.SQLC = where
		}
	}
}

func (s *migrationScan) isDir(rel string) bool {
	if rel == ".." || strings.HasPrefix(rel, "../") || path.IsAbs(rel) || strings.ContainsAny(rel, "\\\x00\n") {
		return false
	}
	st, err := os.Stat(filepath.Join(s.ix.repo.ModuleRoot, filepath.FromSlash(rel)))
	return err == nil && st.IsDir()
}
