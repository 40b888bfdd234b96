package upgrade

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

func merges(o *Options)    { o.Merge = true }
func partially(o *Options) { o.Partial = true }

// mountLines is a mount file whose parts can be edited apart.
func mountLines(first, middle, last string) Generation {
	return withMount("// first\nconst First = " + first + "\n\n// middle\nconst Middle = " + middle + "\n\n// last\nconst Last = " + last)
}

func refusal(t *testing.T, err error, path string) *plan.Refusal {
	t.Helper()
	refusals, _ := plan.AsRefusals(err)
	for _, r := range refusals {
		if r.Path == path {
			return r
		}
	}
	t.Fatalf("no refusal about %s: %v", path, err)
	return nil
}

func TestU05CleanMergeIsAppliedAndItsBaseAdvances(t *testing.T) {
	root := host(t, mountLines("1", "2", "3"))
	edit(t, root, mount, "First = 1", "First = 100")
	next := mountLines("1", "2", "30")
	report, err := run(t, root, next, merges)
	if err != nil {
		t.Fatal(err)
	}
	got := get(t, root, mount)
	if verdict(report, mount) != Merged || !strings.Contains(got, "First = 100") || !strings.Contains(got, "Last = 30") {
		t.Errorf("%s:\n%s", verdict(report, mount), got)
	}
	m, err := manifest.Read(root)
	fresh := next.Files[0].Content
	if err != nil || get(t, root, manifest.BasePath(mount)) != string(fresh) || m.File(mount).SHA256 != manifest.Sum(fresh) {
		t.Errorf("the base did not advance: %v", err)
	}
	settled(t, root, next) // kept from now on
	report, err = run(t, root, next)
	if err != nil || verdict(report, mount) != Kept {
		t.Errorf("afterwards it is %s, %v", verdict(report, mount), err)
	}
}

func TestU05MergedFileKeepsItsLineEndingsAndMark(t *testing.T) {
	root := host(t, mountLines("1", "2", "3"))
	put(t, root, mount, "\ufeff"+strings.ReplaceAll(strings.Replace(get(t, root, mount), "First = 1", "First = 100", 1), "\n", "\r\n"))
	if _, err := run(t, root, mountLines("1", "2", "30"), merges); err != nil {
		t.Fatal(err)
	}
	got := get(t, root, mount)
	if !strings.HasPrefix(got, "\ufeff") || strings.Count(got, "\r\n") != strings.Count(got, "\n") || !strings.Contains(got, "Last = 30\r\n") || !strings.Contains(got, "First = 100") {
		t.Errorf("%q", got)
	}
}

