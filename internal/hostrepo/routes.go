package hostrepo

import (
	"go/ast"
	"go/types"
	"regexp"
	"strings"
)

// registration is a route or a middleware put on a router.
type registration struct {
	call    *call
	use     bool
	group   bool    // on a group or sub-router
	via     []*call // calls between the registering function and the one that has the router
	on      ast.Expr
	route   Route
	handler ast.Expr // nil for middleware
	own     any      // key of the origin that it is registered on
}

// registrations are all that the module registers, by the origin of the router.
type registrations struct {
	ix   *index
	byOn map[any][]registration
}

// findRegistrations traces the receiver of every registering call back to the router it belongs to.
func findRegistrations(ix *index) *registrations {
	rs := &registrations{ix, map[any][]registration{}}
	for _, c := range ix.all {
		m, ok := c.obj.(*types.Func)
		if !ok || m.Pkg() == nil || ix.inModule(m) {
			continue
		}
		sel, isSel := ast.Unparen(c.expr.Fun).(*ast.SelectorExpr)
		if m.Pkg().Path() == "net/http" && m.Signature().Recv() == nil {
			if spec, ok := muxRoutes[m.Name()]; ok {
				rs.add(origin{isDefault: true}, c, nil, spec)
			}
			continue
		}
		if !isSel {
			continue
		}
		on, k := receiver(c, m, sel)
		if k == nil {
			continue
		}
		spec, isRoute := k.routes[m.Name()]
		isUse := contains(k.use, m.Name())
		if !isRoute && !isUse {
			continue
		}
		for _, o := range ix.origins(on) {
			if o.kind == nil && !o.isDefault {
				continue
			}
			switch {
			case isUse:
				group := o.group || k.kind == KindFiber && onPrefix(c)
				rs.byOn[o.key()] = append(rs.byOn[o.key()], registration{call: c, use: true, group: group, via: o.via, on: on, own: o.key()})
			case k.chained:
				if isNamed(m.Signature().Recv().Type(), m.Pkg().Path(), "Router") {
					rs.addChain(o, c, on)
				}
			default:
				rs.add(o, c, on, spec)
			}
		}
	}
	return rs
}

// receiver returns the router expression that a method is called on. For a method promoted from an embedded router
// (s.Get where Server embeds *chi.Mux) it is the whole value, whose type is not the router's.
func receiver(c *call, m *types.Func, sel *ast.SelectorExpr) (ast.Expr, *routerKind) {
	info := c.unit.pkg.TypesInfo
	if k := kindOf(info.TypeOf(sel.X)); k != nil {
		return sel.X, k
	}
	if recv := m.Signature().Recv(); recv != nil {
		if k := kindOf(recv.Type()); k != nil {
			return sel.X, k
		}
	}
	return nil, nil
}

func (rs *registrations) add(o origin, c *call, on ast.Expr, spec routeSpec) {
	if spec.pattern >= len(c.expr.Args) {
		return
	}
	r := Route{Position: rs.ix.repo.Position(c.expr.Pos()), Method: spec.verb, Subtree: spec.subtree, Group: o.group}
	pattern, known := constString(c.unit, c.expr.Args[spec.pattern])
	if !known {
		pattern = types.ExprString(c.expr.Args[spec.pattern])
	}
	if known && spec.mixed {
		if m, rest := splitPattern(pattern); m != "" {
			r.Method, pattern = m, rest
		}
	}
	if spec.method >= 0 {
		if m, ok := constString(c.unit, c.expr.Args[spec.method]); ok {
			r.Method = strings.ToUpper(m)
		}
	}
	r.Pattern, r.Known = o.prefix+pattern, known && !o.unknown
	r.wildcard(o, known)
	reg := registration{call: c, group: o.group, via: o.via, on: on, route: r, own: o.key()}
	if spec.handler >= 0 && spec.handler < len(c.expr.Args) {
		reg.handler = c.expr.Args[spec.handler]
	}
	rs.byOn[o.key()] = append(rs.byOn[o.key()], reg)
}

