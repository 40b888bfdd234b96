package install

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/internal/verify"
	"github.com/lockspire/lockspire/templates"
)

// TestI86AndI109AndI110 installs into every program of testdata/sessions.txtar. The want section has what the plan says of the
// session, the call, and CurrentAccount. All of it must compile, and verify must call CurrentAccount a stub exactly where the
// plan leaves it to a person; it must call the two methods that read accounts stubs everywhere.
func TestI86AndI109AndI110ResolverReadsTheSessionThatIsFoundAndCompiles(t *testing.T) {
	const fixture = "testdata/sessions.txtar"
	a, err := txtar.ParseFile(fixture)
	if err != nil {
		t.Fatal(err)
	}
	host := copyHost(t, t.TempDir())
	for _, f := range a.Files {
		if f.Name != "want" {
			writeFile(t, filepath.Join(host, f.Name), string(f.Data))
		}
	}
	env := append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	repo, err := hostrepo.Load(t.Context(), hostrepo.Options{Dir: host, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range repo.Errors {
		t.Errorf("%s:%d: %s", e.File, e.Line, e.Msg)
	}
	var got strings.Builder
	filled := map[string]bool{}
	for routers := repo.Routers; len(routers) > 0; routers = routers[1:] {
		repo.Routers = routers[:1]
		name := strings.Split(routers[0].File, "/")[0]
		fmt.Fprintf(&got, "== %s\n", name)
		dir := "gen/as" + name
		o := Options{Package: dir}
		j, err := decideOn(t, repo, o)
		if refusals, ok := plan.AsRefusals(err); ok {
			for _, r := range refusals {
				fmt.Fprintf(&got, "exit %d: %s:%d: %s\n\t%s\n", r.Exit, r.Path, r.Line, r.What, r.Next)
			}
			o.Session = strings.Fields(refusals[0].Next)[3]
			j, err = decideOn(t, repo, o)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range j.found() {
			if strings.HasPrefix(line, "session ") {
				fmt.Fprintln(&got, line)
			}
		}
		if err := j.wire(); err != nil {
			t.Fatal(err)
		}
		for _, change := range j.plan.Changes {
			writeFile(t, filepath.Join(host, change.Path), string(change.After))
		}
		rendered, err := templates.Render(j.in)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range rendered {
			if !strings.HasSuffix(f.Path, "_test.go") {
				writeFile(t, filepath.Join(host, f.Path), string(f.Content))
			}
		}
		filled[path.Join(dir, "account_resolver.go")] = j.in.Session.Filled()
		fmt.Fprintln(&got, strings.Join(j.call(j.in.PackageName()+"."), "\n"))
		if j.in.Session.Filled() {
			fmt.Fprintln(&got, funcText(t, source(t, j, "account_resolver.go"), "CurrentAccount"))
		}
	}
	i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == "want" })
	switch {
	case *update && i < 0:
		a.Files = append(a.Files, txtar.File{Name: "want"})
		i = len(a.Files) - 1
		fallthrough
	case *update:
		a.Files[i].Data = []byte(got.String())
		writeFile(t, fixture, string(txtar.Format(a)))
	case i < 0 || string(a.Files[i].Data) != got.String():
		t.Errorf("another outcome than the want section has:\n%s", diffTrees(t, map[string]string{"want": string(a.Files[max(i, 0)].Data)}, map[string]string{"want": got.String()}))
	}
	stubs := map[string][]string{}
	report, err := verify.Run(t.Context(), verify.Options{Dir: host, Env: env, CLIVersion: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		if f.Rule == "LS201" {
			stubs[f.File] = append(stubs[f.File], strings.Fields(f.Message)[0])
		}
	}
	for file, whole := range filled {
		want := []string{"CurrentAccount", "AccountBySubject", "Claims"}
		if whole {
			want = want[1:]
		}
		if !slices.Equal(stubs[file], want) {
			t.Errorf("%s: verify finds the stubs %v, want %v", file, stubs[file], want)
		}
	}
	again, err := hostrepo.Load(t.Context(), hostrepo.Options{Dir: host, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range again.Errors {
		t.Errorf("installed: %s:%d: %s", e.File, e.Line, e.Msg)
	}
}

// funcText is the declaration of a func or method without its comment.
func funcText(t *testing.T, source, name string) string {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "x.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == name {
			var b bytes.Buffer
			if err := printer.Fprint(&b, fset, fn); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
	}
	t.Fatalf("no %s", name)
	return ""
}
