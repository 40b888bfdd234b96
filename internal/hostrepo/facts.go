package hostrepo

import (
	"sort"
	"strings"
)

// RuntimeModule is the module path of the authorization server that generated code mounts.
const RuntimeModule = "github.com/lockspire/lockspire/runtime"

// Position is a place in the host, as a person would type it. File is relative to the module root with
// forward slashes; the zero Position means "nowhere".
type Position struct {
	File      string
	Line, Col int
}

// Router kinds. The set is open: a reader must treat a kind that it does not know like KindHandler.
const (
	KindServeMux = "servemux" // net/http.ServeMux, also the default one
	KindChi      = "chi"      // github.com/go-chi/chi, any major version
	KindGorilla  = "gorilla"  // github.com/gorilla/mux
	KindGin      = "gin"      // github.com/gin-gonic/gin
	KindEcho     = "echo"     // github.com/labstack/echo, v4 and v5
	KindFiber    = "fiber"    // github.com/gofiber/fiber, v2 and v3: fasthttp, not net/http
	KindHandler  = "handler"  // any other http.Handler: the call goes around it where it is served (Insertion.Wraps)
)

// Facts is what was found in the host. Everything in it is data about the host's text: positions and
// names, no syntax trees and no types.
type Facts struct {
	Routers      []Router       // what is served, the likeliest root first; redirect-only and debug servers last
	Database     []Handle       // Routers[0].Database, for the usual case of one router
	Engines      []Engine       // evidence for database engines in the whole module
	Migrations   []MigrationDir // directories that a migration tool reads, most files first
	Migrators    []Migrator     // whatever else decides about the tables: tools that are imported, schemas that code declares
	Sessions     []Session      // session libraries in use
	Mounts       []Mount        // existing calls to a generated Mount or MustMount
	LostMounts   []Mount        // the same calls where the package of the module has no such function, or is not there
	Providers    []Position     // existing direct calls to lockspire.New outside generated files (hand-written wiring)
	Mains        []Main         // main packages of the module
	Hidden       []Hidden       // routers in files that this build leaves out
	GoMod        GoMod
	Requires     []string    // module paths that go.mod requires, as written
	SyntaxErrors []LoadError // files of the module that do not parse
}

// Router is one thing that the host serves.
type Router struct {
	Kind string // one of the Kind constants
	Type string // the router's type as the enclosing file would write it: "*http.ServeMux", "chi.Router"
	// TypePath is the import path of the package that declares Type (its major version included), "net/http" for a ServeMux.
	TypePath string

	File      string // where the router value is made
	Line, Col int
	Package   string // import path of the package with the insertion point
	Func      string // function with the insertion point: "newRouter", "(*Server).routes", "closure in main"
	Expr      string // Go expression that names the router at the insertion point: "mux", "s.router"

	Insert   Insertion
	Served   []Served  // the sinks that this router reaches
	Wrappers []Wrapper // functions around the whole router, outermost first (I70)
	Routes   []Route   // in source order per file
	Uses     []Wrapper // middleware that the router itself runs, in source order
	Database []Handle  // handles in scope at the insertion point; empty is a fact, not a failure
	Readers  []Reader  // ways to tell who is signed in, the likeliest first
	Login    *Login    // likeliest sign-in route, nil when none is registered under a usual name

	// Minor marks a server that only redirects or only shows debug pages; it is never chosen while another router exists.
	Minor bool
	// Problem says in one sentence why this router cannot be wired, "" when it can. Next is the way out, Exit the
	// exit code that goes with it.
	Problem, Next string
	Exit          int
}

// Position returns where the router value is made.
func (c *Router) Position() Position { return Position{c.File, c.Line, c.Col} }

// Served is one place where a handler is given to a server.
type Served struct {
	Position
	Addr string // the address argument as Go source, "" when there is none
}

// Wrapper is a middleware around the whole router.
type Wrapper struct {
	Position
	Func   string // as written, without arguments: "sessions.LoadAndSave", "csrf.Protect(…)"
	Callee string // the function behind it by its full name: "github.com/gorilla/csrf.Protect", "(*net/http.CrossOriginProtection).Handler"; "" for a closure
	Limit  int64  // the constant number that it is given, such as the bytes of http.MaxBytesHandler; 0 for none
}

