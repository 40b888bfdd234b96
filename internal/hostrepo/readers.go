package hostrepo

import (
	"cmp"
	"go/ast"
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strconv"

	"golang.org/x/tools/go/packages"
)

// readersAt lists the ways to tell at pos who is signed in, the likeliest first: what needs nothing more before what does, a
// func of the host before a session that it may read itself, and what can be imported before what has to be passed.
func readersAt(ix *index, u *unit, f *fn, pos token.Pos, router string) []Reader {
	var out []Reader
	program := programOf(ix, u)
	second, where := secondFactor(ix, program)
	for _, g := range ix.funcs {
		if g.obj == nil || !program[g.unit.pkg.PkgPath] {
			continue
		}
		if r, ok := funcReader(ix, g, router); ok {
			out = append(out, reachable(ix, u, f, pos, g, r))
		}
	}
	out = append(out, tokenReaders(ix, u, program)...)
	out = append(out, libraryReaders(ix, u, f, pos, program)...)
	for i := range out {
		if second != "" && out[i].Problem == "" {
			out[i].Problem = "this application knows of a second factor (" + second + ", " + where + "), and a sign-in that waits for one is none"
		}
	}
	library := func(r Reader) int {
		if r.Kind == ReaderFunc || r.Kind == ReaderToken {
			return 0
		}
		return 1
	}
	rank := func(r Reader) int {
		n := 0
		if r.Problem != "" {
			n += 4
		}
		if r.Call != "" {
			n++
		}
		return n
	}
	slices.SortFunc(out, func(a, b Reader) int {
		return cmp.Or(cmp.Compare(rank(a)/4, rank(b)/4), cmp.Compare(library(a), library(b)), cmp.Compare(rank(a), rank(b)),
			cmp.Compare(b.Calls, a.Calls), comparePositions(a.Position, b.Position), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// programOf lists the packages of the module that are linked with the one of u: a repository may hold several programs, and
// who is signed in to one says nothing about another.
func programOf(ix *index, u *unit) map[string]bool {
	program := map[string]bool{}
	for _, p := range ix.repo.Packages {
		linked := map[string]bool{}
		packages.Visit([]*packages.Package{p}, func(q *packages.Package) bool {
			mine := inModule(u, q.PkgPath)
			linked[q.PkgPath] = mine
			return mine
		}, nil)
		if p.Name != "main" && p != u.pkg || !linked[u.pkg.PkgPath] {
			continue
		}
		for path, mine := range linked {
			program[path] = program[path] || mine
		}
	}
	return program
}

// funcReader recognises a func of the host by its shape and by what it does: it takes the request or its context, reads a
// session from it, and returns an account, a session with one, or the id of one.
func funcReader(ix *index, g *fn, router string) (Reader, bool) {
	sig := g.sig
	if sig.Params().Len() != 1 || sig.Variadic() || isOurs(g.unit.file) || !readsSession(ix, g, 0) {
		return Reader{}, false
	}
	r := Reader{Kind: ReaderFunc, Func: g.obj.Name(), Takes: takes(sig.Params().At(0).Type(), router)}
	return gives(ix, g, r, r.Takes != "")
}

// gives fills in what the func of a reader returns.
func gives(ix *index, g *fn, r Reader, ok bool) (Reader, bool) {
	results := g.sig.Results()
	switch {
	case !ok || results.Len() == 0 || results.Len() > 2:
		return r, false
	case results.Len() == 1:
		r.Gives = GivesValue
	case isError(results.At(1).Type()):
		r.Gives = GivesError
	case types.Identical(results.At(1).Type(), types.Typ[types.Bool]):
		r.Gives = GivesOK
	default:
		return r, false
	}
	t := results.At(0).Type()
	id, found := identityOf(t, g.unit.pkg.Types, 0)
	if !found {
		if form := idForm(t); form != "" && (r.Kind == ReaderToken && form != IDString || namesAccountID(g.obj.Name())) {
			id, found = identity{account: "id", form: form, zero: zeroOf(t)}, true
		}
	}
	if !found {
		return r, false
	}
	r.Account, r.Path, r.Checks, r.ID, r.Problem = id.account, id.path, id.checks, id.form, id.problem
	if r.Gives == GivesValue && len(id.checks) == 0 {
		if r.Zero = id.zero; r.Zero == "" && r.Problem == "" {
			r.Problem = "it does not say when nobody is signed in"
		}
	}
	r.Import, r.Package = g.unit.pkg.PkgPath, g.unit.pkg.Name
	r.Name, r.Calls, r.Position = r.Package+"."+g.name(), len(ix.calls[g.obj]), ix.repo.Position(g.obj.Pos())
	if g.sig.Recv() != nil {
		r.Name = g.name()
	}
	if r.Gives == GivesError && r.Problem == "" && r.Kind == ReaderFunc {
		r.Problem = "it returns an error, and only you know which one means that nobody is signed in"
	}
	if g.sig.TypeParams().Len() > 0 {
		r.Problem = "it is generic, and only you know for which type"
	}
	return r, true
}

// takes names the kind of a parameter, "" for any other. What a framework keeps of a request is there under its own router only.
func takes(t types.Type, router string) string {
	n := namedOf(t)
	if n == nil || n.Obj().Pkg() == nil {
		return ""
	}
	switch path, name := majorSuffix.ReplaceAllString(n.Obj().Pkg().Path(), ""), n.Obj().Name(); {
	case path == "net/http" && name == "Request":
		return TakesRequest
	case path == "context" && name == "Context":
		return TakesContext
	case path == "github.com/gin-gonic/gin" && name == "Context" && router == KindGin:
		return TakesGin
	case path == "github.com/labstack/echo" && name == "Context" && router == KindEcho:
		return TakesEcho
	case path == "github.com/gofiber/fiber" && name == "Ctx" && router == KindFiber:
		return TakesFiber
	}
	return ""
}

var contextMethods = map[string][]string{
	"context":                    {"Value"},
	"net/http":                   {"Cookie", "Cookies", "CookiesNamed"},
	"github.com/gin-gonic/gin":   {"Get", "MustGet", "Value", "Cookie", "GetInt64", "GetInt", "GetUint64", "GetUint", "GetString"},
	"github.com/labstack/echo":   {"Get", "Cookie", "Cookies"},
	"github.com/gofiber/fiber":   {"Locals", "Cookies"},
	"github.com/gorilla/context": {"Get", "GetOk"},
}

// readsSession reports whether a func looks at a cookie, at a value of the request's context or into a session, itself or
// through another func of the module.
func readsSession(ix *index, g *fn, depth int) bool {
	found := false
	ast.Inspect(g.body, func(n ast.Node) bool {
		e, ok := n.(*ast.CallExpr)
		if !ok || found {
			return !found
		}
		c := ix.callOf[e]
		if c == nil {
			return true
		}
		m, ok := c.obj.(*types.Func)
		if !ok || m.Pkg() == nil {
			return true
		}
		path := majorSuffix.ReplaceAllString(m.Pkg().Path(), "")
		switch h := ix.funcs[m]; {
		case slices.Contains(contextMethods[path], m.Name()), sessionLibraries[path] != "" && m.Signature().Recv() != nil:
			found = true
		case h != nil && h != g && depth < 2:
			found = readsSession(ix, h, depth+1)
		}
		return !found
	})
	return found
}

// reachable says how generated code gets at a func: by importing its package or, where that would be an import cycle or the
// func is a method, through the call at the insertion point.
func reachable(ix *index, u *unit, f *fn, pos token.Pos, g *fn, r Reader) Reader {
	problem := func(text string) Reader {
		r.Problem = cmp.Or(r.Problem, text)
		return r
	}
	if recv := g.sig.Recv(); recv != nil {
		values := valuesAt(ix, u, f, pos, func(_ *types.Var, t types.Type) access {
			if n := namedOf(t); n != nil && n.Origin() == namedOf(recv.Type()).Origin() {
				return access{kind: "receiver"}
			}
			return access{}
		})
		switch {
		case len(values) == 0:
			return problem("it is a method, and no value of its type is in scope at the router")
		case !visibleFrom(u, g.obj):
			return problem("it is not exported")
		}
		r.Call = values[0].expr + "." + g.obj.Name()
		return injected(u, g, r)
	}
	if g.unit.pkg == u.pkg {
		if _, obj := u.pkg.Types.Scope().Innermost(pos).LookupParent(g.obj.Name(), pos); obj != g.obj {
			return problem("its name means something else at the router")
		}
		r.Call = g.obj.Name()
		return injected(u, g, r)
	}
	if !g.obj.Exported() {
		return problem("it is not exported, and in another package than the router")
	}
	if ok, why := ix.repo.CanImport(u.pkg.PkgPath, r.Import); !ok {
		return problem(why)
	}
	return named(g, nil, r)
}

// injected checks that the file at the insertion point can name what the func returns.
func injected(u *unit, g *fn, r Reader) Reader {
	if r.Gives == GivesError {
		return r
	}
	return named(g, u.pkg.Types, r)
}

// named looks for the id once more, with the eyes of the package that has to read it.
func named(g *fn, from *types.Package, r Reader) Reader {
	if r.Account == "id" || r.Path == "" {
		return r
	}
	id, ok := identityOf(g.sig.Results().At(0).Type(), from, 0)
	if !ok {
		r.Problem = cmp.Or(r.Problem, "the id of "+r.Account+" is not exported")
		return r
	}
	r.Path, r.Checks, r.ID = id.path, id.checks, id.form
	return r
}

// tokenReaders are funcs that take the value of a cookie, as the program calls them: the way of signed cookies and JWTs.
func tokenReaders(ix *index, u *unit, program map[string]bool) []Reader {
	var out []Reader
	seen := map[*types.Func]bool{}
	for _, c := range ix.all {
		m, ok := c.obj.(*types.Func)
		if !ok || ix.funcs[m] == nil || seen[m] || len(c.expr.Args) != 1 || m.Signature().Recv() != nil || isOurs(c.unit.file) ||
			!program[c.unit.pkg.PkgPath] {
			continue
		}
		name, ok := cookieValue(ix, c)
		if !ok || !types.Identical(m.Signature().Params().At(0).Type(), types.Typ[types.String]) {
			continue
		}
		g := ix.funcs[m]
		r, ok := gives(ix, g, Reader{Kind: ReaderToken, Func: m.Name(), Takes: "cookie", Cookie: name}, true)
		if !ok {
			continue
		}
		seen[m] = true
		switch importable, why := ix.repo.CanImport(u.pkg.PkgPath, r.Import); {
		case r.Gives == GivesError && !checksToken(ix, g):
			r.Problem = cmp.Or(r.Problem, "it returns an error, and only you know which one means that nobody is signed in")
		case !m.Exported() || g.unit.pkg == u.pkg:
			r.Problem = cmp.Or(r.Problem, "it is in the router's package or not exported, which the resolver cannot import")
		case !importable:
			r.Problem = cmp.Or(r.Problem, why)
		default:
			r = named(g, nil, r)
		}
		out = append(out, r)
	}
	return out
}

// cookieValue is the name of the cookie whose value is the argument of a call.
func cookieValue(ix *index, c *call) (string, bool) {
	sel, ok := ast.Unparen(c.expr.Args[0]).(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "Value" || !isNamed(exprType(c.unit, sel.X), "net/http", "Cookie") {
		return "", false
	}
	for _, w := range ix.writes[ix.object(c.unit, sel.X)] {
		if got, ok := ast.Unparen(w.expr).(*ast.CallExpr); ok && len(got.Args) == 1 {
			if name, ok := constString(w.unit, got.Args[0]); ok {
				return name, true
			}
		}
	}
	return "", false
}

// checksToken reports whether a func only checks a signature, so that its error says no more than that the token is no good.
func checksToken(ix *index, g *fn) bool {
	checks, other := false, false
	ast.Inspect(g.body, func(n ast.Node) bool {
		e, ok := n.(*ast.CallExpr)
		if !ok || ix.callOf[e] == nil {
			return true
		}
		if m, ok := ix.callOf[e].obj.(*types.Func); ok && m.Pkg() != nil {
			path := majorSuffix.ReplaceAllString(m.Pkg().Path(), "")
			checks = checks || path == "crypto/hmac" || sessionLibraries[path] == "jwt" || sessionLibraries[path] == "securecookie"
			other = other || path == "database/sql" || path == "net/http" || handleOf(recvType(m)).kind != ""
		}
		return true
	})
	return checks && !other
}

func recvType(m *types.Func) types.Type {
	if recv := m.Signature().Recv(); recv != nil {
		return recv.Type()
	}
	return nil
}

var factorName = regexp.MustCompile(`(?i)(totp|mfa|2fa|two_?factor|second_?factor|multi_?factor)`)

// secondFactor is a name in the module that speaks of a second factor, and where it is declared. A session that waits for one
// often has the account in it already.
func secondFactor(ix *index, program map[string]bool) (name, where string) {
	var first Position
	for _, u := range ix.units {
		if isOurs(u.file) || !program[u.pkg.PkgPath] {
			continue
		}
		ast.Inspect(u.file, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok || !factorName.MatchString(id.Name) || u.pkg.TypesInfo.Defs[id] == nil {
				return true
			}
			if p := ix.repo.Position(id.Pos()); name == "" || comparePositions(p, first) < 0 {
				name, first = id.Name, p
			}
			return true
		})
	}
	if name == "" {
		return "", ""
	}
	return name, first.File + ":" + strconv.Itoa(first.Line)
}
