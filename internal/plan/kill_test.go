package plan

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	var applies, recoveries [2]int // old, new
	ended := false
	for step := 1; !ended; step++ {
		root := newFixture(t)
		ended, _ = runChild(t, "apply", root, "kill", step)
		killed := filepath.Join(t.TempDir(), "killed")
		copyTree(t, root, killed)
		state := endState(t, root, old, new)
		if ended {
			break
		}
		applies[index(state)]++

		for rstep := 1; ; rstep++ {
			again := filepath.Join(t.TempDir(), "again")
			copyTree(t, killed, again)
			ended, _ := runChild(t, "recover", again, "kill", rstep)
			if got := endState(t, again, old, new); got != state {
				t.Fatalf("killed ahead of step %d, then recovery ahead of step %d: %s tree, without the second kill %s", step, rstep, got, state)
			}
			if ended {
				break
			}
			recoveries[index(state)]++
		}
	}
	t.Logf("apply killed at %d steps: %d ended old, %d ended new, 0 mixed", applies[0]+applies[1], applies[0], applies[1])
	t.Logf("recovery killed at %d steps: %d ended old, %d ended new, 0 mixed", recoveries[0]+recoveries[1], recoveries[0], recoveries[1])
	if applies[0] == 0 || applies[1] == 0 || recoveries[0] == 0 || recoveries[1] == 0 {
		t.Error("the kills did not reach both sides of the commit point")
	}
}

// U38 under I99: taking a run back is as safe as making it.
func TestI99KillAtEveryStepOfUndoLeavesOldOrNewTree(t *testing.T) {
	old, new := oldAndNew(t, "undo")
	var count [2]int
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
		count[index(state)]++
	}
	t.Logf("undo killed at %d steps: %d ended old, %d ended new, 0 mixed", count[0]+count[1], count[0], count[1])
	if count[0] == 0 || count[1] == 0 {
		t.Error("the kills did not reach both sides of the commit point")
	}
}

// I101. An interrupt before the commit point writes nothing and exits non-zero;
// after it the run goes through to its end. Either way within two seconds.
func TestI101InterruptAtEveryStepFinishesOrTakesBack(t *testing.T) {
	old, new := oldAndNew(t, "apply")
	var count [2]int
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
		case ended && len(differences(new, now)) == 0:
			count[1]++
		case !ended && len(differences(old, now)) == 0:
			count[0]++
		default:
			t.Fatalf("step %d: exit 0 is %v, and the tree differs from the old one in %q; stderr %s", step, ended, differences(old, now), stderr)
		}
	}
	t.Logf("interrupted at %d steps: %d ended old, %d ended new", steps, count[0], count[1])
	if count[0] == 0 || count[1] == 0 {
		t.Error("the interrupts did not reach both sides of the commit point")
	}
}

func index(state string) int {
	if state == "new" {
		return 1
	}
	return 0
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
