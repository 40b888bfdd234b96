package hostrepo

import (
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"go/types"
	"testing"

	"golang.org/x/tools/go/packages"
)

func layout(t *testing.T, src string) Insertion {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "x.go", src, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	u := &unit{pkg: &packages.Package{}, file: f}
	return Insertion{EOL: eolAt([]byte(src), 0), Imports: fileImports(u), layout: layoutOf(u, []byte(src), fset.File(f.Package))}
}

func TestI82ImportSplice(t *testing.T) {
	const path = "example.com/host/internal/authserver"
	tests := []struct{ name, src, want string }{
		{
			"joins the module's own group, in order",
			"package x\n\nimport (\n\t\"fmt\"\n\n\t\"github.com/a/b\"\n\n\t\"example.com/host/db\"\n\t\"example.com/host/web\" // keep\n)\n",
			"package x\n\nimport (\n\t\"fmt\"\n\n\t\"github.com/a/b\"\n\n\t\"example.com/host/db\"\n\t\"example.com/host/internal/authserver\"\n\t\"example.com/host/web\" // keep\n)\n",
		},
		{
			"before every import of its group that sorts after it",
			"package x\n\nimport (\n\t\"fmt\"\n\n\t\"example.com/host/internal/signin\"\n\t\"example.com/host/internal/web\"\n)\n",
			"package x\n\nimport (\n\t\"fmt\"\n\n\t\"example.com/host/internal/authserver\"\n\t\"example.com/host/internal/signin\"\n\t\"example.com/host/internal/web\"\n)\n",
		},
		{
			"above the comment of the import that sorts after it",
			"package x\n\nimport (\n\t\"fmt\"\n\n\t// pages\n\t\"example.com/host/internal/web\"\n)\n",
			"package x\n\nimport (\n\t\"fmt\"\n\n\t\"example.com/host/internal/authserver\"\n\t// pages\n\t\"example.com/host/internal/web\"\n)\n",
		},
		{
			"between an import of another module and one that sorts after it",
			"package x\n\nimport (\n\t\"example.com/host\"\n\t\"example.com/host-tools/a\"\n\t\"example.com/host/web\"\n\t\"github.com/a/b\"\n)\n",
			"package x\n\nimport (\n\t\"example.com/host\"\n\t\"example.com/host-tools/a\"\n\t\"example.com/host/internal/authserver\"\n\t\"example.com/host/web\"\n\t\"github.com/a/b\"\n)\n",
		},
		{
			"a blank import of the same path",
			"package x\n\nimport (\n\t_ \"example.com/host/internal/authserver\"\n\t\"example.com/host/web\"\n)\n",
			"package x\n\nimport (\n\t\"example.com/host/internal/authserver\"\n\t_ \"example.com/host/internal/authserver\"\n\t\"example.com/host/web\"\n)\n",
		},
		{
			"a comment over several lines",
			"package x\n\nimport (\n\t\"example.com/host/a\" /* one\n\ttwo */\n)\n",
			"package x\n\nimport (\n\t\"example.com/host/a\" /* one\n\ttwo */\n\t\"example.com/host/internal/authserver\"\n)\n",
		},
		{
			"an unsorted group keeps its order",
			"package x\n\nimport (\n\t\"example.com/host/web\"\n\t\"example.com/host/db\"\n\t\"example.com/host/app\"\n)\n",
			"package x\n\nimport (\n\t\"example.com/host/web\"\n\t\"example.com/host/db\"\n\t\"example.com/host/app\"\n\t\"example.com/host/internal/authserver\"\n)\n",
		},
		{
			"own group at the end",
			"package x\n\nimport (\n\tb \"github.com/a/b\"\n\t\"fmt\"\n)\n",
			"package x\n\nimport (\n\tb \"github.com/a/b\"\n\t\"fmt\"\n\n\t\"example.com/host/internal/authserver\"\n)\n",
		},
		{
			"no imports",
			"package x // c\n\nvar a int\n",
			"package x // c\n\nimport \"example.com/host/internal/authserver\"\n\nvar a int\n",
		},
		{
			"single imports",
			"package x\n\nimport \"fmt\"\nimport . \"os\"\n",
			"package x\n\nimport \"fmt\"\nimport . \"os\"\nimport \"example.com/host/internal/authserver\"\n",
		},
		{
			"cgo first, then a block",
			"package x\n\n// #include <x.h>\nimport \"C\"\n\nimport (\n\t\"fmt\"\n)\n",
			"package x\n\n// #include <x.h>\nimport \"C\"\n\nimport (\n\t\"fmt\"\n\n\t\"example.com/host/internal/authserver\"\n)\n",
		},
		{
			"block on one line",
			"package x\n\nimport ( \"fmt\"; \"os\" )\n",
			"package x\n\nimport ( \"fmt\"; \"os\" )\nimport \"example.com/host/internal/authserver\"\n",
		},
		{
			"carriage returns",
			"package x\r\n\r\nimport (\r\n  \"example.com/host/a\"\r\n)\r\n",
			"package x\r\n\r\nimport (\r\n  \"example.com/host/a\"\r\n  \"example.com/host/internal/authserver\"\r\n)\r\n",
		},
		{
			"everything on one line",
			"package x; var a int",
			"package x\nimport \"example.com/host/internal/authserver\"; var a int",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := layout(t, tt.src)
			got := string(Apply([]byte(tt.src), in.ImportSplice(path, "authserver", "authserver")))
			if got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			f, err := parser.ParseFile(token.NewFileSet(), "x.go", got, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(f.Imports); n != len(in.Imports)+1 {
				t.Errorf("%d imports", n)
			}
			if is, err := format.Source([]byte(tt.src)); err == nil && string(is) == tt.src {
				if is, err := format.Source([]byte(got)); err != nil || string(is) != got {
					t.Errorf("gofmt would change it: %v\n%s", err, is)
				}
			}
		})
	}
}

