package templates

import (
	"bytes"
	"go/format"
	"go/parser"
	"go/scanner"
	"go/token"
	"html/template"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/imports"

	lockspire "github.com/lockspire/lockspire/runtime"
)

func muxInputs() Inputs {
	return Inputs{
		Database: DatabaseSQL, DriverImport: "modernc.org/sqlite", DriverName: "sqlite", Engine: EngineSQLite,
		LoginPath: "/login", Migrations: MigrationsRuntime, Module: "example.com/app", MountPath: "/lockspire",
		Package: "internal/authserver", Router: RouterMux, RouterImport: "net/http", Wire: true,
	}
}

func chiInputs() Inputs {
	return Inputs{
		Database: DatabasePgx, DriverImport: "github.com/jackc/pgx/v5/pgxpool", Engine: EnginePG,
		LoginPath: "/session/new", Migrations: MigrationsGoose, MigrationsDir: "db/migrations",
		MigrationsNaming: NamingTimestamp, MigrationsWidth: 14, Module: "example.com/app", MountPath: "/lockspire",
		Package: "internal/authserver", Router: RouterChi, RouterImport: "github.com/go-chi/chi/v5", Wire: true,
	}
}

// variants are inputs that differ in every branch of the templates.
func variants() map[string]Inputs {
	root := muxInputs()
	root.MountPath, root.Database, root.Package = "/", DatabaseOwn, "oauthsrv"
	postgres := chiInputs()
	postgres.Database, postgres.DriverImport, postgres.DriverName = DatabaseSQL, "github.com/lib/pq", "postgres"
	postgres.Schema, postgres.Issuer, postgres.Migrations = "auth", "https://app.example/prefix/lockspire", MigrationsPrint
	mattn := muxInputs()
	mattn.DriverImport, mattn.DriverName, mattn.SigraHost = "github.com/mattn/go-sqlite3", "sqlite3", true
	ownPostgres := postgres
	ownPostgres.Database, ownPostgres.Issuer = DatabaseOwn, ""
	on := func(router, path string) Inputs {
		in := muxInputs()
		in.Router, in.RouterImport = router, path
		return in
	}
	rootHandler := on(RouterHandler, "net/http")
	rootHandler.MountPath, rootHandler.Database = "/", DatabaseOwn
	return map[string]Inputs{
		"gorilla": on(RouterGorilla, "github.com/gorilla/mux"), "gin": on(RouterGin, "github.com/gin-gonic/gin"),
		"echo4": on(RouterEcho, echo4), "echo5": on(RouterEcho, echo5), "fiber2": on(RouterFiber, fiber2), "fiber3": on(RouterFiber, fiber3),
		"handler": on(RouterHandler, "net/http"), "root-handler": rootHandler,
		"mux": muxInputs(), "chi": chiInputs(), "root": root, "postgres": postgres, "mattn": mattn, "own-postgres": ownPostgres,
	}
}

