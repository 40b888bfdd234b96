package templates

import (
	"fmt"
	"slices"
	"strings"
)

// The endpoints, below the mount path. An application must not have routes of its own there.
var (
	browserPaths = []string{"/authorize", "/interactions/{id}", "/apps"}
	machinePaths = []string{"/token", "/revoke", "/introspect", "/userinfo", "/jwks", "/.well-known/openid-configuration"}
)

// Methods are registered for every endpoint, so that no catch-all answers a method that an endpoint does not have.
var Methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// CanLeave reports whether no endpoint needs the method: it is registered for a 405, or for a preflight, which the host
// may answer instead (Inputs.HostMethods).
func CanLeave(method string) bool {
	return method != "GET" && method != "POST" && slices.Contains(Methods, method)
}

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
	return "[]string{\n" + b.String() + "}"
}

// mountFile renders lockspire_gen.go: every route, in the terms of the host's router.
func mountFile(in Inputs) ([]byte, error) {
	s := newSource(in, "lockspire_gen")
	s.header()
	form := formOf(in)
	s.decl("MountPath", `const MountPath = {{printf "%q" .Prefix}}`)
	s.decl(form.doc, `
func Mount(`+form.param+`, host Host) (`+form.results+`, error) {
	config, err := newConfig(host)
	if err != nil {
		return `+form.nothing+`, $fmt.Errorf("{{.Name}}: %w", err)
	}
`+strings.ReplaceAll(databaseCode(in), "return nil, ", "return "+form.nothing+", ")+`	return mount(`+form.arg+`, host, config)
}`)
	s.decl(form.mustDoc, `
func MustMount(`+form.param+`, host Host) `+form.must+` {
	`+form.mustVars+`, err := Mount(`+form.arg+`, host)
	if err != nil {
		panic(err)
	}
	return `+form.mustReturn+`
}`)
	migrate := ""
	if in.Migrations == MigrationsRuntime {
		migrate = `	if err := $lockspire.Migrate(ctx, config.DB, config.Dialect, config.Schema); err != nil {
		return ` + form.nothing + `, $fmt.Errorf("{{.Name}}: %w", err)
	}
`
	}
	s.decl("mount", `
func mount(`+form.param+`, host Host, config $lockspire.Config) (`+form.results+`, error) {
`+fixedDialect(in)+`	if err := checkIssuer(config); err != nil {
		return `+form.nothing+`, err
	}
	ctx := $context.Background()
`+askedDialect(in, form.nothing, "ctx")+migrate+`	provider, err := $lockspire.New(ctx, config)
	if err != nil {
		return `+form.nothing+`, $fmt.Errorf("{{.Name}}: %w", err)
	}
`+form.register+`	go func() {
		if err := provider.Run(ctx); err != nil {
			$slog.ErrorContext(ctx, "lockspire: background work stopped", "error", err)
		}
	}()
	return `+form.mounted+`, nil
}`)
	s.decl("checkIssuer", `
func checkIssuer(config $lockspire.Config) error {
	issuer, err := $url.Parse(config.Issuer)
	if err == nil && config.MountPath == "" && issuer.Path != MountPath {
		return $fmt.Errorf("{{.Name}}: the issuer %s must end in %q, where it is mounted", config.Issuer, MountPath)
	}
	return nil
}`)
	if in.EngineAtStart {
		s.decl("setDialect", `
func setDialect(ctx $context.Context, config *$lockspire.Config) error {
	if config.Dialect != "" {
		return nil
	}
	var version string
	if err := config.DB.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err == nil {
		config.Dialect = $lockspire.SQLite
		return nil
	}
	if err := config.DB.QueryRowContext(ctx, "SHOW server_version_num").Scan(&version); err != nil {
		return $fmt.Errorf("{{.Name}}: the database answers neither as SQLite nor as PostgreSQL: %w", err)
	}
	config.Dialect = $lockspire.PostgreSQL
	return nil
}`)
	}
	s.decl("machinePaths", "var machinePaths = "+strings.ReplaceAll(lines(machinePaths), "\t\t\"", "\t\"")+"\n")
	form.routes(s)
	s.decl("ForMachines", `
func ForMachines(method, path string) bool {
	switch path {
	case MountPath+"/authorize":
		return method == $http.MethodPost
	case "/.well-known/oauth-authorization-server" + MountPath, "/.well-known/openid-configuration" + MountPath:
		return true
	}
	if below, ok := $strings.CutPrefix(path, "/.well-known/oauth-protected-resource"); ok {
		return below == "" || below[0] == '/'
	}
	below, ok := $strings.CutPrefix(path, MountPath)
	return ok && $slices.Contains(machinePaths, below)
}`)
	return s.bytes()
}

// fixedDialect says which engine it is, where the host has one.
func fixedDialect(in Inputs) string {
	if in.EngineAtStart {
		return ""
	}
	return "\tconfig.Dialect = $lockspire.{{.Dialect}}\n"
}

// askedDialect asks the database, where the host chooses when it starts.
func askedDialect(in Inputs, nothing, ctx string) string {
	if !in.EngineAtStart {
		return ""
	}
	return "\tif err := setDialect(" + ctx + ", &config); err != nil {\n\t\treturn " + nothing + ", err\n\t}\n"
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
	case DatabaseGorm:
		return `	if host.Gorm == nil {
		return nil, $errors.New("{{.Name}}: Host.Gorm is nil")
	}
	if config.DB, err = host.Gorm.DB(); err != nil {
		return nil, $fmt.Errorf("{{.Name}}: %w", err)
	}
`
	}
	return `	if config.DB, err = openDatabase(host); err != nil {
		return nil, $fmt.Errorf("{{.Name}}: %w", err)
	}
`
}
