package plan

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// checked resolves and checks a plan and proves that neither wrote anything.
func checked(t *testing.T, p *Plan, base string, env Env) error {
	t.Helper()
	before := tree(t, base)
	err := p.Resolve(t.Context(), env)
	if err == nil {
		err = p.Check(t.Context(), env)
	}
	if d := differences(before, tree(t, base)); len(d) > 0 {
		t.Fatalf("A1: Resolve or Check wrote: %q", d)
	}
	return err
}

func add(t *testing.T, p *Plan, path, content string) {
	t.Helper()
	c, err := p.File(path, Host, []byte(content), "test")
	if err != nil {
		t.Fatal(err)
	}
	p.Add(c)
}

// places refuses a message that is not one refusal for each "path:line:col".
func places(t *testing.T, err error, exit int, want ...string) Refusals {
	t.Helper()
	rs, _ := AsRefusals(err)
	var got []string
	for _, r := range rs {
		at, _, _ := strings.Cut(r.Error(), ": ")
		got = append(got, at)
		if r.Next == "" || r.What == "" {
			t.Errorf("A2: %v lacks a cause or a next step", r)
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") || rs.ExitCode() != exit {
		t.Errorf("refused at %q with exit %d, want %q with %d; error: %v", got, rs.ExitCode(), want, exit, err)
	}
	return rs
}

func tidyHost(t *testing.T, env Env, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	writeTree(t, root, files)
	goCmd(t, env, root, "mod", "tidy")
	return root
}

func TestCheckPassesWhatCompiles(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	root := tidyHost(t, env, module1(hosts["one line"]))
	p := runtimePlan(t, root)
	add(t, p, "internal/authserver/pages/consent.html", "<p>\n")
	add(t, p, "internal/authserver/pages.go", "package authserver\n\nimport _ \"embed\"\n\n//go:embed pages/*.html\nvar pages string\n")
	add(t, p, "internal/authserver/gen_test.go", "package authserver\n\nimport (\n\t\"net/http/httptest\"\n\t\"testing\"\n)\n\nfunc TestMount(t *testing.T) { _ = httptest.NewRecorder(); _ = Mount() + pages }\n")
	add(t, p, "internal/authserver/seam_test.go", "package authserver_test\n\nimport (\n\t\"testing\"\n\n\t\"example.test/host/internal/authserver\"\n\t\"example.test/other\"\n)\n\nfunc TestSeam(t *testing.T) { other.F(); _ = authserver.Mount() }\n")
	add(t, p, "main.go", "package main\n\nimport (\n\t\"example.test/host/internal/authserver\"\n\t\"example.test/other\"\n)\n\nfunc main() { other.F(); _ = authserver.Mount() }\n")
	if err := checked(t, p, root, env); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	goCmd(t, env, root, "vet", "-mod=readonly", "./...")
}

// A2. Every new error is refused at its place, in new files, in spliced ones, in
// host code that a change elsewhere breaks, and in tests.
func TestA2CheckRefusesEveryNewError(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	files := module1(hosts["one line"])
	files["lib/lib.go"] = "package lib\n\nfunc Greeting() string { return \"\" }\n"
	files["use/use.go"] = "package use\n\nimport \"example.test/host/lib\"\n\nvar X string = lib.Greeting()\n"
	root := tidyHost(t, env, files)
	p := runtimePlan(t, root)
	add(t, p, "internal/authserver/more.go", "package authserver\n\nvar A int = \"a\"\nvar B = missing\n")
	add(t, p, "internal/authserver/gen_test.go", "package authserver\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) { t.Nope() }\n")
	add(t, p, "internal/authserver/x_test.go", "package authserver_test\n\nimport \"testing\"\n\nfunc TestB(t *testing.T) { var unused int }\n")
	add(t, p, "internal/authserver/syntax_test.go", "package authserver\n\nfunc {\n")
	add(t, p, "lib/lib.go", "package lib\n\nfunc Greeting() int { return 0 }\n")
	places(t, checked(t, p, root, env), 1,
		"internal/authserver/gen_test.go:5:30", "internal/authserver/more.go:3:13", "internal/authserver/more.go:4:9",
		"internal/authserver/syntax_test.go:3:6", "internal/authserver/x_test.go:5:32", "use/use.go:5:16")
}

// A plan whose module is missing the package it imports.
func TestCheckRefusesAnImportThatNothingProvides(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	root := tidyHost(t, env, module1(hosts["one line"]))
	p := runtimePlan(t, root)
	add(t, p, "internal/authserver/more.go", "package authserver\n\nimport _ \"example.test/runtime/nowhere\"\n")
	rs := places(t, checked(t, p, root, env), 1, "internal/authserver/more.go:3:10")
	if len(rs) > 0 && !strings.Contains(rs[0].What, "cannot find module providing package") {
		t.Errorf("the cause is not told: %v", rs[0])
	}
}

// I25. What was broken before stays the host's business, also when the plan
// moves it down; one more of the same is refused.
func TestI25CheckComparesWithTheErrorsBefore(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	files := module1(hosts["one line"])
	files["main.go"] = "package main\n\nimport \"example.test/other\"\n\nfunc main() { other.F(); gone() }\n"
	files["broken/b.go"] = "package broken\n\nimport _ \"example.test/host/generated\"\n\nvar X = undefined\n"
	files["embeds/e.go"] = "package embeds\n\nimport _ \"embed\"\n\n//go:embed build/*\nvar Files string\n"
	root := t.TempDir()
	writeTree(t, root, files)
	goCmd(t, env, root, "mod", "tidy", "-e")

	shifted := "package main\n\nimport (\n\t\"example.test/host/internal/authserver\"\n\t\"example.test/other\"\n)\n\nfunc main() { other.F(); _ = authserver.Mount()\n\n\tgone() }\n"
	p := runtimePlan(t, root)
	add(t, p, "main.go", shifted)
	if err := checked(t, p, root, env); err != nil {
		t.Fatal(err)
	}
	// The same with a baseline that the caller has loaded.
	h, err := openHost(t.Context(), root, env)
	if err != nil {
		t.Fatal(err)
	}
	if env.Baseline, err = h.baseline(t.Context()); err != nil {
		t.Fatal(err)
	}
	if env.Baseline.Len() != 4 {
		t.Errorf("the host has %d errors, want 4: %v", env.Baseline.Len(), env.Baseline.count)
	}
	if err := checked(t, p, root, env); err != nil {
		t.Fatal(err)
	}
	add(t, p, "main.go", strings.Replace(shifted, "gone()", "gone(); gone()", 1))
	places(t, checked(t, p, root, env), 1, "main.go:10:10")
}

// I06, A1. In a workspace loading wants to write go.work.sum; it must find its
// own copy.
func TestI06CheckInAWorkspaceWritesNothing(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	base := t.TempDir()
	root := filepath.Join(base, "host")
	writeTree(t, root, module1(hosts["one line"]))
	writeTree(t, filepath.Join(base, "elsewhere"), standIns["runtime"])
	writeTree(t, base, map[string]string{
		"go.work":      "go 1.24.0\n\nuse (\n\t./host\n\t./lib\n)\n\nreplace example.test/unused => ./elsewhere\n",
		"lib/go.mod":   "module example.test/lib\n\ngo 1.24.0\n\nrequire example.test/old v1.0.0\n",
		"lib/lib.go":   "package lib\n\nimport \"example.test/old\"\n\nfunc F() { old.F() }\n",
		"host/main.go": "package main\n\nimport (\n\t\"example.test/lib\"\n\t\"example.test/other\"\n)\n\nfunc main() { other.F(); lib.F() }\n",
	})
	goCmd(t, Env{Environ: append(env.Environ, "GOWORK=off")}, filepath.Join(base, "lib"), "mod", "tidy")
	writeTree(t, root, map[string]string{"go.sum": readFile(t, filepath.Join(base, "lib", "go.sum"))})
	p := runtimePlan(t, root)
	if err := checked(t, p, base, env); err != nil {
		t.Fatal(err)
	}
	add(t, p, "internal/authserver/more.go", "package authserver\n\nvar A int = \"a\"\n")
	places(t, checked(t, p, base, env), 1, "internal/authserver/more.go:3:13")
}

// I07.
func TestI07CheckIgnoresAWorkspaceThatDoesNotListTheModule(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	base := t.TempDir()
	root := filepath.Join(base, "host")
	writeTree(t, root, module1(hosts["one line"]))
	goCmd(t, env, root, "mod", "tidy")
	writeTree(t, base, map[string]string{"go.work": "go 1.24.0\n\nuse ./lib\n", "lib/go.mod": "module example.test/lib\n\ngo 1.24.0\n"})
	p := runtimePlan(t, root)
	if err := checked(t, p, base, env); err != nil {
		t.Fatal(err)
	}
	if len(p.Warnings) != 2 || !strings.Contains(p.Warnings[0], "GOWORK=off") {
		t.Errorf("warnings: %q", p.Warnings)
	}
}

// I09. With vendor/ the proof needs neither module cache nor network.
func TestI09CheckWithVendorWorksWithoutModuleCache(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	root := tidyHost(t, env, module1(hosts["one line"]))
	goCmd(t, env, root, "mod", "vendor")
	p := runtimePlan(t, root)
	add(t, p, "internal/authserver/gen_test.go", "package authserver\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) { _ = Mount() }\n")
	if err := p.Resolve(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	offline := Env{Environ: append(env.Environ, "GOFLAGS=-mod=vendor", "GOPROXY=off", "GOMODCACHE="+t.TempDir())}
	before := tree(t, root)
	if err := p.Check(t.Context(), offline); err != nil {
		t.Fatal(err)
	}
	add(t, p, "internal/authserver/more.go", "package authserver\n\nvar A int = \"a\"\n")
	add(t, p, "internal/authserver/gen_test.go", "package authserver\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) { t.Nope() }\n")
	places(t, p.Check(t.Context(), offline), 1, "internal/authserver/gen_test.go:5:30", "internal/authserver/more.go:3:13")
	if d := differences(before, tree(t, root)); len(d) > 0 {
		t.Errorf("A1: Check wrote %q", d)
	}
}

func TestI09CheckInAVendoredWorkspace(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	base := t.TempDir()
	root := filepath.Join(base, "host")
	writeTree(t, root, module1(hosts["one line"]))
	writeTree(t, base, map[string]string{"go.work": "go 1.24.0\n\nuse ./host\n"})
	goCmd(t, Env{Environ: append(env.Environ, "GOWORK=off")}, root, "mod", "tidy")
	goCmd(t, env, base, "work", "vendor")
	p := runtimePlan(t, root)
	if err := checked(t, p, base, env); err != nil {
		t.Fatal(err)
	}
	add(t, p, "internal/authserver/more.go", "package authserver\n\nvar A int = \"a\"\n")
	places(t, checked(t, p, base, env), 1, "internal/authserver/more.go:3:13")
}

// I11. -mod=mod would rewrite go.mod while loading.
func TestI11CheckOverridesModMod(t *testing.T) {
	t.Parallel()
	env := testEnv(t, "GOFLAGS=-mod=mod -modcacherw -tags=special")
	files := module1(hosts["one line"])
	files["special.go"] = "//go:build special\n\npackage main\n\nvar _ int = \"only with the tag\"\n"
	root := t.TempDir()
	writeTree(t, root, files)
	goCmd(t, env, root, "mod", "tidy")
	writeTree(t, root, map[string]string{"lacks/l.go": "package lacks\n\nimport _ \"example.test/old\"\n"})
	p := runtimePlan(t, root)
	if err := checked(t, p, root, env); err != nil {
		t.Fatal(err)
	}
	add(t, p, "special.go", files["special.go"]+"var _ int = \"again\"\n")
	places(t, checked(t, p, root, env), 1, "special.go:6:13")
}

// A deleted file is out of the build, not an empty one.
func TestCheckSeesDeletedFilesAsGone(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	files := module1(hosts["one line"])
	files["internal/authserver/retired.go"] = "package authserver\n\nfunc Retired() {}\n"
	files["internal/authserver/kept.go"] = "package authserver\n"
	root := tidyHost(t, env, files)
	p := &Plan{Root: root}
	c, err := p.File("internal/authserver/retired.go", Managed, nil, "retired")
	if err != nil {
		t.Fatal(err)
	}
	p.Add(c)
	if err := checked(t, p, root, env); err != nil {
		t.Fatal(err)
	}
	add(t, p, "main.go", "package main\n\nimport (\n\t\"example.test/host/internal/authserver\"\n\t\"example.test/other\"\n)\n\nfunc main() { other.F(); authserver.Retired() }\n")
	places(t, checked(t, p, root, env), 1, "main.go:8:37")
}

func TestCheckEndsWhenItsContextDoes(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	root := tidyHost(t, env, module1(hosts["one line"]))
	p := runtimePlan(t, root)
	if err := p.Resolve(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if rs, ok := AsRefusals(p.Check(ctx, env)); !ok || rs.ExitCode() != 3 {
		t.Errorf("got %v", rs)
	}
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	args = append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.test"}, args...)
	out, err := exec.Command("git", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// recordsPlan touches only .lockspire, so that nothing is loaded.
func gitPlan(t *testing.T, root string) *Plan {
	p := &Plan{Root: root}
	add(t, p, ".lockspire/manifest.json", "{}\n")
	add(t, p, ".lockspire/base/x", "new\n")
	return p
}

// I22, I23. The module lies below the top of the repository.
func TestI23CheckRefusesDirtyTargetsAndCountsTheOthers(t *testing.T) {
	repo := t.TempDir()
	root := filepath.Join(repo, "backend")
	writeTree(t, root, map[string]string{".lockspire/manifest.json": "{\"old\":1}\n", ".lockspire/base/x": "old\n", "a.go": "package a\n", "go.mod": "module m\n"})
	git(t, repo, "init", "-q")
	git(t, repo, "add", ".")
	git(t, repo, "commit", "-q", "-m", "x")
	p := gitPlan(t, root)
	if err := checked(t, p, root, Env{}); err != nil || len(p.Warnings) > 0 {
		t.Fatalf("clean: %v, warnings %q", err, p.Warnings)
	}

	git(t, repo, "rm", "-q", "--cached", "backend/.lockspire/base/x")
	git(t, repo, "commit", "-q", "-m", "y")
	writeTree(t, root, map[string]string{".lockspire/manifest.json": "{\"old\":2}\n", "a.go": "package b\n", "new/b.go": "package b\n"})
	index := readFile(t, filepath.Join(repo, ".git", "index"))
	p = gitPlan(t, root)
	rs := places(t, checked(t, p, root, Env{}), 1, ".lockspire/base/x", ".lockspire/manifest.json")
	if !strings.Contains(rs[0].What, "not in git") || !strings.Contains(rs[1].What, "uncommitted") {
		t.Errorf("got %v", rs)
	}
	if len(p.Warnings) != 1 || !strings.HasPrefix(p.Warnings[0], "2 other paths") {
		t.Errorf("warnings: %q", p.Warnings)
	}
	p = gitPlan(t, root)
	if err := checked(t, p, root, Env{AllowDirty: true}); err != nil {
		t.Errorf("allowed: %v", err)
	}
	if readFile(t, filepath.Join(repo, ".git", "index")) != index {
		t.Error("A0: the git index was rewritten")
	}
}

// I24.
func TestI24CheckRefusesIgnoredTargets(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root, map[string]string{".gitignore": "# all of it\n/.lockspire/\n!/.lockspire/base\n", "go.mod": "module m\n"})
	git(t, root, "init", "-q")
	git(t, root, "add", ".")
	git(t, root, "commit", "-q", "-m", "x")
	rs := places(t, checked(t, gitPlan(t, root), root, Env{}), 1, ".lockspire/base/x")
	if !strings.Contains(rs[0].What, ".gitignore:2: /.lockspire/") || !strings.Contains(rs[0].What, "and 1 more") { // one rule, one fault
		t.Errorf("got %v", rs)
	}
	if err := checked(t, gitPlan(t, root), root, Env{AllowIgnored: true}); err != nil {
		t.Errorf("allowed: %v", err)
	}
}

// I20. Without git, in no repository, or in an ignored corner of another one.
func TestI20CheckWithoutUsableGitWarnsOnce(t *testing.T) {
	repo := t.TempDir()
	root := filepath.Join(repo, "scratch")
	writeTree(t, root, map[string]string{"go.mod": "module m\n"})
	one := func(what string, env Env) {
		t.Helper()
		p := gitPlan(t, root)
		if err := checked(t, p, repo, env); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if len(p.Warnings) != 1 || p.Warnings[0] != noGit {
			t.Errorf("%s: warnings %q", what, p.Warnings)
		}
	}
	one("no repository", Env{})
	writeTree(t, repo, map[string]string{".gitignore": "/scratch/\n"})
	git(t, repo, "init", "-q")
	one("ignored", Env{})
	t.Setenv("PATH", filepath.Join(repo, "nothing"))
	one("no git program", Env{Environ: os.Environ()})
}

// A7. The repository may name a program that git status would start.
func TestA7CheckStartsNoProgramOfTheRepository(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root, map[string]string{"go.mod": "module m\n"})
	git(t, root, "init", "-q")
	trap := filepath.Join(t.TempDir(), "ran")
	git(t, root, "config", "core.fsmonitor", "touch "+trap+"; false")
	_ = checked(t, gitPlan(t, root), root, Env{})
	if exists(trap) {
		t.Error("core.fsmonitor was run")
	}
}
