package plan

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestApplyWritesThePlanAndNothingElse(t *testing.T) {
	root := newFixture(t)
	untouched := filepath.Join(root, "internal/keep/keep.go")
	long := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := os.Chtimes(untouched, long, long); err != nil {
		t.Fatal(err)
	}
	res, err := fixturePlan(root).Apply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for name, content := range fixture {
		want[name] = content
	}
	for name, content := range fixtureAfter {
		want[name] = content
	}
	delete(want, "internal/old/retired_gen.go")
	for name, what := range hostFiles(tree(t, root)) {
		if !strings.HasSuffix(what, fmt.Sprintf(" %q", want[name])) {
			t.Errorf("%s is %s, want %q", name, what, want[name])
		}
		delete(want, name)
	}
	for name := range want {
		if !strings.HasPrefix(name, ".lockspire/") {
			t.Errorf("%s is missing", name)
		}
	}
	if info, err := os.Stat(untouched); err != nil || !info.ModTime().Equal(long) {
		t.Errorf("an untouched file was written: %v %v", info.ModTime(), err)
	}
	if exists(filepath.Join(root, "internal/old")) {
		t.Error("the emptied directory is still there")
	}
	if got := fmt.Sprint(res.Created, res.Updated, res.Deleted); got != "[.lockspire/.gitignore .lockspire/manifest.json internal/authserver/gen.go internal/authserver/pages/a/b.html vendor/example.com/b/b.go] [go.mod go.sum run.sh server.go vendor/modules.txt] [internal/old/retired_gen.go]" {
		t.Errorf("result: %s", got)
	}
	// A second run is a plan without changes, and leaves every file alone.
	before := tree(t, root)
	if p := fixturePlan(root); !p.Empty() {
		t.Errorf("not idempotent:\n%s", p.Diff())
	}
	if _, err := fixturePlan(root).Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := differences(before, tree(t, root)); len(d) > 0 {
		t.Errorf("a plan without changes changed %q", d)
	}
}

