package merge

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var labels = Labels{Yours: "yours", Base: "base", Ours: "ours"}

func TestMergeByHand(t *testing.T) {
	for _, tc := range []struct {
		name, base, yours, ours, want string
		conflicts                     int
	}{
		{"nothing changed", "a\nb\n", "a\nb\n", "a\nb\n", "a\nb\n", 0},
		{"only yours", "a\nb\n", "a\nB\n", "a\nb\n", "a\nB\n", 0},
		{"only ours", "a\nb\n", "a\nb\n", "b\n", "b\n", 0},
		{"apart", "a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n", "A\nb\nC\n", 0},
		{"the same on both sides", "a\nb\n", "a\nx\nb\n", "a\nx\nb\n", "a\nx\nb\n", 0},
		{"touching", "a\nb\nc\nd\n", "a\nB\nc\nd\n", "a\nb\nC\nd\n",
			"a\n<<<<<<< yours\nB\nc\n||||||| base\nb\nc\n=======\nb\nC\n>>>>>>> ours\nd\n", 1},
		{"deleted there, changed here", "a\nb\nc\n", "a\nB\nc\n", "a\nc\n",
			"a\n<<<<<<< yours\nB\n||||||| base\nb\n=======\n>>>>>>> ours\nc\n", 1},
		{"common ends are not in dispute", "m\n", "x\n1\ny\n", "x\n2\ny\n",
			"x\n<<<<<<< yours\n1\n||||||| base\nm\n=======\n2\n>>>>>>> ours\ny\n", 1},
		{"no newline at the end", "a\nb", "a\nB", "a\nb", "a\nB", 0},
		{"a marker begins on a line of its own", "b", "x", "y",
			"<<<<<<< yours\nx\n||||||| base\nb\n=======\ny\n>>>>>>> ours\n", 1},
		{"CRLF markers in a CRLF text", "a\r\n", "b\r\n", "c\r\n",
			"<<<<<<< yours\r\nb\r\n||||||| base\r\na\r\n=======\r\nc\r\n>>>>>>> ours\r\n", 1},
		{"empty base", "", "a\n", "", "a\n", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := Three([]byte(tc.base), []byte(tc.yours), []byte(tc.ours), labels)
			if string(got.Text) != tc.want || got.Conflicts != tc.conflicts {
				t.Errorf("%d conflicts:\n%s\nwant %d:\n%s", got.Conflicts, got.Text, tc.conflicts, tc.want)
			}
		})
	}
}

// TestU07MergeIsWhatGitMerges compares with git merge-file on random texts. The
// two may differ: where lines repeat, there are several shortest ways to align
// texts, and the two programs choose differently. Such a difference is justified
// when every line of either side is still there as often as it has to be.
func TestU07MergeIsWhatGitMerges(t *testing.T) {
	seed, texts := seedAndCount(t, 250)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	var same, conflicts, others int
	for range texts {
		base, yours, ours := randomTriple(random)
		got := Three(base, yours, ours, labels)
		want, wantConflicts := gitMerge(t, dir, base, yours, ours)
		if wantConflicts > 0 {
			conflicts++
		}
		switch {
		case (got.Conflicts > 0) == (wantConflicts > 0) && (wantConflicts > 0 || bytes.Equal(got.Text, want)):
			same++
		default:
			others++
		}
		if lost := losesLine(base, yours, ours, got); lost != "" {
			t.Fatalf("seed %d: %s is lost\nbase:\n%s\nyours:\n%s\nours:\n%s\nmerged:\n%s\ngit:\n%s", seed, lost, base, yours, ours, got.Text, want)
		}
	}
	t.Logf("seed %d: %d texts merged, %d as git does, %d with conflicts, %d otherwise, 0 lines lost", seed, texts, same, conflicts, others)
	if same*100 < texts*95 {
		t.Errorf("only %d of %d texts are merged as git does", same, texts)
	}
}

