package upgrade

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
)

func repair(t *testing.T, root string, g Generation, change ...func(*Options)) (*Report, error) {
	t.Helper()
	o := Options{Dir: root, CLIVersion: "v1.0.0", Render: renders(g), Detect: unchanged,
		Recover: func(context.Context, string, map[string]string) (json.RawMessage, error) {
			return json.RawMessage(`{"mount_path": "/lockspire"}`), nil
		}}
	for _, c := range change {
		c(&o)
	}
	return Repair(t.Context(), o)
}

// ours are the managed files and the seam as they are on disk.
func ours(t *testing.T, root string) string {
	t.Helper()
	return get(t, root, mount) + get(t, root, extra) + get(t, root, seam) + get(t, root, first)
}

func TestU28LostManifestIsRebuiltFromFilesAndBases(t *testing.T) {
	root := host(t, generation())
	edit(t, root, mount, "7", "70")
	edit(t, root, seam, "return false", "return true")
	was, files := get(t, root, manifest.Path), ours(t, root)
	remove(t, root, manifest.Path)
	report, err := repair(t, root, generation())
	if err != nil || report.Applied == nil {
		t.Fatalf("%v", err)
	}
	if ours(t, root) != files {
		t.Error("a file of the host changed")
	}
	before, err := manifest.Parse([]byte(was))
	if err != nil {
		t.Fatal(err)
	}
	after, err := manifest.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	before.Runtime, after.Runtime = "", "" // this host requires none
	want, _ := before.Marshal()
	got, _ := after.Marshal()
	if string(got) != string(want) {
		t.Errorf("the manifest is another:\n%s\nwas\n%s", got, want)
	}
	report, err = run(t, root, generation())
	if err != nil || verdict(report, mount) != Kept {
		t.Errorf("%s, %v", verdict(report, mount), err)
	}
}

func TestU28LostManifestAndBases(t *testing.T) {
	root := host(t, generation())
	edit(t, root, mount, "7", "70")
	files := ours(t, root)
	if err := os.RemoveAll(filepath.Join(root, ".lockspire")); err != nil {
		t.Fatal(err)
	}
	report, err := repair(t, root, generation())
	if err != nil || ours(t, root) != files {
		t.Fatalf("%v", err)
	}
	shown := ""
	for _, o := range report.Outcomes {
		shown += o.Whole
	}
	if !strings.Contains(shown, "-const Routes = 70") {
		t.Errorf("the difference is not shown: %q", shown)
	}
	settled(t, root, generation())
}

func TestU08RepairBringsBaseCopiesBack(t *testing.T) {
	root := host(t, generation())
	edit(t, root, mount, "7", "70")
	remove(t, root, manifest.BasePath(mount))                                 // edited: the template is unchanged
	put(t, root, manifest.BasePath(extra), "<<<<<<< a\n=======\n>>>>>>> b\n") // unedited, older
	next := generation()
	next.Files[1].Content = goFile("const Extra = 2")
	if _, err := repair(t, root, next); err != nil {
		t.Fatal(err)
	}
	if get(t, root, manifest.BasePath(mount)) != string(goFile("// Routes counts.\nconst Routes = 7")) || get(t, root, manifest.BasePath(extra)) != string(goFile("const Extra = 1")) {
		t.Error("a base copy is not what was rendered last")
	}
	report, err := run(t, root, next)
	if err != nil || verdict(report, mount) != Kept || verdict(report, extra) != Updated {
		t.Errorf("%v %+v", err, report)
	}
}

// conflicted joins two manifests as git does, each line that differs in dispute.
func conflicted(ours, theirs string) string {
	return "<<<<<<< HEAD\n" + ours + "=======\n" + theirs + ">>>>>>> branch\n"
}