// The manifest comes last and sums come first, so that every step compiles.
func TestApplyKeepsTheOrderOfTheDesign(t *testing.T) {
	var got []string
	for _, c := range fixturePlan(newFixture(t)).ordered() {
		got = append(got, c.Path)
	}
	want := []string{"go.sum", "go.mod", "vendor/example.com/b/b.go", "vendor/modules.txt", ".lockspire/.gitignore",
		"internal/authserver/gen.go", "internal/authserver/pages/a/b.html", "run.sh", "server.go", "internal/old/retired_gen.go", ".lockspire/manifest.json"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// I98. Every step before the commit point fails once, first for want of space
// and then for an input/output error; the tree is untouched each time.
func TestI98FailureAtEveryStepBeforeTheCommitPointLeavesTheOldTree(t *testing.T) {
	steps := countSteps(t, "apply", newFixture(t))
	for _, cause := range []error{syscall.ENOSPC, syscall.EIO, syscall.EDQUOT} {
		failed := 0
		for n := 1; n <= steps; n++ {
			root := newFixture(t)
			before := tree(t, root)
			step, committed := 0, false
			_, err := fixturePlan(root).apply(t.Context(), disk{before: func(op, name string) error {
				committed = committed || exists(journalOf(root))
				if step++; step == n && !committed {
					return &os.PathError{Op: op, Path: name, Err: cause}
				}
				return nil
			}})
			if committed {
				break // the rest of the steps lie behind the commit point
			}
			failed++
			if d := differences(before, tree(t, root)); len(d) > 0 {
				t.Fatalf("%v at step %d left %q", cause, n, d)
			}
			rs, ok := AsRefusals(err)
			if !ok || rs.ExitCode() != 3 {
				t.Fatalf("%v at step %d: %v", cause, n, err)
			}
			if strings.Contains(err.Error(), root) {
				t.Errorf("A5: an absolute path in %q", err)
			}
			full := cause != syscall.EIO
			if full && (!strings.Contains(err.Error(), "needs about 40960 bytes") || !strings.Contains(err.Error(), "are free")) {
				t.Errorf("the message does not name needed and free bytes: %v", err)
			}
		}
		t.Logf("%v at %d steps before the commit point: the old tree each time", cause, failed)
		if failed < 40 {
			t.Errorf("only %d steps failed", failed)
		}
	}
}

// journalOf is the journal of the only transaction below root.
func journalOf(root string) string {
	found, _ := filepath.Glob(filepath.Join(root, ".lockspire", "txn", "*", "journal.json"))
	if len(found) == 0 {
		return filepath.Join(root, "no journal")
	}
	return found[0]
}

// After the commit point an error is reported as unfinished, and the next run
// finishes it.
func TestFailureAfterTheCommitPointIsFinishedByTheNextRun(t *testing.T) {
	_, new := oldAndNew(t, "apply")
	root := newFixture(t)
	_, err := fixturePlan(root).apply(t.Context(), disk{before: func(op, name string) error {
		if op == "rename" && filepath.Base(name) == "server.go" {
			return &os.PathError{Op: op, Path: name, Err: syscall.EIO}
		}
		return nil
	}})
	if rs, ok := AsRefusals(err); !ok || rs.ExitCode() != 3 || !strings.Contains(err.Error(), "committed but not all in place") {
		t.Fatalf("got %v", err)
	}
	if pending, err := Pending(root); err != nil || !pending {
		t.Fatalf("pending = %v, %v", pending, err)
	}
	if _, err := fixturePlan(root).Apply(t.Context()); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("another plan went over a pending journal: %v", err)
	}
	res, err := Recover(root)
	if err != nil || !res.Recovered || !slices.Contains(res.Updated, "server.go") {
		t.Fatalf("%+v, %v", res, err)
	}
	if d := differences(new, tree(t, root)); len(d) > 0 {
		t.Errorf("recovered to %q", d)
	}
}

// I97. Asking about a pending journal writes nothing.
func TestI97PendingDoesNotTouchTheTree(t *testing.T) {
	root := newFixture(t)
	if ended, _ := runChild(t, "apply", root, "kill", countSteps(t, "apply", newFixture(t))-10); ended {
		t.Fatal("the child was not killed")
	}
	before := tree(t, root)
	if pending, err := Pending(root); err != nil || !pending {
		t.Errorf("pending = %v, %v", pending, err)
	}
	if r := PendingRefusal("lockspire install"); r.Exit != 3 || r.Next != "lockspire install" {
		t.Errorf("refusal %v", r)
	}
	if d := differences(before, tree(t, root)); len(d) > 0 {
		t.Errorf("changed %q", d)
	}
}

// A file edited between a crash and the recovery: the run is finished, and the
// edit is kept and named.
func TestRecoverKeepsWhatWasEditedAfterTheCrash(t *testing.T) {
	for _, name := range []string{"server.go", "internal/old/retired_gen.go", ".lockspire/manifest.json"} {
		root := newFixture(t)
		_, err := fixturePlan(root).apply(t.Context(), disk{before: func(op, at string) error {
			if op == "rename" && strings.HasSuffix(filepath.ToSlash(at), "/go.sum") {
				return syscall.EIO
			}
			return nil
		}})
		if err == nil {
			t.Fatal("the run was not interrupted")
		}
		writeTree(t, root, map[string]string{name: "an edit\n"})
		res, err := Recover(root)
		if err != nil || len(res.Notes) != 1 || !strings.HasPrefix(res.Notes[0], name+" was edited") {
			t.Fatalf("%s: notes %q, %v", name, res.Notes, err)
		}
		kept := res.Notes[0][strings.Index(res.Notes[0], ".lockspire/undo"):]
		if got := readFile(t, filepath.Join(root, kept)); got != "an edit\n" {
			t.Errorf("%s: kept %q", name, got)
		}
		if after := fixtureAfter[name]; after != "" && readFile(t, filepath.Join(root, name)) != after {
			t.Errorf("%s was not finished", name)
		}
	}
}

// I100.
func TestI100SecondRunIsRefusedWhileOneIsAtWork(t *testing.T) {
	root := newFixture(t)
	asked := false
	_, err := fixturePlan(root).apply(t.Context(), disk{before: func(op, name string) error {
		if op != "sync" || asked {
			return nil
		}
		asked = true
		_, err := fixturePlan(root).Apply(context.Background())
		if rs, ok := AsRefusals(err); !ok || rs.ExitCode() != 3 || !strings.Contains(err.Error(), "in progress") {
			t.Errorf("the second run: %v", err)
		}
		if _, err := Recover(root); err == nil || !strings.Contains(err.Error(), "in progress") {
			t.Errorf("recovery during a run: %v", err)
		}
		return nil
	}})
	if err != nil || !asked {
		t.Fatalf("first run: %v, asked %v", err, asked)
	}
	if exists(filepath.Join(root, ".lockspire/lock")) {
		t.Error("the lock is left behind")
	}
}

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

func TestApplyRefusesAnUnresolvedPlan(t *testing.T) {
	p := &Plan{Root: newFixture(t), Modules: []Module{{Path: "example.test/runtime", Version: "v0.1.0"}}}
	if _, err := p.Apply(t.Context()); err == nil || p.Empty() {
		t.Errorf("err %v, empty %v", err, p.Empty())
	}
}

// I101, before anything began.
func TestI101ApplyWithACancelledContextWritesNothing(t *testing.T) {
	root := newFixture(t)
	before := tree(t, root)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := fixturePlan(root).Apply(ctx)
	if rs, ok := AsRefusals(err); !ok || rs.ExitCode() != 3 {
		t.Errorf("got %v", err)
	}
	if d := differences(before, tree(t, root)); len(d) > 0 {
		t.Errorf("changed %q", d)
	}
}

// A journal is a file in the repository: a pull request may bring one.
func TestRecoverRefusesAJournalThatLeavesTheModule(t *testing.T) {
	for _, content := range []string{
		`{"layout":1,"entries":[{"path":"../../etc/passwd","new":"x"}]}`,
		`{"layout":1,"entries":[{"path":".git/hooks/pre-commit","new":"x"}]}`,
		`{"layout":2}`, `{`,
	} {
		root := newFixture(t)
		writeTree(t, root, map[string]string{".lockspire/txn/abc/journal.json": content, ".lockspire/txn/abc/new/0000": "evil"})
		before := hostFiles(tree(t, root))
		_, err := Recover(root)
		places(t, err, 3, ".lockspire/txn/abc/journal.json")
		if d := differences(before, hostFiles(tree(t, root))); len(d) > 0 {
			t.Errorf("%s: changed %q", content, d)
		}
	}
}

func TestRecoverWithoutLeftoversTouchesNothing(t *testing.T) {
	root := newFixture(t)
	if _, err := fixturePlan(root).Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, ".lockspire")
	before, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := Recover(root); err != nil || res.Recovered {
		t.Fatalf("%+v, %v", res, err)
	}
	if after, _ := os.Stat(dir); !after.ModTime().Equal(before.ModTime()) {
		t.Error(".lockspire was written to")
	}
}

