package templates

import (
	"fmt"
	"strings"
)

// The endpoints, below the mount path. An application must not have routes of its own there.
var (
	browserPaths = []string{"/authorize", "/interactions/{id}", "/apps"}
	machinePaths = []string{"/token", "/revoke", "/introspect", "/userinfo", "/jwks", "/.well-known/openid-configuration"}
)

// Methods are registered for every endpoint, so that no catch-all answers a method that an endpoint does not have.
var Methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// Paths are the full patterns that the generated Mount registers, with the metadata of the default resource, whose
// identifier is the issuer's origin.
func Paths(in Inputs) []string {
	var paths []string
	for _, p := range append(append([]string(nil), browserPaths...), machinePaths...) {
		paths = append(paths, in.prefix()+p)
	}
	paths = append(paths, "/.well-known/oauth-authorization-server"+in.prefix())
	if in.prefix() != "" {
		paths = append(paths, "/.well-known/openid-configuration"+in.prefix())
	}
	return append(paths, "/.well-known/oauth-protected-resource")
}

// literal is a []string as Go source.
func literal(values []string) string { return fmt.Sprintf("%#v", values) }

// lines is a []string as Go source with a line for each, where one line would be too long for a host's linter.
func lines(values []string) string {
	var b strings.Builder
	for _, value := range values {
		fmt.Fprintf(&b, "\t\t%q,\n", value)
	}
	return "[]string{\n" + b.String() + "\t}"
}

// mountFile renders lockspire_gen.go: every route, in the terms of the host's router.
func mountFile(in Inputs) ([]byte, error) {
	s := newSource(in, "lockspire_gen")
	s.header()
	router, doc := "*$http.ServeMux", "Mount"
	if in.Router == RouterChi {
		router, doc = "$chi.Router", "Mount.chi"
	}
	s.decl("MountPath", `const MountPath = {{printf "%q" .Prefix}}`)
	s.decl(doc, `
func Mount(router `+router+`, host Host) (*$lockspire.Provider, error) {
	config, err := newConfig(host)
	if err != nil {
		return nil, $fmt.Errorf("{{.Name}}: %w", err)
	}
`+databaseCode(in)+`	return mount(router, host, config)
}`)
	s.decl("MustMount", `
func MustMount(router `+router+`, host Host) *$lockspire.Provider {
	provider, err := Mount(router, host)
	if err != nil {
		panic(err)
	}
	return provider
}`)
	migrate := ""
	if in.Migrations == MigrationsRuntime {
		migrate = `	if err := $lockspire.Migrate(ctx, config.DB, config.Dialect, config.Schema); err != nil {
		return nil, $fmt.Errorf("{{.Name}}: %w", err)
	}
`
	}
	s.decl("mount", `
func mount(router `+router+`, host Host, config $lockspire.Config) (*$lockspire.Provider, error) {
	config.Dialect = $lockspire.{{.Dialect}}
	if err := checkIssuer(config); err != nil {
		return nil, err
	}
	ctx := $context.Background()
`+migrate+`	provider, err := $lockspire.New(ctx, config)
	if err != nil {
		return nil, $fmt.Errorf("{{.Name}}: %w", err)
	}
	register(router, host, provider)
	go func() {
		if err := provider.Run(ctx); err != nil {
			$slog.ErrorContext(ctx, "lockspire: background work stopped", "error", err)
		}
	}()
	return provider, nil
}`)
	s.decl("checkIssuer", `
func checkIssuer(config $lockspire.Config) error {
	issuer, err := $url.Parse(config.Issuer)
	if err == nil && config.MountPath == "" && issuer.Path != MountPath {
		return $fmt.Errorf("{{.Name}}: the issuer %s must end in %q, where it is mounted", config.Issuer, MountPath)
	}
	return nil
}`)
	s.decl("register", `
func register(router `+router+`, host Host, provider *$lockspire.Provider) {
	var browser $http.Handler = provider
	if host.Browser != nil {
		browser = host.Browser(provider)
	}
	//: register.browser
	for _, path := range `+literal(browserPaths[1:])+` {
		handle(router, MountPath+path, browser)
	}
	//: register.authorize
	handle(router, MountPath+"/authorize", $http.HandlerFunc(func(w $http.ResponseWriter, r *$http.Request) {
		if r.Method == $http.MethodPost {
			provider.ServeHTTP(w, r)
			return
		}
		browser.ServeHTTP(w, r)
	}))
	//: register.machine
	for _, path := range `+lines(machinePaths)+` {
		handle(router, MountPath+path, provider)
	}
	//: register.root
	handle(router, "/.well-known/oauth-authorization-server"+MountPath, provider)
`+rootDiscovery(in)+`	for _, path := range provider.ResourceMetadataPaths() {
		handle(router, path, provider)
	}
}`)
	s.decl("", handleCode(in))
	return s.bytes()
}

// rootDiscovery is OpenID discovery at the root of the host, where some clients look; mounted at the root it is the
// same path as the ordinary one.
func rootDiscovery(in Inputs) string {
	if in.prefix() == "" {
		return ""
	}
	return "\thandle(router, \"/.well-known/openid-configuration\"+MountPath, provider)\n"
}

// handleCode registers one path. ServeMux lets GET answer HEAD; chi does not.
func handleCode(in Inputs) string {
	if in.Router == RouterChi {
		return `
func handle(router $chi.Router, path string, handler $http.Handler) {
	for _, method := range ` + literal(append([]string{"HEAD"}, Methods...)) + ` {
		router.Method(method, path, handler)
	}
}`
	}
	return `
func handle(router *$http.ServeMux, path string, handler $http.Handler) {
	for _, method := range ` + literal(Methods) + ` {
		router.Handle(method+" "+path, handler)
	}
}`
}

// databaseCode sets config.DB from what the host has.
func databaseCode(in Inputs) string {
	switch in.Database {
	case DatabaseSQL:
		return `	if host.DB == nil {
		return nil, $errors.New("{{.Name}}: Host.DB is nil")
	}
	config.DB = host.DB
`
	case DatabasePgx:
		return `	if host.Pool == nil {
		return nil, $errors.New("{{.Name}}: Host.Pool is nil")
	}
	config.DB = $stdlib.OpenDBFromPool(host.Pool)
`
	}
	return `	if config.DB, err = openDatabase(host); err != nil {
		return nil, $fmt.Errorf("{{.Name}}: %w", err)
	}
`
}
