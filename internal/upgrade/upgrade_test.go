package upgrade

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
)

func TestU01NothingChanged(t *testing.T) {
	root := host(t, generation())
	settled(t, root, generation())
	settled(t, root, generation(), func(o *Options) { o.CLIVersion = "(devel)" })
}

func TestU28MissingManifestIsNoFirstInstall(t *testing.T) {
	root := host(t, generation())
	if err := os.Remove(filepath.Join(root, manifest.Path)); err != nil {
		t.Fatal(err)
	}
	_, err := run(t, root, generation())
	if refusals, ok := plan.AsRefusals(err); !ok || refusals.ExitCode() != 1 {
		t.Errorf("got %v", err)
	}
}

func TestU29DowngradeIsRefused(t *testing.T) {
	root := host(t, generation())
	_, err := run(t, root, withMount("const Routes = 6"), func(o *Options) { o.CLIVersion = "v0.9.0" })
	if refusals, ok := plan.AsRefusals(err); !ok || refusals.ExitCode() != 1 || !strings.Contains(err.Error(), "@v1.0.0 upgrade") {
		t.Errorf("got %v", err)
	}
	if _, err := run(t, root, withMount("const Routes = 8"), func(o *Options) { o.CLIVersion = "(devel)" }); err != nil {
		t.Errorf("a development build is no downgrade: %v", err)
	}
}

func TestNewerCLIRecordsItselfOnce(t *testing.T) {
	root := host(t, generation())
	newer := func(o *Options) { o.CLIVersion = "v1.1.0" }
	report, err := run(t, root, generation(), newer)
	if err != nil || !report.Pending {
		t.Fatalf("pending %v, %v", report, err)
	}
	if m, err := manifest.Read(root); err != nil || m.Generator != "v1.1.0" {
		t.Errorf("generator: %v", err)
	}
	settled(t, root, generation(), newer)
}

func TestCheckAndDryRunWriteNothing(t *testing.T) {
	root := host(t, generation())
	for name, set := range map[string]func(*Options){
		"check":   func(o *Options) { o.Check = true },
		"dry run": func(o *Options) { o.DryRun = true },
	} {
		report, err := run(t, root, withMount("const Routes = 8"), set) // run compares the tree
		if err != nil || !report.Pending {
			t.Errorf("%s: pending %v, %v", name, report, err)
		}
	}
	report, err := run(t, root, generation(), func(o *Options) { o.Check = true })
	if err != nil || report.Pending {
		t.Errorf("pending %v, %v", report, err)
	}
}

// I97: a command that only reads never finishes an interrupted run.
func TestI97InterruptedRunIsFinishedOnlyByACommandThatWrites(t *testing.T) {
	root := host(t, generation())
	const txn = ".lockspire/txn/AAAABBBBCCCC/"
	old, fresh := get(t, root, "main.go"), "package main\n\nfunc main() { println() }\n"
	put(t, root, txn+"new/0000", fresh)
	put(t, root, txn+"old/0000", old)
	put(t, root, txn+"journal.json", fmt.Sprintf(`{"layout": 1, "entries": [{"path": "main.go", "old": %q, "new": %q, "mode": 420}]}`,
		manifest.Sum([]byte(old)), manifest.Sum([]byte(fresh))))
	for name, set := range map[string]func(*Options){
		"check":   func(o *Options) { o.Check = true },
		"dry run": func(o *Options) { o.DryRun = true },
	} {
		_, err := run(t, root, generation(), set)
		if refusals, ok := plan.AsRefusals(err); !ok || refusals.ExitCode() != 3 {
			t.Errorf("%s: %v", name, err)
		}
	}
	var said []string
	if _, err := run(t, root, generation(), func(o *Options) { o.Warn = func(s string) { said = append(said, s) } }); err != nil {
		t.Fatal(err)
	}
	if get(t, root, "main.go") != fresh || len(said) == 0 {
		t.Errorf("main.go is %q, said %q", get(t, root, "main.go"), said)
	}
}

func TestDeclinedPlanIsNotWritten(t *testing.T) {
	root := host(t, generation())
	before := tree(t, root)
	report, err := run(t, root, withMount("const Routes = 8"), func(o *Options) {
		o.Confirm = func(context.Context, *Report) (bool, error) { return false, nil }
	})
	if refusals, ok := plan.AsRefusals(err); !ok || refusals.ExitCode() != 1 || report.Applied != nil || !reflect.DeepEqual(before, tree(t, root)) {
		t.Errorf("applied %v, %v", report.Applied, err)
	}
}

func TestRenderThatDoesNotCompileIsNotWritten(t *testing.T) {
	root := host(t, generation())
	_, err := run(t, root, withMount("const Routes = undefined"))
	if refusals, ok := plan.AsRefusals(err); !ok || refusals.ExitCode() == 0 {
		t.Errorf("got %v", err)
	}
}

func TestU26PathOutOfTheModuleIsNotFollowed(t *testing.T) {
	root := host(t, generation())
	edit(t, root, manifest.Path, `"`+mount+`"`, `"../../etc/x.go"`)
	_, err := run(t, root, generation())
	if err == nil || !strings.Contains(err.Error(), "leaves the module") {
		t.Errorf("got %v", err)
	}
}

func TestRuntimeRequirement(t *testing.T) {
	for _, tc := range []struct {
		name, gomod, version string
		modules              int
		runtime              string
	}{
		{"older", "require " + hostrepo.RuntimeModule + " v1.0.0\n", "v1.2.0", 1, "v1.2.0"},
		{"same", "require " + hostrepo.RuntimeModule + " v1.2.0\n", "v1.2.0", 0, "v1.2.0"},
		{"ahead", "require " + hostrepo.RuntimeModule + " v1.3.0\n", "v1.2.0", 0, "v1.3.0"},
		{"replaced and not required", "replace " + hostrepo.RuntimeModule + " => ../runtime\n", "", 1, unpublished},
		{"replaced", "require " + hostrepo.RuntimeModule + " v0.0.0-00010101000000-000000000000\n\nreplace " + hostrepo.RuntimeModule + " => ../runtime\n", "v1.2.0", 0, "v1.0.0"},
		{"development build", "require " + hostrepo.RuntimeModule + " v1.0.0\n", "", 0, "v1.0.0"},
		{"not required", "", "v1.2.0", 1, "v1.2.0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := host(t, generation())
			put(t, root, "go.mod", "module example.com/app\n\ngo 1.24\n\n"+tc.gomod)
			m, err := manifest.Read(root)
			if err != nil {
				t.Fatal(err)
			}
			w := &work{root: root, old: m, next: m.Clone(), plan: &plan.Plan{Root: root}}
			if err := w.requireRuntime(tc.version); err != nil {
				t.Fatal(err)
			}
			if len(w.plan.Modules) != tc.modules || w.next.Runtime != tc.runtime {
				t.Errorf("modules %v, runtime %s", w.plan.Modules, w.next.Runtime)
			}
		})
	}
}

func TestModuleRoot(t *testing.T) {
	root := host(t, generation())
	for _, dir := range []string{root, filepath.Join(root, "internal", "authserver")} {
		if got, err := ModuleRoot(dir); err != nil || got != root {
			t.Errorf("ModuleRoot(%s) = %s, %v", dir, got, err)
		}
	}
	for _, dir := range []string{t.TempDir(), filepath.Join(root, "none")} {
		_, err := ModuleRoot(dir)
		if refusals, ok := plan.AsRefusals(err); !ok || refusals.ExitCode() != 3 {
			t.Errorf("ModuleRoot(%s): %v", dir, err)
		}
	}
}
