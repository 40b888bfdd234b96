package hostrepo

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// event is a call in some function that puts something on the router, or passes the router to one that does.
type event struct {
	call     *call
	router   ast.Expr // the router in this call, nil for the default mux
	use      bool
	useHere  bool // the call itself adds the middleware
	route    bool // a route that is no catch-all
	catchAll bool // a catch-all, or where the first match wins a route that may hide ours
	login    bool // the sign-in page is among its routes
}

// placement finds the insertion point of one router.
type placement struct {
	ix     *index
	router *served
	kind   *routerKind
	login  *Login
	events map[*fn][]*event
}

// place chooses the function and the statement boundary for the inserted call and writes them into r, or says in
// r.Problem why there is none.
func place(ix *index, s *served, kind *routerKind, r *Router) {
	r.Exit = 1
	if kind == nil || kind.kind == KindHandler {
		wrapAt(ix, s, r)
		return
	}
	if why := kind.unwired(kindPath(s)); why != "" {
		r.Func, r.Type, r.Problem = s.fn.name(), typeText(s), why
		r.Next = "lockspire install --no-wire    # then call the printed code where the routes are registered"
		return
	}
	p := &placement{ix: ix, router: s, kind: kind, login: r.Login, events: map[*fn][]*event{}}
	p.collect()
	var first *Router
	for _, f := range p.candidates() {
		try := *r
		p.in(f, &try)
		if try.Problem == "" {
			*r = try
			r.Exit = 0
			return
		}
		if first == nil {
			first = &try
		}
	}
	if first != nil {
		*r = *first
		return
	}
	r.Func = s.fn.name()
	r.Problem = "no function of this module has this router in a variable or field"
	r.Next = "lockspire install --no-wire    # then make the printed call where the router is built"
}

func typeText(s *served) string {
	if s.unit == nil || s.expr == nil {
		if s.obj != nil {
			return types.TypeString(s.obj.Type(), (*types.Package).Name)
		}
		return ""
	}
	t := s.unit.pkg.TypesInfo.TypeOf(s.expr)
	if t == nil {
		return ""
	}
	return types.TypeString(t, (*types.Package).Name)
}

// collect turns the registrations on this very router into events per function.
func (p *placement) collect() {
	byCall := map[*call]*event{}
	for _, reg := range p.router.regs {
		if reg.own != p.router.key() {
			continue
		}
		for _, c := range append([]*call{reg.call}, reg.via...) {
			e := byCall[c]
			if e == nil {
				router, ok := p.routerIn(c)
				if !ok || c.fn == nil {
					continue
				}
				e = &event{call: c, router: router}
				byCall[c] = e
				p.events[c.fn] = append(p.events[c.fn], e)
			}
			switch {
			case reg.use && !reg.group:
				e.use = true
				e.useHere = e.useHere || c == reg.call
			case reg.use:
				e.route = true // of a group: nothing of ours passes through it
			case reg.route.CatchAll(), p.kind.firstWins && reg.route.greedy():
				e.catchAll = true
			default:
				e.route = true
			}
			e.login = e.login || p.login != nil && reg.route.Position == p.login.Position
		}
	}
	for _, es := range p.events {
		slices.SortFunc(es, func(a, b *event) int { return cmp.Compare(a.call.expr.Pos(), b.call.expr.Pos()) })
	}
}

// routerIn returns the expression in a call that is the router itself, not a group of it.
func (p *placement) routerIn(c *call) (ast.Expr, bool) {
	if p.router.isDefault {
		if m, ok := c.obj.(*types.Func); ok && m.Pkg() != nil && m.Pkg().Path() == "net/http" && m.Signature().Recv() == nil {
			return nil, true
		}
	}
	var exprs []ast.Expr
	if sel, ok := ast.Unparen(c.expr.Fun).(*ast.SelectorExpr); ok {
		exprs = append(exprs, sel.X)
	}
	exprs = append(exprs, c.expr.Args...)
	for _, e := range exprs {
		t := c.unit.pkg.TypesInfo.TypeOf(e)
		if kindOf(t) == nil && !isHandler(t) {
			continue
		}
		for _, o := range p.ix.origins(e) {
			if o.key() == p.router.key() && !o.group {
				return e, true
			}
		}
	}
	return nil, false
}

