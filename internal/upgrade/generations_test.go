package upgrade

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// kept is one template set that could have been released, as it was rendered into
// the host of host.txtar: the whole tree after an install. Sets with "made from"
// in their head are another set with the files that are in them instead; what
// "retires" names is gone.
type kept struct {
	name  string
	files map[string][]byte
	m     *manifest.Manifest
	hooks []templates.Hook
}

// generations are the kept sets, oldest first.
func generations(t *testing.T) []kept {
	t.Helper()
	names, err := filepath.Glob("testdata/generations/[0-9]*.txtar")
	if err != nil || len(names) < 5 {
		t.Fatalf("%d generations: %v", len(names), err)
	}
	var out []kept
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		k := kept{name: strings.TrimSuffix(filepath.Base(name), ".txtar"), files: map[string][]byte{}}
		for line := range strings.Lines(string(archive.Comment)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			switch key {
			case "made from":
				k.files = maps.Clone(out[slices.IndexFunc(out, func(o kept) bool { return o.name == value })].files)
			case "retires":
				delete(k.files, value)
			case "hook":
				fields := strings.SplitN(value, " ", 3)
				k.hooks = append(k.hooks, templates.Hook{Template: fields[0], Name: fields[1], Text: fields[2]})
			}
		}
		for _, f := range archive.Files {
			k.files[f.Name] = f.Data
		}
		k.record(t)
		out = append(out, k)
	}
	return out
}

// record reads the manifest of a set, or makes the one of a set that was made.
func (k *kept) record(t *testing.T) {
	t.Helper()
	m, err := manifest.Parse(k.files[manifest.Path])
	if err != nil {
		t.Fatalf("%s: %v", k.name, err)
	}
	files := m.Files
	m.Files = nil
	for _, f := range files {
		if content, ok := k.files[f.Path]; ok {
			m.Put(manifest.NewFile(f.Path, f.Owner, f.Template, content))
		}
	}
	for path, content := range k.files {
		if base := strings.TrimSuffix(filepath.Base(path), ".go"); strings.HasPrefix(path, "internal/authserver/lockspire_gen") && m.File(path) == nil {
			m.Put(manifest.NewFile(path, plan.Managed, base, content))
		}
		if strings.Contains(path, "_lockspire_") && !slices.ContainsFunc(m.Migrations, func(g manifest.Migration) bool { return g.Path == path }) {
			m.Migrations = append(m.Migrations, manifest.NewMigration(len(m.Migrations)+1, "sqlite", path, content))
		}
	}
	if k.files[manifest.Path], err = m.Marshal(); err != nil {
		t.Fatal(err)
	}
	if k.m, err = manifest.Parse(k.files[manifest.Path]); err != nil {
		t.Fatal(err)
	}
}

// render is the renderer of a kept set.
func (k *kept) render(string, json.RawMessage, []manifest.Migration) (Generation, error) {
	g := Generation{Engine: "sqlite", Hooks: k.hooks}
	for _, f := range k.m.Files {
		g.Files = append(g.Files, templates.File{Path: f.Path, Owner: templates.Owner(f.Owner), Template: f.Template, Why: f.Template, Content: k.files[f.Path]})
	}
	for _, m := range k.m.Migrations {
		g.Migrations = append(g.Migrations, templates.Migration{Version: m.Version, File: templates.File{Path: m.Path, Why: "schema", Content: k.files[m.Path]}})
	}
	return g, nil
}

// install writes the host with this set into a directory beside the runtime of
// this checkout, where its go.mod looks for it.
func (k *kept) install(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	runtime, err := filepath.Abs("../../runtime")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(runtime, filepath.Join(top, "runtime")); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(top, "host")
	for path, content := range k.files {
		put(t, root, path, string(content))
	}
	for _, f := range k.m.Files {
		put(t, root, manifest.BasePath(f.Path), string(k.files[f.Path]))
	}
	return root
}

// withoutDriver puts a stand-in for the SQLite driver beside a host that is not run:
// reading the real one from source is most of a type check.
func withoutDriver(t *testing.T, root string) {
	t.Helper()
	put(t, root, "../sqlite/go.mod", "module modernc.org/sqlite\n\ngo 1.24\n")
	put(t, root, "../sqlite/sqlite.go", "package sqlite\n")
	put(t, root, "go.mod", get(t, root, "go.mod")+"\nreplace modernc.org/sqlite => ../sqlite\n")
}

// upgradeTo upgrades with the set's templates.
func upgradeTo(t *testing.T, root string, k kept, change ...func(*Options)) (*Report, error) {
	t.Helper()
	return run(t, root, Generation{}, append([]func(*Options){func(o *Options) {
		o.Render, o.CLIVersion = k.render, "(devel)"
		o.Env.Environ = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	}}, change...)...)
}

// state is the tree that is in git.
func state(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name := range tree(t, root) {
		rel, err := filepath.Rel(root, name)
		if err != nil {
			t.Fatal(err)
		}
		rel = filepath.ToSlash(rel)
		if !strings.HasPrefix(rel, ".lockspire/undo/") && rel != ".lockspire/dev-secret" {
			all[rel] = get(t, root, rel)
		}
	}
	return all
}

