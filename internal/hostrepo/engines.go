package hostrepo

import (
	"cmp"
	"go/ast"
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

// openers open a database by the name of a driver: the index of that argument. The DSN follows it.
var openers = map[string]int{
	"database/sql.Open":                      0,
	"github.com/jmoiron/sqlx.Open":           0,
	"github.com/jmoiron/sqlx.MustOpen":       0,
	"github.com/jmoiron/sqlx.Connect":        0,
	"github.com/jmoiron/sqlx.MustConnect":    0,
	"github.com/jmoiron/sqlx.ConnectContext": 1,
	"github.com/jinzhu/gorm.Open":            0,
	"entgo.io/ent/dialect/sql.Open":          0,
	"xorm.io/xorm.NewEngine":                 0,
	"github.com/go-xorm/xorm.NewEngine":      0,
}

// wrappers make a handle of another one: the index of that argument.
var wrappers = map[string]int{
	"github.com/jmoiron/sqlx.NewDb":                0,
	"github.com/uptrace/bun.NewDB":                 0,
	"entgo.io/ent/dialect/sql.OpenDB":              1,
	"database/sql.OpenDB":                          0,
	"github.com/jmoiron/sqlx.Must":                 0,
	"github.com/Masterminds/squirrel.WrapStdSql":   0,
	"github.com/Masterminds/squirrel.NewStmtCache": 0,
}

// fullName is the import path and the name of a package's function, "" for a method.
func fullName(obj types.Object) string {
	m, ok := obj.(*types.Func)
	if !ok || m.Pkg() == nil || m.Signature().Recv() != nil {
		return ""
	}
	return m.Pkg().Path() + "." + m.Name()
}

// openCall reads sql.Open("driver", dsn), and the same in other libraries. gorm is told the driver by a call of its package.
func openCall(ix *index, c *call) (Engine, bool) {
	name := fullName(c.obj)
	e := Engine{Why: "sql.Open", Position: ix.repo.Position(c.expr.Pos())}
	if name == "gorm.io/gorm.Open" && len(c.expr.Args) > 0 {
		d, ok := dialectorOf(c.unit, c.expr.Args[0])
		e.Engine, e.Driver, e.Import = d.engine, d.name, d.path
		return e, ok
	}
	at, ok := openers[name]
	if !ok || len(c.expr.Args) < at+2 {
		return Engine{}, false
	}
	if driver, ok := constString(c.unit, c.expr.Args[at]); ok {
		e.Driver, e.Engine = driver, engineOfDriver(driver)
	}
	if dsn, ok := constString(c.unit, c.expr.Args[at+1]); ok && e.Engine == "" {
		e.Engine = engineOfDSN(dsn)
	}
	return e, e.Engine != ""
}

// dialectorOf finds the driver package of postgres.Open(dsn), postgres.New(…) and sqlite.Dialector{…}.
func dialectorOf(u *unit, e ast.Expr) (driver, bool) {
	t := u.pkg.TypesInfo.TypeOf(e)
	if c, ok := ast.Unparen(e).(*ast.CallExpr); ok {
		if sel, ok := ast.Unparen(c.Fun).(*ast.SelectorExpr); ok {
			if f, ok := u.pkg.TypesInfo.Uses[sel.Sel].(*types.Func); ok && f.Pkg() != nil {
				d, known := driverOf(f.Pkg().Path())
				d.path = f.Pkg().Path()
				return d, known
			}
		}
	}
	if n := namedOf(t); n != nil && n.Obj().Pkg() != nil {
		d, known := driverOf(n.Obj().Pkg().Path())
		d.path = n.Obj().Pkg().Path()
		return d, known
	}
	return driver{}, false
}

// withEngine decides the engine of a handle: from the calls that opened it, else from the module's only engine. Where
// several engines are possible, the host decides when it starts, and Engines lists them.
func withEngine(ix *index, h Handle, v *types.Var) Handle {
	if h.Kind == HandlePgx {
		h.Engine, h.Import = "postgres", "github.com/jackc/pgx/v5/pgxpool"
		return h
	}
	var opened []Engine
	if v != nil {
		opened = openings(ix, v)
	}
	evidence := opened
	if len(evidence) == 0 {
		evidence = ix.repo.Engines
	}
	for _, e := range evidence {
		if !slices.Contains(h.Engines, e.Engine) {
			h.Engines = append(h.Engines, e.Engine)
		}
	}
	slices.Sort(h.Engines)
	if len(h.Engines) == 1 {
		h.Engine, h.Engines = h.Engines[0], nil
	}
	for _, e := range opened {
		if h.Engine != "" && h.Driver == "" {
			h.Driver = e.Driver
		}
	}
	var imports []string
	for _, e := range slices.Concat(opened, ix.repo.Engines) {
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

// openings follows the writes of a variable to all calls that open a database, through functions of the module, parameters
// and the libraries' own wrappers. A host that chooses its engine when it starts has one for each.
func openings(ix *index, v types.Object) []Engine {
	o := opener{ix: ix, seen: map[types.Object]bool{}}
	o.variable(v)
	return o.found
}

type opener struct {
	ix    *index
	seen  map[types.Object]bool
	found []Engine
}

func (o *opener) variable(v types.Object) {
	if o.seen[v] {
		return
	}
	o.seen[v] = true
	for _, w := range o.ix.writes[v] {
		o.expr(w.unit, w.expr)
	}
	par, ok := o.ix.params[v]
	if !ok || par.fn.obj == nil || par.index < 0 {
		return
	}
	for _, c := range o.ix.calls[par.fn.obj] {
		if par.index < len(c.expr.Args) {
			o.expr(c.unit, c.expr.Args[par.index])
		}
	}
}

func (o *opener) expr(u *unit, e ast.Expr) {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		if obj := o.ix.object(u, e); obj != nil {
			o.variable(obj)
		}
	case *ast.SelectorExpr:
		if obj := o.ix.object(u, e); obj != nil {
			o.variable(obj)
		}
		if len(o.found) == 0 && handleOf(exprType(u, e.X)).kind != "" {
			o.expr(u, e.X) // db.DB of a library's handle
		}
	case *ast.CallExpr:
		if c := o.ix.callOf[e]; c != nil {
			o.call(c)
		}
	}
}

func (o *opener) call(c *call) {
	if found, ok := openCall(o.ix, c); ok {
		o.found = append(o.found, found)
		return
	}
	m, ok := c.obj.(*types.Func)
	if !ok || o.seen[m] {
		return
	}
	if at, ok := wrappers[fullName(m)]; ok && at < len(c.expr.Args) {
		o.expr(c.unit, c.expr.Args[at])
		return
	}
	o.seen[m] = true
	if m.Pkg() != nil {
		switch p := m.Pkg().Path(); {
		case strings.HasPrefix(p, "github.com/jackc/pgx/"): // stdlib.OpenDBFromPool and the like
			o.found = append(o.found, Engine{Engine: "postgres", Driver: "pgx"})
			return
		case p == "github.com/uptrace/bun/driver/pgdriver":
			o.found = append(o.found, Engine{Engine: "postgres", Driver: "pg", Import: p})
			return
		}
	}
	f := o.ix.funcs[m]
	if f == nil {
		if sel, ok := ast.Unparen(c.expr.Fun).(*ast.SelectorExpr); ok && handleOf(exprType(c.unit, sel.X)).kind != "" {
			o.expr(c.unit, sel.X) // db.DB(), db.Debug() of a library's handle
		}
		return
	}
	for _, r := range f.returns {
		for _, res := range r.Results {
			if handleOf(exprType(f.unit, res)).kind == "" {
				if _, isCall := ast.Unparen(res).(*ast.CallExpr); !isCall {
					continue
				}
			}
			o.expr(f.unit, res)
		}
	}
}