// U38.
func TestU38UndoRestoresTheLastRun(t *testing.T) {
	root := newFixture(t)
	before := tree(t, root)
	if _, err := fixturePlan(root).Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	res, err := Undo(root)
	if err != nil {
		t.Fatal(err)
	}
	if d := differences(before, tree(t, root)); len(d) > 0 {
		t.Errorf("undone to %q", d)
	}
	if exists(filepath.Join(root, ".lockspire")) {
		t.Error(".lockspire is left behind")
	}
	if !slices.Contains(res.Created, "internal/old/retired_gen.go") || !slices.Contains(res.Deleted, "internal/authserver/gen.go") {
		t.Errorf("result %+v", res)
	}
	_, err = Undo(root)
	if rs, ok := AsRefusals(err); !ok || rs.ExitCode() != 1 {
		t.Errorf("nothing to undo: %v", err)
	}
}

// U38. Only the last run is on offer, and an executable comes back as one.
func TestU38UndoTakesBackOneRun(t *testing.T) {
	root := newFixture(t)
	if _, err := fixturePlan(root).Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := tree(t, root)
	p := &Plan{Root: root}
	for _, name := range []string{"run.sh", "server.go"} {
		c, err := p.File(name, Host, nil, "gone")
		if err != nil {
			t.Fatal(err)
		}
		p.Add(c)
	}
	if _, err := p.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := Undo(root); err != nil {
		t.Fatal(err)
	}
	if d := differences(before, tree(t, root)); len(d) > 0 {
		t.Errorf("undone to %q", d)
	}
	if _, err := Undo(root); err == nil {
		t.Error("a second run could be undone")
	}
}

func TestU38UndoListsWhatHasChangedSince(t *testing.T) {
	root := newFixture(t)
	if _, err := fixturePlan(root).Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	writeTree(t, root, map[string]string{"server.go": "edited\n", "internal/old/retired_gen.go": "back\n"})
	if err := os.Remove(filepath.Join(root, "internal/authserver/gen.go")); err != nil {
		t.Fatal(err)
	}
	before := tree(t, root)
	_, err := Undo(root)
	places(t, err, 1, "internal/authserver/gen.go", "internal/old/retired_gen.go", "server.go")
	if d := differences(before, tree(t, root)); len(d) > 0 {
		t.Errorf("changed %q", d)
	}
}

// Where hard links cannot be had, the old bytes are copied.
func TestKeepCopiesWhereLinksCannotBeHad(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "old")
	if err := os.WriteFile(old, []byte("bytes"), 0o751); err != nil {
		t.Fatal(err)
	}
	if err := (disk{}).keepCopy(old, filepath.Join(dir, "copy")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "copy"))
	if err != nil || info.Mode().Perm() != 0o751 || readFile(t, filepath.Join(dir, "copy")) != "bytes" {
		t.Errorf("copy: %v %v", info, err)
	}
}