// Route is one registration on the router or on a group or sub-router below it.
type Route struct {
	Position
	Method  string // "" = every method
	Pattern string // full path, group prefixes included; for a ServeMux without the method, with a host if there is one
	Known   bool   // false when Pattern is not a constant: Pattern is then Go source
	Subtree bool   // matches more than one path by prefix: a ServeMux pattern that ends in "/", chi's Mount, a trailing wildcard
	Group   bool   // registered on a group or sub-router, not on the router itself
}

// CatchAll reports whether the route answers every path that nothing else answers.
func (r Route) CatchAll() bool {
	return r.Known && r.Subtree && r.greedy() && !strings.Contains(strings.TrimPrefix(r.Pattern, "/"), "/")
}

// greedy reports whether the route matches whatever the first segment of a path is, so that in a library where the first
// match wins it may hide what is registered later.
func (r Route) greedy() bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.Pattern, "/"), "/")
	return r.Known && strings.HasPrefix(r.Pattern, "/") && (strings.ContainsAny(first, "{:*+") || first == "" && r.Subtree)
}

// Login is a guess at the host's sign-in page.
type Login struct {
	Position
	Method, Path string
}

// Insertion is the place for the inserted call: a statement boundary in the function that owns the router.
// CallSplice and ImportSplice turn it into the bytes to insert.
type Insertion struct {
	File      string
	Offset    int // in bytes, BOM included
	Line      int // line on which the inserted text will begin
	Indent    string
	EOL       string // "\n" or "\r\n"
	Prefix    string // goes before the first inserted line
	Suffix    string // goes after the last inserted line
	Returns   string // ReturnsError, ReturnsNone or ReturnsOther
	Zeros     []string
	ErrName   string // "err" when a variable err of type error is in scope, else ""
	InMain    bool   // the enclosing package is main, so nothing can import it
	Generated bool   // the file carries a "Code generated" header: it must not be edited
	Wraps     string // the expression that the call goes around, as the file writes it; "" for a statement of its own
	End       int    // behind that expression

	Scope   []string // every identifier visible at Offset, sorted
	Imports []Import // of File, in source order

	layout importLayout
}

// What the enclosing function returns. With ReturnsError the last result is an error and Insertion.Zeros holds
// zero values, as Go source, for the results before it.
const (
	ReturnsError = "error"
	ReturnsNone  = "none"
	ReturnsOther = "other"
)

// Import is one import of the file.
type Import struct {
	Path  string
	Name  string // name it is used by in this file: the alias or the package's real name; "_" and "." as written
	Alias bool   // the name is written out
}

// Handle is a database handle that Go code at the insertion point can use.
type Handle struct {
	Kind    string   // HandleSQL, HandlePgx or HandleGorm
	Library string   // whose handle Expr gets at: "sqlx", "bun", …; "" for Kind's own
	Expr    string   // the accessor: "db", "s.db", "store.DB", "db.DB" of a sqlx handle
	Via     string   // "local", "parameter", "receiver", "package"
	Engine  string   // "sqlite", "postgres", "mysql", … or "" when not decidable
	Engines []string // where Engine is "": all that are possible, sorted; the host decides when it starts
	Driver  string   // name it is registered under with database/sql, "" when unknown or for pgxpool
	Import  string   // import path of the driver
	Position
}

const (
	HandleSQL  = "sql.DB"  // *database/sql.DB
	HandlePgx  = "pgxpool" // *pgxpool.Pool of jackc/pgx
	HandleGorm = "gorm"    // *gorm.DB of gorm.io/gorm, whose DB() also returns an error
)

// Engine is one piece of evidence for a database engine.
type Engine struct {
	Engine string // "sqlite", "postgres", "mysql", "mssql", "clickhouse"
	Driver string // database/sql driver name
	Import string // import path of the driver, "" when the evidence is a sql.Open call
	Why    string // "import", "sql.Open", "dependency"
	Position
}

