package verify

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/packages"
)

var resolverStub = &Rule{
	ID: "LS201", Family: FamilySeam, Name: "resolver-stub", Severity: Error, Since: "0.1.0",
	Title: "A method of the account resolver is still the generated stub.",
	Doc: Doc{
		Why: "The account resolver is how Lockspire learns who is signed in. A method that always returns lockspire.ErrNotWired, panics, or " +
			"answers with nothing makes every sign-in fail with 503. The rule follows what the method returns on every path, so a comment " +
			"that was left over does not matter, and a stub whose comment was deleted is still found.",
		Before: "func (a *accountResolver) CurrentAccount(r *http.Request) (lockspire.Account, error) {\n\treturn lockspire.Account{}, lockspire.ErrNotWired\n}",
		After:  "func (a *accountResolver) CurrentAccount(r *http.Request) (lockspire.Account, error) {\n\tuser, ok := a.host.Sessions.User(r.Context())\n\tif !ok {\n\t\treturn lockspire.Account{}, lockspire.ErrNotSignedIn\n\t}\n\treturn lockspire.Account{Subject: user.ID, DisplayName: user.Name}, nil\n}",
	},
	run: func(p *pass) {
		for _, m := range p.resolverMethods() {
			s := stubFinder{host: p.host, method: m.obj.Name(), seen: map[*types.Func]bool{}}
			if why := s.why(m); why != "" {
				p.report(p.pos(s.at(m)), "%s is still a stub: %s", m.obj.Name(), why).Fix = resolverFix[m.obj.Name()]
			}
		}
	},
}

var resolverFix = map[string]string{
	"CurrentAccount":   "return the account of the host's session, or lockspire.ErrNotSignedIn",
	"AccountBySubject": "look the account up by its id, and return lockspire.ErrAccountGone when there is none",
	"Claims":           "return the claims for the granted scopes; an empty lockspire.Claims is fine",
	"LoginURL":         "return interaction.AppendTo(\"/login\") with the path of your sign-in page",
}

// resolverMethods lists the methods of every type that is given to Lockspire as the account resolver, in the order of
// the source. A type of that shape which nothing uses (a double for tests, an old one) is left alone.
func (h *host) resolverMethods() []*function {
	if h.runtime == nil {
		return nil
	}
	tn, ok := h.runtime.Scope().Lookup("AccountResolver").(*types.TypeName)
	if !ok {
		return nil
	}
	iface, ok := tn.Type().Underlying().(*types.Interface)
	if !ok {
		return nil
	}
	used := h.instantiated()
	want := map[*types.Func]bool{}
	for _, p := range h.repo.Packages {
		if p.Types == nil {
			continue
		}
		for _, name := range p.Types.Scope().Names() {
			t, ok := p.Types.Scope().Lookup(name).(*types.TypeName)
			if !ok || types.IsInterface(t.Type()) || !used[t] {
				continue
			}
			if n, generic := t.Type().(*types.Named); generic && n.TypeParams().Len() > 0 {
				continue
			}
			if !types.Implements(types.NewPointer(t.Type()), iface) {
				continue
			}
			for i := 0; i < iface.NumMethods(); i++ {
				obj, _, _ := types.LookupFieldOrMethod(types.NewPointer(t.Type()), true, p.Types, iface.Method(i).Name())
				if m, ok := obj.(*types.Func); ok {
					want[m.Origin()] = true // a method of an embedded type is judged where it is written
				}
			}
		}
	}
	var out []*function
	for _, f := range h.sortedFuncs() {
		if want[f.obj] {
			out = append(out, f)
		}
	}
	return out
}

// instantiated lists the types that reachable code makes values of; all types when no main reaches a wiring, since then
// LS101 or LS102 speaks and the seam should still be checked.
func (h *host) instantiated() map[*types.TypeName]bool {
	mounted := false
	for _, w := range h.wirings() {
		mounted = mounted || w.call != nil && h.graph.live[w.call]
	}
	if mounted {
		return h.graph.types
	}
	all := map[*types.TypeName]bool{}
	for _, p := range h.repo.Packages {
		if p.TypesInfo == nil {
			continue
		}
		for _, obj := range p.TypesInfo.Uses {
			if t, ok := obj.(*types.TypeName); ok {
				all[t] = true
			}
		}
	}
	return all
}

