package hostrepo

import (
	"cmp"
	"go/ast"
	"go/types"
	"regexp"
	"slices"
	"strings"
)

// window returns the first and last boundary at which the call may stand: boundary i lies before statement i. early
// is a middleware that would come after a route of ours, where the library forbids that.
func (p *placement) window(f *fn, list []ast.Stmt) (first, last int, early *event) {
	catchAll := len(list)
	over := p.guarded(f, list) // middleware that is not for us stands there
	raise := func(i int) {
		if i >= 0 && i < over && i+1 > first {
			first = i + 1
		}
	}
	hides := func(i int) {
		if i >= 0 && i < catchAll {
			catchAll = i
		}
	}
	if p.router.expr != nil && p.router.fn == f {
		raise(indexOf(list, p.router.expr.Pos()))
	}
	for _, e := range p.events[f] {
		i := indexOf(list, e.call.expr.Pos())
		if e.use || e.route {
			raise(i)
		}
		if e.catchAll && (p.kind.firstWins || !e.use && !e.route) {
			hides(i)
		}
	}
	for _, reg := range p.router.regs { // v1 := r.Group("/v1"); { v1.GET(…) }
		if reg.call.fn == f && reg.group && !reg.use && reg.own == p.router.key() {
			raise(indexOf(list, reg.call.expr.Pos()))
		}
	}
	for i, s := range list { // s.routes(): a method that puts something on the router
		if touches, hidden := p.touches(s, 0); hidden && p.kind.firstWins {
			hides(i)
		} else if touches {
			raise(i)
		}
	}
	stop := len(list)
	for i, s := range list {
		if p.leaves(s) {
			stop = i
			break
		}
	}
	last = min(stop, over)
	first = min(first, last)
	if p.kind.firstWins && catchAll < last {
		last = catchAll
		first = min(first, last)
	}
	if p.kind.usesFirst {
		early = p.lateUse(f, list, first)
	}
	return first, last, early
}

// guarded returns the first statement of f that adds middleware which is meant for what comes after it and not for the
// provider, in a library where that order counts: len(list) when there is none. What stands before the first route, or
// before the sign-in page, is for everything. Of the rest, what is behind the sign-in page and not named like a session, is
// named like a demand to be signed in, or has nothing after it and so answers what nothing answered, is not.
func (p *placement) guarded(f *fn, list []ast.Stmt) int {
	if !p.kind.usesInOrder {
		return len(list)
	}
	routes, login, end := len(list), -1, -1
	for _, e := range p.events[f] {
		if i := indexOf(list, e.call.expr.Pos()); i >= 0 && (e.route || e.catchAll) {
			routes, end = min(routes, i), max(end, i)
			if e.login {
				login = i
			}
		}
	}
	for _, e := range p.events[f] {
		i := indexOf(list, e.call.expr.Pos())
		if !e.use || i <= routes || i < login {
			continue
		}
		name := usedText(e)
		if i > end || login >= 0 && !sessionName.MatchString(name) || login < 0 && guardName.MatchString(name) {
			return i
		}
	}
	return len(list)
}

var sessionName = regexp.MustCompile(`(?i)session|scs|load|identif|(current|with|set)_?user|remember`)

var guardName = regexp.MustCompile(`(?i)auth|login|sign|require|protect|admin|jwt|csrf|private|member|access|permission|role|acl`)

func usedText(e *event) string {
	var b strings.Builder
	for _, a := range e.call.expr.Args {
		b.WriteString(middlewareText(a) + " ")
	}
	return b.String()
}

// touches reports whether a statement calls a function of the module that has events on this router, and whether one of
// them answers whatever comes.
func (p *placement) touches(n ast.Node, depth int) (touches, hides bool) {
	if depth > 3 {
		return false, false
	}
	ast.Inspect(n, func(n ast.Node) bool {
		e, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		c := p.ix.callOf[e]
		if c == nil || c.obj == nil {
			return true
		}
		m, ok := c.obj.(*types.Func)
		if !ok {
			return true
		}
		g := p.ix.funcs[m]
		if g == nil {
			return true
		}
		for _, e := range p.events[g] {
			touches, hides = true, hides || e.catchAll
		}
		t, h := p.touches(g.body, depth+1)
		touches, hides = touches || t, hides || h
		return true
	})
	return touches, hides
}

