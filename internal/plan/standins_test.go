package plan

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/lockspire/lockspire/internal/plan/plantest"
)

// The stand-ins for our runtime and its one requirement. The real ones are
// bigger and change; what matters here is their shape: two packages, one of them
// with embedded files, a requirement, and files that vendoring leaves out.
var standIns = map[string]map[string]string{
	"jose": {
		"go.mod":       "module example.test/jose/v4\n\ngo 1.24.0\n",
		"LICENSE":      "jose license\n",
		"jose.go":      "package jose\n\nimport \"example.test/jose/v4/cipher\"\n\nfunc Sign() string { return cipher.Seal() }\n",
		"jose_test.go": "package jose\n",
		"tool.go":      "//go:build ignore\n\npackage main\n",
		"win.go":       "//go:build windows && !cgo\n\npackage jose\n",
		"cipher/c.go":  "package cipher\n\nfunc Seal() string { return \"\" }\n",
		"unused/u.go":  "package unused\n",
		"README.md":    "jose\n",
	},
	"runtime": {
		"go.mod":                   "module example.test/runtime\n\ngo 1.24.0\n\nrequire example.test/jose/v4 v4.1.0\n",
		"runtime.go":               "package runtime\n\nimport (\n\t\"example.test/jose/v4\"\n\t\"example.test/runtime/migrations\"\n)\n\nfunc New() string { return jose.Sign() + migrations.One }\n",
		"migrations/m.go":          "package migrations\n\nimport _ \"embed\"\n\n//go:embed sql/one.sql\nvar One string\n\n//go:embed all:more\nvar More string\n",
		"migrations/sql/one.sql":   "create table one ();\n",
		"migrations/more/.two.sql": "create table two ();\n",
		"admin/a.go":               "package admin\n",
		"NOTICE":                   "notice\n",
	},
	"other": {
		"go.mod":     "module example.test/other\n\ngo 1.21\n",
		"o.go":       "package other\n\nfunc F() {}\n",
		"LICENSE.md": "other\n",
	},
	// old requires an old jose without using it, and has no pruned graph.
	"old": {
		"go.mod": "module example.test/old\n\ngo 1.13\n\nrequire example.test/jose/v4 v4.0.0\n",
		"o.go":   "package old\n\nfunc F() {}\n",
	},
	// zeta and its requirement sort behind our modules.
	"zeta": {
		"go.mod": "module example.test/zeta\n\ngo 1.21\n\nrequire example.test/yota v1.0.0\n",
		"z.go":   "package zeta\n\nimport _ \"example.test/yota\"\n",
	},
	"yota": {
		"go.mod": "module example.test/yota\n\ngo 1.21\n",
		"y.go":   "package yota\n",
	},
	// ahead requires a newer jose without using it.
	"ahead": {
		"go.mod": "module example.test/ahead\n\ngo 1.21\n\nrequire example.test/jose/v4 v4.2.0\n",
		"a.go":   "package ahead\n\nfunc F() {}\n",
	},
}

// proxy is the environment of a proxy directory with the stand-ins and a module
// cache of its own.
var proxy = sync.OnceValues(func() (env []string, err error) {
	dir, err := os.MkdirTemp("", "lockspire-plan-test-")
	if err != nil {
		return nil, err
	}
	cleanups = append(cleanups, func() { _ = os.RemoveAll(dir) })
	files := filepath.Join(dir, "proxy")
	for _, v := range []struct{ name, version string }{
		{"jose", "v4.0.0"}, {"jose", "v4.1.0"}, {"jose", "v4.2.0"},
		{"runtime", "v0.1.0"}, {"runtime", "v0.2.0"}, {"other", "v1.0.0"}, {"old", "v1.0.0"}, {"ahead", "v1.0.0"}, {"zeta", "v1.0.0"}, {"yota", "v1.0.0"},
	} {
		src := filepath.Join(dir, "src", v.name+"@"+v.version)
		for name, content := range standIns[v.name] {
			name = filepath.Join(src, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
				return nil, err
			}
			if err := os.WriteFile(name, []byte(strings.ReplaceAll(content, "$V", v.version)), 0o666); err != nil {
				return nil, err
			}
		}
		if v.version == "v0.2.0" {
			// A release that drops a file, so that vendoring has one to remove.
			if err := os.Remove(filepath.Join(src, "NOTICE")); err != nil {
				return nil, err
			}
		}
		if _, err := plantest.As(files, src, v.version); err != nil {
			return nil, err
		}
	}
	return []string{
		"GOPROXY=file://" + filepath.ToSlash(files), "GONOSUMDB=example.test/*", "GOFLAGS=-modcacherw",
		"GOMODCACHE=" + filepath.Join(dir, "cache"), "GOWORK=", "GOTOOLCHAIN=local",
	}, nil
})

var cleanups []func()

func testEnv(t *testing.T, extra ...string) Env {
	t.Helper()
	env, err := proxy()
	if err != nil {
		t.Fatal(err)
	}
	return Env{Environ: append(append(os.Environ(), env...), extra...)}
}

// goCmd runs the real go command, which is the oracle of these tests.
func goCmd(t *testing.T, env Env, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(env.Environ, "PWD="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func module1(goMod string) map[string]string {
	return map[string]string{
		"go.mod":  goMod,
		"main.go": "package main\n\nimport \"example.test/other\"\n\nfunc main() { other.F() }\n",
	}
}

const useRuntime = "package authserver\n\nimport \"example.test/runtime\"\n\nfunc Mount() string { return runtime.New() }\n"

// runtimePlan wants the runtime and has the code that imports it.
func runtimePlan(t *testing.T, root string) *Plan {
	t.Helper()
	p := &Plan{Root: root, Modules: []Module{{Path: "example.test/runtime", Version: "v0.1.0"}}}
	c, err := p.File("internal/authserver/gen.go", Managed, []byte(useRuntime), "routes")
	if err != nil {
		t.Fatal(err)
	}
	p.Add(c)
	return p
}

func resolveAndApply(t *testing.T, p *Plan, env Env) {
	t.Helper()
	before := tree(t, p.Root)
	if err := p.Resolve(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	if d := differences(before, tree(t, p.Root)); len(d) > 0 {
		t.Fatalf("Resolve wrote below the host: %q", d)
	}
	if _, err := p.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
