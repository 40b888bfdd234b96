package hostrepo

import (
	"go/ast"
	"go/types"
)

// result follows result i of a call.
func (t *tracer) result(e *ast.CallExpr, i int, p trail) {
	u := t.ix.unitAt(e.Pos())
	c := t.ix.callOf[e]
	if u == nil || c == nil {
		return
	}
	info := u.pkg.TypesInfo
	if tv, ok := info.Types[e.Fun]; ok && tv.IsType() { // a conversion
		if len(e.Args) == 1 {
			t.expr(e.Args[0], p)
		}
		return
	}
	if sel, k := t.groupCall(c); k != nil {
		t.expr(sel.X, t.below(c, k, p).through(c))
		return
	}
	if next := t.ix.ourWrap(c); next != nil {
		t.expr(next, p.hands(next, info.TypeOf(e))) // what an earlier run has put around it
		return
	}
	if fns := t.ix.callees(c); len(fns) > 0 {
		before := len(t.out)
		for _, f := range fns {
			t.returned(c, f, i, p)
		}
		if len(t.out) == before {
			t.handlerArgs(c, p)
		}
		return
	}
	if id, ok := ast.Unparen(e.Fun).(*ast.Ident); ok && id.Name == "new" && len(e.Args) == 1 {
		if k := kindOf(info.TypeOf(e)); k != nil {
			t.found(origin{kind: k, expr: e, unit: u, fn: c.fn}, p)
		}
		return
	}
	t.external(c, p)
}

// ourWrap returns what a generated Mount of a host with a plain http.Handler goes around, nil for any other call.
func (ix *index) ourWrap(c *call) ast.Expr {
	m, ok := c.obj.(*types.Func)
	if !ok || m.Name() != "Mount" && m.Name() != "MustMount" || len(c.expr.Args) == 0 {
		return nil
	}
	f := ix.funcs[m]
	if f == nil || !isOurs(f.unit.file) || !isNamed(m.Signature().Params().At(0).Type(), "net/http", "Handler") {
		return nil
	}
	return c.expr.Args[0]
}

// returned follows what a function of the module returns.
func (t *tracer) returned(c *call, f *fn, i int, p trail) {
	depth := 1
	if p.frame != nil {
		depth = p.frame.depth + 1
	}
	if depth > maxFrames || i >= f.sig.Results().Len() {
		return
	}
	k := frameKey{c, f, p.frame}
	fr := t.frames[k]
	if fr == nil {
		fr = &frame{c, f, p.frame, depth}
		t.frames[k] = fr
	}
	inner := p
	inner.frame = fr
	before := len(t.out)
	for _, r := range f.returns {
		switch {
		case len(r.Results) == 0:
			t.variable(f.sig.Results().At(i), nil, inner)
		case len(r.Results) == 1 && f.sig.Results().Len() > 1:
			if call, ok := ast.Unparen(r.Results[0]).(*ast.CallExpr); ok {
				t.result(call, i, inner)
			}
		case i < len(r.Results):
			t.expr(r.Results[i], inner.hands(r.Results[i], f.sig.Results().At(i).Type()))
		}
	}
	if wraps(f) {
		w := t.ix.wrapper(c.unit, c.expr, c.expr.Fun)
		for j := before; j < len(t.out); j++ {
			if !inside(t.out[j].frame, fr) { // the walk left through the argument: f is a wrapper
				t.out[j].wrappers = append([]Wrapper{w}, t.out[j].wrappers...)
			}
		}
	}
}

// middlewareText is a middleware as written, but for the arguments that make it: those may be keys.
func middlewareText(e ast.Expr) string {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return middlewareText(e.X) + "." + e.Sel.Name
	case *ast.CallExpr:
		return middlewareText(e.Fun) + "(…)"
	case *ast.IndexExpr:
		return middlewareText(e.X)
	case *ast.FuncLit:
		return "func"
	}
	return "…"
}

// wraps reports whether a function takes a handler, so that it can be a wrapper.
func wraps(f *fn) bool {
	for i := 0; i < f.sig.Params().Len(); i++ {
		if isHandler(f.sig.Params().At(i).Type()) {
			return true
		}
	}
	return false
}

func inside(f, of *frame) bool {
	for ; f != nil; f = f.up {
		if f == of {
			return true
		}
	}
	return false
}

