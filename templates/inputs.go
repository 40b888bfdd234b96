package templates

import (
	"errors"
	"fmt"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Database kinds: how generated code reaches the host's database.
const (
	DatabaseSQL  = "sql.DB"  // the host passes a *sql.DB
	DatabasePgx  = "pgxpool" // the host passes a *pgxpool.Pool of github.com/jackc/pgx/v5
	DatabaseGorm = "gorm"    // the host passes a *gorm.DB of gorm.io/gorm
	DatabaseOwn  = "own"     // no handle is in scope at the router: database.go opens a pool of its own
	EngineSQLite = "sqlite"
	EnginePG     = "postgres"
)

// Router kinds: whose terms the generated Mount speaks.
const (
	RouterMux     = "servemux"
	RouterChi     = "chi"
	RouterGorilla = "gorilla"
	RouterGin     = "gin"
	RouterEcho    = "echo"
	RouterFiber   = "fiber"
	RouterHandler = "handler" // any other http.Handler: Mount goes around it
)

// Migration modes: how the lockspire_* tables come into the host's database.
const (
	MigrationsGoose         = "goose"          // a file per schema version in the host's directory, with goose's annotations
	MigrationsGolangMigrate = "golang-migrate" // two files per schema version, .up.sql and .down.sql
	MigrationsDbmate        = "dbmate"
	MigrationsTern          = "tern" // PostgreSQL only
	MigrationsSQLMigrate    = "sql-migrate"
	MigrationsAtlas         = "atlas"   // plain files, whose sum the host renews with atlas migrate hash
	MigrationsPlain         = "plain"   // numbered files for a runner of the host's own
	MigrationsRuntime       = "runtime" // Mount calls lockspire.Migrate at start
	MigrationsPrint         = "print"   // the SQL is printed and the host carries it into its own runner
)

// How a migration directory numbers its files.
const (
	NamingTimestamp = "timestamp" // 20060102150405
	NamingUnix      = "unix"      // seconds since 1970
	NamingSequence  = "sequence"
)

// Inputs is everything that rendering depends on. The manifest records it, so that a later version renders from
// the same facts; fields are in the order of their JSON keys, so that the manifest is sorted.
type Inputs struct {
	Database         string `json:"database"`                    // one of the Database constants
	DriverImport     string `json:"driver_import"`               // import path of the host's database driver
	DriverName       string `json:"driver_name"`                 // name it is registered under; "" for pgxpool
	Engine           string `json:"engine"`                      // "sqlite" or "postgres"
	EngineAtStart    bool   `json:"engine_at_start,omitempty"`   // the host runs on either, and Mount asks the database which; Engine is that of tests
	Header           string `json:"header,omitempty"`            // text of --header-file, without comment marks
	HostMethods      string `json:"host_methods,omitempty"`      // "DELETE,OPTIONS": a wildcard of the host answers them (gin)
	Issuer           string `json:"issuer,omitempty"`            // --issuer; "" means the loopback development default
	LoginPath        string `json:"login_path"`                  // the host's sign-in page
	Migrations       string `json:"migrations"`                  // one of the Migrations constants
	MigrationsDir    string `json:"migrations_dir,omitempty"`    // module-relative, where files are written
	MigrationsNaming string `json:"migrations_naming,omitempty"` // one of the Naming constants, where files are written
	MigrationsOther  string `json:"migrations_other,omitempty"`  // directory of the other engine, in a host with one for each
	MigrationsTable  string `json:"migrations_table,omitempty"`  // where the tool keeps its versions, if not in its default table
	MigrationsWidth  int    `json:"migrations_width,omitempty"`  // digits of a version, where files are written
	Module           string `json:"module"`                      // module path of the host
	MountPath        string `json:"mount_path"`                  // "/lockspire"; "/" for the root
	Package          string `json:"package"`                     // module-relative directory, "internal/authserver"
	Router           string `json:"router"`                      // one of the Router constants
	RouterImport     string `json:"router_import"`               // import path of the router's package
	Schema           string `json:"schema,omitempty"`            // PostgreSQL schema of the tables
	SchemaExists     bool   `json:"schema_exists,omitempty"`     // the first migration does not create Schema

	Session Session `json:"session,omitzero"` // how the host tells who is signed in

	SigraHost bool `json:"sigra_host"` // comments speak of the current scope's User
	Wire      bool `json:"wire"`       // the call to Mount is ours to insert
}

// routerMajors are the import paths of routers whose API differs between major versions.
var routerMajors = map[string][]string{
	RouterEcho:  {echo4, echo5},
	RouterFiber: {fiber2, fiber3},
}

const (
	echo4  = "github.com/labstack/echo/v4"
	echo5  = "github.com/labstack/echo/v5"
	fiber2 = "github.com/gofiber/fiber/v2"
	fiber3 = "github.com/gofiber/fiber/v3"
)

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// Validate reports every field that rendering cannot work with. Inputs come from a manifest that a pull request can
// edit, so nothing in them is trusted to be a path below the module or a valid Go name.
func (in Inputs) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("inputs: %s: %s", field, fmt.Sprintf(format, args...)))
	}
	oneOf := func(field, value string, allowed ...string) {
		for _, a := range allowed {
			if value == a {
				return
			}
		}
		bad(field, "%q is not one of %s", value, strings.Join(allowed, ", "))
	}
	oneOf("database", in.Database, DatabaseSQL, DatabasePgx, DatabaseGorm, DatabaseOwn)
	oneOf("engine", in.Engine, EngineSQLite, EnginePG)
	oneOf("migrations", in.Migrations, MigrationModes...)
	oneOf("router", in.Router, RouterMux, RouterChi, RouterGorilla, RouterGin, RouterEcho, RouterFiber, RouterHandler)
	if in.Database == DatabasePgx && in.Engine != EnginePG {
		bad("database", "a pgxpool is PostgreSQL, not %s", in.Engine)
	}
	if in.EngineAtStart && in.Database != DatabaseSQL && in.Database != DatabaseGorm {
		bad("engine_at_start", "%s is of one engine", in.Database)
	}
	if in.Database == DatabaseGorm && !Dialector(in.DriverImport) {
		bad("driver_import", "%q is not a dialector of gorm", in.DriverImport)
	}
	if !importPath(in.RouterImport) {
		bad("router_import", "%q is not an import path", in.RouterImport)
	} else if majors := routerMajors[in.Router]; majors != nil {
		oneOf("router_import", in.RouterImport, majors...)
	}
	for _, method := range in.hostMethods() {
		if in.Router != RouterGin || !CanLeave(method) {
			bad("host_methods", "%q is not a method that a router of gin can leave to the host", method)
		}
	}
	if !importPath(in.DriverImport) {
		bad("driver_import", "%q is not an import path", in.DriverImport)
	}
	if in.Database != DatabasePgx && !driverName.MatchString(in.DriverName) {
		bad("driver_name", "%q is not a driver name", in.DriverName)
	}
	if !importPath(in.Module) {
		bad("module", "%q is not a module path", in.Module)
	}
	if !Below(in.Package) || in.Package == "." {
		bad("package", "%q is not a directory below the module", in.Package)
	} else if !token.IsIdentifier(in.PackageName()) {
		bad("package", "%q is not a Go package name", in.PackageName())
	}
	if normal, err := NormalMountPath(in.MountPath); err != nil {
		errs = append(errs, fmt.Errorf("inputs: mount_path: %w", err))
	} else if normal != in.MountPath {
		bad("mount_path", "%q is not normalised: %s", in.MountPath, normal)
	}
	if !LocalPath(in.LoginPath) {
		bad("login_path", "%q is not a path on this origin", in.LoginPath)
	}
	if in.Issuer != "" && !issuerURL.MatchString(in.Issuer) {
		bad("issuer", "%q is not a URL without query and fragment", in.Issuer)
	}
	if err := checkHeader(in.Header); err != nil {
		bad("header", "%v", err)
	}
	if in.Schema != "" && (in.Engine != EnginePG || !SchemaName(in.Schema)) {
		bad("schema", "%q is not a PostgreSQL schema name ([a-z_][a-z0-9_]{0,62})", in.Schema)
	}
	if tool, ok := migrationTools[in.Migrations]; ok {
		oneOf("migrations_naming", in.MigrationsNaming, NamingTimestamp, NamingUnix, NamingSequence)
		if !Below(in.MigrationsDir) {
			bad("migrations_dir", "%q is not a directory below the module", in.MigrationsDir)
		}
		if in.MigrationsOther != "" && (!Below(in.MigrationsOther) || in.MigrationsOther == in.MigrationsDir) {
			bad("migrations_other", "%q is not another directory below the module", in.MigrationsOther)
		}
		if in.MigrationsWidth < 1 || in.MigrationsWidth > 19 {
			bad("migrations_width", "%d is not between 1 and 19", in.MigrationsWidth)
		}
		if tool.postgresOnly && (in.Engine != EnginePG || in.MigrationsOther != "") {
			bad("migrations", "%s is for PostgreSQL only", in.Migrations)
		}
	}
	if in.MigrationsTable != "" && !tableName.MatchString(in.MigrationsTable) {
		bad("migrations_table", "%q is not a table name that needs no quotes", in.MigrationsTable)
	}
	if in.SchemaExists && in.Schema == "" {
		bad("schema_exists", "there is no schema")
	}
	in.Session.validate(bad)
	return errors.Join(errs...)
}