// seedAndCount reads LOCKSPIRE_TEST_SEED and LOCKSPIRE_TEST_COUNT.
func seedAndCount(t *testing.T, count int) (uint64, int) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("LOCKSPIRE_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	if text := os.Getenv("LOCKSPIRE_TEST_COUNT"); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	return seed, count
}

// randomTriple is a text and two edits of it. Some lines repeat, as closing
// braces do.
func randomTriple(random *rand.Rand) (base, yours, ours []byte) {
	line := func() string {
		if random.IntN(4) == 0 {
			return "}\n"
		}
		return fmt.Sprintf("line %d\n", random.IntN(400))
	}
	var text []string
	for range random.IntN(40) {
		text = append(text, line())
	}
	edited := func() []byte {
		out := append([]string(nil), text...)
		for range random.IntN(4) {
			at := random.IntN(len(out) + 1)
			to := min(len(out), at+random.IntN(3))
			var fresh []string
			for range random.IntN(3) {
				fresh = append(fresh, line())
			}
			out = append(append(append([]string(nil), out[:at]...), fresh...), out[to:]...)
		}
		joined := strings.Join(out, "")
		if random.IntN(10) == 0 {
			joined = strings.TrimSuffix(joined, "\n")
		}
		return []byte(joined)
	}
	return []byte(strings.Join(text, "")), edited(), edited()
}

// losesLine returns a line that is new on a side and that the result has less
// often. What both sides added may be there once. Nothing can be said about a line
// that base had as well: the other side may have deleted that one.
func losesLine(base, yours, ours []byte, got Result) string {
	was, is := count(base), count(got.Text)
	for _, side := range []map[string]int{count(yours), count(ours)} {
		for line, n := range side {
			if was[line] == 0 && is[line] < n {
				return strconv.Quote(line)
			}
		}
	}
	return ""
}

func count(text []byte) map[string]int {
	n := map[string]int{}
	for _, line := range lines(text) {
		n[strings.TrimRight(line, "\r\n")]++
	}
	return n
}

func gitMerge(t *testing.T, dir string, base, yours, ours []byte) ([]byte, int) {
	t.Helper()
	for name, text := range map[string][]byte{"base": base, "yours": yours, "ours": ours} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("git", "merge-file", "-p", "--diff3", "-L", "yours", "-L", "base", "-L", "ours", "yours", "base", "ours")
	cmd.Dir = dir
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out, 0
	case errors.As(err, &exit) && exit.ExitCode() > 0 && exit.ExitCode() < 128:
		return out, exit.ExitCode()
	}
	t.Fatalf("git is the oracle of this test: %v", err)
	return nil, 0
}

func FuzzThreeLosesNoLine(f *testing.F) {
	f.Add([]byte("a\nb\nc\n"), []byte("A\nb\nc\n"), []byte("a\nb\nC\n"))
	f.Add([]byte("a\nb\n"), []byte("a\nx\nb"), []byte("b\n"))
	f.Add([]byte("}\n}\n"), []byte("}\n}\n}\n"), []byte("}\n"))
	f.Add([]byte("a\r\n"), []byte("b\r\n"), []byte("c"))
	f.Add([]byte("1\n\n"), []byte("1\n\n1"), []byte("\n1")) // added by both, and deleted before it by one
	f.Fuzz(func(t *testing.T, base, yours, ours []byte) {
		if len(base)+len(yours)+len(ours) > 4096 {
			return // difflib takes the square of that
		}
		got := Three(base, yours, ours, labels)
		if lost := losesLine(base, yours, ours, got); lost != "" {
			t.Errorf("%s is lost in\n%s", lost, got.Text)
		}
		if only := Three(base, yours, base, labels); !bytes.Equal(only.Text, yours) || only.Conflicts != 0 {
			t.Errorf("with one side unchanged the result is %q, %d conflicts", only.Text, only.Conflicts)
		}
		if same := Three(base, yours, yours, labels); !bytes.Equal(same.Text, yours) || same.Conflicts != 0 {
			t.Errorf("of equal sides comes %q, %d conflicts", same.Text, same.Conflicts)
		}
	})
}
