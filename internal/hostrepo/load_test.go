package hostrepo

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"

	"github.com/lockspire/lockspire/internal/plan"
)

const (
	goMod   = "module example.com/host\n\ngo 1.24\n"
	tinyMux = `package main

import "net/http"

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/x", nil)
	http.ListenAndServe(":8080", mux)
}
`
)

// TestMain: a go.work that the caller's environment switches off is one that the hosts of these tests do not have.
func TestMain(m *testing.M) {
	os.Unsetenv("GOWORK")
	os.Exit(m.Run())
}

func load(t *testing.T, dir string, env ...string) (*Repo, error) {
	t.Helper()
	before := snapshot(t, dir)
	r, err := Load(context.Background(), Options{Dir: dir, Env: append(os.Environ(), env...)})
	sameTree(t, dir, before)
	return r, err
}

// refused loads a host that must be refused, and checks the exit code and that every text is in some refusal.
func refused(t *testing.T, dir string, exit int, texts ...string) plan.Refusals {
	t.Helper()
	_, err := load(t, dir)
	return checkRefusal(t, err, exit, texts...)
}

func checkRefusal(t *testing.T, err error, exit int, texts ...string) plan.Refusals {
	t.Helper()
	var rs plan.Refusals
	if !errors.As(err, &rs) {
		t.Fatalf("error is %v, want refusals", err)
	}
	if rs.ExitCode() != exit {
		t.Errorf("exit %d, want %d", rs.ExitCode(), exit)
	}
	for _, text := range texts {
		if !strings.Contains(rs.Error(), text) {
			t.Errorf("%q is not in:\n%v", text, rs)
		}
	}
	for _, r := range rs {
		if r.Next == "" {
			t.Errorf("%q names no next step", r.What)
		}
	}
	return rs
}

func TestI02LoadFromASubdirectoryTakesTheEnclosingModule(t *testing.T) {
	dir := expand(t, archive("go.mod", goMod, "main.go", tinyMux, "docs/deep/readme.txt", "x\n"))
	r, err := load(t, filepath.Join(dir, "docs", "deep"))
	if err != nil {
		t.Fatal(err)
	}
	if r.ModuleRoot != dir || r.ModulePath != "example.com/host" || len(r.Routers) != 1 {
		t.Errorf("root %s path %s routers %d", r.ModuleRoot, r.ModulePath, len(r.Routers))
	}
}

func TestI05NestedModuleIsNotRead(t *testing.T) {
	dir := expand(t, archive("go.mod", goMod, "main.go", tinyMux,
		"e2e/go.mod", "module example.com/e2e\n\ngo 1.24\n", "e2e/main.go", tinyMux,
		"node_modules/x/main.go", tinyMux, "_examples/main.go", tinyMux, "testdata/bad.go", "<<<<<<< a\n"))
	r, err := load(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Packages) != 1 || len(r.Routers) != 1 {
		t.Errorf("%d packages, %d routers; want the one of the module", len(r.Packages), len(r.Routers))
	}

	t.Run("a router in one is named as another module's", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := load(t, dir)
		if err != nil {
			t.Fatal(err)
		}
		_, refusals := r.Root("")
		checkRefusal(t, refusals, 3, "e2e/main.go:6:9: http.NewServeMux() is in another module, e2e\n\tlockspire install -C e2e")
		if len(refusals) != 2 {
			t.Errorf("%v", refusals)
		}
	})
}

func TestI06WorkspaceIsLoadedWithoutTouchingIt(t *testing.T) {
	dir := expand(t, archive("go.work", "go 1.26\n\nuse (\n\t./app\n\t./lib\n)\n",
		"app/go.mod", goMod, "app/main.go", strings.ReplaceAll(tinyMux, `"/x"`, "lib.Path"),
		"lib/go.mod", "module example.com/lib\n\ngo 1.24\n", "lib/lib.go", "package lib\n\nconst Path = \"/lib\"\n"))
	file := filepath.Join(dir, "app", "main.go")
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	src = []byte(strings.Replace(string(src), `import "net/http"`, "import (\n\t\"net/http\"\n\n\t\"example.com/lib\"\n)", 1))
	if err := os.WriteFile(file, src, 0o644); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	r, err := Load(context.Background(), Options{Dir: filepath.Join(dir, "app"), Overlay: map[string][]byte{file: append(src, '\n')}})
	if err != nil {
		t.Fatal(err)
	}
	sameTree(t, dir, before)
	if r.Workspace != filepath.Join(dir, "go.work") || len(r.Errors) != 0 {
		t.Errorf("workspace %q, errors %v", r.Workspace, r.Errors)
	}
	if got := r.Routers[0].Routes[0].Pattern; got != "/lib" {
		t.Errorf("pattern %q, want the constant of the other module", got)
	}
}

