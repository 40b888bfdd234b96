package hostrepo

import (
	"cmp"
	"go/ast"
	"go/types"
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

var versionName = regexp.MustCompile(`^([0-9]+)[_.-]`)

// findMigrations groups annotated SQL files by directory. A directory that no tool is known to read is not listed.
func findMigrations(ix *index, t *tree) []MigrationDir {
	dirs := map[string]*MigrationDir{}
	texts := map[string]string{}
	for _, rel := range t.sql {
		data, err := os.ReadFile(filepath.Join(ix.repo.ModuleRoot, filepath.FromSlash(rel)))
		if err != nil {
			continue
		}
		tool := toolOf(rel, string(data))
		if tool == "" {
			continue
		}
		dir := path.Dir(rel)
		m := dirs[dir+"\x00"+tool]
		if m == nil {
			m = &MigrationDir{Dir: dir, Tool: tool, Why: []string{rel + " carries " + tool + " annotations"}}
			if tool == "golang-migrate" {
				m.Why = []string{rel + " is named as golang-migrate wants it"}
			}
			dirs[dir+"\x00"+tool] = m
		}
		m.Files++
		m.version(path.Base(rel))
		texts[dir+"\x00"+tool] += string(data) + "\n"
	}
	var out []MigrationDir
	for key, m := range dirs {
		for _, name := range t.dir[m.Dir] { // goose also runs Go files that are numbered like the others
			if m.Tool == "goose" && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
				m.version(name)
			}
		}
		m.Engine = engineOfSQL(m.Dir, texts[key])
		out = append(out, *m)
	}
	out = append(out, gooseOnly(ix, out)...)
	for i := range out {
		m := &out[i]
		if m.Tool == "goose" {
			m.Why = append(m.Why, gooseUses(ix)...)
			if m.Engine == "" {
				m.Engine = gooseDialect(ix)
			}
		}
		if m.Engine == "" {
			m.Engine = onlyEngine(ix.repo.Engines)
		}
	}
	slices.SortFunc(out, func(a, b MigrationDir) int {
		return cmp.Or(cmp.Compare(b.Files, a.Files), cmp.Compare(a.Dir, b.Dir), cmp.Compare(a.Tool, b.Tool))
	})
	return out
}

func toolOf(rel, text string) string {
	for _, m := range toolMarks {
		if m.mark.MatchString(text) {
			return m.tool
		}
	}
	if base := path.Base(rel); versionName.MatchString(base) && (strings.HasSuffix(base, ".up.sql") || strings.HasSuffix(base, ".down.sql")) {
		return "golang-migrate"
	}
	return ""
}

// version learns the naming style from one file name.
func (m *MigrationDir) version(base string) {
	v := versionName.FindStringSubmatch(base)
	if v == nil {
		return
	}
	n, err := strconv.ParseInt(v[1], 10, 64)
	if err != nil {
		return
	}
	if n >= m.Newest {
		m.Newest, m.Width = n, len(v[1])
		m.Naming = "sequence"
		if len(v[1]) >= 12 || m.Tool == "golang-migrate" && len(v[1]) == 10 {
			m.Naming = "timestamp"
		}
	}
}

var (
	postgresWords = regexp.MustCompile(`(?i)\b(BIGSERIAL|SERIAL|JSONB|TIMESTAMPTZ|BYTEA|plpgsql|gen_random_uuid|CREATE EXTENSION|GENERATED (ALWAYS|BY DEFAULT) AS IDENTITY)\b`)
	sqliteWords   = regexp.MustCompile(`(?i)\b(AUTOINCREMENT|PRAGMA|WITHOUT ROWID|strftime|datetime\('now')\b`)
)

// engineOfSQL decides by the directory's name, then by words that only one engine knows.
func engineOfSQL(dir, text string) string {
	d := strings.ToLower(dir)
	sqlite, postgres := strings.Contains(d, "sqlite"), strings.Contains(d, "postgres") || strings.Contains(d, "/pg")
	if sqlite == postgres {
		sqlite, postgres = sqliteWords.MatchString(text), postgresWords.MatchString(text)
	}
	switch {
	case sqlite && !postgres:
		return "sqlite"
	case postgres && !sqlite:
		return "postgres"
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

const goosePath = "github.com/pressly/goose"

// gooseOnly handles a host that runs goose on a directory without annotated SQL yet.
func gooseOnly(ix *index, have []MigrationDir) []MigrationDir {
	if slices.ContainsFunc(have, func(m MigrationDir) bool { return m.Tool == "goose" }) {
		return nil
	}
	var out []MigrationDir
	for _, c := range gooseCalls(ix) {
		for _, a := range c.expr.Args {
			dir, ok := constString(c.unit, a)
			if !ok || dir == "" {
				continue
			}
			for _, base := range []string{".", path.Dir(c.unit.rel)} {
				rel := path.Join(base, filepath.ToSlash(dir))
				st, err := os.Stat(filepath.Join(ix.repo.ModuleRoot, filepath.FromSlash(rel)))
				if err == nil && st.IsDir() && !strings.HasPrefix(rel, "..") && rel != "." {
					m := MigrationDir{Dir: rel, Tool: "goose", Naming: "timestamp", Width: 14}
					if !slices.ContainsFunc(out, func(o MigrationDir) bool { return o.Dir == rel }) {
						out = append(out, m)
					}
				}
			}
		}
	}
	return out
}

func gooseCalls(ix *index) []*call {
	var out []*call
	for _, c := range ix.all {
		if m, ok := c.obj.(*types.Func); ok && m.Pkg() != nil && majorSuffix.ReplaceAllString(m.Pkg().Path(), "") == goosePath {
			out = append(out, c)
		}
	}
	return out
}

func gooseUses(ix *index) []string {
	for _, c := range gooseCalls(ix) {
		p := ix.repo.Position(c.expr.Pos())
		return []string{"goose is called at " + p.File + ":" + strconv.Itoa(p.Line)}
	}
	return nil
}

// gooseDialect reads goose.SetDialect("sqlite3") and goose.NewProvider(goose.DialectPostgres, …).
func gooseDialect(ix *index) string {
	for _, c := range gooseCalls(ix) {
		for _, a := range c.expr.Args {
			if s, ok := constString(c.unit, a); ok {
				if e := engineOfDriver(s); e != "" {
					return e
				}
			}
			if sel, ok := ast.Unparen(a).(*ast.SelectorExpr); ok && strings.HasPrefix(sel.Sel.Name, "Dialect") {
				return engineOfDriver(sel.Sel.Name)
			}
		}
	}
	return ""
}
