package verify

import (
	"go/ast"
	"go/types"
	"strings"

	"golang.org/x/tools/go/ast/astutil"
	"golang.org/x/tools/go/packages"
)

var loginLosesReturn = &Rule{
	ID: "LS202", Family: FamilySeam, Name: "login-loses-return", Severity: Error, Since: "0.1.0",
	Title: "The sign-in URL loses return_to or interaction_id.",
	Doc: Doc{
		Why: "The browser leaves /authorize for the host's sign-in page and must come back to the same authorization request. LoginURL has " +
			"to carry both values: return_to says where to go, interaction_id says which request it was. Interaction.AppendTo adds both. " +
			"What the sign-in form does with them is the host's own code, and the smoke test TestSeam drives it.",
		Before: "return \"/login?next=/\"",
		After:  "return interaction.AppendTo(\"/login\")",
	},
	run: func(p *pass) {
		for _, m := range p.resolverMethods() {
			if m.obj.Name() != "LoginURL" || m.obj.Signature().Params().Len() < 2 {
				continue
			}
			returns, _ := exits(m)
			for _, r := range returns {
				if len(r.Results) == 1 {
					p.loginURL(m, r)
				}
			}
		}
	},
}

func (p *pass) loginURL(m *function, r *ast.ReturnStmt) {
	interaction := m.obj.Signature().Params().At(1)
	if text, ok := constText(m.pkg, r.Results[0]); ok && text == "" {
		return // LS201 calls it a stub
	}
	c := carried{host: p.host, interaction: map[types.Object]bool{interaction: true}, values: map[string]bool{}, seen: map[any]bool{}}
	c.expr(m.pkg, r.Results[0], 0)
	lost, renamed := c.lost()
	words := strings.Join(lost, " and ")
	at := p.pos(r.Results[0].Pos())
	switch {
	case len(lost) == 0:
		return
	case c.opaque != "":
		p.unproven(at, "%s may be lost: %s was not followed", words, c.opaque)
	case renamed:
		p.unproven(at, "%s is not in this URL by that name, though its value is", words)
	case p.conditional(m, r, interaction):
		p.unproven(at, "%s is not in this URL, which is returned under a condition on the interaction", words)
	default:
		p.report(at, "the sign-in URL does not carry %s, so sign-in cannot come back to the authorization request", words).
			Fix = "return interaction.AppendTo(\"/login\") with the path of your sign-in page"
	}
}

// conditional reports whether a return stands under an if whose condition looks at the interaction: an interaction
// without an id, for instance, has none to carry.
func (p *pass) conditional(m *function, r *ast.ReturnStmt, interaction *types.Var) bool {
	for _, f := range m.pkg.Syntax {
		if f.FileStart > r.Pos() || r.Pos() >= f.FileEnd {
			continue
		}
		path, _ := astutil.PathEnclosingInterval(f, r.Pos(), r.End())
		for _, n := range path {
			if s, ok := n.(*ast.IfStmt); ok && refersTo(m.pkg, s.Cond, interaction) {
				return true
			}
		}
	}
	return false
}

func refersTo(p *packages.Package, n ast.Node, obj types.Object) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && p.TypesInfo.Uses[id] == obj {
			found = true
		}
		return !found
	})
	return found
}

// carried collects what goes into a URL: the two names in constant text, the two values of the interaction, and what
// could not be followed.
type carried struct {
	host         *host
	interaction  map[types.Object]bool // the parameter, also as a parameter of helpers
	seen         map[any]bool
	returnTo, id bool
	values       map[string]bool // fields of the interaction that are in the URL
	opaque       string          // the first thing that was not followed
}

// lost lists the names that are not in the URL; renamed says that the values of all of them are.
func (c *carried) lost() (names []string, renamed bool) {
	renamed = true
	if !c.returnTo {
		names = append(names, "return_to")
		renamed = renamed && c.values["ReturnTo"]
	}
	if !c.id {
		names = append(names, "interaction_id")
		renamed = renamed && c.values["ID"]
	}
	return names, renamed
}

func (c *carried) unknown(what string) {
	if c.opaque == "" {
		c.opaque = what
	}
}

func (c *carried) expr(p *packages.Package, e ast.Expr, depth int) {
	if e == nil || depth > 8 || c.seen[e] {
		return
	}
	c.seen[e] = true
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.BasicLit:
			c.text(p, n)
		case *ast.SelectorExpr:
			if c.interaction[object(p, n.X)] {
				c.values[n.Sel.Name] = true
				return false
			}
			c.field(p, n, depth)
		case *ast.Ident:
			c.variable(p, n, depth)
		case *ast.CallExpr:
			return c.call(p, n, depth)
		}
		return true
	})
}

