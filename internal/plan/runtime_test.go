package plan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/plan/plantest"
)

// The real runtime, published as a proxy would serve it: a host gains two lines
// in go.mod and four in go.sum, builds offline with vendor/, and tidies to itself.
func TestTheRealRuntimeCostsTwoLinesInGoModAndFourInGoSum(t *testing.T) {
	published, err := plantest.Proxy(t.TempDir(), filepath.Join("..", "..", "runtime"))
	if err != nil {
		t.Fatal(err)
	}
	env := Env{Environ: append(append(os.Environ(), published.Env()...), "GOWORK=")}
	host := map[string]string{
		"go.mod":  "module example.test/host\n\ngo 1.24.0\n",
		"main.go": "package main\n\nfunc main() {}\n",
	}
	newPlan := func(root string) *Plan {
		p := &Plan{Root: root, Modules: []Module{{Path: published.Path, Version: published.Version}}}
		add(t, p, "internal/authserver/lockspire_gen.go", "package authserver\n\nimport \"github.com/lockspire/lockspire/runtime\"\n\nvar _ = lockspire.New\n")
		return p
	}
	root := t.TempDir()
	writeTree(t, root, host)
	p := newPlan(root)
	if err := checked(t, p, root, env); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	mod, sum := readFile(t, filepath.Join(root, "go.mod")), readFile(t, filepath.Join(root, "go.sum"))
	if n := strings.Count(mod, "require "); n != 2 || strings.Count(mod, "\n") != 7 {
		t.Errorf("go.mod has %d requirements:\n%s", n, mod)
	}
	if n := strings.Count(sum, "\n"); n != 4 {
		t.Errorf("go.sum has %d lines:\n%s", n, sum)
	}
	goCmd(t, env, root, "mod", "tidy", "-diff")
	goCmd(t, env, root, "build", "-mod=readonly", "./...")

	t.Run("vendored", func(t *testing.T) {
		root := t.TempDir()
		writeTree(t, root, host)
		// Something must be vendored for a vendor directory to exist.
		writeTree(t, root, map[string]string{"go.mod": host["go.mod"] + "\nrequire github.com/pmezard/go-difflib v1.0.0\n",
			"main.go": "package main\n\nimport _ \"github.com/pmezard/go-difflib/difflib\"\n\nfunc main() {}\n"})
		goCmd(t, env, root, "mod", "tidy")
		goCmd(t, env, root, "mod", "vendor")
		p := newPlan(root)
		if err := checked(t, p, root, env); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		vendored(t, env, root)
		goCmd(t, Env{Environ: append(env.Environ, "GOPROXY=off", "GOMODCACHE="+t.TempDir())}, root, "build", "-mod=vendor", "./...")
	})
}