// leaves reports whether nothing after a statement is sure to run: it returns, or it serves.
func (p *placement) leaves(s ast.Stmt) bool {
	switch s.(type) {
	case *ast.ReturnStmt, *ast.BranchStmt:
		return true
	case *ast.GoStmt, *ast.DeferStmt:
		return false
	}
	leaves := false
	ast.Inspect(s, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.CallExpr:
			c := p.ix.callOf[n]
			if c == nil {
				return true
			}
			m, ok := c.obj.(*types.Func)
			if !ok || m.Pkg() == nil || p.ix.inModule(m) {
				return true
			}
			if m.Name() != "ServeHTTP" && (m.Pkg().Path() == "net/http" && serveName.MatchString(m.Name()) || len(serveCall(p.ix, c)) > 0) {
				leaves = true
			}
		}
		return true
	})
	return leaves
}

// lateUse finds a middleware that is added after boundary at of f.
func (p *placement) lateUse(f *fn, list []ast.Stmt, at int) *event {
	var functions []*fn
	for g := range p.events {
		functions = append(functions, g)
	}
	slices.SortFunc(functions, func(a, b *fn) int { return cmp.Compare(a.body.Pos(), b.body.Pos()) })
	for _, g := range functions {
		for _, e := range p.events[g] {
			if e.useHere && !p.before(e, g, f, list, at) {
				return e
			}
		}
	}
	return nil
}

// before reports whether an event of g has happened when boundary at of f is reached.
func (p *placement) before(e *event, g, f *fn, list []ast.Stmt, at int) bool {
	if g == f {
		i := indexOf(list, e.call.expr.Pos())
		return i >= 0 && i < at
	}
	for i := 0; i < at; i++ {
		if p.callsFunc(list[i], g, 0) {
			return true
		}
	}
	// In a common caller, the call of g must come before the call of f.
	for _, c := range p.ix.all {
		if c.fn == nil || c.fn == f || c.obj == nil || c.fn.body == nil {
			continue
		}
		if m, ok := c.obj.(*types.Func); !ok || p.ix.funcs[m] != f {
			continue
		}
		if c.fn == g && e.call.expr.Pos() < c.expr.Pos() {
			return true
		}
		i := indexOf(c.fn.body.List, c.expr.Pos())
		for j := 0; j < i; j++ {
			if p.callsFunc(c.fn.body.List[j], g, 0) {
				return true
			}
		}
	}
	return false
}

func (p *placement) callsFunc(n ast.Node, g *fn, depth int) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		e, ok := n.(*ast.CallExpr)
		if !ok || found {
			return !found
		}
		if c := p.ix.callOf[e]; c != nil {
			for _, callee := range p.ix.callees(c) {
				if callee == g || depth < 3 && p.callsFunc(callee.body, g, depth+1) {
					found = true
				}
			}
		}
		return !found
	})
	return found
}

// settle picks a boundary of the window: the first one, moved down past the check of an error just assigned; below
// the opening of a database when there is no handle before it; and below the host's own migrations.
func (p *placement) settle(f *fn, list []ast.Stmt, first, last int) int {
	at := p.pastCheck(f.unit, list, first, last)
	for i := at; i <= last; i++ {
		handles := handlesAt(p.ix, f.unit, f, scopePos(list, i))
		if len(handles) == 0 {
			continue
		}
		root, _, _ := strings.Cut(handles[0].Expr, ".")
		opened := i > at
		if opened {
			at = p.pastCheck(f.unit, list, i, last)
		}
		for j := at; j < last; j++ {
			if mentions(list[j], root) && (opened || migrates(list[j])) {
				at = p.pastCheck(f.unit, list, j+1, last)
			}
		}
		break
	}
	return at
}

// pastCheck moves a boundary below "if err != nil" when the statement above it has just assigned err.
func (p *placement) pastCheck(u *unit, list []ast.Stmt, at, last int) int {
	if at == 0 || at >= last {
		return at
	}
	assign, ok := list[at-1].(*ast.AssignStmt)
	if !ok {
		return at
	}
	check, ok := list[at].(*ast.IfStmt)
	if !ok {
		return at
	}
	for _, l := range assign.Lhs {
		if id, ok := l.(*ast.Ident); ok && isErrorVar(u, id) && mentions(check, id.Name) {
			return at + 1
		}
	}
	return at
}

func isErrorVar(u *unit, id *ast.Ident) bool {
	obj := u.pkg.TypesInfo.ObjectOf(id)
	return obj != nil && isError(obj.Type())
}

func mentions(n ast.Node, name string) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && id.Name == name {
			found = true
		}
		return !found
	})
	return found
}

// migrates guesses from names that a statement migrates the host's schema.
func migrates(n ast.Node) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && strings.Contains(strings.ToLower(id.Name), "migrat") {
			found = true
		}
		return !found
	})
	return found
}
