package verify

import (
	"go/ast"
	"go/constant"
	"go/types"
	"sort"
	"strings"

	"golang.org/x/tools/go/packages"

	"github.com/lockspire/lockspire/internal/hostrepo"
)

// graph is the reference graph over the module's own packages, from every main. A reference counts like a call, so
// that method values, closures, goroutines and functions in structs (cobra's RunE) reach what they name. A method is
// reached through an interface as soon as its type is used and some interface has a method of that name. Both are more
// than what really runs: what is unreachable here is unreachable.
type graph struct {
	h       *host
	reached map[*types.Func]bool
	types   map[*types.TypeName]bool
	live    map[*ast.CallExpr]bool // calls in statements that can be executed
	names   map[string]bool        // method names of interfaces
	queue   []*function
}

func buildGraph(h *host) *graph {
	g := &graph{
		h: h, reached: map[*types.Func]bool{}, types: map[*types.TypeName]bool{},
		live: map[*ast.CallExpr]bool{}, names: map[string]bool{},
	}
	g.interfaces()
	var mains []*packages.Package
	for _, p := range h.repo.Packages {
		if p.Name == "main" {
			mains = append(mains, p)
		}
	}
	own := map[*packages.Package]bool{}
	for _, p := range h.repo.Packages {
		own[p] = true
	}
	packages.Visit(mains, nil, func(p *packages.Package) {
		if own[p] && p.TypesInfo != nil {
			g.initialisers(p)
		}
	})
	for len(g.queue) > 0 {
		f := g.queue[0]
		g.queue = g.queue[1:]
		g.body(f.pkg, f.decl.Body)
	}
	return g
}

// interfaces collects the method names of every interface that the module or its direct imports declare.
func (g *graph) interfaces() {
	seen := map[*types.Package]bool{}
	scan := func(p *types.Package) {
		if p == nil || seen[p] {
			return
		}
		seen[p] = true
		for _, name := range p.Scope().Names() {
			tn, ok := p.Scope().Lookup(name).(*types.TypeName)
			if !ok {
				continue
			}
			if iface, ok := tn.Type().Underlying().(*types.Interface); ok {
				for i := 0; i < iface.NumMethods(); i++ {
					g.names[iface.Method(i).Name()] = true
				}
			}
		}
	}
	g.names["Error"] = true
	for _, p := range g.h.repo.Packages {
		scan(p.Types)
		for _, imp := range p.Imports {
			scan(imp.Types)
		}
		for _, f := range p.Syntax { // interfaces without a name
			ast.Inspect(f, func(n ast.Node) bool {
				if it, ok := n.(*ast.InterfaceType); ok {
					for _, m := range it.Methods.List {
						for _, id := range m.Names {
							g.names[id.Name] = true
						}
					}
				}
				return true
			})
		}
	}
}

// initialisers reaches what runs when a package is linked: package-level variables, init functions, and main.
func (g *graph) initialisers(p *packages.Package) {
	for _, f := range p.Syntax {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if v, ok := s.(*ast.ValueSpec); ok {
						for _, e := range v.Values {
							g.body(p, e)
						}
						if v.Type != nil {
							g.body(p, v.Type)
						}
					}
				}
			case *ast.FuncDecl:
				if d.Recv == nil && d.Body != nil && (d.Name.Name == "init" || d.Name.Name == "main" && p.Name == "main") {
					g.body(p, d.Body)
					if obj, ok := p.TypesInfo.Defs[d.Name].(*types.Func); ok {
						g.reached[obj] = true
					}
				}
			}
		}
	}
}

// body reaches everything that the live statements below n refer to.
func (g *graph) body(p *packages.Package, n ast.Node) {
	dead := deadNodes(p, n)
	ast.Inspect(n, func(n ast.Node) bool {
		if n == nil || dead[n] {
			return false
		}
		switch n := n.(type) {
		case *ast.CallExpr:
			g.live[n] = true
		case *ast.Ident:
			switch obj := p.TypesInfo.Uses[n].(type) {
			case *types.Func:
				g.reach(obj.Origin())
			case *types.TypeName:
				g.use(obj)
			}
		case *ast.SelectorExpr:
			if sel := p.TypesInfo.Selections[n]; sel != nil {
				if m, ok := sel.Obj().(*types.Func); ok {
					g.reach(m.Origin())
				}
			}
		}
		return true
	})
}

func (g *graph) reach(f *types.Func) {
	if g.reached[f] {
		return
	}
	g.reached[f] = true
	if fn := g.h.funcs[f]; fn != nil {
		g.queue = append(g.queue, fn)
	}
	// A call through a module interface is covered by use; results and parameters bring types along.
	sig := f.Signature()
	for i := 0; i < sig.Results().Len(); i++ {
		g.useType(sig.Results().At(i).Type())
	}
}

func (g *graph) useType(t types.Type) {
	t = types.Unalias(t)
	if p, ok := t.(*types.Pointer); ok {
		t = types.Unalias(p.Elem())
	}
	if n, ok := t.(*types.Named); ok {
		g.use(n.Obj())
	}
}

