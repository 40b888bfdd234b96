package hostrepo

import (
	"cmp"
	"go/ast"
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strings"
)

// sink is a place where a handler is given to a server. A nil handler is http.DefaultServeMux.
type sink struct {
	handler ast.Expr
	pos     token.Pos
	addr    string
	unit    *unit
	fn      *fn
	self    bool // the handler is a router that serves itself, and is handed to nobody
}

// served is a router under construction: the origin, the sinks that reach it, and what is registered on it.
type served struct {
	origin
	sinks  []sink
	regs   []registration
	handed []ast.Expr // where it is handed on as a http.Handler, in each sink's trail
}

// findRouters slices backwards from every sink and describes each router that it ends at.
func findRouters(ix *index) []Router {
	found := map[any]*served{}
	var order []*served
	for _, s := range findSinks(ix) {
		origins := []origin{{isDefault: true}}
		if s.handler != nil {
			origins = ix.servedOrigins(s)
		}
		if len(origins) == 0 {
			origins = []origin{{expr: s.handler, unit: s.unit, fn: s.fn, trail: trail{handed: s.handler}}}
		}
		for _, o := range origins {
			key := o.key()
			if o.kind == nil && !o.isDefault && o.handed != nil {
				key = o.handed // a hand-written handler that hands on to several is one
			}
			r := found[key]
			if r == nil {
				r = &served{origin: o}
				found[key] = r
				order = append(order, r)
			}
			if len(r.sinks) == 0 || r.sinks[len(r.sinks)-1].pos != s.pos {
				r.sinks = append(r.sinks, s)
			}
			r.redirects = r.redirects && o.redirects
			if o.handed != nil && !slices.Contains(r.handed, o.handed) && !o.redirects {
				r.handed = append(r.handed, o.handed)
			}
		}
	}
	regs := findRegistrations(ix)
	var out []Router
	for _, s := range order {
		s.regs = regs.on(s.key(), "", true, 0)
		out = append(out, describe(ix, s))
	}
	out = mergeBranches(out)
	slices.SortStableFunc(out, func(a, b Router) int {
		return cmp.Or(
			boolCmp(a.Minor, b.Minor),
			boolCmp(a.Kind == KindHandler, b.Kind == KindHandler),
			cmp.Compare(len(b.Routes), len(a.Routes)),
			cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col),
		)
	})
	return out
}

func boolCmp(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// mergeBranches joins routers that one variable takes in different branches: the insertion is the same.
func mergeBranches(in []Router) []Router {
	var out []Router
	for _, r := range in {
		i := slices.IndexFunc(out, func(o Router) bool {
			return r.Problem == "" && o.Problem == "" && o.Insert.File == r.Insert.File && o.Insert.Offset == r.Insert.Offset && o.Expr == r.Expr
		})
		if i < 0 {
			out = append(out, r)
			continue
		}
		for _, s := range r.Served {
			if !slices.Contains(out[i].Served, s) {
				out[i].Served = append(out[i].Served, s)
			}
		}
	}
	return out
}

var serveName = regexp.MustCompile(`^(ListenAndServe|Serve|Run|Start)`)

// findSinks lists the places where a handler meets a server, in the order of the source.
func findSinks(ix *index) []sink {
	var out []sink
	for _, c := range ix.composed {
		out = append(out, serverLiteral(ix, c)...)
	}
	for field, ws := range ix.writes {
		v, ok := field.(*types.Var)
		if !ok || !isServerHandler(ix, v) {
			continue
		}
		for _, w := range ws {
			if u := w.unit; u != nil && !insideServerLiteral(ix, w.expr) {
				out = append(out, sink{handler: w.expr, pos: w.expr.Pos(), unit: u, fn: w.fn, addr: ix.assignedAddr(v, w)})
			}
		}
	}
	for _, c := range ix.all {
		out = append(out, serveCall(ix, c)...)
	}
	slices.SortStableFunc(out, func(a, b sink) int {
		pa, pb := ix.repo.Position(a.pos), ix.repo.Position(b.pos)
		return cmp.Or(cmp.Compare(pa.File, pb.File), cmp.Compare(pa.Line, pb.Line), cmp.Compare(pa.Col, pb.Col))
	})
	return out
}

// isServerHandler recognises net/http's Server.Handler and fields like it in other libraries.
func isServerHandler(ix *index, v *types.Var) bool {
	return v.IsField() && v.Name() == "Handler" && v.Pkg() != nil && !ix.inModule(v) && isNamed(v.Type(), "net/http", "Handler")
}

func isServerType(ix *index, t types.Type) bool {
	n := namedOf(t)
	if n == nil || ix.inModule(n.Obj()) || !strings.HasSuffix(n.Obj().Name(), "Server") {
		return false
	}
	st, ok := n.Underlying().(*types.Struct)
	for i := 0; ok && i < st.NumFields(); i++ {
		if isServerHandler(ix, st.Field(i)) {
			return true
		}
	}
	return false
}

// serverLiteral reads &http.Server{Addr: …, Handler: …}. Without a Handler it serves the default mux, unless a
// Handler is assigned later.
func serverLiteral(ix *index, c composite) []sink {
	info := c.unit.pkg.TypesInfo
	if !isServerType(ix, info.TypeOf(c.lit)) {
		return nil
	}
	s := sink{pos: c.lit.Pos(), unit: c.unit, fn: c.fn}
	s.addr = literalField(c.lit, "Addr")
	for _, el := range c.lit.Elts {
		kv, ok := el.(*ast.KeyValueExpr)
		if !ok {
			return nil
		}
		if key, ok := kv.Key.(*ast.Ident); ok && key.Name == "Handler" {
			if info.Types[kv.Value].IsNil() {
				continue
			}
			s.handler, s.pos = kv.Value, kv.Value.Pos()
			return []sink{s}
		}
	}
	if n := namedOf(info.TypeOf(c.lit)); n.Obj().Pkg().Path() != "net/http" || ix.handlerAssigned(c.lit) {
		return nil
	}
	return []sink{s}
}

func literalField(lit *ast.CompositeLit, name string) string {
	for _, el := range lit.Elts {
		if kv, ok := el.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok && key.Name == name {
				return types.ExprString(kv.Value)
			}
		}
	}
	return ""
}