func TestI07WorkspaceThatDoesNotListTheModuleIsLeftOut(t *testing.T) {
	dir := expand(t, archive("go.work", "go 1.26\n\nuse ./other\n", "other/go.mod", "module example.com/other\n\ngo 1.24\n",
		"app/go.mod", goMod, "app/main.go", tinyMux))
	r, err := load(t, filepath.Join(dir, "app"))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Routers) != 1 || len(r.Notes) != 1 || !slices.Contains(r.Env, "GOWORK=off") {
		t.Errorf("routers %d, notes %q", len(r.Routers), r.Notes)
	}
}

func TestI08WorkspaceRootListsItsModules(t *testing.T) {
	dir := expand(t, archive("go.work", "go 1.26\n\nuse (\n\t./app\n\t./lib\n)\n", "app/go.mod", goMod, "lib/go.mod", "module example.com/lib\n"))
	refused(t, dir, 3, "2 modules", "lockspire install -C app", "lockspire install -C lib")
	_, err := Load(context.Background(), Options{Dir: dir, Command: "lockspire verify"})
	checkRefusal(t, err, 3, "lockspire verify -C app", "lockspire verify -C lib")
}

func TestNoModuleIsRefused(t *testing.T) {
	refused(t, t.TempDir(), 3, "no go.mod")
}