// wildcard sets Subtree by the spelling of each library.
func (r *Route) wildcard(o origin, known bool) {
	if o.isDefault || o.kind.kind == KindServeMux {
		r.Subtree = strings.HasSuffix(r.Pattern, "/") || strings.HasSuffix(r.Pattern, "...}")
		return
	}
	if known && !strings.HasPrefix(r.Pattern, "/") {
		r.Pattern = "/" + r.Pattern // "*" of echo and fiber, "" of a group
	}
	_, last, _ := strings.Cut(r.Pattern[strings.LastIndexByte(r.Pattern, '/')+1:], "*")
	switch {
	case strings.HasSuffix(r.Pattern, "*"), strings.HasSuffix(r.Pattern, "/+"),
		last != "" && (o.kind.kind == KindGin || o.kind == httprouter): // "/*rest"
		r.Subtree = true
	case r.Subtree:
		r.Pattern = strings.TrimSuffix(r.Pattern, "/") + "/*"
	}
}

// onPrefix reports whether fiber's Use is for the paths below a prefix only.
func onPrefix(c *call) bool {
	if len(c.expr.Args) == 0 {
		return false
	}
	if !isString(c.unit.pkg.TypesInfo.TypeOf(c.expr.Args[0])) {
		return isSliceOrMap(c.unit.pkg.TypesInfo.TypeOf(c.expr.Args[0]))
	}
	prefix, known := constString(c.unit, c.expr.Args[0])
	return !known || prefix != "/" && prefix != "" && prefix != "*" && prefix != "/*"
}

// on returns what is registered on an origin, and below it on the routers that are mounted there.
func (rs *registrations) on(key any, prefix string, known bool, depth int) []registration {
	var out []registration
	for _, reg := range rs.byOn[key] {
		own := reg.route.Pattern
		reg.route.Pattern, reg.route.Known = prefix+own, known && reg.route.Known
		if depth > 0 {
			reg.group, reg.route.Group = true, true
		}
		out = append(out, reg)
		if reg.handler == nil || depth > 3 || !rs.canHold(reg) {
			continue
		}
		for _, o := range rs.ix.origins(reg.handler) {
			if o.kind == nil || o.key() == key {
				continue
			}
			below := prefix
			switch {
			case !reg.route.Known:
				below = "" // a prefix that is no constant: the routes below are known by their ends only
			case (o.kind.kind == KindChi || o.kind.kind == KindFiber) && strings.HasSuffix(reg.route.Pattern, "/*"):
				below = strings.TrimSuffix(reg.route.Pattern, "/*")
			case o.stripped:
				below = prefix + strings.TrimSuffix(strings.TrimSuffix(own, "*"), "/")
			}
			out = append(out, rs.on(o.key(), below, reg.route.Known, depth+1)...)
		}
	}
	return out
}

// canHold reports whether the handler of a route can be another router: it is a http.Handler and no function.
func (rs *registrations) canHold(reg registration) bool {
	t := reg.call.unit.pkg.TypesInfo.TypeOf(reg.handler)
	if k := kindOf(t); k != nil && k.kind == KindFiber {
		return true // an app is no http.Handler
	}
	if t == nil || !isHandler(t) {
		return false
	}
	_, isFunc := t.Underlying().(*types.Signature)
	return !isFunc
}

var loginPath = regexp.MustCompile(`(?i)/(log[-_]?in|sign[-_]?in|sessions?/new|auth)/?$`)

// findLogin guesses the sign-in page from the names people give it. Paths of an API or of signing in elsewhere are
// no pages.
func findLogin(routes []Route) *Login {
	var best *Login
	score := -100
	for _, r := range routes {
		path := strings.TrimSuffix(r.Pattern, "{$}")
		if !r.Known || !loginPath.MatchString(path) {
			continue
		}
		if l := strings.ToLower(path); strings.Contains(l, "/api/") || strings.Contains(l, "oauth") || strings.Contains(l, "oidc") {
			continue
		}
		n := 0
		switch r.Method {
		case "GET":
			n += 4
		case "":
			n += 3
		case "POST":
		default:
			continue
		}
		if strings.Contains(strings.ToLower(path), "in") {
			n++ // "/login" before "/auth"
		}
		n = n*16 - strings.Count(path, "/")
		if n > score {
			score = n
			best = &Login{Position: r.Position, Method: r.Method, Path: path}
		}
	}
	return best
}
