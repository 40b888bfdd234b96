package verify

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"net/url"
	"strings"

	"golang.org/x/tools/go/packages"

	"github.com/lockspire/lockspire/internal/hostrepo"
)

var issuerMismatch = &Rule{
	ID: "LS103", Family: FamilyWiring, Name: "issuer-path-mismatch", Severity: Error, Since: "0.1.0",
	Title: "The issuer's path is not the path that Lockspire is mounted under.",
	Doc: Doc{
		Why: "Clients find an issuer's metadata by its URL and compare the issuer byte for byte (RFC 8414 §3.3, OpenID Connect Discovery " +
			"§4.3). With another path, or only a trailing slash, every client refuses the server. Where a proxy changes the path, " +
			"set Config.MountPath: the rule then leaves the two alone.",
		Before: "const MountPath = \"/lockspire\"\n…\nIssuer: \"https://app.example/oauth\",",
		After:  "Issuer: \"https://app.example/lockspire\",",
	},
	run: func(p *pass) {
		mount, ok := p.mountPath()
		for _, c := range p.issuers() {
			if c.proxied {
				continue // Config.MountPath says that the two differ on purpose
			}
			if !ok {
				p.unproven(c.at, "the path that Lockspire is served under cannot be read from the source, so it was not compared with the issuer")
				return
			}
			p.compare(mount, c)
		}
	},
}

// servedPath is the effective mount path and where it is said.
type servedPath struct {
	path string
	at   hostrepo.Position
	why  string
}

// mountPath follows the mounted package's constant and the groups around the call; for a host that wires by hand, the
// route of the discovery document.
func (p *pass) mountPath() (servedPath, bool) {
	for _, m := range p.repo.Mounts {
		pkg := p.repo.Types(m.Package)
		if pkg == nil {
			continue
		}
		c, ok := pkg.Scope().Lookup("MountPath").(*types.Const)
		if !ok || c.Val().Kind() != constant.String || !m.PrefixKnown {
			return servedPath{}, false
		}
		s := servedPath{path: m.Prefix + constant.StringVal(c.Val()), at: p.pos(c.Pos()), why: "mounted under this path"}
		if m.Prefix != "" {
			s.at, s.why = m.Position, "mounted on a router below "+m.Prefix
		}
		return s, true
	}
	if dir := p.packageDir(); dir != "" { // not mounted: LS101 speaks, and the two constants can still be compared
		if pkg := p.repo.Types(p.repo.ModulePath + "/" + dir); pkg != nil {
			if c, ok := pkg.Scope().Lookup("MountPath").(*types.Const); ok && c.Val().Kind() == constant.String {
				return servedPath{constant.StringVal(c.Val()), p.pos(c.Pos()), "to be mounted under this path"}, true
			}
		}
	}
	const discovery = "/.well-known/openid-configuration"
	for _, r := range p.repo.Routers {
		for _, route := range r.Routes {
			if path, ok := strings.CutSuffix(route.Pattern, discovery); ok && route.Known && path != "" {
				return servedPath{path, route.Position, "served under this path"}, true
			}
		}
	}
	return servedPath{}, false
}

// issuer is one place where Config.Issuer is set.
type issuer struct {
	at      hostrepo.Position
	expr    ast.Expr
	pkg     *packages.Package
	proxied bool
}

func (p *pass) issuers() []issuer {
	var out []issuer
	for _, c := range p.lits {
		if !isRuntimeType(c.pkg.TypesInfo.TypeOf(c.lit), "Config") {
			continue
		}
		found := issuer{pkg: c.pkg}
		for _, el := range c.lit.Elts {
			kv, ok := el.(*ast.KeyValueExpr)
			if !ok {
				continue
			}
			switch key, _ := kv.Key.(*ast.Ident); {
			case key == nil:
			case key.Name == "Issuer":
				found.expr, found.at = kv.Value, p.pos(kv.Value.Pos())
			case key.Name == "MountPath":
				found.proxied = true
			}
		}
		if found.expr != nil {
			out = append(out, found)
		}
	}
	return out
}

func (p *pass) compare(mount servedPath, c issuer) {
	e := &textEval{host: p.host, seen: map[any]bool{}}
	e.expr(c.pkg, c.expr, 0)
	decided := false
	for _, t := range e.found {
		u, err := url.Parse(t.text)
		if t.text == "" || err != nil || u.Host == "" {
			continue
		}
		decided = true
		if u.Path == mount.path {
			continue
		}
		message := "the issuer %s has the path %q, and Lockspire is served under %q"
		if strings.TrimRight(u.Path, "/") == strings.TrimRight(mount.path, "/") {
			message = "the issuer %s ends in %q, and Lockspire is served under %q: a slash is a difference to every client"
		}
		f := p.report(p.pos(t.pos), message, t.text, u.Path, mount.path)
		f.related(mount.at, "%s", mount.why)
		f.Fix = "make the issuer end in " + mount.path
		if mount.path == "" {
			f.Fix = "take the path off the issuer"
		}
	}
	if !decided && !e.ends(mount.path) {
		p.unproven(c.at, "the issuer comes from outside the source, so its path was not compared with %q", mount.path).
			related(mount.at, "%s", mount.why)
	}
}

// textEval collects the strings that an expression can be: constants, through variables, helpers with a default and
// concatenation. What comes from the environment is unknown.
type textEval struct {
	host  *host
	seen  map[any]bool
	found []foundText
	tails []string // constant ends of texts whose beginning is unknown
}

type foundText struct {
	text string
	pos  token.Pos
}

func (e *textEval) ends(suffix string) bool {
	for _, t := range e.tails {
		if suffix != "" && strings.HasSuffix(t, suffix) {
			return true
		}
	}
	return false
}

func (e *textEval) expr(p *packages.Package, x ast.Expr, depth int) {
	x = ast.Unparen(x)
	if depth > 6 || e.seen[x] {
		return
	}
	e.seen[x] = true
	if s, ok := constText(p, x); ok {
		pos := x.Pos()
		if obj, ok := object(p, x).(*types.Const); ok && e.host.pkgOf[e.host.repo.Fset.File(obj.Pos())] != nil {
			pos = obj.Pos()
		}
		e.found = append(e.found, foundText{s, pos})
		return
	}
	switch x := x.(type) {
	case *ast.Ident, *ast.SelectorExpr:
		obj := object(p, x)
		if obj == nil || e.seen[obj] {
			return
		}
		e.seen[obj] = true
		for _, v := range e.host.assigns[obj] {
			if q := e.host.pkg(v.expr); q != nil {
				e.expr(q, v.expr, depth+1)
			}
		}
	case *ast.BinaryExpr:
		if s, ok := constText(p, x.Y); ok && x.Op == token.ADD {
			e.tails = append(e.tails, s)
		}
	case *ast.CallExpr:
		for _, a := range x.Args { // getenv("LOCKSPIRE_ISSUER", "http://localhost:8080/lockspire"), cmp.Or(…)
			if s, ok := constText(p, a); ok && strings.Contains(s, "://") {
				e.expr(p, a, depth+1)
			}
		}
		if f := e.host.funcs[callee(p, x)]; f != nil {
			ast.Inspect(f.decl.Body, func(n ast.Node) bool {
				if _, lit := n.(*ast.FuncLit); lit {
					return false
				}
				if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) > 0 {
					e.expr(f.pkg, r.Results[0], depth+1)
				}
				return true
			})
		}
	}
}
