package hostrepo

import (
	"cmp"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// findEngines collects evidence: drivers that the module imports, sql.Open calls, and, where there is neither,
// drivers that come with a dependency.
func findEngines(ix *index) []Engine {
	var out []Engine
	for _, u := range ix.units {
		for _, s := range u.file.Imports {
			p, err := strconv.Unquote(s.Path.Value)
			if err != nil {
				continue
			}
			if d, ok := driverOf(p); ok {
				out = append(out, Engine{d.engine, d.name, p, "import", ix.repo.Position(s.Pos())})
			}
		}
	}
	for _, c := range ix.all {
		if e, ok := openCall(ix, c); ok {
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		packages.Visit(ix.repo.Packages, nil, func(p *packages.Package) {
			if d, ok := driverOf(p.PkgPath); ok && d.name != "" {
				out = append(out, Engine{d.engine, d.name, p.PkgPath, "dependency", Position{}})
			}
		})
	}
	slices.SortStableFunc(out, func(a, b Engine) int {
		return cmp.Or(comparePositions(a.Position, b.Position), cmp.Compare(a.Import, b.Import))
	})
	return out
}

// openCall reads sql.Open("driver", dsn), and the same in sqlx.
func openCall(ix *index, c *call) (Engine, bool) {
	m, ok := c.obj.(*types.Func)
	if !ok || m.Pkg() == nil || len(c.expr.Args) < 2 {
		return Engine{}, false
	}
	switch m.Pkg().Path() + "." + m.Name() {
	case "database/sql.Open", "github.com/jmoiron/sqlx.Open", "github.com/jmoiron/sqlx.Connect", "github.com/jmoiron/sqlx.MustConnect":
	default:
		return Engine{}, false
	}
	e := Engine{Why: "sql.Open", Position: ix.repo.Position(c.expr.Pos())}
	if name, ok := constString(c.unit, c.expr.Args[0]); ok {
		e.Driver, e.Engine = name, engineOfDriver(name)
	}
	if dsn, ok := constString(c.unit, c.expr.Args[1]); ok && e.Engine == "" {
		e.Engine = engineOfDSN(dsn)
	}
	return e, e.Engine != ""
}

// handleCandidate is a handle with what decides its rank.
type handleCandidate struct {
	Handle
	rank, depth int
	pos         token.Pos
	v           *types.Var
}

// handlesAt lists the database handles that an expression at pos can name: variables in scope, then package-level
// variables, of imported packages of the module too, then fields reached from the receiver, then fields and accessor methods reached from the rest.
func handlesAt(ix *index, u *unit, f *fn, pos token.Pos) []Handle {
	var found []handleCandidate
	pkgScope := u.pkg.Types.Scope()
	inner := pkgScope.Innermost(pos)
	if inner == nil {
		return nil
	}
	recv := f.root().sig.Recv()
	for s := inner; s != nil; s = s.Parent() {
		for _, name := range s.Names() {
			there, obj := inner.LookupParent(name, pos)
			if imported, ok := obj.(*types.PkgName); ok && there == s {
				found = append(found, exportedHandles(u, imported)...)
			}
			v, ok := obj.(*types.Var)
			if !ok || there != s || name == "_" {
				continue
			}
			via, rank := "local", 0
			switch {
			case s == pkgScope:
				via, rank = "package", 1
			case v == recv:
				via, rank = "receiver", 2
			default:
				if _, isParam := ix.params[v]; isParam {
					via = "parameter"
				}
			}
			found = append(found, reach(u, v, via, rank)...)
		}
	}
	slices.SortStableFunc(found, func(a, b handleCandidate) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.depth, b.depth), cmp.Compare(a.pos, b.pos), cmp.Compare(a.Expr, b.Expr))
	})
	var out []Handle
	for _, c := range found {
		if !slices.ContainsFunc(out, func(h Handle) bool { return h.Expr == c.Expr }) {
			c.Handle.Position = ix.repo.Position(c.pos)
			out = append(out, withEngine(ix, c))
		}
	}
	return out
}