// stubFinder decides whether a method does nothing on every path.
type stubFinder struct {
	host   *host
	method string
	seen   map[*types.Func]bool
}

// why says in which way the function is a stub, "" when it is none.
func (s *stubFinder) why(f *function) string {
	if s.seen[f.obj] {
		return ""
	}
	s.seen[f.obj] = true
	returns, panics := exits(f)
	if len(returns) == 0 {
		if panics {
			return "it panics"
		}
		return "" // it loops or ends otherwise: nothing to say
	}
	why := ""
	for _, r := range returns {
		w := s.result(f, r)
		if w == "" {
			return "" // one path that does something is enough
		}
		why = w
	}
	return why
}

// at is the smallest honest place: the first return, else the panic, else the name.
func (s *stubFinder) at(f *function) token.Pos {
	returns, _ := exits(f)
	if len(returns) > 0 {
		return returns[0].Pos()
	}
	if len(f.decl.Body.List) > 0 {
		return f.decl.Body.List[0].Pos()
	}
	return f.decl.Name.Pos()
}

// exits lists the return statements that can be executed, without those of closures.
func exits(f *function) (returns []*ast.ReturnStmt, panics bool) {
	dead := deadNodes(f.pkg, f.decl.Body)
	ast.Inspect(f.decl.Body, func(n ast.Node) bool {
		if n == nil || dead[n] {
			return false
		}
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt:
			returns = append(returns, n)
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "panic" {
				panics = true
			}
		}
		return true
	})
	return returns, panics
}

// result judges one return statement.
func (s *stubFinder) result(f *function, r *ast.ReturnStmt) string {
	switch len(r.Results) {
	case 0:
		return ""
	case 1:
		if c, ok := ast.Unparen(r.Results[0]).(*ast.CallExpr); ok && f.obj.Signature().Results().Len() > 1 {
			if g := s.host.funcs[callee(f.pkg, c)]; g != nil {
				return s.why(g) // return a.notYet()
			}
			return ""
		}
		if text, ok := constText(f.pkg, r.Results[0]); ok && text == "" {
			return "it returns an empty string"
		}
		return ""
	}
	first, last := r.Results[0], r.Results[len(r.Results)-1]
	if why := sentinel(s.host, f.pkg, last, 0); why != "" {
		return why
	}
	if s.method == "Claims" || !isZero(f.pkg, first) {
		return "" // no claims at all is a policy, not a stub
	}
	if f.pkg.TypesInfo.Types[last].IsNil() {
		return "it returns an empty account and no error"
	}
	if s.method == "CurrentAccount" && isRuntime(object(f.pkg, last), "ErrNotSignedIn") {
		return "it says that nobody is ever signed in"
	}
	return ""
}

// sentinel recognises the errors of unwritten code, also wrapped and through a variable.
func sentinel(h *host, p *packages.Package, e ast.Expr, depth int) string {
	if depth > 3 {
		return ""
	}
	e = ast.Unparen(e)
	obj := object(p, e)
	if isRuntime(obj, "ErrNotWired") {
		return "it returns lockspire.ErrNotWired"
	}
	if v, ok := obj.(*types.Var); ok {
		values := h.assigns[v]
		if len(values) != 1 || h.pkg(values[0].expr) == nil {
			return ""
		}
		return sentinel(h, h.pkg(values[0].expr), values[0].expr, depth+1)
	}
	c, ok := e.(*ast.CallExpr)
	if !ok {
		return ""
	}
	f := callee(p, c)
	if f == nil || f.Pkg() == nil || f.Pkg().Path() != "errors" && f.Pkg().Path() != "fmt" {
		return ""
	}
	for _, a := range c.Args {
		if text, ok := constText(p, a); ok {
			if t := strings.ToLower(text); strings.Contains(t, "not implemented") || strings.Contains(t, "unimplemented") || strings.Contains(t, "todo") {
				return "it returns \"" + text + "\""
			}
		}
		if why := sentinel(h, p, a, depth+1); why != "" {
			return why
		}
	}
	return ""
}

// isZero reports whether e is nil or an empty composite literal.
func isZero(p *packages.Package, e ast.Expr) bool {
	if p.TypesInfo.Types[e].IsNil() {
		return true
	}
	lit, ok := ast.Unparen(e).(*ast.CompositeLit)
	return ok && len(lit.Elts) == 0
}
