package install

import (
	"bytes"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/templates"
)

// All that install says is in this file. The plan and the SQL go to standard output, the rest to standard error. A
// sentence starts in lower case where file:line may stand before it; commands are whole and can be pasted.

const (
	wordLoading   = "reading the module"
	wordResolving = "finding the runtime module"
	wordChecking  = "type-checking the module with the plan"
	wordWriting   = "writing"
	wordRecovered = "An earlier run was interrupted while it wrote: finished it first."
	wordDryRun    = "Nothing was written (--dry-run)."
	wordPending   = "the install is not complete: the plan above is to be applied"

	wordApplyQuestion = "Write this? [y/N] "
	wordNobodyToAsk   = "the plan above is not confirmed, and there is no terminal to ask on; nothing was written"
	wordDeclined      = "nothing was written, as you asked"
	wordInterrupted   = "interrupted; nothing was written"
	wordManyRouters   = "Several routers are served. The provider belongs on the one that your users sign in on:"
	wordWhichRouter   = "Which one? [1-%d] "

	wordNoPlace         = "there is no place after this router is made where a call could be inserted"
	wordGeneratedRouter = "the router is set up in a generated file, where an edit would vanish"
	wordServeMux121     = "GODEBUG httpmuxgo121=1 makes ServeMux read \"GET /path\" as a literal path, so that no method pattern works"

	wordFileTaken        = "a file with other content is in the way"
	wordBase             = "base copy, for later upgrades"
	wordCall             = "the call to Mount"
	wordManifest         = "what was generated, from what, with which hashes"
	wordDevelopmentBuild = "this lockspire is a development build, which has no runtime version to require: " +
		"replace the runtime with a checkout, or give --runtime-version"

	wordSeparateDatabase = "go get modernc.org/sqlite && lockspire install --database separate --engine sqlite\n" +
		"go get github.com/jackc/pgx/v5 && lockspire install --database separate --engine postgres"

	wordNoDatabase  = "no database was found in this module: clients, codes and tokens need SQLite or PostgreSQL"
	wordOwnDatabase = "go get modernc.org/sqlite && lockspire install --engine sqlite\n" +
		"go get github.com/jackc/pgx/v5 && lockspire install --engine postgres"
)

func wordIssuerWithoutPath(issuer string) string {
	return "--issuer " + issuer + " has no path, and the provider is mounted at " + defaultMountPath + "; the two must agree"
}

func wordBadPackage(dir string) string {
	return "--package " + dir + " must be a directory below the module whose name is a Go package name in lower case"
}

func wordBadDir(dir string) string {
	return "--migrations-dir " + dir + " must be a directory below the module"
}

func wordBadSchema(schema string) string {
	return "--schema " + schema + " is not a schema name that needs no quotes ([a-z_][a-z0-9_]{0,62})"
}

func wordManyEngines(engine string, n int) string {
	return fmt.Sprintf("one of %d database engines that this module uses: %s", n, engine)
}

func wordUnsupportedEngine(engines []string) string {
	return "this host is on " + strings.Join(engines, ", ") + ", and Lockspire runs on PostgreSQL and SQLite: give it a database of its own"
}

func wordNoDriver(engine string) string {
	return "no database/sql driver for " + engine + " is imported in this module"
}

func wordGetDriver(engine string) string {
	if engine == templates.EnginePG {
		return "go get github.com/jackc/pgx/v5    # then import _ \"github.com/jackc/pgx/v5/stdlib\" in main"
	}
	return "go get modernc.org/sqlite    # then import _ \"modernc.org/sqlite\" in main"
}

func wordManySessions(r hostrepo.Reader, n int) string {
	return fmt.Sprintf("one of %d things that tell who is signed in: %s", n, sessionName(r))
}

func wordNoSuchSession(name string) string {
	return "--session " + name + " is nothing that was found to tell who is signed in"
}

func wordPackageTaken(name string) string {
	return "package " + name + " of yours is here; Lockspire never merges into a package"
}

func wordAlreadyInstalled(key, recorded string) string {
	if strings.Contains(recorded, "\n") {
		recorded = fmt.Sprintf("%q", recorded)
	}
	return fmt.Sprintf("lockspire is installed already, with %s=%s", key, recorded)
}