func (c *carried) text(p *packages.Package, e ast.Expr) {
	if s, ok := constText(p, e); ok {
		c.returnTo = c.returnTo || strings.Contains(s, "return_to")
		c.id = c.id || strings.Contains(s, "interaction_id")
	}
}

// field follows what a field or package-level variable of the module is set to; one that nothing sets in the source
// could hold anything.
func (c *carried) field(p *packages.Package, sel *ast.SelectorExpr, depth int) {
	switch obj := object(p, sel).(type) {
	case *types.Const:
		c.text(p, sel)
	case *types.Var:
		if c.host.pkgOf[c.host.repo.Fset.File(obj.Pos())] == nil || c.seen[obj] {
			return
		}
		c.seen[obj] = true
		values := c.host.assigns[obj]
		if len(values) == 0 && isText(obj.Type()) {
			c.unknown(types.ExprString(sel))
		}
		for _, v := range values {
			if q := c.host.pkg(v.expr); q != nil {
				c.expr(q, v.expr, depth+1)
			}
		}
	}
}

func isText(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsString != 0
}

// variable adds everything that a local variable, a constant or a package-level variable is made of: what is assigned to
// it and its fields, and what is passed to its methods, as with url.Values.Set and url.URL.RawQuery.
func (c *carried) variable(p *packages.Package, id *ast.Ident, depth int) {
	obj := p.TypesInfo.Uses[id]
	if obj == nil || c.seen[obj] {
		return
	}
	if _, ok := obj.(*types.Const); ok {
		c.text(p, id)
		return
	}
	v, ok := obj.(*types.Var)
	if !ok {
		return
	}
	c.seen[obj] = true
	if c.interaction[obj] {
		c.unknown("where the whole interaction goes")
		return
	}
	for _, val := range c.host.assigns[v] {
		if q := c.host.pkg(val.expr); q != nil {
			c.expr(q, val.expr, depth+1)
		}
	}
	q := c.host.pkgOf[c.host.repo.Fset.File(v.Pos())]
	if q == nil || v.IsField() {
		return
	}
	for _, f := range q.Syntax {
		if f.FileStart > v.Pos() || v.Pos() >= f.FileEnd {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for i, l := range n.Lhs {
					if sel, ok := ast.Unparen(l).(*ast.SelectorExpr); ok && q.TypesInfo.Uses[rootIdent(sel)] == obj && i < len(n.Rhs) {
						c.expr(q, n.Rhs[i], depth+1)
					}
					if ix, ok := ast.Unparen(l).(*ast.IndexExpr); ok && q.TypesInfo.Uses[rootIdent(ix.X)] == obj && i < len(n.Rhs) {
						c.expr(q, ix.Index, depth+1)
						c.expr(q, n.Rhs[i], depth+1)
					}
				}
			case *ast.CallExpr:
				if sel, ok := ast.Unparen(n.Fun).(*ast.SelectorExpr); ok && q.TypesInfo.Uses[rootIdent(sel.X)] == obj {
					for _, a := range n.Args {
						c.expr(q, a, depth+1)
					}
				}
			}
			return true
		})
	}
}

// rootIdent is the first name of a chain of selectors; an identifier that is in no table for anything else.
func rootIdent(e ast.Expr) *ast.Ident {
	for {
		switch x := ast.Unparen(e).(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// call goes through a call; the result says whether its parts are still to be looked at.
func (c *carried) call(p *packages.Package, e *ast.CallExpr, depth int) bool {
	f := callee(p, e)
	if f != nil && isRuntime(f, "AppendTo") {
		c.returnTo, c.id = true, true
		return false
	}
	if f == nil {
		if tv := p.TypesInfo.Types[e.Fun]; !tv.IsType() && !tv.IsBuiltin() {
			c.unknown(types.ExprString(e.Fun))
		}
		return true
	}
	g := c.host.funcs[f]
	if g == nil {
		if !c.known(f) {
			c.unknown(types.ExprString(e.Fun))
		}
		return true
	}
	for i, a := range e.Args { // a helper that takes the interaction
		if c.interaction[object(p, a)] && i < f.Signature().Params().Len() {
			c.interaction[f.Signature().Params().At(i)] = true
			c.seen[object(p, a)] = true
		} else {
			c.expr(p, a, depth+1)
		}
	}
	returns, _ := exits(g)
	for _, r := range returns {
		for _, res := range r.Results {
			c.expr(g.pkg, res, depth+1)
		}
	}
	if sel, ok := ast.Unparen(e.Fun).(*ast.SelectorExpr); ok {
		c.expr(p, sel.X, depth+1)
	}
	return false
}

// known reports whether a function of another module only shapes text: what it carries is in its arguments.
func (c *carried) known(f *types.Func) bool {
	if f.Pkg() == nil {
		return true
	}
	switch f.Pkg().Path() {
	case "fmt", "strings", "net/url", "path", "net/http", "strconv", "cmp", "context":
		return true
	}
	return false
}
