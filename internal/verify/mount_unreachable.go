package verify

import (
	"go/ast"
	"go/types"
	"strings"

	"golang.org/x/tools/go/ast/astutil"
	"golang.org/x/tools/go/packages"

	"github.com/lockspire/lockspire/internal/hostrepo"
)

var mountUnreachable = &Rule{
	ID: "LS102", Family: FamilyWiring, Name: "mount-unreachable", Severity: Error, Since: "0.1.0",
	Title: "The call that mounts Lockspire can never run.",
	Doc: Doc{
		Why: "Mount is called, but from a function that no main reaches, from code behind a return or a blocking ListenAndServe, or " +
			"from a branch that is never taken. References from main are followed through method values, closures, interfaces, goroutines " +
			"and function fields; what cannot be followed, such as dependency injection by reflection, is reported as unproven.",
		Before: "func main() {\n\tlog.Fatal(http.ListenAndServe(\":8080\", mux))\n\tauthserver.MustMount(mux, host)\n}",
		After:  "func main() {\n\tauthserver.MustMount(mux, host)\n\tlog.Fatal(http.ListenAndServe(\":8080\", mux))\n}",
	},
	run: func(p *pass) {
		wirings := p.wirings()
		for _, w := range wirings {
			if w.call != nil && p.graph.live[w.call] {
				p.condition(w)
				return // one call that can run is enough: another may be for a second binary
			}
		}
		for _, w := range wirings {
			p.unreachable(w)
		}
	},
}

// wiring is one call that mounts Lockspire: the generated Mount, or lockspire.New of a host that wires by hand.
type wiring struct {
	hostrepo.Position
	name string
	call *ast.CallExpr
	pkg  *packages.Package
	fn   *ast.FuncDecl // nil at package level
}

func (h *host) wirings() []wiring {
	var out []wiring
	add := func(at hostrepo.Position, obj types.Object) {
		f, ok := obj.(*types.Func)
		if !ok {
			return
		}
		w := wiring{Position: at, name: f.Pkg().Name() + "." + f.Name(), call: h.callNode(place(at), f)}
		if w.call != nil {
			w.pkg = h.pkg(w.call)
			w.fn = enclosingFunc(w.pkg, w.call)
		}
		out = append(out, w)
	}
	for _, m := range h.repo.Mounts {
		if t := h.repo.Types(m.Package); t != nil {
			add(m.Position, t.Scope().Lookup(m.Callee))
		}
	}
	if len(out) == 0 && h.runtime != nil {
		for _, at := range h.repo.Providers {
			add(at, h.runtime.Scope().Lookup("New"))
		}
	}
	return out
}

func enclosingFunc(p *packages.Package, n ast.Node) *ast.FuncDecl {
	for _, f := range p.Syntax {
		if f.FileStart <= n.Pos() && n.Pos() < f.FileEnd {
			path, _ := astutil.PathEnclosingInterval(f, n.Pos(), n.End())
			for _, e := range path {
				if fd, ok := e.(*ast.FuncDecl); ok {
					return fd
				}
			}
		}
	}
	return nil
}

func (p *pass) unreachable(w wiring) {
	if len(p.repo.Mains) == 0 {
		p.unproven(w.Position, "this module has no main package: whoever imports it decides whether %s is called", w.name)
		return
	}
	pkgPath := ""
	if w.pkg != nil {
		pkgPath = w.pkg.PkgPath
	}
	if e := p.blockedBy(pkgPath); e != nil {
		p.unproven(w.Position, "whether main reaches this call cannot be decided while the module does not compile (%s)", describeError(e))
		return
	}
	if w.fn != nil {
		obj, _ := w.pkg.TypesInfo.Defs[w.fn.Name].(*types.Func)
		if obj != nil && p.graph.reached[obj] {
			p.report(w.Position, "%s stands in code that is never executed, or only after the server has stopped", w.name).
				Fix = "move the call above the statement that returns, exits or serves"
			return
		}
		if lib := p.injector(); lib != "" {
			p.unproven(w.Position, "no main refers to %s, and the module uses %s, which may call it by reflection", w.fn.Name.Name, lib)
			return
		}
		f := p.report(w.Position, "%s is called in %s, which no main package reaches", w.name, w.fn.Name.Name)
		f.related(p.pos(w.fn.Name.Pos()), "nothing that runs refers to this function")
		f.Fix = "call " + w.fn.Name.Name + " where the served router is built, or move the call there"
		return
	}
	p.report(w.Position, "%s is called in a package that no main package imports", w.name).Fix = "import the package, or move the call to where the served router is built"
}

// injectors call functions that nothing refers to in source, or that only generated code refers to.
var injectors = []string{"go.uber.org/fx", "go.uber.org/dig", "github.com/samber/do", "github.com/google/wire", "plugin"}

func (h *host) injector() string {
	for _, p := range h.repo.Packages {
		for path := range p.Imports {
			for _, lib := range injectors {
				if path == lib || strings.HasPrefix(path, lib+"/") {
					return lib
				}
			}
		}
	}
	return ""
}

// condition notes under which condition the call runs: it may be meant so.
func (p *pass) condition(w wiring) {
	for _, f := range w.pkg.Syntax {
		if f.FileStart > w.call.Pos() || w.call.Pos() >= f.FileEnd {
			continue
		}
		path, _ := astutil.PathEnclosingInterval(f, w.call.Pos(), w.call.End())
		for i, e := range path {
			s, ok := e.(*ast.IfStmt)
			if !ok || i == 0 || path[i-1] != s.Body && path[i-1] != s.Else {
				continue // the call stands in the condition: if _, err := Mount(…); err != nil
			}
			f := p.report(w.Position, "Lockspire is mounted only under a condition")
			f.Severity = Info
			f.related(p.pos(s.Cond.Pos()), "when %s", types.ExprString(s.Cond))
			return
		}
	}
}