func wordOtherRouter(found, recorded string) string {
	return "the router is " + found + " now, and the generated code is for " + recorded
}

func wordSameRoute(pattern string) string {
	return pattern + " is registered here, and the provider needs that path"
}

func wordPanics(host, ours string) string {
	return fmt.Sprintf("%s conflicts with %s of the provider: net/http would panic at start", host, ours)
}

// wordNoRoute is what to do about a catch-all of gin, which goes with no other route.
const wordNoRoute = "replace the catch-all by router.NoRoute(handler), then lockspire install"

func wordGinPanics(host, ours string) string {
	return fmt.Sprintf("%s conflicts with %s of the provider: gin would panic at start", host, ours)
}

// wordGetSQLite names the first version with SQLite 3.35 or any later one of the same line.
const wordGetSQLite = "go get github.com/mattn/go-sqlite3@v1.14"

func wordOldSQLite(version string) string {
	return fmt.Sprintf("github.com/mattn/go-sqlite3 %s brings a SQLite before 3.35, which has no RETURNING: the provider would not start (versions 2.0 are older than 1.14.7, the first that does)", version)
}

func wordLeftMethod(at, method, pattern string) string {
	text := fmt.Sprintf("%s: %s %s stays in charge of %s below the mount path, since gin takes no other route beside it", at, method, pattern, method)
	if method == http.MethodOptions {
		text += ". Browsers on other origins that call /token or /userinfo get its answer to their preflight: it must allow them"
	}
	return text
}

func wordHidden(host, ours string) string {
	return fmt.Sprintf("%s also matches %s of the provider, and the first match wins in this router", host, ours)
}

func wordSubRouter(pattern string) string {
	return pattern + " is a sub-router at the mount path"
}

func wordRootNeedsNoCatchAll(pattern string) string {
	return pattern + " answers everything, so the provider cannot be mounted at /"
}

func wordOtherMountPath(mount string) string {
	other := "/idp"
	if mount == other {
		other = defaultMountPath
	}
	return "lockspire install --mount-path " + other
}

func nothingWords(in templates.Inputs) string {
	return fmt.Sprintf("Nothing to do: Lockspire is installed in %s and mounted at %s.", in.Package, in.MountPath)
}

func wroteWords(created, updated int) string {
	return fmt.Sprintf("Wrote %d new and %d changed files.", created, updated)
}

// describe fills what the plan says beside its changes.
func (j *job) describe(rendered []templates.File) {
	j.plan.Found = j.found()
	j.plan.Warnings = j.warnings()
	if j.recorded == nil || !j.plan.Empty() {
		j.plan.Todo = j.todo(rendered)
	}
}

func (j *job) found() []string {
	lines := []string{fmt.Sprintf("module      %s, read with %s", j.repo.ModulePath, j.repo.GoVersion)}
	add := func(what, format string, args ...any) {
		lines = append(lines, fmt.Sprintf("%-11s ", what)+fmt.Sprintf(format, args...))
	}
	for _, note := range j.repo.Notes {
		add("note", "%s", note)
	}
	if len(j.repo.Tags) > 0 {
		add("build tags", "%s", strings.Join(j.repo.Tags, ","))
	}
	if n := len(j.repo.Errors); n > 0 {
		e := j.repo.Errors[0]
		add("errors", "%d before this plan, the first at %s:%d; it may add none", n, e.File, e.Line)
	}
	if r := j.router; r != nil {
		add("router", "%s %s in %s, %s:%d", r.Type, r.Expr, r.Func, r.File, r.Line)
		for _, w := range r.Wrappers {
			add("around it", "%s, %s:%d", w.Func, w.File, w.Line)
		}
		if r.Login != nil && j.LoginPath == "" {
			add("sign-in", "%s, %s:%d", r.Login.Path, r.Login.File, r.Login.Line)
		}
	}
	switch {
	case j.handle != nil:
		add("database", "%s, %s", handleWords(j.handle), j.engineWords())
	case j.Database == databaseSeparate:
		add("database", "%s by driver %s; separate from the application's, as you asked", j.in.Engine, j.in.DriverName)
	case j.in.Database == templates.DatabaseOwn:
		add("database", "%s by driver %s; no handle is in scope at the router", j.in.Engine, j.in.DriverName)
	default:
		add("database", "%s", j.in.Engine)
	}
	j.foundSession(add)
	for _, line := range j.migrationsFound() {
		add("migrations", "%s", line)
	}
	for _, m := range slices.Concat(j.repo.Mounts, j.repo.LostMounts) {
		if m.Package == j.in.ImportPath() {
			add("wired", "%s in %s, %s:%d", m.Callee, m.Func, m.File, m.Line)
		}
	}
	for _, file := range j.adopted {
		add("adopted", "%s", file)
	}
	return lines
}

