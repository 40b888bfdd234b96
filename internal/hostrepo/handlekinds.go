package hostrepo

import (
	"go/ast"
	"go/types"
	"slices"
)

// access is how code gets at the pool behind a library's handle.
type access struct {
	kind    string // HandleSQL, HandlePgx or HandleGorm
	library string // "" for database/sql and pgxpool themselves
	suffix  string // behind the handle: ".DB", ".DB()"
}

// handleTypes are the handles of the libraries, by import path and type name. The suffix is an expression of one result;
// gorm's DB() also returns an error, so that the generated code calls it.
var handleTypes = map[[2]string]access{
	{"database/sql", "DB"}:                      {HandleSQL, "", ""},
	{"github.com/jackc/pgx/v5/pgxpool", "Pool"}: {HandlePgx, "", ""},
	{"gorm.io/gorm", "DB"}:                      {HandleGorm, "gorm", ""},
	{"github.com/jinzhu/gorm", "DB"}:            {HandleSQL, "gorm v1", ".DB()"},
	{"github.com/jmoiron/sqlx", "DB"}:           {HandleSQL, "sqlx", ".DB"},
	{"github.com/uptrace/bun", "DB"}:            {HandleSQL, "bun", ".DB"},
	{"entgo.io/ent/dialect/sql", "Driver"}:      {HandleSQL, "ent", ".DB()"},
	{"xorm.io/xorm", "Engine"}:                  {HandleSQL, "xorm", ".DB().DB"},
	{"github.com/go-xorm/xorm", "Engine"}:       {HandleSQL, "xorm", ".DB().DB"},
}

// handleOf tells what kind of handle a type is; its kind is "" for none.
func handleOf(t types.Type) access {
	if t == nil {
		return access{}
	}
	ptr, ok := types.Unalias(t).(*types.Pointer)
	if !ok {
		return access{}
	}
	n, ok := types.Unalias(ptr.Elem()).(*types.Named)
	if !ok || n.Obj().Pkg() == nil {
		return access{}
	}
	return handleTypes[[2]string{n.Obj().Pkg().Path(), n.Obj().Name()}]
}

// handleIn is handleOf for a variable, which may also be of an interface such as sqlc's DBTX or squirrel's BaseRunner: then
// all that is ever put into it must be one kind of handle, and the accessor asserts that.
func handleIn(ix *index, u *unit, v *types.Var) access {
	a := handleOf(v.Type())
	if a.kind != "" || !types.IsInterface(v.Type()) || !runsSQL(v.Type()) {
		return a
	}
	c := contents{ix: ix, seen: map[types.Object]bool{}}
	c.variable(v)
	if c.unknown || len(c.types) != 1 {
		return access{}
	}
	a = handleOf(c.types[0])
	name, ok := importedAs(u, c.types[0])
	if a.kind == "" || a.kind == HandleGorm || !ok {
		return access{}
	}
	a.suffix = ".(*" + name + ")" + a.suffix
	if a.library == "" {
		a.library = types.TypeString(v.Type(), (*types.Package).Name)
	}
	return a
}

// runsSQL reports whether an interface is one that runs statements.
func runsSQL(t types.Type) bool {
	for _, name := range []string{"ExecContext", "Exec"} {
		if obj, _, _ := types.LookupFieldOrMethod(t, false, nil, name); obj != nil {
			return true
		}
	}
	return false
}

// importedAs is a named type behind a pointer as the file writes it, false where the file does not import its package.
func importedAs(u *unit, t types.Type) (string, bool) {
	n := namedOf(t)
	for _, i := range fileImports(u) {
		if n != nil && i.Path == n.Obj().Pkg().Path() && i.Name != "_" && i.Name != "." {
			return i.Name + "." + n.Obj().Name(), true
		}
	}
	return "", false
}

// contents collects the types of all values that an interface variable may hold.
type contents struct {
	ix      *index
	seen    map[types.Object]bool
	types   []types.Type
	unknown bool
}

func (c *contents) variable(v types.Object) {
	if c.seen[v] {
		return
	}
	c.seen[v] = true
	writes := c.ix.writes[v]
	for _, w := range writes {
		if w.result > 0 {
			c.unknown = true
			continue
		}
		c.expr(w.unit, w.expr)
	}
	par, ok := c.ix.params[v]
	if !ok {
		c.unknown = c.unknown || len(writes) == 0
		return
	}
	if par.fn.obj == nil || par.index < 0 || len(c.ix.calls[par.fn.obj]) == 0 {
		c.unknown = true
		return
	}
	for _, call := range c.ix.calls[par.fn.obj] {
		if par.index >= len(call.expr.Args) {
			c.unknown = true
			continue
		}
		c.expr(call.unit, call.expr.Args[par.index])
	}
}

func (c *contents) expr(u *unit, e ast.Expr) {
	t := exprType(u, e)
	switch {
	case t == nil:
		c.unknown = true
	case !types.IsInterface(t):
		if !slices.ContainsFunc(c.types, func(have types.Type) bool { return types.Identical(have, t) }) {
			c.types = append(c.types, t)
		}
	default:
		obj := c.ix.object(u, e)
		if v, ok := obj.(*types.Var); ok {
			c.variable(v)
			return
		}
		c.unknown = true
	}
}