// Dialector reports whether a package has a func Open that gorm.Open takes.
func Dialector(importPath string) bool { return slices.Contains(dialectors, importPath) }

var dialectors = []string{
	"github.com/glebarez/sqlite", "github.com/ncruces/go-sqlite3/gormlite", "gorm.io/driver/postgres", "gorm.io/driver/sqlite",
}

// PackageName is the name in the package clause of generated files.
func (in Inputs) PackageName() string { return path.Base(in.Package) }

// ImportPath is the import path of the generated package.
func (in Inputs) ImportPath() string { return in.Module + "/" + in.Package }

// prefix is the mount path as it stands before an endpoint: "" for the root.
func (in Inputs) prefix() string { return strings.TrimSuffix(in.MountPath, "/") }

var (
	driverName = regexp.MustCompile(`^[A-Za-z0-9_.+-]{1,64}$`)
	// importElements is narrower than what Go allows on purpose: quotes, spaces and backslashes never pass.
	importElements = regexp.MustCompile(`^[A-Za-z0-9_.~-]+(/[A-Za-z0-9_.~-]+)*$`)
	// mountSegments are the unreserved characters of RFC 3986 in lower case: what every router takes literally.
	mountSegments = regexp.MustCompile(`^(/[a-z0-9_.~-]+)+$`)
	issuerURL     = regexp.MustCompile(`^https?://[a-z0-9.\[\]:-]+(/[A-Za-z0-9_.~/-]*)?$`)
	loginPath     = regexp.MustCompile(`^/[A-Za-z0-9_.~/?&=%-]*$`)
)