// Session is a session library in use, or a cookie that is set.
type Session struct {
	Name   string // "scs", "gorilla/sessions", "securecookie", "simplesessions", "jwt", "cookie"
	Import string
	Position
}

// Reader kinds: how the account that is signed in is read from a request.
const (
	ReaderFunc         = "func"             // a func of the host that takes the request or its context
	ReaderToken        = "cookie"           // a func of the host that takes the value of a cookie: signed cookies, JWTs
	ReaderSCS          = "scs"              // alexedwards/scs v2
	ReaderGorilla      = "gorilla/sessions" // gorilla/sessions
	ReaderSecureCookie = "securecookie"     // gorilla/securecookie, without sessions
)

// Reader is one way to learn at a router's insertion point whose request it is.
type Reader struct {
	Kind    string   // one of the Reader constants
	Name    string   // what a person calls it: "accounts.From", "(*Server).currentUser", "scs"
	Account string   // the type that it says something about, "accounts.User"; two readers of one type mean the same
	Import  string   // import path of the package with Func, or of the library
	Package string   // its name
	Func    string   // of ReaderFunc and ReaderToken
	Takes   string   // TakesRequest and so on
	Gives   string   // GivesValue, GivesOK or GivesError
	Checks  []string // what is nil when nobody is signed in, as a path behind the result: "", ".User"
	Path    string   // from the result to the id: ".User.ID"
	ID      string   // the type of the id: IDInt64, …
	Zero    string   // what the id is when nobody is signed in, where nothing else tells: "0", "\"\"", "" for never
	Key     string   // of the value in the session
	Cookie  string   // name of the cookie or of the session

	// Call is how the file at the insertion point calls Func, where the generated package cannot: it would import the
	// router's package. Host is the expression there of a library's manager or store.
	Call, Host string
	Calls      int // of Func in the module

	// Problem says why more than this is needed to tell who is signed in, "" when nothing is.
	Problem string
	Position
}

// What the func of a reader takes, and what it gives beside the account.
const (
	TakesRequest = "request"
	TakesContext = "context"
	TakesGin     = "gin"
	TakesEcho    = "echo"
	TakesFiber   = "fiber"

	GivesValue = "value"
	GivesOK    = "ok"
	GivesError = "error"
)

// Types of an account's id, by how they become text.
const (
	IDInt64    = "int64"
	IDSigned   = "signed" // any other signed integer
	IDUint64   = "uint64"
	IDUnsigned = "unsigned"
	IDString   = "string"
	IDText     = "text"     // another type that is a string underneath
	IDStringer = "stringer" // has String() string: UUIDs, ULIDs
)

// Mount is a call to a generated Mount or MustMount.
type Mount struct {
	Position
	Package string // import path of the generated package
	Callee  string // "Mount" or "MustMount"
	Func    string // enclosing function
	// Prefix is what the groups and sub-routers between the served router and this call put before every path;
	// PrefixKnown is false when it cannot be decided.
	Prefix      string
	PrefixKnown bool
}

// Main is a main package.
type Main struct {
	Path string // import path
	Dir  string // module-relative, "." for the module root
}

// GoMod is what the module file says that matters to install.
type GoMod struct {
	Go             string // go directive, "" when absent
	Toolchain      string
	RuntimeVersion string // version that requires RuntimeModule, "" when it is not required
	RuntimeReplace string // right-hand side of its replace directive ("../runtime", "fork v1.2.3"), "" for none
	RuntimeUsed    bool   // go.work uses a directory that is RuntimeModule
	ServeMux121    bool   // GODEBUG httpmuxgo121=1: ServeMux patterns have no methods
	MattnSQLite    string // required version of github.com/mattn/go-sqlite3, which brings SQLite with it; "" for none
	MattnLine      int    // line of that requirement
}

// LoadError is one error of a package of the main module.
type LoadError struct {
	Position
	Package string // import path
	Kind    string // "list", "parse", "type"
	Msg     string
}

func sortErrors(errs []LoadError) {
	sort.SliceStable(errs, func(i, j int) bool {
		a, b := errs[i], errs[j]
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		if a.Col != b.Col {
			return a.Col < b.Col
		}
		return a.Msg < b.Msg
	})
}
