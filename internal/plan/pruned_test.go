package plan

import (
	"path/filepath"
	"strings"
	"testing"
)

// I16. Since 1.17 go.mod lists what dependencies import, or the go command
// refuses to load the module with -mod=readonly. A module that only Windows
// builds is listed too.
func TestI16RaisedPastGraphPruningListsWhatDependenciesImport(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	env.RaiseGo = true
	root := t.TempDir()
	writeTree(t, root, map[string]string{
		"go.mod": "module example.test/host\n\ngo 1.13\n\nrequire example.test/a v1.0.0 // kept\n\n" +
			"replace example.test/a => ./a\n\nreplace example.test/b => ./b\n\nreplace example.test/c => ./c\n",
		"main.go":        "package main\n\nimport _ \"example.test/a\"\n\nfunc main() {}\n",
		"a/go.mod":       "module example.test/a\n\ngo 1.13\n\nrequire (\n\texample.test/b v1.0.0\n\texample.test/c v1.0.0\n)\n",
		"a/a.go":         "package a\n\nimport _ \"example.test/b\"\n",
		"a/a_windows.go": "package a\n\nimport _ \"example.test/c\"\n",
		"b/go.mod":       "module example.test/b\n\ngo 1.13\n",
		"b/b.go":         "package b\n",
		"c/go.mod":       "module example.test/c\n\ngo 1.13\n",
		"c/c.go":         "package c\n",
	})
	resolveAndApply(t, runtimePlan(t, root), env)
	mod := readFile(t, filepath.Join(root, "go.mod"))
	for _, line := range []string{"go 1.24.0", "require example.test/a v1.0.0 // kept", "\texample.test/b v1.0.0 // indirect", "\texample.test/c v1.0.0 // indirect"} {
		if !strings.Contains(mod, line+"\n") {
			t.Errorf("no line %q in go.mod:\n%s", line, mod)
		}
	}
	goCmd(t, env, root, "list", "-mod=readonly", "-deps", "./...")
	goCmd(t, env, root, "mod", "tidy", "-diff")
}
