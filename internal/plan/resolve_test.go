package plan

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hosts are go.mod files as they are found: the go command wrote the first
// group, people the second.
var hosts = map[string]string{
	"no requirement":          "module example.test/host\n\ngo 1.24.0\n",
	"no newline at end":       "module example.test/host\n\ngo 1.24.0",
	"one line":                "module example.test/host\n\ngo 1.24.0\n\nrequire example.test/other v1.0.0\n",
	"block":                   "module example.test/host\n\ngo 1.24.0\n\nrequire (\n\texample.test/ahead v1.0.0\n\texample.test/other v1.0.0\n)\n",
	"indirect only":           "module example.test/host\n\ngo 1.24.0\n\nrequire example.test/other v1.0.0 // indirect\n",
	"old graph":               "module example.test/host\n\ngo 1.24.0\n\nrequire (\n\texample.test/old v1.0.0\n\texample.test/other v1.0.0\n)\n",
	"jose direct and older":   "module example.test/host\n\ngo 1.24.0\n\nrequire (\n\texample.test/jose/v4 v4.0.0\n\texample.test/other v1.0.0\n)\n",
	"jose direct and newer":   "module example.test/host\n\ngo 1.24.0\n\nrequire (\n\texample.test/jose/v4 v4.2.0\n\texample.test/other v1.0.0\n)\n",
	"jose indirect and older": "module example.test/host\n\ngo 1.24.0\n\nrequire (\n\texample.test/old v1.0.0\n\texample.test/other v1.0.0\n)\n\nrequire example.test/jose/v4 v4.0.0 // indirect\n",
	"both blocks":             "module example.test/host\n\ngo 1.24.0\n\nrequire (\n\texample.test/other v1.0.0\n\texample.test/zeta v1.0.0\n)\n\nrequire example.test/yota v1.0.0 // indirect\n",
	"other statements":        "module example.test/host // the host\n\ngo 1.24.0\n\ntoolchain go1.26.0\n\ngodebug default=go1.24\n\nrequire example.test/other v1.0.0\n\nexclude example.test/other v1.9.0\n\nignore ./web\n\nretract v1.0.1 // broken\n",
}

// A host that goes through tidy must not see a diff after us, and what we write
// is what tidy would have written from nothing.
func TestResolveWritesWhatGoModTidyWrites(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	for name, goMod := range hosts {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			files := module1(goMod)
			// Tidy keeps only what is imported.
			var imports strings.Builder
			for _, m := range []string{"example.test/jose/v4", "example.test/old", "example.test/ahead", "example.test/zeta"} {
				if strings.Contains(goMod, m+" ") && !strings.Contains(goMod, m+" v4.0.0 // indirect") {
					fmt.Fprintf(&imports, "import _ %q\n", m)
				}
			}
			files["imports.go"] = "package main\n\n" + imports.String()
			writeTree(t, root, files)
			goCmd(t, env, root, "mod", "tidy")

			oracle := filepath.Join(t.TempDir(), "oracle")
			copyTree(t, root, oracle)
			writeTree(t, oracle, map[string]string{"internal/authserver/gen.go": useRuntime})
			goCmd(t, Env{Environ: append(env.Environ, "GOPROXY="+onlyFirstRuntime(t))}, oracle, "mod", "tidy")

			resolveAndApply(t, runtimePlan(t, root), env)
			for _, name := range []string{"go.mod", "go.sum"} {
				if got, want := readFile(t, filepath.Join(root, name)), readFile(t, filepath.Join(oracle, name)); got != want {
					t.Errorf("%s:\n%s\ngo mod tidy writes:\n%s", name, got, want)
				}
			}
			goCmd(t, env, root, "mod", "tidy", "-diff")
			goCmd(t, env, root, "build", "-mod=readonly", "./...")
		})
	}
}