func TestU27ConflictMarkersAreRefusedAndRepaired(t *testing.T) {
	root := host(t, generation())
	mine := get(t, root, manifest.Path)
	// The other branch was upgraded: mount came from there.
	put(t, root, mount, string(goFile("const Routes = 8")))
	put(t, root, manifest.BasePath(mount), string(goFile("const Routes = 8")))
	m, err := manifest.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	m.Put(manifest.NewFile(mount, plan.Managed, "mount", goFile("const Routes = 8")))
	theirs, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	put(t, root, manifest.Path, conflicted(mine, string(theirs)))
	_, err = run(t, root, generation())
	if r := refusal(t, err, manifest.Path); r.Exit != 1 || r.Line != 1 || r.Next != "lockspire upgrade --repair-manifest" {
		t.Errorf("got %v", err)
	}
	if _, err := repair(t, root, withMount("const Routes = 9")); err != nil {
		t.Fatal(err)
	}
	report, err := run(t, root, withMount("const Routes = 9"))
	if err != nil || verdict(report, mount) != Updated {
		t.Errorf("%v: %s is %s", err, mount, verdict(report, mount))
	}
}

func TestU27InputsThatDifferAreAsked(t *testing.T) {
	root := host(t, generation())
	mine := get(t, root, manifest.Path)
	broken := conflicted(mine, strings.Replace(mine, `"/lockspire"`, `"/auth"`, 1))
	put(t, root, manifest.Path, broken)
	before := tree(t, root)
	_, err := repair(t, root, generation())
	r := refusal(t, err, manifest.Path)
	if !strings.Contains(r.What, "inputs.mount_path: /lockspire and /auth") || !strings.Contains(r.Next, "--set mount_path=/lockspire\n") || !strings.Contains(r.Next, "--set mount_path=/auth") {
		t.Errorf("got %v", err)
	}
	if len(tree(t, root)) != len(before) || get(t, root, manifest.Path) != broken {
		t.Error("something was written")
	}
	if _, err := repair(t, root, generation(), sets("mount_path=/auth")); err != nil {
		t.Fatal(err)
	}
	if m, err := manifest.Read(root); err != nil || !strings.Contains(string(m.Inputs), "/auth") {
		t.Errorf("%v", err)
	}
}

func TestU26BrokenManifestIsRepairedButNoneOfANewerVersion(t *testing.T) {
	for name, broken := range map[string]string{"truncated": "{\n  \"files\": [", "empty": "", "binary": "\x00\x01"} {
		root := host(t, generation())
		put(t, root, manifest.Path, broken)
		if _, err := run(t, root, generation()); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := repair(t, root, generation()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		settled(t, root, generation())
	}
	root := host(t, generation())
	edit(t, root, manifest.Path, `"schema": 1`, `"schema": 7`)
	for name, verb := range map[string]func() error{
		"upgrade": func() error { _, err := run(t, root, generation()); return err },
		"repair":  func() error { _, err := repair(t, root, generation()); return err },
	} {
		if refusals, _ := plan.AsRefusals(verb()); refusals.ExitCode() != 3 {
			t.Errorf("U24 %s: %v", name, refusals)
		}
	}
	root = host(t, generation())
	edit(t, root, manifest.Path, `"`+mount+`"`, `"../x.go"`)
	if _, err := repair(t, root, generation()); err != nil {
		t.Errorf("a path out of the module is a broken manifest: %v", err)
	}
	if m, err := manifest.Read(root); err != nil || m.File("../x.go") != nil {
		t.Errorf("%v", err)
	}
}

func TestU23SortingAndUnknownFieldsAreNoReasonToWrite(t *testing.T) {
	root := host(t, generation())
	edit(t, root, manifest.Path, `"schema": 1`, `"schema": 1, "added_by_hand": {"b": 1, "a": [true]}`)
	edit(t, root, manifest.Path, "{\n", "{\n\n\n")
	settled(t, root, generation())
	next := withMount("const Routes = 8")
	if _, err := run(t, root, next); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(get(t, root, manifest.Path), `"added_by_hand": {`) {
		t.Error("an unknown field was dropped")
	}
	settled(t, root, next)
}