func (j *job) warnings() []string {
	var out []string
	if shared := j.sharedPrefix(); len(shared) > 0 {
		out = append(out, "these routes share the prefix "+j.in.MountPath+" and keep working:\n"+strings.Join(shared, "\n"))
	}
	out = append(out, j.leftMethods()...)
	if j.Issuer != "" && j.recorded == nil {
		if u, err := checkIssuer(j.Issuer); err == nil && u.Path != strings.TrimSuffix(j.in.MountPath, "/") {
			out = append(out, fmt.Sprintf("the issuer's path %s is not the mount path %s: right only behind a proxy that changes it", u.Path, j.in.MountPath))
		}
	}
	out = append(out, j.migrationWarnings()...)
	if j.router == nil {
		return out
	}
	for _, h := range j.repo.Hidden {
		if h.Kind != "" { // what only serves may be a debug page
			out = append(out, fmt.Sprintf("%s:%d %s is in another build, which does not get the call:\n%s", h.File, h.Line, h.Call, h.Command("lockspire install --dry-run")))
		}
	}
	out = append(out, j.middlewareWarnings()...)
	if j.in.Router == templates.RouterFiber {
		out = append(out, wordFiberLimits)
	}
	for _, r := range j.router.Routes {
		if host, path, ok := strings.Cut(r.Pattern, "/"); r.Known && ok && host != "" && strings.HasPrefix("/"+path, j.in.MountPath+"/") {
			out = append(out, fmt.Sprintf("%s:%d %s goes before the provider for that host name", r.File, r.Line, r.Pattern))
		}
	}
	if warning := j.basePath(); warning != "" {
		out = append(out, warning)
	}
	for _, p := range j.repo.Providers {
		out = append(out, fmt.Sprintf("%s:%d calls lockspire.New by hand: with the generated Mount there are two providers", p.File, p.Line))
	}
	return out
}