func TestU06ConflictLeavesTheFileAndIsResolvedByAPerson(t *testing.T) {
	root := host(t, mountLines("1", "2", "3"))
	edit(t, root, mount, "Middle = 2", "Middle = 200")
	next := mountLines("1", "20", "3")
	next.Files[1].Content = goFile("const Extra = 2") // all or nothing
	was := get(t, root, manifest.Path)
	report, err := run(t, root, next, merges) // run compares the tree, conflicts left out
	r := refusal(t, err, mount)
	if r.Exit != 1 || verdict(report, mount) != Conflict || !strings.Contains(report.Counts(), "1 conflict") || !strings.Contains(r.Next, "--resolved "+mount) {
		t.Errorf("%v, %s, %s", err, verdict(report, mount), report.Counts())
	}
	if get(t, root, manifest.Path) != was {
		t.Error("the manifest changed")
	}
	conflicts := plan.ConflictsDir + "/" + mount
	merged := get(t, root, conflicts+".merged")
	if !strings.Contains(merged, "<<<<<<< yours") || !strings.Contains(merged, "Middle = 200") || !strings.Contains(merged, "Middle = 20\n") || !strings.Contains(merged, "|||||||") {
		t.Errorf("merged:\n%s", merged)
	}
	for kind, want := range map[string]string{"base": "Middle = 2\n", "yours": "Middle = 200", "ours": "Middle = 20\n"} {
		if !strings.Contains(get(t, root, conflicts+"."+kind), want) {
			t.Errorf("the %s input lacks %q", kind, want)
		}
	}

	// Markers are no resolution.
	put(t, root, mount, merged)
	_, err = run(t, root, next, merges, func(o *Options) { o.Resolved = []string{mount} })
	if r := refusal(t, err, mount); r.Line == 0 || !strings.Contains(r.What, "conflict marker") {
		t.Errorf("got %v", err)
	}
	put(t, root, mount, strings.Replace(string(next.Files[0].Content), "= 20", "= 220", 1))
	report, err = run(t, root, next, func(o *Options) { o.Resolved = []string{mount} })
	if err != nil || verdict(report, mount) != Resolved || verdict(report, extra) != Updated {
		t.Fatalf("%v, %s, %s", err, verdict(report, mount), verdict(report, extra))
	}
	if !strings.Contains(get(t, root, mount), "= 220") {
		t.Error("the resolution was written over")
	}
	if _, err := os.Stat(filepath.Join(root, plan.ConflictsDir)); err == nil {
		t.Error("the conflicts are still there")
	}
	settled(t, root, next)

	// So is a file that took the new render as it is, or is said to be twice.
	if _, err := run(t, root, next, func(o *Options) { o.Resolved = []string{mount, extra} }); err != nil {
		t.Errorf("resolved again: %v", err)
	}
}