// external ends the trail at a router's constructor, or goes through a wrapper of another module.
func (t *tracer) external(c *call, p trail) {
	info := c.unit.pkg.TypesInfo
	typ := info.TypeOf(c.expr)
	if tup, ok := typ.(*types.Tuple); ok && tup.Len() > 0 {
		typ = tup.At(0).Type()
	}
	if k := kindOf(typ); k != nil {
		if sel, ok := ast.Unparen(c.expr.Fun).(*ast.SelectorExpr); ok && kindOf(info.TypeOf(sel.X)) == k {
			t.expr(sel.X, p) // a method that returns its receiver: r.Use(…), mux.NewRouter().StrictSlash(true)
			return
		}
		t.found(origin{kind: k, expr: c.expr, unit: c.unit, fn: c.fn}, p)
		return
	}
	before := len(t.out)
	w := t.ix.wrapper(c.unit, c.expr, c.expr.Fun)
	q := p.wrapped(w)
	if c.obj != nil && c.obj.Name() == "StripPrefix" && c.obj.Pkg() != nil && c.obj.Pkg().Path() == "net/http" {
		q.stripped = true
	}
	t.handlerArgs(c, q)
	if len(t.out) == before {
		if sel, ok := ast.Unparen(c.expr.Fun).(*ast.SelectorExpr); ok && isHandler(info.TypeOf(sel.X)) {
			t.expr(sel.X, q)
		}
	}
	if len(t.out) == before && isHandler(typ) {
		redirects := c.obj != nil && (c.obj.Name() == "RedirectHandler" || c.obj.Name() == "HTTPHandler")
		t.found(origin{expr: c.expr, unit: c.unit, fn: c.fn, redirects: redirects}, p)
	}
}

// handlerArgs follows the arguments of a call that are handlers.
func (t *tracer) handlerArgs(c *call, p trail) {
	info := c.unit.pkg.TypesInfo
	sig, _ := info.TypeOf(c.expr.Fun).(*types.Signature)
	for i, a := range c.expr.Args {
		tv := info.Types[a]
		if tv.IsNil() || !isHandler(tv.Type) && kindOf(tv.Type) == nil {
			continue
		}
		q := p
		if sig != nil && i < sig.Params().Len() {
			q = p.hands(a, sig.Params().At(i).Type())
		}
		t.expr(a, q)
	}
}

// handlerBody follows what a handler function hands its request to.
func (t *tracer) handlerBody(f *fn, at ast.Expr, p trail) {
	if !t.visit(f.node, p) {
		return
	}
	before := len(t.out)
	p.chooses = p.chooses || t.chooses(f)
	redirects := t.delegates(f, p, 0)
	if len(t.out) == before {
		t.found(origin{expr: at, obj: objOrNil(f.obj), unit: f.unit, fn: f, redirects: redirects}, p)
	}
}

// chooses reports whether a handler hands its request to one of several, and is no middleware around a next one.
func (t *tracer) chooses(f *fn) bool {
	info := f.unit.pkg.TypesInfo
	n, middleware := 0, false
	ast.Inspect(f.body, func(node ast.Node) bool {
		e, ok := node.(*ast.CallExpr)
		if !ok || !passesRequest(info, e) {
			return true
		}
		if c := t.ix.callOf[e]; c == nil || c.obj != nil && c.obj.Pkg() != nil && c.obj.Pkg().Path() == "net/http" && c.obj.Name() != "ServeHTTP" {
			return true // http.Error, http.Redirect
		}
		n++
		next := ast.Unparen(e.Fun)
		if sel, ok := next.(*ast.SelectorExpr); ok && sel.Sel.Name == "ServeHTTP" {
			next = sel.X
		}
		if id, ok := ast.Unparen(next).(*ast.Ident); ok {
			par, ok := t.ix.params[info.ObjectOf(id)]
			middleware = middleware || ok && par.index >= 0 && par.fn != f
		}
		return true
	})
	return n > 1 && !middleware
}

func objOrNil(f *types.Func) types.Object {
	if f == nil {
		return nil
	}
	return f
}

func (t *tracer) delegates(f *fn, p trail, depth int) (redirects bool) {
	info := f.unit.pkg.TypesInfo
	ast.Inspect(f.body, func(n ast.Node) bool {
		e, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		c := t.ix.callOf[e]
		if c == nil {
			return true
		}
		if c.obj != nil && c.obj.Pkg() != nil && c.obj.Pkg().Path() == "net/http" && c.obj.Name() == "Redirect" {
			redirects = true
			return true
		}
		if !passesRequest(info, e) {
			return true
		}
		if sel, ok := ast.Unparen(e.Fun).(*ast.SelectorExpr); ok && sel.Sel.Name == "ServeHTTP" {
			t.expr(sel.X, p)
			return true
		}
		if m, ok := c.obj.(*types.Func); ok {
			if g := t.ix.funcs[m]; g != nil && depth < 3 && t.visit(g.node, p) {
				inner := p
				inner.frame = &frame{c, g, p.frame, depth + 1}
				redirects = t.delegates(g, inner, depth+1) || redirects
			}
			return true
		}
		if isHandler(info.TypeOf(e.Fun)) {
			t.expr(e.Fun, p)
		}
		return true
	})
	return redirects
}

// passesRequest reports whether a call hands on a response writer and a request.
func passesRequest(info *types.Info, e *ast.CallExpr) bool {
	var w, r bool
	for _, a := range e.Args {
		t := info.TypeOf(a)
		r = r || isNamed(t, "net/http", "Request")
		if t != nil && !w {
			obj, _, _ := types.LookupFieldOrMethod(t, true, nil, "WriteHeader")
			_, w = obj.(*types.Func)
		}
	}
	return w && r
}
