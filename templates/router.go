package templates

import (
	"slices"
	"strings"
)

// routerForm is what the generated code says in the terms of one router library.
type routerForm struct {
	doc     string // prose section of Mount
	param   string // first parameter of Mount
	arg     string // its name
	results string // of Mount and mount, before the error
	nothing string // the zero values of results
	mounted string // what mount returns

	mustDoc, must, mustVars, mustReturn string

	register string // the statement in mount that registers the routes
	routes   func(s *source)

	bare    string // a router of the host's kind, for the smoke test
	mount   string // mounts on it there
	login   string // and puts the login page on it
	browser string // type of Host.Browser
}

func formOf(in Inputs) routerForm {
	form := routerForm{
		doc: "Mount", arg: "router", results: "*$lockspire.Provider", nothing: "nil", mounted: "provider",
		mustDoc: "MustMount", must: "*$lockspire.Provider", mustVars: "provider", mustReturn: "provider",
		register: "\tregister(router, host, provider)\n", browser: "func(next $http.Handler) $http.Handler",
		mount: "\tprovider, err := $host.MountForTest(router, $host.Host{}, config)\n",
		login: "\trouter.HandleFunc(\"/smoke-login\", smokeLogin)\n",
	}
	switch in.Router {
	case RouterChi:
		form.doc, form.param, form.routes = "Mount.chi", "router $chi.Router", stdRoutes(handleChi)
		form.bare = "$chi.NewRouter()"
		form.login = "\trouter.Get(\"/smoke-login\", smokeLogin)\n\trouter.Post(\"/smoke-login\", smokeLogin)\n"
	case RouterGorilla:
		form.doc, form.param, form.routes = "Mount.gorilla", "router *$mux.Router", stdRoutes(handleGorilla)
		form.bare = "$mux.NewRouter()"
	case RouterGin:
		form.doc, form.param, form.routes, form.browser = "Mount.gin", "router $gin.IRouter", ginRoutes, "[]$gin.HandlerFunc"
		form.bare = "$gin.New()"
		form.login = "\trouter.Any(\"/smoke-login\", $gin.WrapF(smokeLogin))\n"
	case RouterEcho:
		form.doc, form.param, form.routes, form.browser = "Mount.echo", "router *$echo.Echo", echoRoutes, "[]$echo.MiddlewareFunc"
		form.bare = "$echo.New()"
		form.login = "\trouter.Any(\"/smoke-login\", $echo.WrapHandler($http.HandlerFunc(smokeLogin)))\n"
	case RouterFiber:
		form.doc, form.param, form.routes, form.browser = "Mount.fiber", "router $fiber.Router", fiberRoutes, "[]$fiber.Handler"
		form.bare = "$fiber.New()"
		form.login = "\trouter.All(\"/smoke-login\", $adaptor.HTTPHandlerFunc(smokeLogin))\n"
	case RouterHandler:
		form.doc, form.param, form.arg, form.routes = "Mount.handler", "next $http.Handler", "next", handlerRoutes
		form.results, form.nothing, form.mounted = "$http.Handler, *$lockspire.Provider", "nil, nil", "register(next, host, provider), provider"
		form.mustDoc, form.must, form.mustVars, form.mustReturn = "MustMount.handler", "$http.Handler", "handler, _", "handler"
		form.register = ""
		form.bare, form.login = "$http.HandlerFunc(smokeLogin)", ""
		form.mount = "\thandler, provider, err := $host.MountForTest(router, $host.Host{}, config)\n"
	default:
		form.param, form.routes = "router *$http.ServeMux", stdRoutes(handleMux)
		form.bare = "$http.NewServeMux()"
	}
	return form
}

// served is the mounted application as a http.Handler, in the smoke test.
func (f routerForm) served(in Inputs) string {
	switch in.Router {
	case RouterFiber:
		return "$adaptor.FiberApp(router)"
	case RouterHandler:
		return "handler"
	}
	return "router"
}

// withHead: ServeMux lets GET answer HEAD; the others do not.
func withHead() []string { return append([]string{"HEAD"}, Methods...) }

// hostMethods are the methods that stay the host's.
func (in Inputs) hostMethods() []string {
	return strings.FieldsFunc(in.HostMethods, func(r rune) bool { return r == ',' })
}

// methods are those that are registered one by one.
func (in Inputs) methods() []string {
	return slices.DeleteFunc(withHead(), func(method string) bool { return slices.Contains(in.hostMethods(), method) })
}