func TestU06ResolvedNamesAFileThatNeedsIt(t *testing.T) {
	root := host(t, generation())
	for _, path := range []string{mount, "main.go", "none.go", "../x"} {
		_, err := run(t, root, withMount("const Routes = 8"), func(o *Options) { o.Resolved = []string{path} })
		if refusals, ok := plan.AsRefusals(err); !ok || refusals.ExitCode() != 2 || !strings.Contains(err.Error(), "--resolved "+path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestU06DryRunAndCheckLeaveNoConflicts(t *testing.T) {
	root := host(t, mountLines("1", "2", "3"))
	edit(t, root, mount, "Middle = 2", "Middle = 200")
	for name, set := range map[string]func(*Options){
		"dry run": func(o *Options) { o.DryRun = true }, "check": func(o *Options) { o.Check = true },
	} {
		report, err := run(t, root, mountLines("1", "20", "3"), merges, set)
		if err == nil || verdict(report, mount) != Conflict {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(root, plan.ConflictsDir)); err == nil {
			t.Errorf("%s left conflicts", name)
		}
	}
}

func TestU06ConflictsAreNotWrittenThroughALink(t *testing.T) {
	root, outside := host(t, mountLines("1", "2", "3")), t.TempDir()
	edit(t, root, mount, "Middle = 2", "Middle = 200")
	if err := os.Symlink(outside, filepath.Join(root, plan.ConflictsDir)); err != nil {
		t.Fatal(err)
	}
	_, err := Run(t.Context(), Options{Dir: root, CLIVersion: "v1.0.0", Render: renders(mountLines("1", "20", "3")), Detect: unchanged, Merge: true})
	if r := refusal(t, err, plan.ConflictsDir); !strings.Contains(r.What, "is not a directory of this module") || refusal(t, err, mount) == nil {
		t.Errorf("got %v", err)
	}
	if entries, _ := os.ReadDir(outside); len(entries) > 0 {
		t.Errorf("written outside: %v", entries)
	}
}

func TestU04PartialWritesTheOthersAndStillRefuses(t *testing.T) {
	root := host(t, generation())
	edit(t, root, mount, "7", "70")
	mine := get(t, root, mount)
	next := withMount("// Routes counts.\nconst Routes = 8")
	next.Files[1].Content = goFile("const Extra = 2")
	report, err := run(t, root, next, partially)
	if r := refusal(t, err, mount); r.Exit != 1 {
		t.Errorf("exit %d", r.Exit)
	}
	if report.Applied == nil || get(t, root, mount) != mine || !strings.Contains(get(t, root, extra), "Extra = 2") {
		t.Errorf("applied %v; extra is\n%s", report.Applied, get(t, root, extra))
	}
	m, err := manifest.Read(root)
	if err != nil || m.File(mount).Normalized != manifest.Normalized(mount, goFile("// Routes counts.\nconst Routes = 7")) {
		t.Errorf("the refused file's base moved on: %v", err)
	}
	before := tree(t, root)
	report, err = run(t, root, next, partially)
	if err == nil || report.Applied != nil || len(before) != len(tree(t, root)) {
		t.Errorf("a second partial run: %v, applied %v", err, report.Applied)
	}
}

func TestU04PartialWritesNothingWithoutItsMigration(t *testing.T) {
	const second = "migrations/00009_lockspire_more.sql"
	root := host(t, generation())
	put(t, root, second, "-- another\n")
	next := withMount("const Routes = 8")
	next.Migrations = append(next.Migrations, templates.Migration{Version: 2, File: templates.File{Path: second, Why: "schema 2", Content: []byte("SELECT 2;\n")}})
	report, err := run(t, root, next, partially)
	if err == nil || report.Applied != nil {
		t.Errorf("code was written without the tables that it needs: %v", err)
	}
}

func TestU06PartialMergeWritesWhatIsCleanAndKeepsTheRest(t *testing.T) {
	root := host(t, mountLines("1", "2", "3"))
	edit(t, root, mount, "Middle = 2", "Middle = 200")
	edit(t, root, extra, "const Extra = 1", "// mine\n\nconst Extra = 1")
	next := mountLines("1", "20", "3")
	next.Files[1].Content = goFile("const Extra = 1\n\nconst More = 2")
	report, err := run(t, root, next, merges, partially)
	if refusal(t, err, mount); report.Applied == nil || verdict(report, extra) != Merged {
		t.Fatalf("%s is %s, applied %v", extra, verdict(report, extra), report.Applied)
	}
	if got := get(t, root, extra); !strings.Contains(got, "// mine") || !strings.Contains(got, "More = 2") {
		t.Errorf("merged:\n%s", got)
	}
	if !strings.Contains(get(t, root, plan.ConflictsDir+"/"+mount+".yours"), "200") {
		t.Error("the conflict is not kept")
	}
}

func TestU07MergeNeedsNoGit(t *testing.T) {
	root := host(t, mountLines("1", "2", "3"))
	edit(t, root, mount, "First = 1", "First = 100")
	bin := t.TempDir() // go alone
	goTool := strings.TrimSpace(mustOutput(t, "go", "env", "GOROOT")) + "/bin/go"
	if err := os.Symlink(goTool, filepath.Join(bin, "go")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	if _, err := run(t, root, mountLines("1", "2", "30"), merges); err != nil {
		t.Fatal(err)
	}
	if got := get(t, root, mount); !strings.Contains(got, "First = 100") || !strings.Contains(got, "Last = 30") {
		t.Errorf("merged:\n%s", got)
	}
}

func TestU08WithoutABaseCopyNothingIsMerged(t *testing.T) {
	root := host(t, generation())
	edit(t, root, mount, "counts", "counts ours")
	if err := os.Remove(filepath.Join(root, manifest.BasePath(mount))); err != nil {
		t.Fatal(err)
	}
	_, err := run(t, root, withMount("// Routes counts.\nconst Routes = 8"), merges)
	if r := refusal(t, err, mount); !strings.Contains(r.Next, "--repair-manifest") {
		t.Errorf("next: %s", r.Next)
	}
}

func TestU09CleanMergeThatDoesNotCompileIsAConflict(t *testing.T) {
	const user = "internal/authserver/use.go"
	for name, tc := range map[string]struct {
		next Generation
		edit func(root string)
	}{
		"error in the merged file": {
			withMount("// middle\nconst Middle = 2\n\n// last\nconst Last = 3"), // First is gone
			func(root string) { put(t, root, mount, get(t, root, mount)+"\n// mine\nconst Mine = First\n") },
		},
		"error in a file of the host": {
			mountLines("1", "2", "3\n\nconst Use = 1"),
			func(root string) {
				edit(t, root, mount, "// first", "// mine")
				put(t, root, user, "package authserver\n\nconst Use = First\n")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := host(t, mountLines("1", "2", "3"))
			tc.edit(root)
			report, err := run(t, root, tc.next, merges)
			if verdict(report, mount) != Conflict || refusal(t, err, mount) == nil {
				t.Fatalf("%s is %s: %v", mount, verdict(report, mount), err)
			}
			if len(compileErrors(err)) == 0 {
				t.Errorf("the type error is not shown: %v", err)
			}
			if !strings.Contains(get(t, root, plan.ConflictsDir+"/"+mount+".merged"), "// mine") {
				t.Error("the merged text is not kept")
			}
		})
	}
}

func TestU11EditOfGoFixIsNamed(t *testing.T) {
	old := withMount("// Routes counts.\nfunc Routes(list []interface{}) (n int) {\n\tfor i := 0; i < len(list); i++ {\n\t\tn += i\n\t}\n\treturn n\n}")
	root := host(t, old)
	edit(t, root, mount, "interface{}", "any")
	edit(t, root, mount, "i := 0; i < len(list); i++", "i := range len(list)")
	report, err := run(t, root, old)
	if err != nil || verdict(report, mount) != Kept || !strings.Contains(fmt.Sprint(report.Outcomes), "go fix edited it") {
		t.Errorf("%v, %+v", err, report.Outcomes)
	}
	_, err = run(t, root, withMount("// Routes counts.\nfunc Routes([]interface{}) int { return 1 }"))
	if r := refusal(t, err, mount); !strings.Contains(r.What, "go fix") {
		t.Errorf("got %s", r.What)
	}
	edit(t, root, mount, "return n", "return n + 1")
	_, err = run(t, root, withMount("// Routes counts.\nfunc Routes([]interface{}) int { return 1 }"))
	if r := refusal(t, err, mount); strings.Contains(r.What, "go fix") {
		t.Errorf("got %s", r.What)
	}
}

func TestU12RestoreBringsADeletedFileBack(t *testing.T) {
	for name, paths := range map[string][]string{"all": {"*"}, "one": {extra}} {
		t.Run(name, func(t *testing.T) {
			root, next := host(t, generation()), generation()
			if err := os.Remove(filepath.Join(root, extra)); err != nil {
				t.Fatal(err)
			}
			next.Files[1].Content = goFile("const Extra = 2")
			report, err := run(t, root, next, func(o *Options) { o.Restore = paths })
			if err != nil || verdict(report, extra) != Restored || get(t, root, extra) != string(goFile("const Extra = 2")) {
				t.Errorf("%v, %s", err, verdict(report, extra))
			}
			settled(t, root, next)
		})
	}
	t.Run("a file of the host only by its name", func(t *testing.T) {
		root := host(t, generation())
		if err := os.Remove(filepath.Join(root, seam)); err != nil {
			t.Fatal(err)
		}
		if report, err := run(t, root, generation(), func(o *Options) { o.Restore = []string{"*"} }); err != nil || report.Pending {
			t.Errorf("all: %v", err)
		}
		if _, err := run(t, root, generation(), func(o *Options) { o.Restore = []string{seam} }); err != nil || !strings.Contains(get(t, root, seam), "guard") {
			t.Errorf("by name: %v", err)
		}
	})
	t.Run("not deleted", func(t *testing.T) {
		root := host(t, generation())
		_, err := run(t, root, generation(), func(o *Options) { o.Restore = []string{mount} })
		if refusals, _ := plan.AsRefusals(err); refusals.ExitCode() != 2 {
			t.Errorf("got %v", err)
		}
	})
}