func TestI09VendorIsHonoured(t *testing.T) {
	dir := expand(t, archive("go.mod", goMod+"\nrequire example.com/dep v1.0.0\n\nreplace example.com/dep => ./dep\n",
		"dep/go.mod", "module example.com/dep\n\ngo 1.24\n", "dep/dep.go", "package dep\n\nconst Path = \"/dep\"\n",
		"main.go", strings.NewReplacer(`"/x"`, "dep.Path", `import "net/http"`, "import (\n\t\"net/http\"\n\n\t\"example.com/dep\"\n)").Replace(tinyMux)))
	cmd := exec.Command("go", "mod", "vendor")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go mod vendor: %s", out)
	}
	r, err := load(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Vendored || len(r.Errors) > 0 || r.Routers[0].Routes[0].Pattern != "/dep" {
		t.Errorf("vendored %v errors %v", r.Vendored, r.Errors)
	}

	t.Run("I10 inconsistent", func(t *testing.T) {
		mod := filepath.Join(dir, "go.mod")
		if err := os.WriteFile(mod, []byte(goMod+"\nrequire example.com/dep v1.0.1\n\nreplace example.com/dep => ./dep\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		refused(t, dir, 3, "vendor/ does not agree", "go mod vendor")
	})
}

func TestMissingChecksumIsNamedWithItsCommand(t *testing.T) {
	dir := expand(t, archive("go.mod", "module example.com/host\n\ngo 1.16\n\nrequire github.com/lib/pq v1.12.3\n", "main.go", tinyMux))
	rs := refused(t, dir, 3, "go.sum", "go mod tidy")
	if len(rs) != 1 || rs[0].Path != "go.sum" {
		t.Errorf("%v", rs)
	}
}

func TestUnknownDirectiveIsNamedWithItsLine(t *testing.T) {
	dir := expand(t, archive("go.mod", goMod+"\nrequired x v1.0.0\n", "main.go", tinyMux))
	rs := refused(t, dir, 3, "unknown directive: required", "go mod edit -json")
	if len(rs) != 1 || rs[0].Path != "go.mod" || rs[0].Line != 5 {
		t.Errorf("%v", rs)
	}
}

func TestWhatTheGoCommandSaysIsOneLine(t *testing.T) {
	got := goMessage("err: exit status 1: stderr: go: a@v1 requires\n\tb@v2: no such module; to add it:\n\tgo get b\n")
	if want := "go: a@v1 requires b@v2: no such module; to add it: go get b"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestI11ModModIsOverriddenAndTagsAreHonoured(t *testing.T) {
	// A go.mod that the code needs more of: -mod=mod would add to it.
	dir := expand(t, archive("go.mod", goMod, "main.go", tinyMux, "imp.go", "package main\n\nimport _ \"github.com/pmezard/go-difflib/difflib\"\n",
		"prod.go", "//go:build prod\n\npackage main\n\nimport _ \"github.com/lib/pq\"\n"))
	r, err := load(t, dir, "GOFLAGS=-mod=mod -tags=prod")
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Errors) == 0 {
		t.Error("the missing requirement was not reported: go.mod was not read-only")
	}
	if len(r.Engines) != 1 || r.Engines[0].Engine != "postgres" {
		t.Errorf("engines %+v, want the one behind the tag", r.Engines)
	}
	if !slices.Equal(r.Tags, []string{"prod"}) {
		t.Errorf("tags %q", r.Tags)
	}
}

func TestI17GoDirectiveNewerThanGo(t *testing.T) {
	dir := expand(t, archive("go.mod", "module example.com/host\n\ngo 1.99\n", "main.go", tinyMux))
	_, err := load(t, dir, "GOTOOLCHAIN=local")
	checkRefusal(t, err, 3, "go 1.99", "go1.", "GOTOOLCHAIN=auto")
}

func TestI25TypeErrorsAreCountedAndNotFatal(t *testing.T) {
	dir := expand(t, archive("go.mod", goMod, "main.go", tinyMux, "other/other.go", "package other\n\nvar x int = \"\"\n", "embed/e.go",
		"package embed\n\nimport \"embed\"\n\n//go:embed build/*\nvar FS embed.FS\n"))
	r, err := load(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, refusals := r.Root(""); refusals != nil {
		t.Error(refusals)
	}
	var kinds []string
	for _, e := range r.Errors {
		kinds = append(kinds, e.File+" "+e.Kind)
		if strings.Contains(e.Msg, dir) {
			t.Errorf("message with an absolute path: %s", e.Msg)
		}
	}
	if want := []string{"other/other.go type"}; !slices.Equal(kinds, want) {
		t.Errorf("errors %v, want %v", kinds, want)
	}
}

func TestI28SyntaxErrorInTheRouterFile(t *testing.T) {
	dir := expand(t, archive("go.mod", goMod, "main.go", strings.Replace(tinyMux, "mux)\n", "mux\n", 1)))
	r, err := load(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	_, refusals := r.Root("")
	checkRefusal(t, refusals, 3, "main.go:8:", "does not parse")

	t.Run("elsewhere it does not matter", func(t *testing.T) {
		dir := expand(t, archive("go.mod", goMod, "main.go", tinyMux, "other/o.go", "package other\n\nfunc {\n"))
		r, err := load(t, dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, refusals := r.Root(""); refusals != nil {
			t.Error(refusals)
		}
		if len(r.SyntaxErrors) == 0 {
			t.Error("the syntax error is not listed")
		}
	})
}

func TestI29ConflictMarkersStopTheLoad(t *testing.T) {
	conflict := "<<<<<<< HEAD\n\tmux.HandleFunc(\"/a\", nil)\n=======\n\tmux.HandleFunc(\"/b\", nil)\n>>>>>>> branch\n"
	dir := expand(t, archive("go.mod", goMod, "main.go", strings.Replace(tinyMux, "\tmux.HandleFunc(\"/x\", nil)\n", conflict, 1)))
	rs := refused(t, dir, 3, "main.go:7:1", "main.go:9:1", "main.go:11:1")
	if len(rs) != 3 {
		t.Errorf("%d markers, want 3", len(rs))
	}
	dir = expand(t, archive("go.mod", "module example.com/host\n<<<<<<< HEAD\ngo 1.24\n=======\ngo 1.25\n>>>>>>> x\n", "main.go", tinyMux))
	refused(t, dir, 3, "go.mod:2:1")

	t.Run("in a string they are text", func(t *testing.T) {
		dir := expand(t, archive("go.mod", goMod, "main.go", tinyMux, "s.go", "package main\n\nconst s = `\n"+conflict+"`\n"))
		if _, err := load(t, dir); err != nil {
			t.Error(err)
		}
	})
}

func TestV01OneLoadPerRun(t *testing.T) {
	n := 0
	loadPackages = func(cfg *packages.Config, patterns ...string) ([]*packages.Package, error) {
		n++
		return packages.Load(cfg, patterns...)
	}
	defer func() { loadPackages = packages.Load }()
	dir := expand(t, archive("go.mod", goMod, "main.go", tinyMux))
	if _, err := load(t, dir); err != nil {
		t.Fatal(err)
	}
	if n != 1 {
		t.Errorf("%d loads", n)
	}
}

func TestDependenciesHaveTypesAndNoBodies(t *testing.T) {
	dir := expand(t, archive("go.mod", goMod, "main.go", tinyMux))
	r, err := load(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	dep := r.deps["net/http"]
	if dep == nil || dep.Types.Scope().Lookup("ListenAndServe") == nil {
		t.Fatal("net/http has no types")
	}
	if len(r.Errors) != 0 {
		t.Errorf("errors of dependencies were counted: %v", r.Errors)
	}
}

func TestI36ModuleBelowASymlinkedParent(t *testing.T) {
	real := expand(t, archive("x/go.mod", goMod, "x/main.go", tinyMux))
	if err := os.Rename(filepath.Join(real, "x"), filepath.Join(real, "a b#%é")); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, real)
	r, err := Load(context.Background(), Options{Dir: filepath.Join(link, "a b#%é")})
	sameTree(t, real, before)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Routers) != 1 || r.Routers[0].File != "main.go" || r.Routers[0].Insert.File != "main.go" {
		t.Errorf("routers %+v", r.Routers)
	}
}

func TestI54ServeMux121AndRuntimeReplaceAreFacts(t *testing.T) {
	dir := expand(t, archive("go.mod", goMod+"\ntoolchain go1.26.0\n\ngodebug httpmuxgo121=1\n\nrequire "+RuntimeModule+" v0.0.0-00010101000000-000000000000\n\nreplace "+RuntimeModule+" => ../runtime\n",
		"main.go", tinyMux))
	r, err := load(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	want := GoMod{Go: "1.24", Toolchain: "go1.26.0", RuntimeVersion: "v0.0.0-00010101000000-000000000000", RuntimeReplace: "../runtime", ServeMux121: true}
	if r.GoMod != want {
		t.Errorf("go.mod facts %+v", r.GoMod)
	}
}