// onlyFirstRuntime is a proxy in which v0.1.0 is the latest runtime: tidy chooses
// the latest version of a module that is missing.
func onlyFirstRuntime(t *testing.T) string {
	t.Helper()
	env, err := proxy()
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimPrefix(env[0], "GOPROXY=")
	dir := filepath.Join(t.TempDir(), "proxy")
	copyTree(t, strings.TrimPrefix(url, "file://"), dir)
	list := filepath.Join(dir, "example.test", "runtime", "@v", "list")
	if err := os.WriteFile(list, []byte("v0.1.0\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	return "file://" + dir
}

// I14. Comments, order, spacing and line endings that the go command would not
// write survive: the result is the input with lines added.
func TestI14ResolveOnlyAddsLines(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	for name, goMod := range map[string]string{
		"CRLF":            "module example.test/host\r\n\r\ngo 1.24.0\r\n\r\nrequire (\r\n\texample.test/other v1.0.0\r\n)\r\n",
		"comments":        "// header\nmodule example.test/host\n\ngo 1.24.0\n\n// direct ones\nrequire (\n\t// keep\n\texample.test/other v1.0.0 // pinned\n)\n\n// tail\n",
		"spaces":          "module   example.test/host\ngo 1.24.0\nrequire   (\n    example.test/other    v1.0.0\n    )\n",
		"unsorted":        "module example.test/host\n\ngo 1.24.0\n\nrequire (\n\texample.test/other v1.0.0\n\texample.test/ahead v1.0.0\n)\n",
		"mixed block":     "module example.test/host\n\ngo 1.24.0\n\nrequire (\n\texample.test/ahead v1.0.0 // indirect\n\texample.test/other v1.0.0\n)\n",
		"commented line":  "module example.test/host\n\ngo 1.24.0\n\nrequire example.test/other v1.0.0 // why\n",
		"commented block": "module example.test/host\n\ngo 1.24.0\n\nrequire (\n\texample.test/other v1.0.0 // why\n)\n\nrequire (\n\t// before\n\texample.test/ahead v1.0.0 // indirect\n)\n",
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			files := module1(goMod)
			writeTree(t, root, files)
			goCmd(t, env, root, "mod", "download", "all")
			writeTree(t, root, map[string]string{"go.mod": goMod})
			resolveAndApply(t, runtimePlan(t, root), env)

			got := readFile(t, filepath.Join(root, "go.mod"))
			var kept []string
			added := 0
			eol := eolOf([]byte(goMod))
			for line := range strings.Lines(got) {
				if strings.Contains(line, "example.test/runtime v0.1.0") || strings.Contains(line, "example.test/jose/v4 v4.") {
					if !strings.HasSuffix(line, eol) || strings.HasSuffix(line, "\r\n") != (eol == "\r\n") {
						t.Errorf("line ending of %q", line)
					}
					added++
					continue
				}
				kept = append(kept, line)
			}
			if added != 2 {
				t.Errorf("added %d lines, want 2:\n%s", added, got)
			}
			// A statement of its own brings a blank line along.
			squeeze := func(s string) string { return strings.ReplaceAll(s, eol+eol, eol) }
			if k := strings.Join(kept, ""); squeeze(squeeze(k)) != squeeze(squeeze(goMod)) {
				t.Errorf("other lines changed:\n%q\nwas\n%q", k, goMod)
			}
			if strings.Contains(got, "example.test/runtime v0.1.0 // indirect") || !strings.Contains(got, "// indirect"+eol) {
				t.Errorf("direct and indirect are confused:\n%s", got)
			}
			goCmd(t, env, root, "build", "-mod=readonly", "./...")
		})
	}
}

func TestResolveTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	root := t.TempDir()
	writeTree(t, root, module1(hosts["one line"]))
	goCmd(t, env, root, "mod", "tidy")
	resolveAndApply(t, runtimePlan(t, root), env)
	p := runtimePlan(t, root)
	// Not even a download: the second run works without module cache and network.
	again := Env{Environ: append(env.Environ, "GOPROXY=off", "GOMODCACHE="+t.TempDir())}
	if err := p.Resolve(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if !p.Empty() {
		t.Errorf("a second run would change:\n%s", p.Diff())
	}
}

