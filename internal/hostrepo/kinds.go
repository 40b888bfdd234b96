package hostrepo

import (
	"go/types"
	"regexp"
	"strings"
)

// routerKind describes a router library: how its value is made, how routes are put on it, and whether this version
// can wire it. Adding a library is adding an entry.
type routerKind struct {
	kind  string // a Kind constant
	label string // for people
	path  string // import path without a major version suffix
	types []string
	// routes maps the methods that register a route; everything else that a router does is in the lists below.
	routes map[string]routeSpec
	use    []string // methods that add middleware
	group  []string // methods that give a router below this one: arguments (prefix?, func(router)) or a result
	serves []string // methods that serve the router themselves: echo's Start, gin's Run
	// usesFirst: the library panics when middleware is added after a route.
	usesFirst bool
	// firstWins: an earlier catch-all hides what is registered after it.
	firstWins bool
}

// routeSpec says which argument of a registering method is what; -1 is absent.
type routeSpec struct {
	verb            string // fixed HTTP method
	method, pattern int
	handler         int
	mixed           bool // the pattern argument may begin with a method: "GET /x"
	subtree         bool
}

func verb(v string) routeSpec { return routeSpec{verb: v, method: -1, pattern: 0, handler: 1} }

var chiRoutes = map[string]routeSpec{
	"Get": verb("GET"), "Head": verb("HEAD"), "Post": verb("POST"), "Put": verb("PUT"), "Patch": verb("PATCH"),
	"Delete": verb("DELETE"), "Options": verb("OPTIONS"), "Connect": verb("CONNECT"), "Trace": verb("TRACE"),
	"Handle":     {method: -1, pattern: 0, handler: 1, mixed: true},
	"HandleFunc": {method: -1, pattern: 0, handler: 1, mixed: true},
	"Method":     {method: 0, pattern: 1, handler: 2},
	"MethodFunc": {method: 0, pattern: 1, handler: 2},
	"Mount":      {method: -1, pattern: 0, handler: 1, subtree: true},
}

var muxRoutes = map[string]routeSpec{
	"Handle":     {method: -1, pattern: 0, handler: 1, mixed: true},
	"HandleFunc": {method: -1, pattern: 0, handler: 1, mixed: true},
}

// routerKinds lists the libraries by import path. Those with KindHandler are recognised and named, and cannot be
// wired yet.
var routerKinds = []*routerKind{
	{kind: KindServeMux, label: "net/http ServeMux", path: "net/http", types: []string{"ServeMux"}, routes: muxRoutes},
	{
		kind: KindChi, label: "chi", path: "github.com/go-chi/chi", types: []string{"Mux", "Router"}, routes: chiRoutes,
		use: []string{"Use"}, group: []string{"Group", "Route", "With"}, usesFirst: true,
	},
	{kind: KindHandler, label: "gorilla/mux", path: "github.com/gorilla/mux", types: []string{"Router"}, firstWins: true},
	{kind: KindHandler, label: "gin", path: "github.com/gin-gonic/gin", types: []string{"Engine"}, serves: []string{"Run", "RunTLS", "RunUnix", "RunFd", "RunListener", "RunQUIC"}},
	{kind: KindHandler, label: "echo", path: "github.com/labstack/echo", types: []string{"Echo"}, serves: []string{"Start", "StartTLS", "StartAutoTLS", "StartServer", "StartH2CServer"}},
	{kind: KindHandler, label: "fiber", path: "github.com/gofiber/fiber", types: []string{"App"}, serves: []string{"Listen", "ListenTLS", "Listener", "ListenMutualTLS"}},
	{kind: KindHandler, label: "httprouter", path: "github.com/julienschmidt/httprouter", types: []string{"Router"}},
	{kind: KindHandler, label: "bunrouter", path: "github.com/uptrace/bunrouter", types: []string{"Router", "CompatRouter"}},
	{kind: KindHandler, label: "routegroup", path: "github.com/go-pkgz/routegroup", types: []string{"Bundle"}},
}

var majorSuffix = regexp.MustCompile(`/v[0-9]+$`)

// kindOf returns the library of a type or of a pointer to it, nil when it is no router that we know.
func kindOf(t types.Type) *routerKind {
	n := namedOf(t)
	if n == nil || n.Obj().Pkg() == nil {
		return nil
	}
	path := majorSuffix.ReplaceAllString(n.Obj().Pkg().Path(), "")
	for _, k := range routerKinds {
		if k.path != path {
			continue
		}
		for _, name := range k.types {
			if name == n.Obj().Name() {
				return k
			}
		}
	}
	return nil
}

// namedOf returns the named type behind pointers and aliases.
func namedOf(t types.Type) *types.Named {
	if t == nil {
		return nil
	}
	t = types.Unalias(t)
	if p, ok := t.(*types.Pointer); ok {
		t = types.Unalias(p.Elem())
	}
	n, _ := t.(*types.Named)
	return n
}

// isNamed reports whether t is path.name or a pointer to it.
func isNamed(t types.Type, path, name string) bool {
	n := namedOf(t)
	return n != nil && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == path && n.Obj().Name() == name
}

// isHandler reports whether a value of type t can answer requests: it has ServeHTTP, or is a handler function.
func isHandler(t types.Type) bool {
	if t == nil {
		return false
	}
	if sig, ok := t.Underlying().(*types.Signature); ok {
		return isHandlerFunc(sig)
	}
	if sl, ok := t.Underlying().(*types.Slice); ok {
		return isHandler(sl.Elem())
	}
	obj, _, _ := types.LookupFieldOrMethod(t, true, nil, "ServeHTTP")
	fn, ok := obj.(*types.Func)
	return ok && isHandlerFunc(fn.Signature())
}

// isHandlerFunc reports whether sig is func(http.ResponseWriter, *http.Request).
func isHandlerFunc(sig *types.Signature) bool {
	return sig.Params().Len() == 2 && isNamed(sig.Params().At(0).Type(), "net/http", "ResponseWriter") &&
		isNamed(sig.Params().At(1).Type(), "net/http", "Request")
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// splitPattern takes the method off a pattern in net/http's form.
func splitPattern(p string) (method, rest string) {
	if i := strings.IndexAny(p, " \t"); i > 0 && strings.ToUpper(p[:i]) == p[:i] {
		return p[:i], strings.TrimLeft(p[i:], " \t")
	}
	return "", p
}
