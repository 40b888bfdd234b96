package verify

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"

	"github.com/lockspire/lockspire/internal/hostrepo"
)

var mountMissing = &Rule{
	ID: "LS101", Family: FamilyWiring, Name: "mount-missing", Severity: Error, Since: "0.1.0",
	Title: "Nothing mounts Lockspire on a router.",
	Doc: Doc{
		Why: "The generated package does nothing until Mount registers its routes: without the call every endpoint answers 404, " +
			"or worse, the host's own catch-all page with status 200.",
		Before: "mux := http.NewServeMux()\nmux.HandleFunc(\"GET /\", home)",
		After:  "mux := http.NewServeMux()\nauthserver.MustMount(mux, authserver.Host{DB: db})\nmux.HandleFunc(\"GET /\", home)",
	},
	run: func(p *pass) {
		if len(p.repo.Mounts) > 0 {
			return // whether the call can run is LS102's question
		}
		if len(p.repo.Providers) > 0 {
			if !p.providerServed() {
				p.unproven(p.repo.Providers[0], "a Provider is made here, and it is not seen to be given to a router")
			}
			return // wired by hand, without the generated package
		}
		dir := p.packageDir()
		if slices.ContainsFunc(p.repo.LostMounts, func(m hostrepo.Mount) bool { return p.manifest != nil && m.Package == p.repo.ModulePath+"/"+dir }) {
			return // the file with Mount is missing: LS501 speaks
		}
		name := "authserver"
		if dir != "" {
			name = dir[strings.LastIndexByte(dir, '/')+1:]
			if pkg := p.repo.Types(p.repo.ModulePath + "/" + dir); pkg != nil {
				name = pkg.Name()
			}
		}
		root := p.root()
		if root == nil {
			f := p.report(hostrepo.Position{File: "go.mod", Line: 1, Col: 1}, "nothing calls %s.Mount, and no router was found that it could be called on", name)
			f.Fix = "lockspire install --no-wire    # prints the call to make"
			return
		}
		if e := p.syntaxError(); e != nil {
			p.unproven(root.Position(), "no call of %s.Mount was found, and files of the module do not parse (%s)", name, describeError(e))
			return
		}
		f := p.report(root.Position(), "nothing calls %s.Mount on this router, so no request reaches Lockspire", name)
		if root.Problem == "" {
			f.related(hostrepo.Position{File: root.Insert.File, Line: root.Insert.Line, Col: 1}, "the call belongs here")
		}
		f.Fix = "lockspire install"
		if dir != "" && root.Problem == "" {
			f.Fix = "lockspire install    # or write " + name + ".MustMount(" + root.Expr + ", " + name + ".Host{…}) there"
		}
	},
}

// root is the likeliest router, nil when nothing is served.
func (h *host) root() *hostrepo.Router {
	for i := range h.repo.Routers {
		if !h.repo.Routers[i].Minor {
			return &h.repo.Routers[i]
		}
	}
	return nil
}

func (h *host) syntaxError() *hostrepo.LoadError {
	if len(h.repo.SyntaxErrors) > 0 {
		return &h.repo.SyntaxErrors[0]
	}
	return nil
}

// providerServed reports whether a *lockspire.Provider is used as a handler somewhere: passed to a function or stored
// where a handler is wanted, or asked to serve.
func (h *host) providerServed() bool {
	for _, p := range h.repo.Packages {
		if p.TypesInfo == nil {
			continue
		}
		for _, f := range p.Syntax {
			served := false
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					for _, a := range n.Args {
						served = served || isRuntimeType(p.TypesInfo.TypeOf(a), "Provider")
					}
				case *ast.SelectorExpr:
					served = served || n.Sel.Name == "ServeHTTP" && isRuntimeType(p.TypesInfo.TypeOf(n.X), "Provider")
				case *ast.KeyValueExpr:
					served = served || isRuntimeType(p.TypesInfo.TypeOf(n.Value), "Provider") && isInterface(p.TypesInfo.TypeOf(n.Key))
				case *ast.AssignStmt:
					for i, r := range n.Rhs {
						served = served || len(n.Lhs) == len(n.Rhs) && isRuntimeType(p.TypesInfo.TypeOf(r), "Provider") && isInterface(p.TypesInfo.TypeOf(n.Lhs[i]))
					}
				}
				return !served
			})
			if served {
				return true
			}
		}
	}
	return false
}

func isInterface(t types.Type) bool { return t != nil && types.IsInterface(t) }