// handlerAssigned reports whether the variable that holds a server literal gets its Handler later.
func (ix *index) handlerAssigned(lit *ast.CompositeLit) bool {
	holders := map[types.Object]bool{}
	for changed := true; changed; { // srv := &http.Server{…}; app := &App{server: srv}; app.server.Handler = h
		changed = false
		for obj, ws := range ix.writes {
			for _, w := range ws {
				from := literalIn(w.expr) == lit
				switch e := ast.Unparen(w.expr).(type) {
				case *ast.Ident, *ast.SelectorExpr:
					from = holders[ix.object(w.unit, e)]
				}
				if from && !holders[obj] {
					holders[obj], changed = true, true
				}
			}
		}
	}
	for field, bases := range ix.assigned {
		if v, ok := field.(*types.Var); !ok || !isServerHandler(ix, v) {
			continue
		}
		for _, b := range bases {
			if holders[b] {
				return true
			}
		}
	}
	return len(holders) == 0
}

func literalIn(e ast.Expr) *ast.CompositeLit {
	e = ast.Unparen(e)
	if u, ok := e.(*ast.UnaryExpr); ok {
		e = ast.Unparen(u.X)
	}
	lit, _ := e.(*ast.CompositeLit)
	return lit
}

func insideServerLiteral(ix *index, e ast.Expr) bool {
	for _, c := range ix.composed {
		if c.lit.Pos() <= e.Pos() && e.End() <= c.lit.End() && isServerType(ix, c.unit.pkg.TypesInfo.TypeOf(c.lit)) {
			for _, el := range c.lit.Elts {
				if kv, ok := el.(*ast.KeyValueExpr); ok && kv.Value == e {
					return true
				}
			}
		}
	}
	return false
}

// assignedAddr finds the address of a server whose Handler is assigned, in the literal of the same variable.
func (ix *index) assignedAddr(field types.Object, _ write) string {
	for _, base := range ix.assigned[field] {
		for _, w := range ix.writes[base] {
			if lit := literalIn(w.expr); lit != nil {
				if a := literalField(lit, "Addr"); a != "" && len(ix.assigned[field]) == 1 {
					return a
				}
			}
		}
	}
	return ""
}

// serveCall reads http.ListenAndServe(addr, h), http.Serve(l, h), functions like them in other libraries, and
// routers that serve themselves.
func serveCall(ix *index, c *call) []sink {
	m, ok := c.obj.(*types.Func)
	if !ok || ix.inModule(m) || m.Pkg() == nil {
		return nil
	}
	info := c.unit.pkg.TypesInfo
	s := sink{pos: c.expr.Pos(), unit: c.unit, fn: c.fn}
	for _, a := range c.expr.Args {
		if isString(info.TypeOf(a)) {
			s.addr = types.ExprString(a)
			break
		}
	}
	if sel, ok := ast.Unparen(c.expr.Fun).(*ast.SelectorExpr); ok {
		if k := kindOf(info.TypeOf(sel.X)); k != nil && contains(k.serves, m.Name()) {
			s.handler, s.self = sel.X, true
			return []sink{s}
		}
	}
	if !serveName.MatchString(m.Name()) || m.Name() == "ServeHTTP" {
		return nil
	}
	if m.Signature().Recv() != nil && isHandler(m.Signature().Recv().Type()) {
		return nil
	}
	for i, a := range c.expr.Args {
		if i < m.Signature().Params().Len() && isNamed(m.Signature().Params().At(i).Type(), "net/http", "Handler") {
			if info.Types[a].IsNil() {
				if m.Pkg().Path() == "net/http" {
					return []sink{s}
				}
				return nil
			}
			s.handler = a
			return []sink{s}
		}
	}
	return nil
}

// describe turns a served origin into facts.
func describe(ix *index, s *served) Router {
	r := Router{Kind: KindHandler, Wrappers: s.wrappers}
	for _, k := range s.sinks {
		r.Served = append(r.Served, Served{ix.repo.Position(k.pos), k.addr})
	}
	for _, reg := range s.regs {
		if reg.use {
			if !reg.group {
				for _, arg := range reg.call.expr.Args {
					r.Uses = append(r.Uses, ix.wrapper(reg.call.unit, arg, arg))
				}
			}
			continue
		}
		r.Routes = append(r.Routes, reg.route)
	}
	slices.SortFunc(r.Uses, func(a, b Wrapper) int { return comparePositions(a.Position, b.Position) })
	slices.SortStableFunc(r.Routes, func(a, b Route) int { return comparePositions(a.Position, b.Position) })
	r.Login = findLogin(r.Routes)
	at := s.sinks[0].pos
	kind := s.kind
	switch {
	case s.isDefault:
		kind = routerKinds[0]
		r.Minor = len(s.regs) == 0 // only what imported packages register, such as net/http/pprof
	case s.expr != nil:
		at = s.expr.Pos()
	case s.obj != nil:
		at = s.obj.Pos()
	}
	r.Minor = r.Minor || s.redirects
	p := ix.repo.Position(at)
	r.File, r.Line, r.Col = p.File, p.Line, p.Col
	if kind != nil {
		r.Kind = kind.kind
	}
	place(ix, s, kind, &r)
	return r
}

func comparePositions(a, b Position) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
}
