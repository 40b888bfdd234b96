package hostrepo

import (
	"go/ast"
	"go/types"
	"path"
	"slices"
	"strconv"
	"strings"
)

// toolImports are the packages of migration tools, without their major versions.
var toolImports = []struct{ path, tool string }{
	{"github.com/pressly/goose", "goose"},
	{"bitbucket.org/liamstask/goose", "goose"},
	{"github.com/golang-migrate/migrate", "golang-migrate"},
	{"github.com/amacneil/dbmate", "dbmate"},
	{"github.com/jackc/tern", "tern"},
	{"github.com/rubenv/sql-migrate", "sql-migrate"},
	{"ariga.io/atlas-go-sdk", "atlas"},
}

// toolOfImport names the tool that a package is of, "" for any other.
func toolOfImport(imported string) string {
	for _, t := range toolImports {
		rest, ok := strings.CutPrefix(imported, t.path)
		if ok && (rest == "" || rest[0] == '/') {
			return t.tool
		}
	}
	return ""
}

// readCode looks at files that import a tool: a string in them that names a directory is the one that the tool is given,
// and at calls that make tables from Go types.
func (s *migrationScan) readCode() {
	seen := map[string]bool{}
	for _, u := range s.ix.units {
		for _, spec := range u.file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil || toolOfImport(imported) == "" {
				continue
			}
			tool := toolOfImport(imported)
			s.readToolFile(u, tool)
			if !seen[tool] {
				seen[tool] = true
				s.others = append(s.others, Migrator{tool, s.ix.repo.Position(spec.Pos())})
			}
		}
	}
	for _, c := range s.ix.all {
		if name := autoMigrates(c); name != "" {
			s.others = append(s.others, Migrator{name, s.ix.repo.Position(c.expr.Pos())})
		}
	}
}

func (s *migrationScan) readToolFile(u *unit, tool string) {
	var found []*MigrationDir
	table := ""
	ast.Inspect(u.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.CallExpr:
			table = tableOfCall(u, n, table)
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && (key.Name == "MigrationsTable" || key.Name == "TableName") {
				table = constOr(u, n.Value, table)
			}
		case *ast.AssignStmt:
			if sel, ok := n.Lhs[0].(*ast.SelectorExpr); ok && len(n.Rhs) == 1 && sel.Sel.Name == "MigrationsTableName" {
				table = constOr(u, n.Rhs[0], table)
			}
		}
		if e, ok := n.(ast.Expr); ok {
			if text, isConst := constString(u, e); isConst {
				if m := s.dirNamed(u, tool, text, e); m != nil {
					found = append(found, m)
				}
				return false
			}
		}
		return true
	})
	for _, m := range found {
		if table != "" {
			m.Table = table
		}
	}
}

// dirNamed is the directory that a string names, if it names one: relative to the module root, where programs run, or to
// the file, where embedding begins.
func (s *migrationScan) dirNamed(u *unit, tool, text string, e ast.Expr) *MigrationDir {
	text, told := strings.CutPrefix(text, "file://")
	told = told || strings.Contains(strings.ToLower(text), "migrat")
	if text == "" || len(text) > 200 || strings.ContainsAny(text, " ?*\n") {
		return nil
	}
	for _, base := range []string{".", path.Dir(u.rel)} {
		dir := path.Join(base, text)
		if dir != "." && s.isDir(dir) && (told || s.holdsSQL(dir)) {
			return s.adopt(dir, tool, tool+" is given it at "+at(s.ix.repo.Position(e.Pos())))
		}
	}
	return nil
}

// holdsSQL tells a directory of migrations from one that merely has the name of something else.
func (s *migrationScan) holdsSQL(dir string) bool {
	for key := range s.dirs {
		if key[0] == dir {
			return true
		}
	}
	return false
}

// tableOfCall reads the calls by which tools are told the name of their version table.
func tableOfCall(u *unit, c *ast.CallExpr, table string) string {
	name := ""
	switch f := ast.Unparen(c.Fun).(type) {
	case *ast.SelectorExpr:
		name = f.Sel.Name
	case *ast.Ident:
		name = f.Name
	}
	if slices.Contains([]string{"SetTableName", "SetTable", "WithTableName", "NewStore", "NewMigrator"}, name) && len(c.Args) > 0 {
		return constOr(u, c.Args[len(c.Args)-1], table)
	}
	return table
}

func constOr(u *unit, e ast.Expr, other string) string {
	if text, ok := constString(u, e); ok && text != "" {
		return text
	}
	return other
}

// autoMigrates recognises (*gorm.DB).AutoMigrate and Create of the Schema that ent generates.
func autoMigrates(c *call) string {
	m, ok := c.obj.(*types.Func)
	if !ok || m.Pkg() == nil {
		return ""
	}
	recv := m.Signature().Recv()
	if recv == nil {
		return ""
	}
	n := namedOf(recv.Type())
	switch {
	case n == nil:
		return ""
	case m.Name() == "AutoMigrate" && m.Pkg().Path() == "gorm.io/gorm":
		return MigratorGORM
	case m.Name() == "Create" && n.Obj().Name() == "Schema" && path.Base(m.Pkg().Path()) == "migrate" && imports(m.Pkg(), "entgo.io/ent/dialect/sql/schema"):
		return MigratorEnt
	}
	return ""
}

func imports(p *types.Package, imported string) bool {
	return slices.ContainsFunc(p.Imports(), func(i *types.Package) bool { return i.Path() == imported })
}

// embedsOf are the go:embed patterns of the module that read dir: those that take in one of its files, or are written for
// its files.
func embedsOf(ix *index, dir string, t *tree) []Embed {
	var out []Embed
	for _, u := range ix.units {
		for _, group := range u.file.Comments {
			for _, c := range group.List {
				rest, ok := strings.CutPrefix(c.Text, "//go:embed ")
				if !ok {
					continue
				}
				for _, pattern := range embedPatterns(rest) {
					e := Embed{Position: ix.repo.Position(c.Pos()), Pattern: pattern, Base: path.Dir(u.rel)}
					if path.Join(e.Base, path.Dir(pattern)) == dir && strings.Contains(path.Base(pattern), ".sql") ||
						slices.ContainsFunc(t.dir[dir], func(name string) bool {
							return strings.HasSuffix(name, ".sql") && e.takes(path.Join(dir, name))
						}) {
						out = append(out, e)
					}
				}
			}
		}
	}
	return out
}

// embedPatterns splits what follows go:embed: words, or Go strings.
func embedPatterns(text string) []string {
	var out []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		if quoted, err := strconv.QuotedPrefix(text); err == nil {
			pattern, _ := strconv.Unquote(quoted)
			out, text = append(out, pattern), text[len(quoted):]
			continue
		}
		word, rest, _ := strings.Cut(text, " ")
		out, text = append(out, word), rest
	}
	return out
}

// gooseDialect reads goose.SetDialect("sqlite3") and goose.NewProvider(goose.DialectPostgres, …).
func gooseDialect(ix *index) string {
	for _, c := range ix.all {
		m, ok := c.obj.(*types.Func)
		if !ok || m.Pkg() == nil || toolOfImport(m.Pkg().Path()) != "goose" {
			continue
		}
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