// A later runtime replaces the earlier one, its sums included.
func TestResolveRaisesTheRuntimeAndForgetsTheOldSums(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	root := t.TempDir()
	writeTree(t, root, module1(hosts["one line"]))
	goCmd(t, env, root, "mod", "tidy")
	resolveAndApply(t, runtimePlan(t, root), env)
	p := runtimePlan(t, root)
	p.Modules[0].Version = "v0.2.0"
	resolveAndApply(t, p, env)
	if s := readFile(t, filepath.Join(root, "go.sum")); strings.Contains(s, "runtime v0.1.0") || !strings.Contains(s, "runtime v0.2.0 h1:") {
		t.Errorf("go.sum:\n%s", s)
	}
	goCmd(t, env, root, "mod", "tidy", "-diff")
	// And never lowers it again.
	p = runtimePlan(t, root)
	if err := p.Resolve(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	if !p.Empty() {
		t.Errorf("a lower version was written:\n%s", p.Diff())
	}
}

// I13. A replaced runtime is used as it is: no sums of its own, those of its
// requirement, and its go.mod is read where it lies.
func TestI13ResolveReadsTheRequirementsOfAReplacedModule(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	base := t.TempDir()
	root := filepath.Join(base, "host")
	writeTree(t, filepath.Join(base, "runtime"), standIns["runtime"])
	writeTree(t, root, module1("module example.test/host\n\ngo 1.24.0\n\nrequire example.test/other v1.0.0\n\nreplace example.test/runtime => ../runtime\n"))
	goCmd(t, env, root, "mod", "tidy")
	p := runtimePlan(t, root)
	p.Modules[0].Version = "v0.0.0-00010101000000-000000000000"
	resolveAndApply(t, p, env)
	sum := readFile(t, filepath.Join(root, "go.sum"))
	if strings.Contains(sum, "example.test/runtime") || !strings.Contains(sum, "example.test/jose/v4 v4.1.0 h1:") {
		t.Errorf("go.sum:\n%s", sum)
	}
	goCmd(t, env, root, "mod", "tidy", "-diff")
	goCmd(t, env, root, "build", "-mod=readonly", "./...")
}

// A6. What cannot be had is named, with exit 3, and nothing else is said.
func TestA6ResolveNamesAModuleThatCannotBeHad(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	root := t.TempDir()
	writeTree(t, root, module1(hosts["no requirement"]))
	p := runtimePlan(t, root)
	err := p.Resolve(t.Context(), Env{Environ: append(env.Environ, "GOPROXY=off", "GOMODCACHE="+t.TempDir())})
	rs, ok := AsRefusals(err)
	if !ok || rs.ExitCode() != 3 || !strings.Contains(err.Error(), "example.test/runtime v0.1.0") || !strings.Contains(err.Error(), "go mod download example.test/runtime@v0.1.0") {
		t.Errorf("got %v", err)
	}
}

// A6. GOPROXY=off and a filled cache are enough.
func TestA6ResolveWorksFromTheCacheWithoutAProxy(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	root := t.TempDir()
	writeTree(t, root, module1(hosts["no requirement"]))
	goCmd(t, env, t.TempDir(), "mod", "download", "example.test/runtime@v0.1.0", "example.test/jose/v4@v4.1.0")
	p := runtimePlan(t, root)
	if err := p.Resolve(t.Context(), Env{Environ: append(env.Environ, "GOPROXY=off", "GONOSUMDB=", "GOSUMDB=sum.golang.org")}); err != nil {
		t.Fatal(err)
	}
	if len(p.Warnings) != 3 || !strings.Contains(p.Warnings[0], "comes from the module cache") {
		t.Errorf("warnings: %q", p.Warnings)
	}
}

// A go.sum that vouches for other bytes is an attack or a mistake, not a line to
// add beside.
func TestResolveRefusesAModuleThatDiffersFromGoSum(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	root := t.TempDir()
	files := module1(hosts["no requirement"])
	files["go.sum"] = "example.test/runtime v0.1.0 h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
	writeTree(t, root, files)
	err := runtimePlan(t, root).Resolve(t.Context(), env)
	if rs, ok := AsRefusals(err); !ok || rs.ExitCode() != 3 || !strings.Contains(err.Error(), "checksum mismatch") {
		t.Errorf("got %v", err)
	}
}

// I16.
func TestI16ResolveRefusesToRaiseTheGoLine(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	for _, c := range []struct{ goLine, note string }{
		{"go 1.13\n", "loop"}, {"go 1.23\n", "compatibility"}, {"", "missing"},
	} {
		root := t.TempDir()
		writeTree(t, root, map[string]string{"go.mod": "module example.test/host\n\n" + c.goLine, "main.go": "package main\n\nfunc main() {}\n"})
		p := runtimePlan(t, root)
		err := p.Resolve(t.Context(), env)
		rs, ok := AsRefusals(err)
		if !ok || rs.ExitCode() != 1 || rs[0].Path != "go.mod" || !strings.Contains(err.Error(), "1.24.0") || !strings.Contains(err.Error(), c.note) {
			t.Errorf("%q: got %v", c.goLine, err)
		}
		env := env
		env.RaiseGo = true
		p = runtimePlan(t, root)
		resolveAndApply(t, p, env)
		if mod := readFile(t, filepath.Join(root, "go.mod")); !strings.Contains(mod, "\ngo 1.24.0\n") || len(p.Warnings) != 2 {
			t.Errorf("%q: warnings %q, go.mod\n%s", c.goLine, p.Warnings, mod)
		}
		goCmd(t, env, root, "mod", "tidy", "-diff")
	}
}

// "go 1.24" is below "go 1.24.0" for the go command and the same language for
// everybody else; refusing half of all hosts for it would be pedantry.
func TestI16ResolveRaisesWithinOneLanguageAndSaysSo(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	root := t.TempDir()
	writeTree(t, root, map[string]string{"go.mod": "module example.test/host\n\ngo 1.24 // floor\n", "main.go": "package main\n\nfunc main() {}\n"})
	p := runtimePlan(t, root)
	resolveAndApply(t, p, env)
	if mod := readFile(t, filepath.Join(root, "go.mod")); !strings.Contains(mod, "\ngo 1.24.0 // floor\n") {
		t.Errorf("go.mod:\n%s", mod)
	}
	if len(p.Warnings) != 2 || !strings.Contains(p.Warnings[0], "the language stays the same") {
		t.Errorf("warnings: %q", p.Warnings)
	}
}

// I06. In a workspace the module's own go.sum takes the sums.
func TestI06ResolveInAWorkspace(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	base := t.TempDir()
	root := filepath.Join(base, "host")
	writeTree(t, root, module1(hosts["one line"]))
	writeTree(t, base, map[string]string{
		"go.work":       "go 1.24.0\n\nuse (\n\t./host\n\t./lib\n)\n",
		"lib/go.mod":    "module example.test/lib\n\ngo 1.24.0\n",
		"lib/lib.go":    "package lib\n",
		"go.work.other": "",
	})
	goCmd(t, Env{Environ: append(env.Environ, "GOWORK=off")}, root, "mod", "tidy")
	before := tree(t, base)
	resolveAndApply(t, runtimePlan(t, root), env)
	after := tree(t, base)
	for name := range before {
		if !strings.HasPrefix(name, "host") && before[name] != after[name] {
			t.Errorf("%s changed", name)
		}
	}
	goCmd(t, env, root, "build", "-mod=readonly", "./...")
	goCmd(t, Env{Environ: append(env.Environ, "GOWORK=off")}, root, "build", "-mod=readonly", "./...")
	if d := differences(after, tree(t, base)); len(d) > 0 {
		t.Errorf("building wrote %q", d)
	}
}

// I06 with the go line of the workspace too low: go.work is not ours to edit.
func TestI06ResolveRefusesAWorkspaceBelowTheRuntime(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	base := t.TempDir()
	root := filepath.Join(base, "host")
	writeTree(t, root, module1("module example.test/host\n\ngo 1.23\n"))
	writeTree(t, base, map[string]string{"go.work": "go 1.23\n\nuse ./host\n"})
	err := runtimePlan(t, root).Resolve(t.Context(), env)
	if rs, ok := AsRefusals(err); !ok || rs.ExitCode() != 1 || rs[0].Path != "../go.work" || rs[0].Next != "go work edit -go=1.24.0" {
		t.Errorf("got %v", err)
	}
}

func TestAddSumsKeepsTheOrderOfTheGoCommand(t *testing.T) {
	got := addSums([]byte("a v1.0.0 h1:x\na v1.0.0/go.mod h1:x\nc v1.0.0/go.mod h1:x"), []sumLine{
		{"b", "v1.0.0/go.mod", "h1:y"}, {"b", "v1.0.0", "h1:y"}, {"a", "v1.0.0", "h1:x"}, {"c", "v1.0.0", "h1:y"}, {"a", "v1.10.0", "h1:y"}, {"a", "v1.9.0", "h1:y"},
	})
	want := "a v1.0.0 h1:x\na v1.0.0/go.mod h1:x\na v1.9.0 h1:y\na v1.10.0 h1:y\nb v1.0.0 h1:y\nb v1.0.0/go.mod h1:y\nc v1.0.0 h1:y\nc v1.0.0/go.mod h1:x\n"
	if string(got) != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if crlf := addSums([]byte("a v1.0.0 h1:x\r\n"), []sumLine{{"b", "v1.0.0", "h1:y"}}); !bytes.Equal(crlf, []byte("a v1.0.0 h1:x\r\nb v1.0.0 h1:y\r\n")) {
		t.Errorf("got %q", crlf)
	}
}
