package plan

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// I102.
func TestI102ApplyRefusesWhatChangedSinceThePlan(t *testing.T) {
	for name, change := range map[string]func(string) error{
		"server.go":                   func(n string) error { return os.WriteFile(n, []byte("edited\n"), 0o644) },
		"go.mod":                      os.Remove,
		"internal/authserver/gen.go":  func(n string) error { return os.WriteFile(n, []byte("mine\n"), 0o644) },
		"internal/old/retired_gen.go": func(n string) error { return os.WriteFile(n, []byte("mine\n"), 0o644) },
	} {
		root := newFixture(t)
		p := fixturePlan(root)
		if err := change(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
		before := tree(t, root)
		places(t, p.preflight().Err(), 1, name) // which Check shows before anybody is asked
		_, err := p.Apply(t.Context())
		places(t, err, 1, name)
		if d := differences(before, tree(t, root)); len(d) > 0 {
			t.Errorf("%s: %q", name, d)
		}
		// The same when the editor saves after the first look.
		root = newFixture(t)
		p = fixturePlan(root)
		_, err = p.apply(t.Context(), disk{before: func(op, at string) error {
			if op == "lock" {
				return change(filepath.Join(root, name))
			}
			return nil
		}})
		places(t, err, 1, name)
	}
}

// I94.
func TestI94ApplyRefusesSymbolicLinks(t *testing.T) {
	outside := t.TempDir()
	link := func(to, name string) func(string) error {
		return func(root string) error {
			name := filepath.Join(root, name)
			if err := os.RemoveAll(name); err != nil {
				return err
			}
			return os.Symlink(to, name)
		}
	}
	for _, c := range []struct {
		name    string
		prepare func(root string) error
		refused []string
	}{
		{"file", link("internal/keep/keep.go", "server.go"), []string{"server.go"}},
		{"dangling file", link("nowhere", "internal/authserver/gen.go"), []string{"internal/authserver/gen.go"}},
		{"parent leaves", link(outside, "internal/authserver"), []string{"internal/authserver"}},
		{"parent loops", link("authserver", "internal/authserver"), []string{"internal/authserver"}},
		{"state leaves", link(outside, ".lockspire"), []string{".lockspire"}},
		{"parent is a file", func(root string) error {
			name := filepath.Join(root, "internal/authserver")
			if err := os.RemoveAll(name); err != nil {
				return err
			}
			return os.WriteFile(name, nil, 0o644)
		}, []string{"internal/authserver"}},
		{"several", func(root string) error {
			if err := link("go.sum", "go.mod")(root); err != nil {
				return err
			}
			return link("server.go", "run.sh")(root)
		}, []string{"go.mod", "run.sh"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := newFixture(t)
			p := fixturePlan(root)
			if err := c.prepare(root); err != nil {
				t.Fatal(err)
			}
			before := tree(t, root)
			_, err := p.Apply(t.Context())
			places(t, err, 1, c.refused...)
			if d := differences(before, tree(t, root)); len(d) > 0 {
				t.Errorf("changed %q", d)
			}
			if left, _ := os.ReadDir(outside); len(left) > 0 {
				t.Errorf("wrote outside the module: %v", left)
			}
		})
	}
	t.Run("the command keeps the content", func(t *testing.T) {
		root := newFixture(t)
		name := filepath.Join(root, "server.go")
		if err := os.Rename(name, name+".real"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("server.go.real", name); err != nil {
			t.Fatal(err)
		}
		_, err := fixturePlan(root).Apply(t.Context())
		refusals, ok := AsRefusals(err)
		if !ok || len(refusals) != 1 {
			t.Fatal(err)
		}
		cmd := exec.Command("sh", "-c", refusals[0].Next)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if _, err := fixturePlan(root).Apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		if readFile(t, name) != fixtureAfter["server.go"] {
			t.Error("not the planned content")
		}
	})
	t.Run("parent stays inside", func(t *testing.T) {
		root := newFixture(t)
		if err := os.MkdirAll(filepath.Join(root, "elsewhere"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := link("../elsewhere", "internal/authserver")(root); err != nil {
			t.Fatal(err)
		}
		if _, err := fixturePlan(root).Apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		if readFile(t, filepath.Join(root, "elsewhere/gen.go")) != fixtureAfter["internal/authserver/gen.go"] {
			t.Error("not written through the link")
		}
	})
}

// I95. All of them in one report, also for root, whom no mode bit stops.
func TestI95ApplyRefusesReadOnlyTargets(t *testing.T) {
	root := newFixture(t)
	for name, mode := range map[string]os.FileMode{"server.go": 0o444, "go.mod": 0o400, "internal/authserver": 0o555} {
		name = filepath.Join(root, name)
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(name, 0o755) })
	}
	p := fixturePlan(root)
	before := tree(t, root)
	_, err := p.Apply(t.Context())
	rs := places(t, err, 3, "go.mod", "internal/authserver", "server.go")
	if len(rs) == 3 && rs[0].Next != "chmod u+w go.mod" {
		t.Errorf("next: %q", rs[0].Next)
	}
	if d := differences(before, tree(t, root)); len(d) > 0 {
		t.Errorf("changed %q", d)
	}
}

// U39.
func TestU39ApplyRefusesToWriteConflictMarkers(t *testing.T) {
	root := newFixture(t)
	p := fixturePlan(root)
	add(t, p, "server.go", "package main\n\n<<<<<<< yours\nvar a = 1\n=======\nvar a = 2\n>>>>>>> ours\n")
	add(t, p, "vendor/example.com/b/README.md", "<<<<<<< an example\n")
	add(t, p, "notes.md", "Title\n=======\n")
	_, err := p.Apply(t.Context())
	places(t, err, 1, "server.go:3", "server.go:7")
}

func TestApplyRefusesPathsOutsideTheModule(t *testing.T) {
	for _, path := range []string{"../x.go", "/etc/x", "a/../../x", "a//b", "./a", `a\b`, ".git/hooks/pre-commit", "sub/.git/config", ".lockspire/txn/1/journal.json", ".lockspire/lock", "../../vendor/../x", ""} {
		root := newFixture(t)
		before := tree(t, root)
		p := &Plan{Root: root, Changes: []Change{{Path: path, After: []byte("x")}}}
		_, err := p.Apply(t.Context())
		if rs, ok := AsRefusals(err); !ok || rs.ExitCode() != 1 {
			t.Errorf("%q: %v", path, err)
		}
		if d := differences(before, tree(t, root)); len(d) > 0 {
			t.Errorf("%q: changed %q", path, d)
		}
	}
}
