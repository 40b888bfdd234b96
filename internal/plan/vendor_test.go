package plan

import (
	"path/filepath"
	"strings"
	"testing"
)

// I09. What is spliced into vendor/ is what go mod vendor writes.
func TestI09ResolveVendorsWhatGoModVendorVendors(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	replaced := "module example.test/host\n\ngo 1.24.0\n\nrequire example.test/other v1.0.0\n\nreplace example.test/jose/v4 v4.1.0 => example.test/jose/v4 v4.2.0\n"
	for name, goMod := range map[string]string{"fresh": hosts["one line"], "jose vendored and older": hosts["jose direct and older"], "jose replaced": replaced} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			files := module1(goMod)
			if strings.Contains(goMod, "jose/v4 v4.0.0") {
				files["jose.go"] = "package main\n\nimport _ \"example.test/jose/v4/unused\"\n"
			}
			writeTree(t, root, files)
			goCmd(t, env, root, "mod", "tidy")
			goCmd(t, env, root, "mod", "vendor")
			p := runtimePlan(t, root)
			resolveAndApply(t, p, env)
			goCmd(t, env, root, "build", "-mod=vendor", "./...")
			vendored(t, env, root)

			// The next release: a file is gone there.
			p = runtimePlan(t, root)
			p.Modules[0].Version = "v0.2.0"
			resolveAndApply(t, p, env)
			vendored(t, env, root)
		})
	}
}

// vendored compares root/vendor with what the go command makes of the same go.mod.
func vendored(t *testing.T, env Env, root string) {
	t.Helper()
	oracle := filepath.Join(t.TempDir(), "oracle")
	copyTree(t, root, oracle)
	goCmd(t, env, oracle, "mod", "vendor")
	if d := differences(tree(t, filepath.Join(oracle, "vendor")), tree(t, filepath.Join(root, "vendor"))); len(d) > 0 {
		t.Errorf("vendor/ differs from go mod vendor:\n%s", strings.Join(d, "\n"))
	}
}

// I09 for go work vendor: vendor/ lies beside go.work, above the module.
func TestI09ResolveVendorsIntoAWorkspace(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	base := t.TempDir()
	root := filepath.Join(base, "host")
	writeTree(t, filepath.Join(base, "runtime"), standIns["runtime"])
	writeTree(t, root, module1("module example.test/host\n\ngo 1.24.0\n\nrequire example.test/other v1.0.0\n\nreplace example.test/runtime => ../runtime\n"))
	writeTree(t, base, map[string]string{"go.work": "go 1.24.0\n\nuse ./host\n"})
	goCmd(t, Env{Environ: append(env.Environ, "GOWORK=off")}, root, "mod", "tidy")
	goCmd(t, env, base, "work", "vendor")
	p := runtimePlan(t, root)
	p.Modules[0].Version = "v0.0.0-00010101000000-000000000000"
	resolveAndApply(t, p, env)
	goCmd(t, env, root, "build", "-mod=vendor", "./...")
	oracle := filepath.Join(t.TempDir(), "oracle")
	copyTree(t, base, oracle)
	goCmd(t, env, oracle, "work", "vendor")
	if d := differences(tree(t, filepath.Join(oracle, "vendor")), tree(t, filepath.Join(base, "vendor"))); len(d) > 0 {
		t.Errorf("vendor/ differs from go work vendor:\n%s", strings.Join(d, "\n"))
	}
}

// I10.
func TestI10ResolveRefusesAnInconsistentVendorDirectory(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	root := t.TempDir()
	writeTree(t, root, module1(hosts["one line"]))
	goCmd(t, env, root, "mod", "tidy")
	goCmd(t, env, root, "mod", "vendor")
	writeTree(t, root, map[string]string{"go.mod": strings.Replace(hosts["one line"], "v1.0.0", "v1.0.1", 1)})
	err := runtimePlan(t, root).Resolve(t.Context(), env)
	if rs, ok := AsRefusals(err); !ok || rs.ExitCode() != 3 || rs[0].Next != "go mod vendor" || rs[0].Path != "vendor/modules.txt" {
		t.Errorf("got %v", err)
	}
}

func TestNoVendorLeavesTheCommandToTheUser(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	root := t.TempDir()
	writeTree(t, root, module1(hosts["one line"]))
	goCmd(t, env, root, "mod", "tidy")
	goCmd(t, env, root, "mod", "vendor")
	env.NoVendor = true
	p := runtimePlan(t, root)
	if err := p.Resolve(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	for _, c := range p.ordered() {
		if isVendor(c.Path) {
			t.Errorf("plans %s", c.Path)
		}
	}
	if len(p.Todo) != 1 || !strings.Contains(p.Todo[0], "go mod vendor") {
		t.Errorf("todo: %q", p.Todo)
	}
}
