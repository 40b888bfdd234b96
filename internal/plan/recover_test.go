package plan

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

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
