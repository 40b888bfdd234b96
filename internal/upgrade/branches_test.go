package upgrade

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// git runs git in root and returns whether it succeeded.
func git(t *testing.T, root string, args ...string) bool {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=ada", "GIT_COMMITTER_EMAIL=ada@example.com", "GIT_CONFIG_GLOBAL=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil && args[0] != "merge" {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return err == nil
}

// branches is a host in git, upgraded on two branches, each with one of the sets.
func branches(t *testing.T, a, b Generation) string {
	t.Helper()
	root := host(t, generation())
	put(t, root, ".gitignore", ".lockspire/undo/\n.lockspire/txn/\n.lockspire/conflicts/\n")
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"commit", "-q", "-m", "installed"}, {"checkout", "-q", "-b", "other"}} {
		git(t, root, args...)
	}
	if _, err := run(t, root, b); err != nil {
		t.Fatal(err)
	}
	git(t, root, "add", "-A")
	git(t, root, "commit", "-q", "-m", "other")
	git(t, root, "checkout", "-q", "main")
	if _, err := run(t, root, a); err != nil {
		t.Fatal(err)
	}
	git(t, root, "add", "-A")
	git(t, root, "commit", "-q", "-m", "main")
	return root
}

func withMigration(path string) Generation {
	g := withMount("const Routes = 8")
	g.Migrations = append(g.Migrations, templates.Migration{Version: 2, File: templates.File{Path: path, Why: "schema 2", Content: []byte("SELECT 2;\n")}})
	return g
}

func TestU33BranchesWithTheSameUpgradeMerge(t *testing.T) {
	next := withMigration("migrations/00008_lockspire_more.sql")
	root := branches(t, next, next)
	if !git(t, root, "merge", "-q", "-m", "merged", "other") {
		t.Fatal("the same upgrade on two branches is in conflict")
	}
	settled(t, root, next)
}

func TestU33AMigrationThatTwoBranchesBroughtIsNamed(t *testing.T) {
	const here, there = "migrations/00008_lockspire_more.sql", "migrations/00009_lockspire_more.sql"
	root := branches(t, withMigration(here), withMigration(there))
	if git(t, root, "merge", "-q", "-m", "merged", "other") {
		t.Fatal("git merged two manifests that differ in the same place: this test needs another case")
	}
	if _, err := run(t, root, withMigration(here)); err == nil {
		t.Error("a manifest with conflict markers was accepted")
	}
	_, err := repair(t, root, withMigration(here))
	if err != nil {
		t.Fatal(err)
	}
	_, err = run(t, root, withMigration(here))
	if r := refusal(t, err, there); !strings.Contains(r.What, "schema version 2, and "+here) || !strings.HasPrefix(r.Next, "git rm "+there) {
		t.Errorf("got %v", err)
	}
	remove(t, root, there)
	settled(t, root, withMigration(here))
}

func TestU33BranchesAtDifferentVersionsAreRepaired(t *testing.T) {
	newer := withMount("const Routes = 9")
	newer.Files[1].Content = goFile("const Extra = 2")
	root := branches(t, withMount("const Routes = 8"), newer)
	if git(t, root, "merge", "-q", "-m", "merged", "other") {
		t.Fatal("no conflict")
	}
	// A person takes the newer files; the manifest and base copies stay in conflict.
	put(t, root, mount, string(newer.Files[0].Content))
	if _, err := repair(t, root, newer); err != nil {
		t.Fatal(err)
	}
	settled(t, root, newer)
	if m, err := manifest.Read(root); err != nil || m.File(extra).Normalized != manifest.Normalized(extra, goFile("const Extra = 2")) {
		t.Errorf("%v", err)
	}
}

func TestU31NoRuntimeLeavesTheRequirementAloneWhereItIsEnough(t *testing.T) {
	for have, want := range map[string]bool{"v1.2.0": true, "v1.3.0": true, "v1.1.0": false} {
		root := host(t, generation())
		put(t, root, "go.mod", "module example.com/app\n\ngo 1.24\n\nrequire github.com/lockspire/lockspire/runtime "+have+"\n")
		m, err := manifest.Read(root)
		if err != nil {
			t.Fatal(err)
		}
		w := &work{Options: Options{NoRuntime: true}, root: root, old: m, next: m.Clone(), plan: &plan.Plan{Root: root}}
		if err := w.requireRuntime("v1.2.0"); err != nil {
			t.Fatal(err)
		}
		if len(w.plan.Modules) != 0 || (len(w.blockers) == 0) != want {
			t.Errorf("%s: modules %v, %v", have, w.plan.Modules, w.blockers)
		}
	}
}

func TestU36CheckFindsALostRequirementOfAReplacedRuntime(t *testing.T) {
	root := host(t, generation())
	put(t, root, "go.mod", "module example.com/app\n\ngo 1.24\n\nreplace github.com/lockspire/lockspire/runtime => ./rt\n")
	put(t, root, "rt/go.mod", "module github.com/lockspire/lockspire/runtime\n\ngo 1.24\n")
	report, err := run(t, root, generation(), func(o *Options) { o.Check = true })
	if err != nil || !report.Pending {
		t.Fatalf("pending %v, %v", report.Pending, err)
	}
	if _, err := run(t, root, generation()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(get(t, root, "go.mod"), "require github.com/lockspire/lockspire/runtime "+unpublished) {
		t.Errorf("go.mod:\n%s", get(t, root, "go.mod"))
	}
	settled(t, root, generation())
}

func TestU36StepsAfterwardsArePrintedAndNeverRun(t *testing.T) {
	root := host(t, generation())
	ran := filepath.Join(root, "ran")
	put(t, root, "Makefile", "generate:\n\ttouch ran\n")
	put(t, root, "gen.go", "package main\n\n//go:generate touch ran\n")
	put(t, root, ".git/hooks/pre-commit", "#!/bin/sh\ntouch ran\n")
	if _, err := run(t, root, withMount("const Routes = 8")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("something of the host's was run")
	}
	report := &Report{Plan: &plan.Plan{Root: root, Todo: []string{"go mod vendor"}}}
	var out strings.Builder
	if err := report.Write(&out); err != nil || !strings.Contains(out.String(), "1. go mod vendor") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestU39CountsAndMarkersOfEveryWrittenFile(t *testing.T) {
	r := &Report{Plan: &plan.Plan{}}
	for _, v := range []Verdict{Current, Updated, Merged, Added, Restored, Removed, Kept, Orphaned, Resolved, Refused, Moved, Deleted, Conflict} {
		r.Outcomes = append(r.Outcomes, Outcome{Verdict: v})
	}
	if want := "2 updated, 2 added, 1 removed, 3 kept, 2 refused, 1 deleted by you, 1 conflict"; r.Counts() != want {
		t.Errorf("got %s", r.Counts())
	}
	for path, spoil := range map[string]func(*Generation){
		mount: func(g *Generation) { g.Files[0].Content = goFile("/*\n<<<<<<< a\n*/\nconst Routes = 8") },
		"migrations/00008_more.sql": func(g *Generation) {
			g.Migrations = append(g.Migrations, templates.Migration{Version: 2, File: templates.File{Path: "migrations/00008_more.sql", Content: []byte("SELECT 1;\n>>>>>>> b\n")}})
		},
	} {
		next := withMount("const Routes = 8")
		spoil(&next)
		root := host(t, generation())
		_, err := run(t, root, next)
		if r := refusal(t, err, path); r.Line == 0 || !strings.Contains(r.What, "conflict marker") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
