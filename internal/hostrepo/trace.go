package hostrepo

import (
	"go/ast"
	"go/constant"
	"go/types"
	"strings"
)

// origin is where a handler value comes from: the making of a router, or the place where the trail ends.
type origin struct {
	kind      *routerKind // nil: a handler that is no router we know
	expr      ast.Expr    // the expression that makes it; nil for the default mux and for variables without a value
	obj       types.Object
	isDefault bool
	redirects bool // a function that only redirects
	unit      *unit
	fn        *fn

	trail // how the trail went
}

// key tells origins apart.
func (o origin) key() any {
	switch {
	case o.isDefault:
		return "http.DefaultServeMux"
	case o.expr != nil:
		return o.expr
	}
	return o.obj
}

// trail is what the backward walk passed on its way.
type trail struct {
	frame    *frame
	prefix   string // of router groups, outermost first
	unknown  bool   // a group prefix is not constant
	group    bool   // the value is a group or sub-router of its origin
	stripped bool   // http.StripPrefix lies on the way
	chooses  bool   // a hand-written handler that hands on to one of several lies on the way
	wrappers []Wrapper
	via      []*call  // calls crossed from a callee's parameter to the argument, innermost first
	handed   ast.Expr // the last expression that was handed on as a http.Handler: what a call can go around
}

// frame is the call through which the walk entered a function, so that it leaves through the same one.
type frame struct {
	call   *call
	callee *fn
	up     *frame
	depth  int
}

// tracer walks backwards from one expression.
type tracer struct {
	ix     *index
	seen   map[seenKey]bool
	frames map[frameKey]*frame
	out    []origin
}

type seenKey struct {
	node  any
	frame *frame
}

type frameKey struct {
	call   *call
	callee *fn
	up     *frame
}

const maxFrames = 10

// origins follows e backwards over assignments, field writes, returns, parameters, wrapper arguments and receivers,
// closures and method values. Where routers are found, other handlers on the way (an error page, a file server) are
// left out.
func (ix *index) origins(e ast.Expr) []origin { return ix.from(e, trail{}) }

// servedOrigins follows what a server is given. Where that is a http.Handler, the trail knows the expression to go around.
func (ix *index) servedOrigins(s sink) []origin {
	if s.self {
		return ix.origins(s.handler)
	}
	return ix.from(s.handler, trail{handed: s.handler})
}

func (ix *index) from(e ast.Expr, p trail) []origin {
	t := &tracer{ix: ix, seen: map[seenKey]bool{}, frames: map[frameKey]*frame{}}
	t.expr(e, p)
	var routers []origin
	for _, o := range t.out {
		if o.kind != nil || o.isDefault {
			routers = append(routers, o)
		}
	}
	if len(routers) > 0 {
		return routers
	}
	return t.out
}

func (t *tracer) visit(node any, p trail) bool {
	k := seenKey{node, p.frame}
	if t.seen[k] {
		return false
	}
	t.seen[k] = true
	return true
}

func (t *tracer) found(o origin, p trail) {
	o.trail = p
	t.out = append(t.out, o)
}

func (t *tracer) expr(e ast.Expr, p trail) {
	u := t.ix.unitAt(e.Pos())
	if u == nil || !t.visit(e, p) {
		return
	}
	e = ast.Unparen(e)
	typ := u.pkg.TypesInfo.TypeOf(e)
	if t.servesItself(typ, p) {
		return
	}
	switch e := e.(type) {
	case *ast.UnaryExpr:
		t.expr(e.X, p)
	case *ast.StarExpr:
		t.expr(e.X, p)
	case *ast.TypeAssertExpr:
		t.expr(e.X, p)
	case *ast.IndexExpr:
		t.expr(e.X, p)
	case *ast.Ident, *ast.SelectorExpr:
		switch obj := t.ix.object(u, e).(type) {
		case *types.Var:
			t.variable(obj, e, p)
		case *types.Func:
			if f := t.ix.funcs[obj]; f != nil {
				t.handlerBody(f, e, p)
			} else {
				t.found(origin{expr: e, unit: u}, p)
			}
		}
	case *ast.FuncLit:
		if f := t.ix.lits[e]; f != nil {
			t.handlerBody(f, e, p)
		}
	case *ast.CompositeLit:
		if k := kindOf(typ); k != nil {
			t.found(origin{kind: k, expr: e, unit: u, fn: t.ix.fnAt(u, e)}, p)
			return
		}
		if isSliceOrMap(typ) {
			for _, el := range e.Elts {
				if kv, ok := el.(*ast.KeyValueExpr); ok {
					el = kv.Value
				}
				t.expr(el, p)
			}
			return
		}
		t.found(origin{expr: e, unit: u}, p)
	case *ast.CallExpr:
		t.result(e, 0, p)
	}
}

