package hostrepo

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// expression names the router at pos: what the events of the function call it, or the variable it was assigned to.
func (p *placement) expression(f *fn, list []ast.Stmt, pos token.Pos) string {
	if p.router.isDefault {
		for _, imp := range fileImports(f.unit) {
			if imp.Path == "net/http" && imp.Name == "." {
				return "DefaultServeMux"
			}
			if imp.Path == "net/http" && imp.Name != "_" {
				return imp.Name + ".DefaultServeMux"
			}
		}
		return ""
	}
	var exprs []ast.Expr
	events := p.events[f]
	for i := len(events) - 1; i >= 0; i-- {
		exprs = append(exprs, events[i].router)
	}
	if p.router.fn == f {
		exprs = append(exprs, p.assignedTo(f)...)
	}
	for _, e := range exprs {
		if e == nil || !p.visible(f.unit, e, pos) {
			continue
		}
		if text, t := p.named(f.unit, e); t != nil {
			return text
		}
	}
	return ""
}

// assignedTo lists what the new router is written to in f.
func (p *placement) assignedTo(f *fn) []ast.Expr {
	var out []ast.Expr
	ast.Inspect(f.body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, rhs := range n.Rhs {
				if i < len(n.Lhs) && holds(rhs, p.router.expr) {
					out = append(out, n.Lhs[i])
				}
			}
			// s := &Server{router: chi.NewRouter()}
			if len(n.Lhs) == 1 && len(n.Rhs) == 1 {
				if lit := literalIn(n.Rhs[0]); lit != nil {
					for _, el := range lit.Elts {
						if kv, ok := el.(*ast.KeyValueExpr); ok && holds(kv.Value, p.router.expr) {
							if key, ok := kv.Key.(*ast.Ident); ok {
								out = append(out, &ast.SelectorExpr{X: n.Lhs[0], Sel: key})
							}
						}
					}
				}
			}
		case *ast.ValueSpec:
			for i, rhs := range n.Values {
				if i < len(n.Names) && holds(rhs, p.router.expr) {
					out = append(out, n.Names[i])
				}
			}
		}
		return true
	})
	return out
}

func holds(e, made ast.Expr) bool {
	e = ast.Unparen(e)
	if u, ok := e.(*ast.UnaryExpr); ok {
		e = ast.Unparen(u.X)
	}
	return made != nil && e == ast.Unparen(made)
}

// visible reports whether e is a plain chain of names whose first still means the same thing at pos.
func (p *placement) visible(u *unit, e ast.Expr, pos token.Pos) bool {
	for {
		switch x := ast.Unparen(e).(type) {
		case *ast.SelectorExpr:
			e = x.X
		case *ast.Ident:
			obj := u.pkg.TypesInfo.ObjectOf(x)
			scope := u.pkg.Types.Scope().Innermost(pos)
			if obj == nil || scope == nil {
				return false
			}
			_, there := scope.LookupParent(x.Name, pos)
			return there == obj
		default:
			return false
		}
	}
}

// named returns how to write the router that e is, or that e's type embeds, and the type of that. A variable of type
// http.Handler cannot take routes: its type is nil.
func (p *placement) named(u *unit, e ast.Expr) (string, types.Type) {
	t := exprType(u, e)
	if t == nil {
		return "", nil
	}
	if kindOf(t) == p.kind {
		return types.ExprString(e), t
	}
	n := namedOf(t)
	if n == nil {
		return "", nil
	}
	st, ok := n.Underlying().(*types.Struct)
	for i := 0; ok && i < st.NumFields(); i++ {
		if f := st.Field(i); f.Embedded() && kindOf(f.Type()) == p.kind && visibleFrom(u, f) {
			return types.ExprString(e) + "." + f.Name(), f.Type()
		}
	}
	return "", nil
}

// exprType is TypeOf, also for the selector that assignedTo makes up.
func exprType(u *unit, e ast.Expr) types.Type {
	if t := u.pkg.TypesInfo.TypeOf(e); t != nil {
		return t
	}
	if sel, ok := e.(*ast.SelectorExpr); ok {
		if obj := u.pkg.TypesInfo.ObjectOf(sel.Sel); obj != nil {
			return obj.Type()
		}
	}
	return nil
}

// typeAt writes the router's type as the file would.
func (p *placement) typeAt(f *fn, pos token.Pos, r *Router) {
	var t types.Type
	switch {
	case p.router.isDefault:
		r.Type, r.TypePath = "*"+strings.TrimSuffix(r.Expr, ".DefaultServeMux")+".ServeMux", "net/http"
		if r.Expr == "DefaultServeMux" {
			r.Type = "*ServeMux"
		}
		return
	default:
		for _, e := range append(p.routersOf(f), p.assignedTo(f)...) {
			if e == nil {
				continue
			}
			if text, named := p.named(f.unit, e); named != nil && text == r.Expr {
				t = named
			}
		}
	}
	if t == nil {
		return
	}
	r.Type = types.TypeString(t, qualifier(f.unit))
	if n := namedOf(t); n != nil {
		r.TypePath = n.Obj().Pkg().Path()
	}
}

func (p *placement) routersOf(f *fn) []ast.Expr {
	var out []ast.Expr
	for _, e := range p.events[f] {
		out = append(out, e.router)
	}
	return out
}
