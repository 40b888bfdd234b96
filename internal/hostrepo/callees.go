package hostrepo

import (
	"go/ast"
	"go/types"
)

// callees returns the functions of the module that a call can reach directly: the static one, or for an interface
// method those of the module's types that implement the interface.
func (ix *index) callees(c *call) []*fn {
	switch obj := c.obj.(type) {
	case *types.Func:
		if f := ix.funcs[obj]; f != nil {
			return []*fn{f}
		}
		recv := obj.Signature().Recv()
		if recv == nil {
			return nil
		}
		iface, ok := recv.Type().Underlying().(*types.Interface)
		if !ok {
			return nil
		}
		var out []*fn
		for _, m := range ix.methods[obj.Name()] {
			t := m.Signature().Recv().Type()
			if types.Implements(t, iface) || types.Implements(types.NewPointer(t), iface) {
				out = append(out, ix.funcs[m])
			}
		}
		return out
	case *types.Var:
		return ix.closures(c.unit, c.expr.Fun, 0)
	}
	if c.obj == nil {
		return ix.closures(c.unit, c.expr.Fun, 0)
	}
	return nil
}

// closures returns the functions that an expression of function type can hold: literals, named functions, what was
// written to the variable, also through a helper such as sync.OnceValue.
func (ix *index) closures(u *unit, e ast.Expr, depth int) []*fn {
	if depth > 4 {
		return nil
	}
	switch e := ast.Unparen(e).(type) {
	case *ast.FuncLit:
		if f := ix.lits[e]; f != nil {
			return []*fn{f}
		}
	case *ast.Ident, *ast.SelectorExpr:
		switch obj := ix.object(u, e).(type) {
		case *types.Func:
			if f := ix.funcs[obj]; f != nil {
				return []*fn{f}
			}
		case *types.Var:
			var out []*fn
			for _, w := range ix.writes[obj] {
				out = append(out, ix.closures(w.unit, w.expr, depth+1)...)
			}
			return out
		}
	case *ast.CallExpr:
		var out []*fn
		for _, a := range e.Args {
			if t := u.pkg.TypesInfo.TypeOf(a); t != nil {
				if _, ok := t.Underlying().(*types.Signature); ok {
					out = append(out, ix.closures(u, a, depth+1)...)
				}
			}
		}
		return out
	}
	return nil
}

// fnAt returns the innermost function around a node.
func (ix *index) fnAt(u *unit, n ast.Node) *fn {
	var best *fn
	consider := func(f *fn) {
		if f.unit == u && f.body.Pos() <= n.Pos() && n.End() <= f.body.End() && (best == nil || f.body.Pos() >= best.body.Pos()) {
			best = f
		}
	}
	for _, f := range ix.funcs {
		consider(f)
	}
	for _, f := range ix.lits {
		consider(f)
	}
	return best
}