// todo is what only a person can do, in the order in which it is done.
func (j *job) todo(rendered []templates.File) []string {
	prefix := strings.TrimSuffix(j.in.MountPath, "/")
	var out []string
	if j.NoWire && !j.wired() {
		where := "Call Mount where your routes are registered, after the session middleware"
		if j.in.Router == templates.RouterHandler {
			where = "Put Mount around the handler that you serve, inside the session middleware"
		}
		out = append(out, where+":\n"+
			"import \""+j.in.ImportPath()+"\"\n"+strings.Join(j.pastedCall(), "\n"))
	}
	resolver := fmt.Sprintf("Write the account resolver, %s: who is signed in, and what clients may know of them.",
		at(rendered, "account_resolver", "CurrentAccount("))
	if j.in.Session.Filled() {
		resolver = fmt.Sprintf("Finish the account resolver, %s: it reads who is signed in, and not yet who a subject is (%s)\nand what clients may know of them.",
			at(rendered, "account_resolver", "CurrentAccount("), at(rendered, "account_resolver", "AccountBySubject("))
	}
	if j.router != nil && j.router.Insert.InMain && !j.in.Session.Filled() {
		resolver += fmt.Sprintf("\nNothing can import package main: give Host a func field for what it needs from there (%s).",
			at(rendered, "config", "type Host "))
	}
	out = append(out, resolver)
	out = append(out, j.letPass()...)
	login := "Make your sign-in bring return_to and interaction_id through every step to the last redirect"
	if j.router != nil && j.router.Login != nil && j.router.Login.Path == j.in.LoginPath {
		login += fmt.Sprintf(": %s is at %s:%d.", j.in.LoginPath, j.router.Login.File, j.router.Login.Line)
	} else {
		login += fmt.Sprintf(": the resolver sends people to %s (loginPath, %s).", j.in.LoginPath, at(rendered, "config", "loginPath ="))
	}
	out = append(out, login)
	if j.in.Database == templates.DatabaseOwn {
		out = append(out, fmt.Sprintf("Name the database of the lockspire_* tables, or pass your own pool instead (%s):\nexport LOCKSPIRE_DATABASE_URL=…",
			at(rendered, "database", "func openDatabase(")))
	}
	out = append(out, j.migrationsTodo()...)
	if j.in.Engine == templates.EngineSQLite {
		out = append(out, "Open SQLite with write-ahead logging, a busy timeout and foreign keys; Lockspire checks at start and names the setting.")
	}
	issuer := j.in.Issuer
	if issuer == "" {
		issuer = "https://app.example" + prefix
	}
	out = append(out, "Guard the API that clients may call, with the provider that Mount returns:\n"+
		"provider.Protect(lockspire.RequireScope(\"profile\"))(handler)")
	out = append(out,
		"In production set the issuer and a secret; on loopback both have defaults:\n"+
			"export LOCKSPIRE_ISSUER="+issuer+"\nexport LOCKSPIRE_SECRETS=\"$(openssl rand -base64 32)\"",
		"Run the smoke test now, and verify in CI:\n"+j.smokeTest()+"\n"+j.pinned("verify"),
		"Register the first client, on the database that LOCKSPIRE_DATABASE_URL names:\n"+
			"lockspire client create --name \"Partner\" --redirect-uri https://partner.example/callback",
	)
	return out
}

// pinned is a command for a script. A release names itself, so that no tool line in the host's go.mod has to (it would
// bring our dependencies into the host's module graph).
func (j *job) pinned(command string) string {
	if len(j.Tags) > 0 {
		command += " --tags " + strings.Join(j.Tags, ",")
	}
	if semver.IsValid(j.Version) && !module.IsPseudoVersion(j.Version) && semver.Build(j.Version) == "" {
		return "go run github.com/lockspire/lockspire/cmd/lockspire@" + j.Version + " " + command
	}
	return "lockspire " + command
}

// smokeTest is the command; on PostgreSQL the test needs to be told of a server, and is skipped without.
func (j *job) smokeTest() string {
	command := "go test ./" + j.in.Package
	if len(j.Tags) > 0 {
		command = "go test -tags " + strings.Join(j.Tags, ",") + " ./" + j.in.Package
	}
	if j.in.Engine == templates.EnginePG {
		return "LOCKSPIRE_TEST_DATABASE_URL=postgres://postgres@localhost/postgres " + command
	}
	return command
}

// pastedCall is the call for a person to place. Names stand for what they have there.
func (j *job) pastedCall() []string {
	fields := ""
	switch j.in.Database {
	case templates.DatabaseSQL:
		fields = "DB: db"
	case templates.DatabasePgx:
		fields = "Pool: pool"
	case templates.DatabaseGorm:
		fields = "Gorm: db"
	}
	router := "router"
	if j.in.Router == templates.RouterHandler {
		router = "handler"
	}
	if j.router != nil && j.router.Expr != "" && !strings.Contains(j.router.Expr, "…") {
		router = j.router.Expr
		if j.handle != nil {
			fields = j.databaseField()
		}
	}
	if f := j.sessionField(j.in.PackageName() + "."); f != "" {
		fields = strings.TrimPrefix(fields+", "+f, ", ")
	}
	name := j.in.PackageName()
	return []string{name + ".MustMount(" + router + ", " + name + ".Host{" + fields + "})"}
}

// at is where text stands in the file of a template.
func at(rendered []templates.File, template, text string) string {
	for _, f := range rendered {
		if f.Template != template {
			continue
		}
		if i := bytes.Index(f.Content, []byte(text)); i >= 0 {
			return fmt.Sprintf("%s:%d", f.Path, 1+bytes.Count(f.Content[:i], []byte("\n")))
		}
		return f.Path
	}
	return path.Join("…", template)
}