// handleKind tells what kind of handle a type is.
func handleKind(t types.Type) string {
	if _, ok := types.Unalias(t).(*types.Pointer); !ok {
		return ""
	}
	switch {
	case isNamed(t, "database/sql", "DB"):
		return HandleSQL
	case isNamed(t, "github.com/jackc/pgx/v5/pgxpool", "Pool"):
		return HandlePgx
	}
	return ""
}

// exportedHandles are the variables of another package of the module, as a file that imports it names them.
func exportedHandles(u *unit, imported *types.PkgName) []handleCandidate {
	var out []handleCandidate
	scope := imported.Imported().Scope()
	for _, name := range scope.Names() {
		v, ok := scope.Lookup(name).(*types.Var)
		if !ok || !v.Exported() || !inModule(u, imported.Imported().Path()) {
			continue
		}
		if k := handleKind(v.Type()); k != "" {
			h := Handle{Kind: k, Expr: imported.Name() + "." + name, Via: "package"}
			out = append(out, handleCandidate{Handle: h, rank: 1, depth: 1, pos: v.Pos(), v: v})
		}
	}
	return out
}

const maxFieldDepth = 3

// reach finds the handles in a variable: itself, its fields up to maxFieldDepth, methods without parameters.
func reach(u *unit, v *types.Var, via string, rank int) []handleCandidate {
	var out []handleCandidate
	add := func(kind, expr string, rank, depth int, field *types.Var) {
		out = append(out, handleCandidate{Handle: Handle{Kind: kind, Expr: expr, Via: via}, rank: rank, depth: depth, pos: v.Pos(), v: field})
	}
	if k := handleKind(v.Type()); k != "" {
		add(k, v.Name(), min(rank, 1), 0, v)
		return out
	}
	fieldRank := 3
	if via == "receiver" {
		fieldRank = 2
	}
	seen := map[*types.Named]bool{}
	var walk func(t types.Type, expr string, depth int)
	walk = func(t types.Type, expr string, depth int) {
		if depth > maxFieldDepth {
			return
		}
		n := namedOf(t)
		if n != nil {
			if seen[n] || n.Obj().Pkg() == nil || n.Obj().Pkg() != u.pkg.Types && !readable(u, n) {
				return
			}
			seen[n] = true
			defer delete(seen, n)
		}
		if ptr, ok := types.Unalias(t).(*types.Pointer); ok {
			t = ptr.Elem()
		}
		if st, ok := t.Underlying().(*types.Struct); ok {
			for i := 0; i < st.NumFields(); i++ {
				field := st.Field(i)
				if !visibleFrom(u, field) {
					continue
				}
				e := expr + "." + field.Name()
				if k := handleKind(field.Type()); k != "" {
					add(k, e, fieldRank, depth, field)
				} else {
					walk(field.Type(), e, depth+1)
				}
			}
		}
		for i := 0; n != nil && i < n.NumMethods(); i++ {
			m := n.Method(i)
			sig := m.Signature()
			if !visibleFrom(u, m) || sig.Params().Len() != 0 || sig.Results().Len() != 1 {
				continue
			}
			if k := handleKind(sig.Results().At(0).Type()); k != "" {
				add(k, expr+"."+m.Name()+"()", 4, depth, nil)
			}
		}
	}
	walk(v.Type(), v.Name(), 1)
	return out
}

// visibleFrom reports whether code of u can name a field or method.
func visibleFrom(u *unit, obj types.Object) bool { return obj.Exported() || obj.Pkg() == u.pkg.Types }

// readable reports whether the fields of a type of another package are worth a look: the module's own types, and
// wrappers that embed the handle. A library's inner pools are its own business.
func readable(u *unit, n *types.Named) bool {
	p := n.Obj().Pkg().Path()
	if p == "github.com/jmoiron/sqlx" || p == "github.com/uptrace/bun" {
		return true
	}
	return inModule(u, p)
}