// stdRoutes registers net/http handlers.
func stdRoutes(handle func() string) func(*source) {
	return func(s *source) {
		s.decl("register", `
func register(`+formOf(s.in).param+`, host Host, provider *$lockspire.Provider) {
`+browserHandler+`	for _, path := range `+literal(browserPaths[1:])+` {
		handle(router, MountPath+path, browser)
	}
	//: register.authorize
	handle(router, MountPath+"/authorize", `+authorizeHandler+`)
	//: register.machine
	for _, path := range machinePaths {
		handle(router, MountPath+path, provider)
	}
	//: register.root
	handle(router, "/.well-known/oauth-authorization-server"+MountPath, provider)
`+rootDiscovery(s.in, "handle(router, %s, provider)")+`	for _, path := range provider.ResourceMetadataPaths() {
		handle(router, path, provider)
	}
}`)
		s.decl("", handle())
	}
}

// browserHandler is the handler that Host.Browser is around, and authorizeHandler the one that it is around for GET only.
const (
	browserHandler = `	var browser $http.Handler = provider
	if host.Browser != nil {
		browser = host.Browser(provider)
	}
	//: register.browser
`
	authorizeHandler = `$http.HandlerFunc(func(w $http.ResponseWriter, r *$http.Request) {
		if r.Method == $http.MethodPost {
			provider.ServeHTTP(w, r)
			return
		}
		browser.ServeHTTP(w, r)
	})`
)

func handleMux() string {
	return `
func handle(router *$http.ServeMux, path string, handler $http.Handler) {
	for _, method := range ` + literal(Methods) + ` {
		router.Handle(method+" "+path, handler)
	}
}`
}

func handleChi() string {
	return `
func handle(router $chi.Router, path string, handler $http.Handler) {
	for _, method := range ` + literal(withHead()) + ` {
		router.Method(method, path, handler)
	}
}`
}

func handleGorilla() string {
	return `
func handle(router *$mux.Router, path string, handler $http.Handler) {
	router.Handle(path, handler).Methods(` + strings.Trim(strings.TrimPrefix(literal(withHead()), "[]string"), "{}") + `)
}`
}

// rootDiscovery is OpenID discovery at the root of the host, where some clients look; mounted at the root it is the
// same path as the ordinary one.
func rootDiscovery(in Inputs, handle string) string {
	if in.prefix() == "" {
		return ""
	}
	return "\t" + strings.ReplaceAll(handle, "%s", `"/.well-known/openid-configuration"+MountPath`) + "\n"
}

// handlerRoutes answers exact paths in front of a handler that takes no routes.
func handlerRoutes(s *source) {
	s.decl("register.handler", `
func register(next $http.Handler, host Host, provider *$lockspire.Provider) $http.Handler {
	routes := map[string]$http.Handler{}
`+browserHandler+`	for _, path := range `+literal(browserPaths[1:])+` {
		routes[MountPath+path] = browser
	}
	//: register.authorize
	routes[MountPath+"/authorize"] = `+authorizeHandler+`
	//: register.machine
	for _, path := range machinePaths {
		routes[MountPath+path] = provider
	}
	//: register.root
	routes["/.well-known/oauth-authorization-server"+MountPath] = provider
`+rootDiscovery(s.in, "routes[%s] = provider")+`	for _, path := range provider.ResourceMetadataPaths() {
		routes[path] = provider
	}
	return $http.HandlerFunc(func(w $http.ResponseWriter, r *$http.Request) {
		handler, ok := routes[r.URL.Path]
		if !ok {
			//: register.handler.id
			handler, ok = routes[r.URL.Path[:$strings.LastIndexByte(r.URL.Path, '/')+1]+"{id}"]
		}
		if !ok {
			handler = next
		}
		handler.ServeHTTP(w, r)
	})
}`)
}

// methodRoutes registers each path for one method after the other, with middleware of the router's own kind before the
// browser endpoints. handle takes what comes before the path.
func methodRoutes(s *source, before, handler string) {
	s.decl("register", `
func register(`+formOf(s.in).param+`, host Host, provider *$lockspire.Provider) {
`+before+`	for _, method := range `+literal(s.in.methods())+` {
		//: register.browser
		for _, path := range `+literal(browserPaths[1:])+` {
			handle(router, method, MountPath+path, `+handler+`, host.Browser...)
		}
		//: register.authorize
		if method == $http.MethodPost {
			handle(router, method, MountPath+"/authorize", `+handler+`)
		} else {
			handle(router, method, MountPath+"/authorize", `+handler+`, host.Browser...)
		}
		//: register.machine
		for _, path := range machinePaths {
			handle(router, method, MountPath+path, `+handler+`)
		}
		//: register.root
		handle(router, method, "/.well-known/oauth-authorization-server"+MountPath, `+handler+`)
	`+rootDiscovery(s.in, `handle(router, method, %s, `+handler+`)`)+`		for _, path := range provider.ResourceMetadataPaths() {
			handle(router, method, path, `+handler+`)
		}
	}
}`)
}