// use marks a type as used: its methods that some interface could call are reached.
func (g *graph) use(tn *types.TypeName) {
	if g.types[tn] {
		return
	}
	g.types[tn] = true
	n, ok := types.Unalias(tn.Type()).(*types.Named)
	if !ok {
		return
	}
	if n.Obj() != tn {
		g.use(n.Obj())
		return
	}
	for i := 0; i < n.NumMethods(); i++ {
		if m := n.Method(i); g.names[m.Name()] {
			g.reach(m.Origin())
		}
	}
	if st, ok := n.Underlying().(*types.Struct); ok {
		for i := 0; i < st.NumFields(); i++ {
			if st.Field(i).Embedded() {
				g.useType(st.Field(i).Type())
			}
		}
	}
}

// deadNodes lists the statements below n that cannot be executed, or not before the server has stopped: behind a return,
// a call that does not come back, a blocking ListenAndServe; in a branch whose condition is constant.
func deadNodes(p *packages.Package, n ast.Node) map[ast.Node]bool {
	dead := map[ast.Node]bool{}
	list := func(stmts []ast.Stmt) {
		over := false
		for _, s := range stmts {
			if _, label := s.(*ast.LabeledStmt); label {
				over = false // a goto may lead here
			}
			if over {
				dead[s] = true
				continue
			}
			over = ends(p, s)
		}
	}
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BlockStmt:
			list(n.List)
		case *ast.CaseClause:
			list(n.Body)
		case *ast.CommClause:
			list(n.Body)
		case *ast.IfStmt:
			if v, ok := constBool(p, n.Cond); ok {
				if v && n.Else != nil {
					dead[n.Else] = true
				} else if !v {
					dead[n.Body] = true
				}
			}
		case *ast.ForStmt:
			if n.Cond != nil {
				if v, ok := constBool(p, n.Cond); ok && !v {
					dead[n.Body] = true
				}
			}
		}
		return true
	})
	return dead
}

func constBool(p *packages.Package, e ast.Expr) (value, ok bool) {
	v := p.TypesInfo.Types[e].Value
	if v == nil || v.Kind() != constant.Bool {
		return false, false
	}
	return constant.BoolVal(v), true
}

// ends reports whether the statement behind s in the same list is not executed.
func ends(p *packages.Package, s ast.Stmt) bool {
	switch s := s.(type) {
	case *ast.ReturnStmt, *ast.BranchStmt:
		return true
	case *ast.BlockStmt:
		return len(s.List) > 0 && ends(p, s.List[len(s.List)-1])
	case *ast.LabeledStmt:
		return ends(p, s.Stmt) && !breaks(s.Stmt)
	case *ast.ForStmt:
		return s.Cond == nil && !breaks(s) || s.Init != nil && ends(p, s.Init)
	case *ast.SelectStmt:
		return len(s.Body.List) == 0
	case *ast.IfStmt:
		if s.Init != nil && ends(p, s.Init) || stopsIn(p, s.Cond) {
			return true
		}
		if v, ok := constBool(p, s.Cond); ok && v {
			return ends(p, s.Body)
		}
		return s.Else != nil && ends(p, s.Body) && ends(p, s.Else)
	case *ast.SwitchStmt:
		return s.Init != nil && ends(p, s.Init)
	case *ast.ExprStmt:
		return stopsIn(p, s.X)
	case *ast.AssignStmt:
		for _, e := range s.Rhs {
			if stopsIn(p, e) {
				return true
			}
		}
	}
	return false
}

// breaks reports whether a loop can be left by break or goto.
func breaks(s ast.Stmt) bool {
	found := false
	ast.Inspect(s, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.BranchStmt:
			found = found || n.Label != nil || n.Tok.String() == "break"
		}
		return !found
	})
	return found
}

// stopsIn reports whether evaluating e does not come back, or only when the server stops.
func stopsIn(p *packages.Package, e ast.Expr) bool {
	stops := false
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.CallExpr:
			stops = stops || neverReturns(p, n)
		}
		return !stops
	})
	return stops
}

func neverReturns(p *packages.Package, c *ast.CallExpr) bool {
	if id, ok := ast.Unparen(c.Fun).(*ast.Ident); ok && id.Name == "panic" {
		_, builtin := p.TypesInfo.Uses[id].(*types.Builtin)
		return builtin
	}
	f := callee(p, c)
	if f == nil || f.Pkg() == nil {
		return false
	}
	switch f.Pkg().Path() {
	case "os":
		return f.Name() == "Exit"
	case "runtime":
		return f.Name() == "Goexit"
	case "log":
		return strings.HasPrefix(f.Name(), "Fatal") || strings.HasPrefix(f.Name(), "Panic")
	case "net/http":
		return strings.HasPrefix(f.Name(), "ListenAndServe") || f.Name() == "Serve" || f.Name() == "ServeTLS"
	}
	return hostrepo.ServesItself(f)
}

// callNode finds the call at a position among the module's calls.
func (h *host) callNode(at string, fn *types.Func) *ast.CallExpr {
	calls := h.calls[fn]
	sort.Slice(calls, func(i, j int) bool { return calls[i].Pos() < calls[j].Pos() })
	for _, c := range calls {
		if place(h.repo.Position(c.Pos())) == at {
			return c
		}
	}
	return nil
}
