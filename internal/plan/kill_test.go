package plan

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// runChild runs op on root in a process of its own that dies, or is
// interrupted, ahead of step. ended reports that it came to its end first.
func runChild(t *testing.T, op, root, how string, step int) (ended bool, stderr string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childOp+"="+op, childRoot+"="+root, childStep+"="+strconv.Itoa(step), childHow+"="+how)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return true, string(out)
	case !errors.As(err, &exit):
		t.Fatalf("%s: %v", op, err)
	case exit.ExitCode() >= 0 && how == "kill":
		t.Fatalf("%s failed by itself ahead of step %d: %s", op, step, out)
	}
	return false, string(out)
}

// endState recovers root in this process and says which of the two trees it is.
func endState(t *testing.T, root string, old, new map[string]string) string {
	t.Helper()
	pending, err := Pending(root)
	if err != nil {
		t.Fatal(err)
	}
	if !pending {
		// Nothing is left to roll forward, so the files must be one of the two already.
		now := hostFiles(tree(t, root))
		if len(differences(hostFiles(old), now)) > 0 && len(differences(hostFiles(new), now)) > 0 {
			t.Fatalf("not pending, and a mixture:\n%q", differences(hostFiles(old), now))
		}
	}
	res, err := Recover(root)
	if err != nil {
		t.Fatal(err)
	}
	if res.Recovered != pending {
		t.Errorf("pending = %v, recovered = %v", pending, res.Recovered)
	}
	now := tree(t, root)
	if len(differences(old, now)) == 0 {
		return "old"
	}
	if d := differences(new, now); len(d) > 0 {
		t.Fatalf("a mixture of old and new tree:\n%q", d)
	}
	return "new"
}

// I99. Every step of Apply is killed; then, from each of the trees this leaves,
// every step of the recovery.
func TestI99KillAtEveryStepLeavesOldOrNewTree(t *testing.T) {
	old, new := oldAndNew(t, "apply")
	var applies, recoveries tally
	steps := countSteps(t, "apply", newFixture(t))
	t.Run("step", func(t *testing.T) {
		for step := 1; step <= steps+1; step++ {
			t.Run(strconv.Itoa(step), func(t *testing.T) {
				t.Parallel()
				root := newFixture(t)
				ended, _ := runChild(t, "apply", root, "kill", step)
				if ended != (step > steps) {
					t.Fatalf("ended = %v at step %d of %d", ended, step, steps)
				}
				killed := filepath.Join(scratch(t), "killed")
				copyTree(t, root, killed)
				state := endState(t, root, old, new)
				if !ended {
					applies.count(state)
					killRecovery(t, killed, state, old, new, &recoveries)
				}
			})
		}
	})
	t.Logf("apply killed at %v", &applies)
	t.Logf("recovery killed at %v", &recoveries)
	if !applies.bothSides() || !recoveries.bothSides() || applies.total() != steps {
		t.Errorf("the kills did not reach all %d steps on both sides of the commit point", steps)
	}
}

// killRecovery kills the recovery of the tree killed ahead of each of its steps.
func killRecovery(t *testing.T, killed, state string, old, new map[string]string, recoveries *tally) {
	t.Helper()
	for step := 1; ; step++ {
		again := filepath.Join(scratch(t), "again")
		copyTree(t, killed, again)
		ended, _ := runChild(t, "recover", again, "kill", step)
		if got := endState(t, again, old, new); got != state {
			t.Fatalf("recovery killed ahead of step %d: %s tree, without that %s", step, got, state)
		}
		if ended {
			return
		}
		recoveries.count(state)
	}
}

// tally counts how the killed runs ended.
type tally struct{ old, new atomic.Int64 }

func (c *tally) count(state string) {
	if state == "new" {
		c.new.Add(1)
	} else {
		c.old.Add(1)
	}
}

func (c *tally) total() int      { return int(c.old.Load() + c.new.Load()) }
func (c *tally) bothSides() bool { return c.old.Load() > 0 && c.new.Load() > 0 }

func (c *tally) String() string {
	return fmt.Sprintf("%d steps: %d ended old, %d ended new, 0 mixed", c.total(), c.old.Load(), c.new.Load())
}

// U38 under I99: taking a run back is as safe as making it.
func TestI99KillAtEveryStepOfUndoLeavesOldOrNewTree(t *testing.T) {
	old, new := oldAndNew(t, "undo")
	var count tally
	for step := 1; ; step++ {
		root := newFixture(t)
		if _, err := fixturePlan(root).Apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		ended, _ := runChild(t, "undo", root, "kill", step)
		state := endState(t, root, old, new)
		if ended {
			break
		}
		count.count(state)
	}
	t.Logf("undo killed at %v", &count)
	if !count.bothSides() {
		t.Error("the kills did not reach both sides of the commit point")
	}
}

// I101. An interrupt before the commit point writes nothing and exits non-zero;
// after it the run goes through to its end. Either way within two seconds.
func TestI101InterruptAtEveryStepFinishesOrTakesBack(t *testing.T) {
	old, new := oldAndNew(t, "apply")
	var count tally
	steps := countSteps(t, "apply", newFixture(t))
	for step := 1; step <= steps; step++ {
		root := newFixture(t)
		begin := time.Now()
		ended, stderr := runChild(t, "apply", root, "interrupt", step)
		if d := time.Since(begin); d > 2*time.Second {
			t.Errorf("step %d: took %v to end after the interrupt", step, d)
		}
		now := tree(t, root)
		switch {
		case (ended || stderr == "") && len(differences(new, now)) == 0:
			// An interrupt that arrives after the last step ends the process silently.
			count.count("new")
		case !ended && len(differences(old, now)) == 0:
			count.count("old")
		default:
			t.Fatalf("step %d: exit 0 is %v, and the tree differs from the old one in %q; stderr %s", step, ended, differences(old, now), stderr)
		}
	}
	t.Logf("interrupted at %v", &count)
	if !count.bothSides() {
		t.Error("the interrupts did not reach both sides of the commit point")
	}
}

// oldAndNew are the trees before and after op.
func oldAndNew(t *testing.T, op string) (old, new map[string]string) {
	t.Helper()
	root := newFixture(t)
	if op == "undo" {
		if _, err := fixturePlan(root).Apply(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	old = tree(t, root)
	if err := operate(op, root, disk{}); err != nil {
		t.Fatal(err)
	}
	new = tree(t, root)
	if len(differences(old, new)) < 5 {
		t.Fatalf("%s changed too little for this test: %q", op, differences(old, new))
	}
	return old, new
}

func countSteps(t *testing.T, op, root string) int {
	t.Helper()
	n := 0
	if err := operate(op, root, disk{before: func(string, string) error { n++; return nil }}); err != nil {
		t.Fatal(err)
	}
	return n
}
