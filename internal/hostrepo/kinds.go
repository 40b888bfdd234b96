package hostrepo

import (
	"go/types"
	"path"
	"regexp"
	"strings"
)

// routerKind describes a router library: how its value is made, how routes are put on it, and in which order they count.
// Adding a library is adding an entry.
type routerKind struct {
	kind  string   // a Kind constant
	label string   // for people
	path  string   // import path without a major version suffix
	wired []string // import paths whose API the generated code uses; none: any
	types []string // the router itself, groups of it, interfaces for both
	// routes maps the methods that register a route; everything else that a router does is in the lists below.
	routes map[string]routeSpec
	use    []string // methods that add middleware
	group  []string // methods that give a router below this one: arguments (prefix?, func(router)) or a result
	prefix []string // those of group whose first argument is the prefix
	serves []string // methods that serve the router themselves: echo's Start, gin's Run
	// usesFirst: the library panics when middleware is added after a route.
	usesFirst bool
	// usesInOrder: middleware applies only to what is registered after it.
	usesInOrder bool
	// firstWins: an earlier route hides a later one that matches as well.
	firstWins bool
	// chained: a route is built by a chain of calls that ends in its handler.
	chained bool
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

func anyMethod() routeSpec { return routeSpec{method: -1, pattern: 0, handler: 1} }

func below(handler int) routeSpec {
	return routeSpec{method: -1, pattern: 0, handler: handler, subtree: true}
}

var chiRoutes = map[string]routeSpec{
	"Get": verb("GET"), "Head": verb("HEAD"), "Post": verb("POST"), "Put": verb("PUT"), "Patch": verb("PATCH"),
	"Delete": verb("DELETE"), "Options": verb("OPTIONS"), "Connect": verb("CONNECT"), "Trace": verb("TRACE"),
	"Handle":     {method: -1, pattern: 0, handler: 1, mixed: true},
	"HandleFunc": {method: -1, pattern: 0, handler: 1, mixed: true},
	"Method":     {method: 0, pattern: 1, handler: 2},
	"MethodFunc": {method: 0, pattern: 1, handler: 2},
	"Mount":      below(1),
}

var muxRoutes = map[string]routeSpec{
	"Handle":     {method: -1, pattern: 0, handler: 1, mixed: true},
	"HandleFunc": {method: -1, pattern: 0, handler: 1, mixed: true},
}

// verbs are the methods that gin, echo and httprouter share.
func verbs(more map[string]routeSpec) map[string]routeSpec {
	for _, v := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		more[v] = verb(v)
	}
	return more
}

var (
	ginRoutes = verbs(map[string]routeSpec{
		"Any": anyMethod(), "Handle": {method: 0, pattern: 1, handler: 2}, "Match": {method: -1, pattern: 1, handler: 2},
		"StaticFile": verb("GET"), "StaticFileFS": verb("GET"), "Static": below(-1), "StaticFS": below(-1),
	})
	echoRoutes = verbs(map[string]routeSpec{
		"CONNECT": verb("CONNECT"), "TRACE": verb("TRACE"), "Any": anyMethod(), "Add": {method: 0, pattern: 1, handler: 2},
		"Match": {method: -1, pattern: 1, handler: 2}, "File": verb("GET"), "FileFS": verb("GET"), "Static": below(-1), "StaticFS": below(-1),
	})
	fiberRoutes = map[string]routeSpec{
		"Get": verb("GET"), "Head": verb("HEAD"), "Post": verb("POST"), "Put": verb("PUT"), "Patch": verb("PATCH"), "Delete": verb("DELETE"),
		"Options": verb("OPTIONS"), "Connect": verb("CONNECT"), "Trace": verb("TRACE"), "All": anyMethod(),
		"Add": {method: 0, pattern: 1, handler: 2}, "Static": below(-1), "Mount": below(1),
	}
	httprouterRoutes = verbs(map[string]routeSpec{
		"Handle": {method: 0, pattern: 1, handler: 2}, "Handler": {method: 0, pattern: 1, handler: 2},
		"HandlerFunc": {method: 0, pattern: 1, handler: 2}, "ServeFiles": verb("GET"),
	})
	// gorillaRoutes begin a route; what its chain says is read by gorilla.go.
	gorillaRoutes = map[string]routeSpec{
		"Handle": anyMethod(), "HandleFunc": anyMethod(), "Path": anyMethod(), "PathPrefix": anyMethod(), "Methods": anyMethod(),
		"Host": anyMethod(), "Headers": anyMethod(), "Queries": anyMethod(), "Schemes": anyMethod(), "MatcherFunc": anyMethod(),
		"NewRoute": anyMethod(), "Name": anyMethod(),
	}
)

