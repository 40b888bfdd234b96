package hostrepo

import (
	"go/ast"
	"go/constant"
	"go/types"
)

// wrapper describes a middleware: at is the expression that applies it, f the one that names it.
func (ix *index) wrapper(u *unit, at, f ast.Expr) Wrapper {
	w := Wrapper{Position: ix.repo.Position(at.Pos()), Func: middlewareText(f)}
	if callee := ix.middleware(u, f, 0); callee != nil {
		w.Callee = callee.FullName()
	}
	for _, e := range []ast.Expr{at, f} {
		if c, ok := ast.Unparen(e).(*ast.CallExpr); ok && w.Limit == 0 {
			for _, a := range c.Args {
				if v := u.pkg.TypesInfo.Types[a].Value; v != nil && v.Kind() == constant.Int {
					w.Limit, _ = constant.Int64Val(v)
				}
			}
		}
	}
	return w
}

// middleware returns the function that a middleware is or is made by: csrf.Protect for csrf.Protect(key), also through a
// variable. Of several that a variable can hold it is the first.
func (ix *index) middleware(u *unit, e ast.Expr, depth int) *types.Func {
	if depth > 4 {
		return nil
	}
	switch e := ast.Unparen(e).(type) {
	case *ast.CallExpr:
		return ix.middleware(u, e.Fun, depth+1)
	case *ast.IndexExpr:
		return ix.middleware(u, e.X, depth+1)
	case *ast.Ident, *ast.SelectorExpr:
		switch obj := ix.object(u, e).(type) {
		case *types.Func:
			return obj
		case *types.Var:
			for _, w := range ix.writes[obj] {
				if w.unit == nil {
					continue
				}
				if f := ix.middleware(w.unit, w.expr, depth+1); f != nil {
					return f
				}
			}
		}
	}
	return nil
}