func isSliceOrMap(t types.Type) bool {
	if t == nil {
		return false
	}
	switch t.Underlying().(type) {
	case *types.Slice, *types.Array, *types.Map:
		return true
	}
	return false
}

// servesItself handles a value of one of the module's own types: what it serves is decided in its ServeHTTP.
func (t *tracer) servesItself(typ types.Type, p trail) bool {
	n := namedOf(typ)
	if n == nil || !t.ix.inModule(n.Obj()) || types.IsInterface(n) {
		return false
	}
	if _, isFunc := n.Underlying().(*types.Signature); isFunc {
		return false // a func type with ServeHTTP, such as an error-returning handler: its value is the function
	}
	obj, index, _ := types.LookupFieldOrMethod(types.NewPointer(n), true, n.Obj().Pkg(), "ServeHTTP")
	m, ok := obj.(*types.Func)
	if !ok || !isHandlerFunc(m.Signature()) || !t.visit(n.Origin().Obj(), p) {
		return ok
	}
	if len(index) > 1 { // promoted from an embedded field
		st, ok := n.Origin().Underlying().(*types.Struct)
		for i := 0; ok && i < len(index)-2; i++ {
			if inner := namedOf(st.Field(index[i]).Type()); inner != nil {
				st, ok = inner.Underlying().(*types.Struct)
			}
		}
		if ok && index[len(index)-2] < st.NumFields() {
			t.variable(st.Field(index[len(index)-2]).Origin(), nil, p)
		}
		return true
	}
	if f := t.ix.funcs[m.Origin()]; f != nil {
		t.handlerBody(f, nil, p)
	}
	return true
}

// variable follows a variable, parameter or field to the values that it takes.
func (t *tracer) variable(v *types.Var, at ast.Expr, p trail) {
	if !t.visit(v, p) {
		return
	}
	if v.Pkg() != nil && v.Pkg().Path() == "net/http" && v.Name() == "DefaultServeMux" {
		t.found(origin{isDefault: true}, p)
		return
	}
	if at == nil && t.servesItself(v.Type(), p) {
		return
	}
	before := len(t.out)
	if par, ok := t.ix.params[v]; ok && par.index >= 0 {
		t.argument(par, p)
	}
	for _, w := range t.ix.writes[v] {
		if w.result >= 0 {
			if c, ok := ast.Unparen(w.expr).(*ast.CallExpr); ok {
				t.result(c, w.result, p)
			}
			continue
		}
		t.expr(w.expr, p.hands(w.expr, v.Type()))
	}
	for _, c := range t.ix.onValue[v] { // n := negroni.New(); n.UseHandler(mux)
		if kindOf(v.Type()) == nil && c.obj != nil && !t.ix.inModule(c.obj) && isHandler(v.Type()) && c.obj.Name() != "ServeHTTP" {
			t.handlerArgs(c, p)
		}
	}
	if len(t.out) == before && t.fresh(v, p) {
		t.found(origin{kind: kindOf(v.Type()), obj: v, unit: t.ix.unitAt(v.Pos()), fn: t.ix.params[v].fn}, p)
	}
}

// fresh reports whether a dead end at v is one, and not a value already seen on another way.
func (t *tracer) fresh(v *types.Var, p trail) bool {
	for _, w := range t.ix.writes[v] {
		if !t.seen[seenKey{w.expr, p.frame}] {
			return true
		}
	}
	return len(t.ix.writes[v]) == 0
}