var tableName = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]{0,62}\.)?[A-Za-z_][A-Za-z0-9_]{0,62}$`)

// TableName reports whether s can name a table, with or without its schema, where no quotes are needed.
func TableName(s string) bool { return tableName.MatchString(s) }

// SchemaName reports whether s can name a PostgreSQL schema without quotes.
func SchemaName(s string) bool { return schemaName.MatchString(s) }

func importPath(p string) bool { return importElements.MatchString(p) && path.Clean(p) == p }

// LocalPath reports whether p is a path on this origin that a redirect may go to.
func LocalPath(p string) bool { return loginPath.MatchString(p) && !strings.HasPrefix(p, "//") }

// Below reports whether dir is a clean, relative slash path that stays inside the module.
func Below(dir string) bool {
	return dir != "" && path.Clean(dir) == dir && !path.IsAbs(dir) && dir != ".." &&
		!strings.HasPrefix(dir, "../") && !strings.ContainsAny(dir, "\\:\x00\"'`\n\r")
}

// NormalMountPath returns p with its leading slash and without a trailing one ("/" for the root), or an error that
// names the rule it breaks.
func NormalMountPath(p string) (string, error) {
	if p == "" {
		return "", errors.New("the mount path is empty: give a path such as /lockspire")
	}
	if p == "/" {
		return p, nil
	}
	n := "/" + strings.TrimPrefix(strings.TrimSuffix(p, "/"), "/")
	switch {
	case strings.ContainsAny(n, "%"):
		return "", fmt.Errorf("the mount path %q may not contain an escape such as %%2f: routers disagree on it", p)
	case strings.ContainsAny(n, "{}*:?#\\ "):
		return "", fmt.Errorf("the mount path %q may not contain a wildcard, query or blank", p)
	case strings.Contains(n, "//") || strings.HasSuffix(p, "//"):
		return "", fmt.Errorf("the mount path %q may not contain an empty segment", p)
	case path.Clean(n) != n:
		return "", fmt.Errorf("the mount path %q may not contain a dot segment", p)
	case strings.ToLower(n) != n:
		return "", fmt.Errorf("the mount path %q must be lower case: it is compared byte for byte in the issuer", p)
	case n == "/.well-known" || strings.HasPrefix(n, "/.well-known/"):
		return "", fmt.Errorf("the mount path %q is inside /.well-known, which is reserved (RFC 8615)", p)
	case !mountSegments.MatchString(n):
		return "", fmt.Errorf("the mount path %q may only use a-z, 0-9, '-', '_', '.' and '~' between slashes", p)
	}
	return n, nil
}