func render(t *testing.T, in Inputs) []File {
	t.Helper()
	files, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestRenderedFilesAreAFixedPointOfGofmtAndGoimports(t *testing.T) {
	for name, in := range variants() {
		for _, f := range render(t, in) {
			if !strings.HasSuffix(f.Path, ".go") {
				continue
			}
			formatted, err := format.Source(f.Content)
			if err != nil {
				t.Fatalf("%s %s: %v", name, f.Path, err)
			}
			if !bytes.Equal(formatted, f.Content) {
				t.Errorf("%s %s: gofmt changes it", name, f.Path)
			}
			sorted, err := imports.Process(f.Path, f.Content, &imports.Options{FormatOnly: true, Comments: true, TabIndent: true, TabWidth: 8})
			if err != nil || !bytes.Equal(sorted, f.Content) {
				t.Errorf("%s %s: goimports changes it: %v", name, f.Path, err)
			}
		}
	}
}

func TestRenderedFilesPassTheHostsLinters(t *testing.T) {
	for name, in := range variants() {
		for _, f := range render(t, in) {
			for i, line := range strings.Split(string(f.Content), "\n") {
				if width := len([]rune(strings.ReplaceAll(line, "\t", "    "))); width > 120 {
					t.Errorf("%s %s:%d: %d columns", name, f.Path, i+1, width)
				}
				if strings.TrimRight(line, " \t") != line {
					t.Errorf("%s %s:%d: blanks at the end", name, f.Path, i+1)
				}
			}
			for _, banned := range []string{"TODO", "FIXME", "{{.Name}}:", "<no value>"} {
				if bytes.Contains(f.Content, []byte(banned)) && strings.HasSuffix(f.Path, ".go") {
					t.Errorf("%s %s: contains %s", name, f.Path, banned)
				}
			}
			if f.Content[len(f.Content)-1] != '\n' || bytes.Contains(f.Content, []byte("\r")) {
				t.Errorf("%s %s: line ends", name, f.Path)
			}
		}
	}
}

// The header is the standard one, so that linters skip managed files, and names no version or date, so that a release
// does not touch every file. Host-owned files do not carry it: they are the host's to lint.
func TestOnlyManagedFilesCarryTheGeneratedHeader(t *testing.T) {
	for _, f := range render(t, chiInputs()) {
		has := bytes.HasPrefix(f.Content, []byte(generatedHeader+"\n\npackage "))
		if want := f.Owner == Managed && f.Template != "gitignore"; has != want {
			t.Errorf("%s: generated header is %v, owner %s", f.Path, has, f.Owner)
		}
	}
}

func TestSigraHostChangesCommentsOnly(t *testing.T) {
	for name, in := range variants() {
		in.SigraHost = false
		plain := render(t, in)
		in.SigraHost = true
		sigra := render(t, in)
		if len(plain) != len(sigra) {
			t.Fatalf("%s: %d files and %d", name, len(plain), len(sigra))
		}
		differ := 0
		for i, f := range plain {
			g := sigra[i]
			if bytes.Equal(f.Content, g.Content) {
				continue
			}
			differ++
			if f.Path != g.Path || f.Template != "account_resolver" || tokens(t, f.Content) != tokens(t, g.Content) {
				t.Errorf("%s %s: the code differs", name, f.Path)
			}
			if !bytes.Contains(g.Content, []byte("current.User")) {
				t.Errorf("%s %s: does not say where the current scope's User is", name, g.Path)
			}
		}
		if differ != 1 {
			t.Errorf("%s: %d files differ, want the resolver", name, differ)
		}
	}
}

// tokens is the token stream of a Go file without its comments.
func tokens(t *testing.T, src []byte) string {
	t.Helper()
	var s scanner.Scanner
	file := token.NewFileSet().AddFile("", -1, len(src))
	s.Init(file, src, func(pos token.Position, msg string) { t.Errorf("%v: %s", pos, msg) }, 0)
	var out strings.Builder
	for {
		_, tok, lit := s.Scan()
		if tok == token.EOF {
			return out.String()
		}
		out.WriteString(tok.String() + " " + lit + "\n")
	}
}

func TestRenderIsPure(t *testing.T) {
	for name, in := range variants() {
		first, second := render(t, in), render(t, in)
		for i := range first {
			if !bytes.Equal(first[i].Content, second[i].Content) {
				t.Errorf("%s %s: two renders differ", name, first[i].Path)
			}
		}
	}
}

// No secret may be in source: a literal would be the same in every checkout (verify rule on secrets).
func TestConfigHasNoSecretLiteral(t *testing.T) {
	for _, f := range render(t, muxInputs()) {
		if f.Template != "config" {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Path, f.Content, 0)
		if err != nil {
			t.Fatal(err)
		}
		if parsed.Scope.Lookup("secretsFor") == nil || bytes.Contains(f.Content, []byte("[]byte(\"")) {
			t.Error("config.go has a literal where secrets are read")
		}
	}
}

func TestPagesExecuteWithEveryFieldAndWithNone(t *testing.T) {
	pages := template.Must(template.New("").Funcs(template.FuncMap{
		"link": func(s string) template.URL { return template.URL(s) },
	}).ParseFS(pageFiles, "pages/*.html"))
	hostile := `"><script>alert(1)</script>`
	full := lockspire.ConsentPage{
		Action: "/lockspire/interactions/x", Token: "token-1", Nonce: "nonce-1",
		Client:    lockspire.PageClient{Name: hostile, RedirectHost: "127.0.0.1", Loopback: true, URI: "https://partner.example"},
		Account:   lockspire.Account{Subject: "1", DisplayName: "Alice"},
		Resources: []lockspire.Resource{{Identifier: "https://app.example"}, {Identifier: "https://b.example", Name: "B"}},
		Scopes: []lockspire.ConsentScope{
			{Scope: lockspire.Scope{Name: "openid"}},
			{Scope: lockspire.Scope{Name: "orders:read", Title: "Read your orders", Description: "All of them.", Optional: true}, Granted: true},
		},
	}
	for name, data := range map[string][]any{
		"consent.html": {full, lockspire.ConsentPage{}},
		"apps.html": {
			lockspire.AuthorizedAppsPage{Revoked: hostile, Grants: []lockspire.Grant{{ID: "g", ClientName: hostile, CreatedAt: time.Now(), Scopes: []lockspire.Scope{{Name: "openid"}}}}},
			lockspire.AuthorizedAppsPage{},
		},
		"error.html": {lockspire.ErrorPage{Title: "T", ContinueURL: "com.example.app:/callback"}, lockspire.ErrorPage{}},
	} {
		for _, page := range data {
			var out bytes.Buffer
			if err := pages.ExecuteTemplate(&out, name, page); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if strings.Contains(out.String(), "<script") || strings.Contains(out.String(), "ZgotmplZ") {
				t.Errorf("%s: unsafe output:\n%s", name, out.String())
			}
		}
	}
	var out bytes.Buffer
	if err := pages.ExecuteTemplate(&out, "consent.html", full); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"127.0.0.1", "program on this computer", "Alice", "Not you?", "Read your orders", "All of them.", "already allowed",
		`name="scope" value="orders:read" checked`, "https://app.example, B", `nonce="nonce-1"`, `name="decision_token" value="token-1"`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the consent page lacks %q", want)
		}
	}
}
