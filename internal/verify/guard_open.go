package verify

import (
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/packages"
)

var guardOpen = &Rule{
	ID: "LS203", Family: FamilySeam, Name: "operator-guard-open", Severity: Error, Since: "0.1.0",
	Title: "The operator guard lets everyone through.",
	Doc: Doc{
		Why: "RequireOperator decides who may see clients, grants, keys and the audit log. A guard that returns the handler as it is, or " +
			"calls it without a check before, opens all of that to anybody. Guards with a check of any kind, also in a helper or in " +
			"a library, are taken as they are.",
		Before: "func RequireOperator(next http.Handler) http.Handler {\n\treturn next\n}",
		After:  "func RequireOperator(next http.Handler) http.Handler {\n\treturn http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {\n\t\tif user, ok := session.User(r); !ok || !user.Operator {\n\t\t\thttp.Error(w, \"forbidden\", http.StatusForbidden)\n\t\t\treturn\n\t\t}\n\t\tnext.ServeHTTP(w, r)\n\t})\n}",
	},
	run: func(p *pass) {
		dir := p.packageDir()
		if dir == "" {
			return // no generated package: whatever guards the operator pages has another name
		}
		for _, f := range p.sortedFuncs() {
			if f.obj.Name() != "RequireOperator" || f.obj.Signature().Recv() != nil || f.pkg.PkgPath != p.repo.ModulePath+"/"+dir {
				continue
			}
			p.guard(f)
		}
	},
}

func (p *pass) guard(f *function) {
	g := guard{pass: p, seen: map[*types.Func]bool{}}
	open, at := g.open(f, 0)
	switch open {
	case passesAll:
		p.report(p.pos(at.Pos()), "the operator guard lets every request through").
			Fix = "check the signed-in user before next.ServeHTTP, and answer 403 otherwise"
	case passesSome:
		p.unproven(p.pos(at.Pos()), "the operator guard lets requests through here under a condition that was not followed")
	}
}

type openness int

const (
	closed     openness = iota // checks something, or cannot be judged: silence
	passesSome                 // returns the handler itself on one path of several
	passesAll
)

// guard judges a func(next http.Handler) http.Handler.
type guard struct {
	*pass
	seen map[*types.Func]bool
}

// open looks at what f returns for its handler parameter, argument i.
func (g *guard) open(f *function, i int) (openness, ast.Node) {
	if g.seen[f.obj] || i >= f.obj.Signature().Params().Len() {
		return closed, f.decl
	}
	g.seen[f.obj] = true
	next := f.obj.Signature().Params().At(i)
	returns, _ := exits(f)
	result, at := closed, ast.Node(f.decl.Name)
	passing := 0
	for _, r := range returns {
		if len(r.Results) != 1 {
			return closed, f.decl
		}
		if o, n := g.value(f.pkg, r.Results[0], next); o == passesAll {
			passing++
			result, at = passesAll, n
		}
	}
	if passing > 0 && passing < len(returns) {
		result = passesSome
	}
	return result, at
}

// value judges one returned handler.
func (g *guard) value(p *packages.Package, e ast.Expr, next types.Object) (openness, ast.Node) {
	e = ast.Unparen(e)
	switch e := e.(type) {
	case *ast.Ident:
		obj := object(p, e)
		if obj == next {
			return passesAll, e
		}
		if values := g.assigns[obj]; len(values) == 1 { // h := http.HandlerFunc(…); return h
			return g.value(p, values[0].expr, next)
		}
	case *ast.SelectorExpr:
		if e.Sel.Name == "ServeHTTP" && object(p, e.X) == next {
			return passesAll, e
		}
	case *ast.FuncLit:
		return g.closure(p, e, next)
	case *ast.CallExpr:
		if tv := p.TypesInfo.Types[e.Fun]; tv.IsType() && len(e.Args) == 1 {
			return g.value(p, e.Args[0], next)
		}
		f := callee(p, e)
		for i, a := range e.Args {
			if object(p, a) != next {
				continue
			}
			if own := g.funcs[f]; own != nil {
				if o, _ := g.open(own, i); o == passesAll {
					return passesAll, e
				}
				return closed, e
			}
			if f != nil && f.Pkg() != nil && f.Pkg().Path() == "net/http" {
				return passesAll, e // StripPrefix, TimeoutHandler, MaxBytesHandler: none of them asks who it is
			}
		}
	}
	return closed, e // a library's guard, a method, a composite: taken as it is
}

// closure reports whether func(w, r) calls next before anything could have stopped it.
func (g *guard) closure(p *packages.Package, lit *ast.FuncLit, next types.Object) (openness, ast.Node) {
	params := map[types.Object]bool{}
	for _, field := range lit.Type.Params.List {
		for _, n := range field.Names {
			params[p.TypesInfo.Defs[n]] = true
		}
	}
	for _, s := range lit.Body.List {
		if c := servesNext(p, s, next); c != nil {
			return passesAll, c
		}
		if g.mayStop(p, s, params) {
			return closed, s
		}
	}
	return closed, lit
}

// servesNext returns the call of next in a statement that runs it whatever happens.
func servesNext(p *packages.Package, s ast.Stmt, next types.Object) ast.Node {
	var x ast.Expr
	switch s := s.(type) {
	case *ast.ExprStmt:
		x = s.X
	case *ast.DeferStmt:
		x = s.Call
	case *ast.ReturnStmt:
		return nil
	}
	c, ok := x.(*ast.CallExpr)
	if !ok {
		return nil
	}
	if sel, ok := ast.Unparen(c.Fun).(*ast.SelectorExpr); ok && sel.Sel.Name == "ServeHTTP" && object(p, sel.X) == next {
		return c
	}
	return nil
}

// mayStop reports whether a statement could keep the request from going on: it branches, or it hands the request or the
// response to a function that could panic or answer.
func (g *guard) mayStop(p *packages.Package, s ast.Stmt, params map[types.Object]bool) bool {
	stop := false
	ast.Inspect(s, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ReturnStmt, *ast.BranchStmt:
			stop = true
		case *ast.IfStmt:
			if v, ok := constBool(p, n.Cond); ok && !v {
				return false // if false { … }
			}
		case *ast.CallExpr:
			f := callee(p, n)
			if f != nil && f.Pkg() != nil && g.funcs[f] == nil && (f.Pkg().Path() == "log" || f.Pkg().Path() == "log/slog" || f.Pkg().Path() == "fmt") {
				return true
			}
			for _, a := range n.Args {
				stop = stop || params[object(p, a)]
			}
		}
		return !stop
	})
	return stop
}