// A host with an edited seam, an edited and a deleted managed file, as no
// fresh one is.
func liveIn(t *testing.T, root string) {
	t.Helper()
	edit(t, root, "internal/authserver/operator.go", "package authserver\n", "package authserver\n\n// Ours since the second week.\n")
	edit(t, root, "internal/authserver/lockspire_gen.go", "// Call it once,", "// As we do in newRouter: call it once,")
	remove(t, root, ".lockspire/.gitignore")
}

func TestU30OneByOneAndAllAtOnceGiveTheSameTree(t *testing.T) {
	sets := generations(t)
	last := sets[len(sets)-1]
	for name, live := range map[string]func(*testing.T, string){"fresh": func(*testing.T, string) {}, "lived in": liveIn} {
		t.Run(name, func(t *testing.T) {
			stepped, jumped := sets[0].install(t), sets[0].install(t)
			for _, root := range []string{stepped, jumped} {
				withoutDriver(t, root)
				live(t, root)
			}
			for _, k := range sets[1:] {
				if _, err := upgradeTo(t, stepped, k, merges); err != nil {
					t.Fatalf("to %s: %v", k.name, err)
				}
			}
			report, err := upgradeTo(t, jumped, last, merges)
			if err != nil {
				t.Fatal(err)
			}
			a, b := state(t, stepped), state(t, jumped)
			for _, path := range slices.Sorted(maps.Keys(a)) {
				if a[path] != b[path] {
					t.Errorf("%s differs:\n%s", path, diff(path, []byte(a[path]), []byte(b[path])))
				}
			}
			if len(a) != len(b) {
				t.Errorf("%d files and %d", len(a), len(b))
			}
			if name == "lived in" && !strings.Contains(b["internal/authserver/lockspire_gen.go"], "As we do in newRouter") {
				t.Error("the edit is lost")
			}
			for _, hook := range last.hooks {
				if !strings.Contains(fmt.Sprint(report.Notes), hook.Text) {
					t.Errorf("hook %s was not told", hook.Name)
				}
			}
		})
	}
}

func TestU31EveryGenerationPassesItsSmokeTestOnThisRuntime(t *testing.T) {
	for _, k := range generations(t) {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			smoke(t, k.install(t))
		})
	}
}

// The whole way: the first slice, lived in, to the templates of this checkout, with
// the facts read from the host itself; and back.
func TestU30AndU38FirstSliceToThisVersionAndBack(t *testing.T) {
	root := generations(t)[0].install(t)
	liveIn(t, root)
	before := state(t, root)
	o := Options{Dir: root, CLIVersion: "(devel)", Merge: true}
	o.Env.Environ = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	const routing = "internal/authserver/lockspire_gen.go"
	got := get(t, root, routing)
	if verdict(report, routing) != Merged || !strings.Contains(got, "As we do in newRouter") || !strings.Contains(got, "ForMachines") {
		t.Errorf("%s is %s", routing, verdict(report, routing))
	}
	if len(report.Inputs) > 0 {
		t.Errorf("this host did not change, and: %+v", report.Inputs)
	}
	if exists(root, ".lockspire/.gitignore") || !strings.Contains(get(t, root, "internal/authserver/operator.go"), "Ours since") {
		t.Error("a file of the host changed, or a deleted one came back")
	}
	var told strings.Builder
	if err := report.Write(&told); err != nil || !strings.Contains(told.String(), "new: ForMachines\nForMachines(method, path) is true") {
		t.Errorf("the hook is not told:\n%s", told.String())
	}
	smoke(t, root)
	if _, err := plan.Undo(root); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(before, state(t, root)) {
		t.Error("undo left another tree")
	}
}

// smoke vets a host and runs its smoke test.
func smoke(t *testing.T, root string) {
	t.Helper()
	for _, args := range [][]string{{"vet", "./..."}, {"test", "-count=1", "-vet=off", "-v", "-run", "TestSmoke", "./internal/authserver"}} {
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
		out, err := cmd.CombinedOutput()
		if err != nil || args[0] == "test" && !bytes.Contains(out, []byte("--- PASS: TestSmoke")) {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// The kept sets are what they say: each brings what the issue of its time did.
func TestKeptGenerationsAreHonest(t *testing.T) {
	sets := generations(t)
	byName := func(name string) kept {
		return sets[slices.IndexFunc(sets, func(k kept) bool { return k.name == name })]
	}
	const routing = "internal/authserver/lockspire_gen.go"
	for i := 1; i < len(sets); i++ {
		if bytes.Equal(sets[i].files[routing], sets[i-1].files[routing]) && len(sets[i].files) == len(sets[i-1].files) {
			t.Errorf("%s is the same as the one before", sets[i].name)
		}
	}
	if k := byName("4-hook-and-migration"); len(k.m.Migrations) != 2 || len(k.hooks) == 0 {
		t.Errorf("%d migrations, %d hooks", len(k.m.Migrations), len(k.hooks))
	}
	if a, b := byName("4-hook-and-migration"), byName("5-retired"); len(b.m.Files) != len(a.m.Files)-1 || bytes.Equal(a.files[routing], b.files[routing]) {
		t.Errorf("%d files and %d", len(a.m.Files), len(b.m.Files))
	}
}