func TestI83AliasAvoidsEveryNameInScope(t *testing.T) {
	for _, tt := range []struct {
		scope []string
		want  string
	}{
		{nil, "authserver"},
		{[]string{"authserver"}, "lsauth"},
		{[]string{"authserver", "lsauth", "lsauth2"}, "lsauth3"},
	} {
		if got := (Insertion{Scope: tt.scope}).Alias("authserver"); got != tt.want {
			t.Errorf("Alias with %v = %s, want %s", tt.scope, got, tt.want)
		}
	}
}

func TestZeroValuesCompile(t *testing.T) {
	src := `package x
type s struct{}
type i int
func f[T any](p *s, v s, n i, b bool, t string, e interface{}, a [2]int, g T, m map[string]int, c chan int, fn func()) {}`
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "x.go", src, 0)
	if err != nil {
		t.Fatal(err)
	}
	pkg, sig := typecheck(t, fset, f)
	want := []string{"nil", "s{}", "0", "false", `""`, "nil", "[2]int{}", "*new(T)", "nil", "nil", "nil"}
	for i, w := range want {
		if got := zeroText(sig.Params().At(i).Type(), qualifier(&unit{pkg: &packages.Package{Types: pkg}, file: &ast.File{}})); got != w {
			t.Errorf("zero of %s = %s, want %s", sig.Params().At(i), got, w)
		}
	}
}

// A8: what makes a middleware may be a key.
func TestMiddlewareTextKeepsNoArgument(t *testing.T) {
	for text, want := range map[string]string{
		`session`: "session", `s.m.LoadAndSave`: "s.m.LoadAndSave", `csrf.Protect([]byte("hunter22"), csrf.Path("/"))`: "csrf.Protect(…)",
		`csrf.New("hunter22").Handler`: "csrf.New(…).Handler", `m["hunter22"].Wrap`: "m.Wrap", `func(h http.Handler) http.Handler { return h }`: "func",
	} {
		e, err := parser.ParseExpr(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := middlewareText(e); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestCatchAll(t *testing.T) {
	for pattern, want := range map[string]bool{"/": true, "/*": true, "/{rest...}": true, "/a/": false, "/{$}": false, "/{id}": false, "/a/{rest...}": false} {
		r := Route{Pattern: pattern, Known: true, Subtree: pattern != "/{$}" && pattern != "/{id}"}
		if r.CatchAll() != want {
			t.Errorf("CatchAll(%s) = %v", pattern, !want)
		}
	}
}

func TestEngineOfDSNKeepsNothing(t *testing.T) {
	for dsn, want := range map[string]string{
		"postgres://u:p@h/db": "postgres", "host=h dbname=x sslmode=disable": "postgres", "file:x.db?mode=rwc": "sqlite",
		":memory:": "sqlite", "data/app.db": "sqlite", "u:p@tcp(h)/db": "mysql", "whatever": "",
	} {
		if got := engineOfDSN(dsn); got != want {
			t.Errorf("%s: %q, want %q", dsn, got, want)
		}
	}
}

func TestMigrationNaming(t *testing.T) {
	var m MigrationDir
	m.Tool = "goose"
	for _, n := range []string{"00001_a.sql", "00010_b.sql", "x.sql", "20240102030405_c.sql"} {
		m.version(n)
	}
	if m.Naming != "timestamp" || m.Newest != 20240102030405 || m.Width != 14 {
		t.Errorf("%+v", m)
	}
}

func typecheck(t *testing.T, fset *token.FileSet, f *ast.File) (*types.Package, *types.Signature) {
	t.Helper()
	pkg, err := new(types.Config).Check("x", fset, []*ast.File{f}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return pkg, pkg.Scope().Lookup("f").Type().(*types.Signature)
}
