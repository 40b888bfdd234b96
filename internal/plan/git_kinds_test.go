package plan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// I20. Every kind of checkout is read alike: a clone without history, a submodule and a linked worktree (where .git is a
// file), and one that git refuses to open. Nothing is written to .git, wherever it is.
func TestI20EveryKindOfCheckoutIsReadAndLeftAlone(t *testing.T) {
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "protocol.file.allow")
	t.Setenv("GIT_CONFIG_VALUE_0", "always")
	top := t.TempDir()
	origin := filepath.Join(top, "origin")
	writeTree(t, origin, map[string]string{".lockspire/manifest.json": "{\"old\":1}\n", "go.mod": "module m\n"})
	git(t, origin, "init", "-q", "-b", "main")
	git(t, origin, "add", ".")
	git(t, origin, "commit", "-q", "-m", "x")
	git(t, top, "clone", "-q", "--depth", "1", "file://"+origin, "shallow")
	git(t, origin, "worktree", "add", "-q", "-b", "other", filepath.Join(top, "linked"))
	super := filepath.Join(top, "super")
	writeTree(t, super, map[string]string{"README": "\n"})
	git(t, super, "init", "-q")
	git(t, super, "submodule", "--quiet", "add", "file://"+origin, "sub")

	for name, root := range map[string]string{"plain": origin, "shallow": filepath.Join(top, "shallow"), "linked": filepath.Join(top, "linked"), "submodule": filepath.Join(super, "sub")} {
		t.Run(name, func(t *testing.T) {
			p := gitPlan(t, root)
			if err := checked(t, p, top, Env{}); err != nil || len(p.Warnings) > 0 {
				t.Fatalf("clean: %v, warnings %q", err, p.Warnings)
			}
			writeTree(t, root, map[string]string{".lockspire/manifest.json": "{\"old\":2}\n"})
			places(t, checked(t, gitPlan(t, root), top, Env{}), 1, ".lockspire/manifest.json")
		})
	}
	t.Run("of another owner", func(t *testing.T) {
		p := gitPlan(t, origin) // dirty, as git would say
		if err := checked(t, p, top, Env{Environ: append(os.Environ(), "GIT_TEST_ASSUME_DIFFERENT_OWNER=1")}); err != nil {
			t.Fatal(err)
		}
		if strings.Join(p.Warnings, " ") != noGit {
			t.Errorf("warnings %q", p.Warnings)
		}
	})
}

// I33. A module that requires nothing and has no go.sum gets one.
func TestI33ModuleWithoutRequirementsGetsAGoSum(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	root := t.TempDir()
	writeTree(t, root, map[string]string{"go.mod": "module example.test/host\n\ngo 1.24.0\n", "main.go": "package main\n\nfunc main() {}\n"})
	p := runtimePlan(t, root)
	if err := checked(t, p, root, env); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if sums := strings.Count(readFile(t, filepath.Join(root, "go.sum")), "\n"); sums != 4 {
		t.Errorf("go.sum has %d lines", sums)
	}
	goCmd(t, env, root, "build", "-mod=readonly", "./...")
}