// parameter is a path of ours as gin, echo and fiber write it.
const parameter = `$strings.NewReplacer("{", ":", "}", "").Replace(path)`

func ginRoutes(s *source) {
	methodRoutes(s, "", "provider")
	s.decl("handle.gin", `
func handle(router $gin.IRouter, method, path string, handler $http.Handler, browser ...$gin.HandlerFunc) {
	serve := func(c *$gin.Context) {
		ctx := $context.WithValue(c.Request.Context(), contextKey{}, c)
		handler.ServeHTTP(c.Writer, c.Request.WithContext(ctx))
	}
	router.Handle(method, `+parameter+`, append($slices.Clone(browser), serve)...)
}`)
	s.decl("", `type contextKey struct{}`)
	s.decl("GinContext", `
func GinContext(r *$http.Request) (*$gin.Context, bool) {
	c, ok := r.Context().Value(contextKey{}).(*$gin.Context)
	return c, ok
}`)
}

func echoRoutes(s *source) {
	methodRoutes(s, "", "provider")
	c := "*$echo.Context"
	if s.in.RouterImport == echo4 {
		c = "$echo.Context"
	}
	s.decl("handle.echo", `
func handle(router *$echo.Echo, method, path string, handler $http.Handler, browser ...$echo.MiddlewareFunc) {
	serve := func(c `+c+`) error {
		ctx := $context.WithValue(c.Request().Context(), contextKey{}, c)
		handler.ServeHTTP(c.Response(), c.Request().WithContext(ctx))
		return nil
	}
	router.Add(method, `+parameter+`, serve, browser...)
}`)
	s.decl("", `type contextKey struct{}`)
	s.decl("EchoContext", `
func EchoContext(r *$http.Request) (`+c+`, bool) {
	c, ok := r.Context().Value(contextKey{}).(`+c+`)
	return c, ok
}`)
}

func fiberRoutes(s *source) {
	c, raw, user := "$fiber.Ctx", "c.RequestCtx()", "c.Context()"
	add := `	handlers := make([]any, 0, len(browser)+1)
	for _, middleware := range browser {
		handlers = append(handlers, middleware)
	}
	handlers = append(handlers, serve)
	path = ` + parameter + `
	router.Add([]string{method}, path, handlers[0], handlers[1:]...)
`
	if s.in.RouterImport == fiber2 {
		c, raw, user = "*$fiber.Ctx", "c.Context()", "c.UserContext()"
		add = "\trouter.Add(method, " + parameter + ", append($slices.Clone(browser), serve)...)\n"
	}
	methodRoutes(s, "", "provider")
	s.decl("handle.fiber", `
func handle(router $fiber.Router, method, path string, handler $http.Handler, browser ...$fiber.Handler) {
	serve := func(c `+c+`) error {
		r, err := ownRequest(c)
		if err != nil {
			return $fiber.ErrBadRequest
		}
		return $adaptor.HTTPHandlerFunc(func(w $http.ResponseWriter, _ *$http.Request) {
			handler.ServeHTTP(w, r)
		})(c)
	}
`+add+`}`)
	s.decl("ownRequest", `
func ownRequest(c `+c+`) (*$http.Request, error) {
	in := `+raw+`
	uri := string(in.RequestURI())
	target, err := $url.ParseRequestURI(uri)
	if err != nil {
		return nil, err
	}
	r := &$http.Request{
		Method: string(in.Method()), URL: target, RequestURI: uri, Host: string(in.Host()), Header: $http.Header{},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		RemoteAddr: in.RemoteAddr().String(), TLS: in.TLSConnectionState(),
	}
	for name, values := range c.GetReqHeaders() {
		for _, value := range values {
			r.Header.Add($strings.Clone(name), $strings.Clone(value))
		}
	}
	r.Header.Del("Host")
	body := $bytes.Clone(in.PostBody())
	r.Body, r.ContentLength = $io.NopCloser($bytes.NewReader(body)), int64(len(body))
	return r.WithContext($context.WithValue(`+user+`, contextKey{}, c)), nil
}`)
	s.decl("", `type contextKey struct{}`)
	s.decl("FiberContext", `
func FiberContext(r *$http.Request) (`+c+`, bool) {
	c, ok := r.Context().Value(contextKey{}).(`+c+`)
	return c, ok
}`)
}