// candidates orders the functions that could hold the insertion: the one that makes the router, when it also puts
// something on it; else those that do, middleware first; else the one that makes it.
func (p *placement) candidates() []*fn {
	made := p.router.fn
	var fns []*fn
	for f := range p.events {
		fns = append(fns, f)
	}
	uses := func(f *fn) int {
		n := 0
		for _, e := range p.events[f] {
			if e.use {
				n++
			}
		}
		return n
	}
	slices.SortFunc(fns, func(a, b *fn) int {
		pa, pb := p.ix.repo.Position(a.body.Pos()), p.ix.repo.Position(b.body.Pos())
		return cmp.Or(
			boolCmp(a != made, b != made),
			boolCmp(p.isInit(a), p.isInit(b)),
			boolCmp(uses(a) == 0, uses(b) == 0),
			cmp.Compare(len(p.events[b]), len(p.events[a])),
			comparePositions(pa, pb),
		)
	})
	if made != nil && p.events[made] == nil {
		fns = append(fns, made)
	}
	for _, s := range p.router.sinks { // the default mux with routes of imported packages only
		if p.router.isDefault && s.fn != nil && !slices.Contains(fns, s.fn) {
			fns = append(fns, s.fn)
		}
	}
	return fns
}

// isInit: registrations in init functions are legal and the last place for a call that can fail.
func (p *placement) isInit(f *fn) bool {
	return f.obj != nil && f.obj.Name() == "init" && f.sig.Recv() == nil
}

// in describes the insertion in one function.
func (p *placement) in(f *fn, r *Router) {
	u := f.unit
	r.Func, r.Package = f.name(), u.pkg.PkgPath
	list := p.statements(f)
	if len(list) == 0 {
		r.Problem = "the function has no statement to insert beside"
		r.Next = "lockspire install --no-wire"
		return
	}
	first, last, early := p.window(f, list)
	if early != nil {
		pos := p.ix.repo.Position(early.call.expr.Pos())
		r.Problem = fmt.Sprintf("middleware is added to this router at %s:%d, after the last place in %s for a route", pos.File, pos.Line, f.name())
		r.Next = "move that Use above the first route, or lockspire install --no-wire"
		return
	}
	at := p.settle(f, list, first, last)
	pos := scopePos(list, at)
	expr := p.expression(f, list, pos)
	if expr == "" {
		r.Problem = "the router has no name at the place where the call belongs"
		r.Next = "put the router into a variable, or lockspire install --no-wire"
		return
	}
	r.Expr = expr
	r.Insert = insertionAt(p.ix, f, list, at)
	r.Database = handlesAt(p.ix, u, f, pos)
	r.Readers = readersAt(p.ix, u, f, pos, r.Kind)
	p.typeAt(f, pos, r)
	if r.Insert.Generated {
		r.Problem = "the router is built in a generated file, where an edit would not last"
		r.Next = "lockspire install --no-wire    # then make the printed call in the code that calls " + f.name()
	}
}

// statements returns the innermost statement list that holds the making of the router and every direct event of f.
func (p *placement) statements(f *fn) []ast.Stmt {
	var nodes []ast.Node
	for _, e := range p.events[f] {
		nodes = append(nodes, e.call.expr)
	}
	if p.router.expr != nil && p.router.fn == f {
		nodes = append(nodes, p.router.expr)
	}
	if len(nodes) == 0 {
		return f.body.List
	}
	best := f.body.List
	ast.Inspect(f.body, func(n ast.Node) bool {
		list := listOf(n)
		if n == nil || list == nil {
			return true
		}
		for _, m := range nodes {
			if m.Pos() < n.Pos() || m.End() > n.End() {
				return false
			}
		}
		for _, m := range nodes { // the node itself must be in a statement, not in a case expression
			if indexOf(list, m.Pos()) < 0 {
				return true
			}
		}
		best = list
		return true
	})
	return best
}

func listOf(n ast.Node) []ast.Stmt {
	switch n := n.(type) {
	case *ast.BlockStmt:
		return n.List
	case *ast.CaseClause:
		return n.Body
	case *ast.CommClause:
		return n.Body
	}
	return nil
}

// indexOf returns the statement of a list that pos is in.
func indexOf(list []ast.Stmt, pos token.Pos) int {
	for i, s := range list {
		if s.Pos() <= pos && pos < s.End() {
			return i
		}
	}
	return -1
}