// routerKinds lists the libraries by import path. Those with KindHandler take no routes of ours: what they serve is
// wrapped.
var routerKinds = []*routerKind{
	{kind: KindServeMux, label: "net/http ServeMux", path: "net/http", types: []string{"ServeMux"}, routes: muxRoutes},
	{
		kind: KindChi, label: "chi", path: "github.com/go-chi/chi", types: []string{"Mux", "Router"}, routes: chiRoutes,
		use: []string{"Use"}, group: []string{"Group", "Route", "With"}, prefix: []string{"Route"}, usesFirst: true,
	},
	{
		kind: KindGorilla, label: "gorilla/mux", path: "github.com/gorilla/mux", types: []string{"Router", "Route"}, routes: gorillaRoutes,
		use: []string{"Use"}, firstWins: true, chained: true, prefix: []string{"Path", "PathPrefix"},
		group: []string{"Path", "PathPrefix", "Methods", "Host", "Headers", "Queries", "Schemes", "MatcherFunc", "NewRoute", "Name", "Subrouter"},
	},
	{
		kind: KindGin, label: "gin", path: "github.com/gin-gonic/gin", types: []string{"Engine", "RouterGroup", "IRouter", "IRoutes"},
		routes: ginRoutes, use: []string{"Use"}, group: []string{"Group"}, prefix: []string{"Group"}, usesInOrder: true,
		serves: []string{"Run", "RunTLS", "RunUnix", "RunFd", "RunListener", "RunQUIC"},
	},
	{
		kind: KindEcho, label: "echo", path: "github.com/labstack/echo", types: []string{"Echo", "Group"},
		wired:  []string{"github.com/labstack/echo/v4", "github.com/labstack/echo/v5"},
		routes: echoRoutes, use: []string{"Use", "Pre"}, group: []string{"Group", "Host"}, prefix: []string{"Group"},
		serves: []string{"Start", "StartTLS", "StartAutoTLS", "StartServer", "StartH2CServer"},
	},
	{
		kind: KindFiber, label: "fiber", path: "github.com/gofiber/fiber", types: []string{"App", "Group", "Router"},
		wired:  []string{"github.com/gofiber/fiber/v2", "github.com/gofiber/fiber/v3"},
		routes: fiberRoutes, use: []string{"Use"}, group: []string{"Group", "Route"}, prefix: []string{"Group", "Route"},
		usesInOrder: true, firstWins: true,
		serves: []string{"Listen", "ListenTLS", "ListenTLSWithCertificate", "Listener", "ListenMutualTLS", "ListenMutualTLSWithCertificate"},
	},
	httprouter,
	{kind: KindHandler, label: "bunrouter", path: "github.com/uptrace/bunrouter", types: []string{"Router", "CompatRouter"}},
	{kind: KindHandler, label: "routegroup", path: "github.com/go-pkgz/routegroup", types: []string{"Bundle"}},
}

var httprouter = &routerKind{
	kind: KindHandler, label: "httprouter", path: "github.com/julienschmidt/httprouter", types: []string{"Router"}, routes: httprouterRoutes,
}

// unwired says why a router of this library takes no call of ours, "" when it does.
func (k *routerKind) unwired(typePath string) string {
	if len(k.wired) == 0 || typePath == "" || contains(k.wired, typePath) {
		return ""
	}
	majors := make([]string, len(k.wired))
	for i, w := range k.wired {
		majors[i] = path.Base(w)
	}
	return "this is " + typePath + ", and Lockspire wires " + k.label + " " + strings.Join(majors, " and ")
}

// ServesItself reports whether a function is a router's own method that serves until the server stops.
func ServesItself(f *types.Func) bool {
	recv := f.Signature().Recv()
	if recv == nil {
		return false
	}
	k := kindOf(recv.Type())
	return k != nil && contains(k.serves, f.Name())
}

var majorSuffix = regexp.MustCompile(`/v[0-9]+$`)

// kindOf returns the library of a type or of a pointer to it, nil when it is no router that we know.
func kindOf(t types.Type) *routerKind {
	n := namedOf(t)
	if n == nil || n.Obj().Pkg() == nil {
		return nil
	}
	imported := majorSuffix.ReplaceAllString(n.Obj().Pkg().Path(), "")
	for _, k := range routerKinds {
		if k.path != imported {
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
