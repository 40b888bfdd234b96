package hostrepo

import (
	"cmp"
	"go/ast"
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strconv"
)

// sessionLibraries by import path without major version suffix.
var sessionLibraries = map[string]string{
	"github.com/alexedwards/scs":           "scs",
	"github.com/gorilla/sessions":          "gorilla/sessions",
	"github.com/gorilla/securecookie":      "securecookie",
	"github.com/vividvilla/simplesessions": "simplesessions",
	"github.com/zerodha/simplesessions":    "simplesessions",
	"github.com/golang-jwt/jwt":            "jwt",
	"github.com/dgrijalva/jwt-go":          "jwt",
	"github.com/go-jose/go-jose":           "jwt",
}

// findSessions lists session libraries by import, else reads and writes of cookies.
func findSessions(r *Repo) []Session {
	var out, cookies []Session
	for _, p := range r.Packages {
		for _, f := range p.Syntax {
			if isOurs(f) {
				continue
			}
			for _, s := range f.Imports {
				imp, err := strconv.Unquote(s.Path.Value)
				if err != nil {
					continue
				}
				if name := sessionLibraries[majorSuffix.ReplaceAllString(imp, "")]; name != "" {
					out = append(out, Session{name, imp, r.Position(s.Pos())})
				}
			}
		}
		if p.TypesInfo == nil {
			continue
		}
		for id, obj := range p.TypesInfo.Uses {
			if obj.Pkg() != nil && obj.Pkg().Path() == "net/http" && obj.Name() == "SetCookie" {
				cookies = append(cookies, Session{"cookie", "net/http", r.Position(id.Pos())})
			}
		}
	}
	if len(out) == 0 {
		out = cookies
	}
	slices.SortFunc(out, func(a, b Session) int {
		return cmp.Or(comparePositions(a.Position, b.Position), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// managerTypes are what a program keeps of a session library, by import path and name. The key of the value is what the
// sign-in writes.
var managerTypes = map[[2]string]string{
	{"github.com/alexedwards/scs/v2", "SessionManager"}: ReaderSCS,
	{"github.com/gorilla/sessions", "Store"}:            ReaderGorilla,
	{"github.com/gorilla/sessions", "CookieStore"}:      ReaderGorilla,
	{"github.com/gorilla/sessions", "FilesystemStore"}:  ReaderGorilla,
	{"github.com/gorilla/securecookie", "SecureCookie"}: ReaderSecureCookie,
}

// libraryReaders are the sessions of libraries: where the manager is in scope, and the program writes an account's id.
func libraryReaders(ix *index, u *unit, f *fn, pos token.Pos, program map[string]bool) []Reader {
	var out []Reader
	seen := map[string]bool{}
	for _, v := range valuesAt(ix, u, f, pos, func(_ *types.Var, t types.Type) access {
		if n := namedOf(t); n != nil && n.Obj().Pkg() != nil {
			return access{kind: managerTypes[[2]string{n.Obj().Pkg().Path(), n.Obj().Name()}], library: n.Obj().Pkg().Path()}
		}
		return access{}
	}) {
		if seen[v.access.kind] {
			continue
		}
		seen[v.access.kind] = true
		for _, r := range writtenIDs(ix, v.access.kind, program) {
			r.Name, r.Import, r.Host = r.Kind, v.access.library, v.expr
			r.Package = ix.repo.PackageName(r.Import)
			out = append(out, r)
		}
	}
	return out
}

var (
	accountKey = regexp.MustCompile(`(?i)(user|account|member|uid|subject)`)
	otherKey   = regexp.MustCompile(`(?i)(mail|name|role|agent|lang|pending|temp|flash|token|csrf)`)
)

// writtenIDs finds what a program puts into a session under a name that speaks of an account. Two such names are a question
// that only a person can answer.
func writtenIDs(ix *index, kind string, program map[string]bool) []Reader {
	byKey := map[string]Reader{}
	add := func(u *unit, at token.Pos, key, value ast.Expr, cookie string) {
		name, ok := constString(u, key)
		t := exprType(u, value)
		if !ok || t == nil || !program[u.pkg.PkgPath] || !accountKey.MatchString(name) || otherKey.MatchString(name) {
			return
		}
		r := Reader{Kind: kind, Account: "id in " + kind, Key: name, Cookie: cookie, ID: idForm(types.Default(t)), Position: ix.repo.Position(at)}
		basic, _ := types.Unalias(types.Default(t)).(*types.Basic)
		switch {
		case r.ID == "":
			r.Problem = "what is put into the session as " + name + " is a " + types.TypeString(t, (*types.Package).Name)
		case basic == nil:
			r.Problem = "what is put into the session as " + name + " is a " + types.TypeString(t, (*types.Package).Name) + ", which has to be taken out as one"
		default:
			r.ID = basic.Name() // sessions keep the type: it is taken out as it was put in
		}
		if _, again := byKey[name]; !again {
			byKey[name] = r
		}
	}
	switch kind {
	case ReaderSCS:
		for _, c := range ix.all {
			if m := method(c, "github.com/alexedwards/scs/v2"); m == "Put" && len(c.expr.Args) == 3 {
				add(c.unit, c.expr.Pos(), c.expr.Args[1], c.expr.Args[2], "")
			}
		}
	case ReaderSecureCookie:
		for _, c := range ix.all {
			if m := method(c, "github.com/gorilla/securecookie"); m == "Encode" && len(c.expr.Args) == 2 && program[c.unit.pkg.PkgPath] {
				if name, ok := constString(c.unit, c.expr.Args[0]); ok {
					secureCookie(c, name, byKey, ix)
				}
			}
		}
	case ReaderGorilla:
		cookie := onlySessionName(ix, program)
		for _, u := range ix.units {
			ast.Inspect(u.file, func(n ast.Node) bool {
				a, ok := n.(*ast.AssignStmt)
				if !ok || len(a.Lhs) != len(a.Rhs) {
					return true
				}
				for i, l := range a.Lhs {
					// The key of the map is an any: one of a named type is another key than its text.
					if e, ok := ast.Unparen(l).(*ast.IndexExpr); ok && isValues(u, e.X) && plainString(exprType(u, e.Index)) {
						add(u, a.Pos(), e.Index, a.Rhs[i], cookie)
					}
				}
				return true
			})
		}
	}
	var out []Reader
	for _, r := range byKey {
		if kind == ReaderGorilla && r.Cookie == "" {
			r.Problem = cmp.Or(r.Problem, "the name of the session is not one constant")
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Reader) int { return comparePositions(a.Position, b.Position) })
	for i := range out {
		if len(out) > 1 {
			out[i].Problem = cmp.Or(out[i].Problem, "the session has "+out[0].Key+" and "+out[1].Key)
		}
	}
	return out
}

// secureCookie takes an id that is all there is in a cookie; anything richer is the host's own to take apart.
func secureCookie(c *call, name string, byKey map[string]Reader, ix *index) {
	t := types.Default(exprType(c.unit, c.expr.Args[1]))
	r := Reader{Kind: ReaderSecureCookie, Account: "id in " + ReaderSecureCookie, Key: name, Cookie: name, Position: ix.repo.Position(c.expr.Pos())}
	basic, ok := types.Unalias(t).(*types.Basic)
	switch {
	case !readsCookie(ix, name):
		r.Problem = "the cookie is not read by the name that is encoded, " + name
	case ok && idForm(t) != "":
		r.ID = basic.Name()
	default:
		r.Problem = "the cookie " + name + " holds a " + types.TypeString(t, (*types.Package).Name)
	}
	byKey[name] = r
}

// readsCookie reports whether the program reads a cookie of that name.
func readsCookie(ix *index, name string) bool {
	return slices.ContainsFunc(ix.all, func(c *call) bool {
		if method(c, "net/http") != "Cookie" || len(c.expr.Args) != 1 {
			return false
		}
		read, ok := constString(c.unit, c.expr.Args[0])
		return ok && read == name
	})
}

// onlySessionName is the one name that a program gets its gorilla session by.
func onlySessionName(ix *index, program map[string]bool) string {
	var names []string
	for _, c := range ix.all {
		m := method(c, "github.com/gorilla/sessions")
		if m != "Get" && m != "New" || len(c.expr.Args) != 2 || !program[c.unit.pkg.PkgPath] {
			continue
		}
		name, _ := constString(c.unit, c.expr.Args[1])
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 1 {
		return names[0]
	}
	return ""
}

// isValues reports whether e is the Values of a gorilla session.
func isValues(u *unit, e ast.Expr) bool {
	sel, ok := ast.Unparen(e).(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Values" && isNamed(exprType(u, sel.X), "github.com/gorilla/sessions", "Session")
}

func plainString(t types.Type) bool {
	return t != nil && types.Identical(types.Default(t), types.Typ[types.String])
}

// method is the name of a called method of a type of a package, "" for anything else.
func method(c *call, path string) string {
	m, ok := c.obj.(*types.Func)
	if !ok || m.Pkg() == nil || m.Pkg().Path() != path || m.Signature().Recv() == nil {
		return ""
	}
	return m.Name()
}