// inModule reports whether an import path is of the module of u.
func inModule(u *unit, path string) bool {
	mod := u.pkg.Module
	return mod != nil && (path == mod.Path || strings.HasPrefix(path, mod.Path+"/"))
}

// withEngine decides the engine of a handle: from the call that opened it, else from the module's only engine.
func withEngine(ix *index, c handleCandidate) Handle {
	h := c.Handle
	if h.Kind == HandlePgx {
		h.Engine, h.Import = "postgres", "github.com/jackc/pgx/v5/pgxpool"
		return h
	}
	if c.v != nil {
		if e, ok := openedBy(ix, c.v, map[types.Object]bool{}); ok {
			h.Engine, h.Driver = e.Engine, e.Driver
		}
	}
	var engines, imports []string
	for _, e := range ix.repo.Engines {
		if !slices.Contains(engines, e.Engine) {
			engines = append(engines, e.Engine)
		}
	}
	if h.Engine == "" && len(engines) == 1 {
		h.Engine = engines[0]
	}
	for _, e := range ix.repo.Engines {
		if h.Engine == "" || e.Engine != h.Engine || e.Import == "" || e.Driver == "" || h.Driver != "" && e.Driver != h.Driver {
			continue
		}
		if !slices.Contains(imports, e.Import) {
			imports = append(imports, e.Import)
		}
	}
	if len(imports) == 1 {
		h.Import = imports[0]
		if h.Driver == "" {
			d, _ := driverOf(h.Import)
			h.Driver = d.name
		}
	}
	return h
}

// openedBy follows the writes of a variable to a sql.Open call, through functions of the module and parameters.
func openedBy(ix *index, v types.Object, seen map[types.Object]bool) (Engine, bool) {
	if seen[v] {
		return Engine{}, false
	}
	seen[v] = true
	for _, w := range ix.writes[v] {
		if e, ok := openedIn(ix, w.unit, w.expr, seen); ok {
			return e, true
		}
	}
	par, ok := ix.params[v]
	if !ok || par.fn.obj == nil || par.index < 0 {
		return Engine{}, false
	}
	for _, c := range ix.calls[par.fn.obj] {
		if par.index < len(c.expr.Args) {
			if e, ok := openedIn(ix, c.unit, c.expr.Args[par.index], seen); ok {
				return e, true
			}
		}
	}
	return Engine{}, false
}

func openedIn(ix *index, u *unit, e ast.Expr, seen map[types.Object]bool) (Engine, bool) {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident, *ast.SelectorExpr:
		if obj := ix.object(u, e); obj != nil {
			return openedBy(ix, obj, seen)
		}
	case *ast.CallExpr:
		c := ix.callOf[e]
		if c == nil {
			return Engine{}, false
		}
		if found, ok := openCall(ix, c); ok {
			return found, true
		}
		m, ok := c.obj.(*types.Func)
		if !ok || seen[m] {
			return Engine{}, false
		}
		seen[m] = true
		if m.Pkg() != nil && strings.HasPrefix(m.Pkg().Path(), "github.com/jackc/pgx/") {
			return Engine{Engine: "postgres", Driver: "pgx"}, true // stdlib.OpenDBFromPool and the like
		}
		f := ix.funcs[m]
		if f == nil {
			return Engine{}, false
		}
		for _, r := range f.returns {
			for _, res := range r.Results {
				if handleKind(u.pkg.TypesInfo.TypeOf(res)) == "" && handleKind(f.unit.pkg.TypesInfo.TypeOf(res)) == "" {
					if _, isCall := ast.Unparen(res).(*ast.CallExpr); !isCall {
						continue
					}
				}
				if found, ok := openedIn(ix, f.unit, res, seen); ok {
					return found, true
				}
			}
		}
	}
	return Engine{}, false
}