// argument goes from a parameter to what callers pass: to the one call that the walk came through, or to all.
func (t *tracer) argument(par paramOf, p trail) {
	if p.frame != nil && p.frame.callee == par.fn {
		c := p.frame.call
		up := p
		up.frame = p.frame.up
		t.passed(c, par, up)
		return
	}
	for _, c := range t.callers(par.fn) {
		t.passed(c, par, p)
	}
	lit, ok := par.fn.node.(*ast.FuncLit)
	if !ok {
		return
	}
	arg, ok := t.ix.litArgs[lit]
	if !ok {
		return
	}
	if t.groupClosure(arg.call, p) {
		return
	}
	for _, callee := range t.ix.callees(arg.call) { // visit(func(r chi.Router) {…}): the calls of visit's parameter
		if arg.index < callee.sig.Params().Len() {
			for _, c := range t.ix.calls[callee.sig.Params().At(arg.index)] {
				t.passed(c, par, p)
			}
		}
	}
}

// callers lists the calls of a function, of the interface methods it implements, and of the variables that hold it.
func (t *tracer) callers(f *fn) []*call {
	if f.obj != nil {
		out := t.ix.calls[f.obj]
		if f.sig.Recv() != nil {
			for _, c := range t.ix.all {
				m, ok := c.obj.(*types.Func)
				if !ok || m == f.obj || m.Name() != f.obj.Name() || m.Signature().Recv() == nil || !types.IsInterface(m.Signature().Recv().Type()) {
					continue
				}
				for _, callee := range t.ix.callees(c) {
					if callee == f {
						out = append(out[:len(out):len(out)], c)
					}
				}
			}
		}
		return out
	}
	lit, ok := f.node.(*ast.FuncLit)
	if !ok {
		return nil
	}
	var out []*call
	for _, obj := range t.ix.litVars[lit] {
		out = append(out, t.ix.calls[obj]...)
	}
	return out
}

func (t *tracer) passed(c *call, par paramOf, p trail) {
	i := par.index
	if par.fn.sig.Variadic() && i == par.fn.sig.Params().Len()-1 {
		for ; i < len(c.expr.Args); i++ {
			t.expr(c.expr.Args[i], p.through(c))
		}
		return
	}
	if i < len(c.expr.Args) {
		t.expr(c.expr.Args[i], p.through(c).hands(c.expr.Args[i], par.fn.sig.Params().At(i).Type()))
	}
}

func (p trail) through(c *call) trail {
	p.via = append(p.via[:len(p.via):len(p.via)], c)
	return p
}

func (p trail) wrapped(w Wrapper) trail {
	p.wrappers = append(p.wrappers[:len(p.wrappers):len(p.wrappers)], w)
	return p
}

// groupClosure handles func(r chi.Router) given to Route or Group: r is a router below the receiver.
func (t *tracer) groupClosure(c *call, p trail) bool {
	sel, k := t.groupCall(c)
	if k == nil {
		return false
	}
	t.expr(sel.X, t.below(c, k, p).through(c))
	return true
}

// groupCall returns the selector and library when c makes a group of a router.
func (t *tracer) groupCall(c *call) (*ast.SelectorExpr, *routerKind) {
	sel, ok := ast.Unparen(c.expr.Fun).(*ast.SelectorExpr)
	if !ok {
		return nil, nil
	}
	k := kindOf(c.unit.pkg.TypesInfo.TypeOf(sel.X))
	if k == nil || !contains(k.group, sel.Sel.Name) {
		return nil, nil
	}
	return sel, k
}

// below adds the prefix of a group, when its first argument is one.
func (t *tracer) below(c *call, k *routerKind, p trail) trail {
	p.group = true
	if sel, ok := ast.Unparen(c.expr.Fun).(*ast.SelectorExpr); !ok || !contains(k.prefix, sel.Sel.Name) || len(c.expr.Args) == 0 || !isString(c.unit.pkg.TypesInfo.TypeOf(c.expr.Args[0])) {
		return p
	}
	s, ok := constString(c.unit, c.expr.Args[0])
	if !ok {
		p.unknown = true
		return p
	}
	p.prefix = strings.TrimSuffix(s, "/") + p.prefix
	return p
}

func isString(t types.Type) bool {
	if t == nil {
		return false
	}
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsString != 0
}

func constString(u *unit, e ast.Expr) (string, bool) {
	tv := u.pkg.TypesInfo.Types[e]
	if tv.Value == nil || tv.Value.Kind() != constant.String {
		return "", false
	}
	return constant.StringVal(tv.Value), true
}
