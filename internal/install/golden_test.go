package install

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/pmezard/go-difflib/difflib"

	"github.com/lockspire/lockspire/internal/manifest"
)

var update = flag.Bool("update", false, "rewrite golden/ with what install writes now")

const goldenDir = "../../golden"

// goldenCase is golden/<name>/case.json. input/ is the host before, expected/ the host after, plan.txt what is printed.
// A case with Against has no tree: expected.diff is its difference to the tree of that case.
type goldenCase struct {
	name    string
	Input   string  // case whose input is used; "" for its own
	Against string  // case to compare with
	Seam    bool    // testdata/seam fills in resolver and tests, and TestSeam walks the whole host
	Options Options // flags
}

func goldenCases(t *testing.T) []goldenCase {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(goldenDir, "*", "case.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in %s: %v", goldenDir, err)
	}
	var cases []goldenCase
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := goldenCase{name: filepath.Base(filepath.Dir(file))}
		if err := json.Unmarshal(data, &c); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		cases = append(cases, c)
	}
	return cases
}

func TestGolden(t *testing.T) {
	for _, c := range goldenCases(t) {
		t.Run(c.name, func(t *testing.T) {
			if !*update { // a case that is compared with another reads what that one writes
				t.Parallel()
			}
			host, printed := installGolden(t, c)
			got := readTree(t, host)
			dir := filepath.Join(goldenDir, c.name)
			if c.Against != "" {
				before := readTree(t, filepath.Join(goldenDir, c.Against, "expected"))
				diff := diffTrees(t, before, got)
				compareFile(t, filepath.Join(dir, "expected.diff"), diff)
				onlyComments(t, diff)
				return
			}
			compareFile(t, filepath.Join(dir, "plan.txt"), printed)
			compareTree(t, filepath.Join(dir, "expected"), got)
			onlyInsertions(t, readTree(t, filepath.Join(dir, "input")), got)
			installAgain(t, c, host)
		})
	}
}

// installGolden installs into a copy of the case's input and returns its directory and the printed plan.
func installGolden(t *testing.T, c goldenCase) (host, printed string) {
	t.Helper()
	input := c.name
	if c.Input != "" {
		input = c.Input
	}
	host = copyHost(t, filepath.Join(goldenDir, input, "input"))
	return host, run(t, c.Options, host)
}

// copyHost copies a host to where ../../../runtime, which its go.mod names, is the runtime of this checkout.
func copyHost(t *testing.T, from string) string {
	t.Helper()
	top := t.TempDir()
	runtime, err := filepath.Abs("../../runtime")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(runtime, filepath.Join(top, "runtime")); err != nil {
		t.Fatal(err)
	}
	host := filepath.Join(top, "golden", "case", "host")
	if err := os.CopyFS(host, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return host
}

var goVersion = regexp.MustCompile(`read with go[0-9]\S*`)

// run installs with the options of a script and returns what it prints.
func run(t *testing.T, o Options, host string) string {
	t.Helper()
	var out, messages bytes.Buffer
	o.Dir, o.Yes, o.Version, o.Out, o.Err = host, true, "(devel)", &out, &messages
	o.Now = func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
	o.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	if err := Run(context.Background(), o); err != nil {
		t.Fatalf("install: %v\n%s%s", err, out.String(), messages.String())
	}
	return goVersion.ReplaceAllString(out.String(), "read with go")
}

// installAgain proves that a second run says so and touches nothing, modification times included.
func installAgain(t *testing.T, c goldenCase, host string) {
	t.Helper()
	before := modTimes(t, host)
	if printed := run(t, c.Options, host); !strings.HasPrefix(printed, "Nothing to do: ") || strings.Count(printed, "\n") != 1 {
		t.Errorf("the second run prints:\n%s", printed)
	}
	after := modTimes(t, host)
	for path, when := range after {
		if !before[path].Equal(when) {
			t.Errorf("the second run touched %s", path)
		}
	}
	if len(before) != len(after) {
		t.Errorf("the second run changed the number of files: %d and %d", len(before), len(after))
	}
}

// onlyInsertions proves that every line of the host's own files is still there, in order and byte for byte. Where the call
// goes around an expression, the line still has all of its bytes in order.
func onlyInsertions(t *testing.T, before, after map[string]string) {
	t.Helper()
	for path, was := range before {
		is, ok := after[path]
		if !ok {
			t.Errorf("%s is gone", path)
			continue
		}
		m := difflib.NewMatcher(strings.SplitAfter(was, "\n"), strings.SplitAfter(is, "\n"))
		for _, op := range m.GetOpCodes() {
			wrapped := op.Tag == 'r' && contains(strings.Join(strings.SplitAfter(is, "\n")[op.J1:op.J2], ""), strings.Join(strings.SplitAfter(was, "\n")[op.I1:op.I2], ""))
			if op.Tag != 'e' && op.Tag != 'i' && !wrapped {
				t.Errorf("%s: lines %d to %d were changed or removed", path, op.I1+1, op.I2)
			}
		}
	}
}

// contains reports whether text has all bytes of part, in order.
func contains(text, part string) bool {
	for i := range len(part) {
		at := strings.IndexByte(text, part[i])
		if at < 0 {
			return false
		}
		text = text[at+1:]
	}
	return true
}

// onlyComments proves that the difference of two trees is in comments of Go files, and in the manifest that records it
// (I111).
func onlyComments(t *testing.T, diff string) {
	t.Helper()
	file := ""
	for line := range strings.Lines(diff) {
		switch {
		case strings.HasPrefix(line, "--- "):
		case strings.HasPrefix(line, "+++ "):
			file = strings.TrimSpace(line)
		case strings.HasPrefix(line, "+"), strings.HasPrefix(line, "-"):
			if !strings.HasPrefix(strings.TrimSpace(line[1:]), "//") && !strings.HasSuffix(file, manifest.Path) {
				t.Errorf("%s: more than a comment differs: %s", file, line)
			}
		}
	}
}

func modTimes(t *testing.T, dir string) map[string]time.Time {
	t.Helper()
	times := map[string]time.Time{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			times[path] = info.ModTime()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return times
}

func readTree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		// The journal's leftovers and the lock belong to one machine and are ignored by git.
		if rel = filepath.ToSlash(rel); strings.HasPrefix(rel, ".lockspire/undo/") || rel == ".lockspire/lock" {
			return nil
		}
		data, err := os.ReadFile(path)
		files[rel] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func compareTree(t *testing.T, dir string, got map[string]string) {
	t.Helper()
	if *update {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		for path, content := range got {
			writeFile(t, filepath.Join(dir, filepath.FromSlash(path)), content)
		}
		return
	}
	want := readTree(t, dir)
	if diff := diffTrees(t, want, got); diff != "" {
		t.Errorf("install writes another tree than %s; look at the difference and run\n"+
			"\tgo test ./internal/install -run TestGolden -update\n%s", dir, diff)
	}
}

func compareFile(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		writeFile(t, name, got)
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := diffTrees(t, map[string]string{name: string(want)}, map[string]string{name: got}); diff != "" {
		t.Errorf("%s differs; look at the difference and run\n\tgo test ./internal/install -run TestGolden -update\n%s", name, diff)
	}
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

func diffTrees(t *testing.T, a, b map[string]string) string {
	t.Helper()
	paths := map[string]bool{}
	for path := range a {
		paths[path] = true
	}
	for path := range b {
		paths[path] = true
	}
	var sorted []string
	for path := range paths {
		sorted = append(sorted, path)
	}
	sort.Strings(sorted)
	var out strings.Builder
	for _, path := range sorted {
		if a[path] == b[path] {
			continue
		}
		diff, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
			A: difflib.SplitLines(a[path]), B: difflib.SplitLines(b[path]), FromFile: "a/" + path, ToFile: "b/" + path, Context: 3,
		})
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString(diff)
	}
	return out.String()
}

// TestGoldenHostsBuildAndPassTheirSmokeTest takes the trees that are committed, so that a reviewer's tree is the one
// that was proved. The smoke test of a PostgreSQL host needs the database of scripts/postgres start.
func TestGoldenHostsBuildAndPassTheirSmokeTest(t *testing.T) {
	for _, c := range goldenCases(t) {
		if c.Against != "" || c.Seam {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			host := copyHost(t, filepath.Join(goldenDir, c.name, "expected"))
			extra, err := os.ReadFile("testdata/config_test.go.txt")
			if err != nil {
				t.Fatal(err)
			}
			if dir := filepath.Join(host, "internal/authserver"); exists(dir) {
				// Tests of generated code that hosts do not need to carry.
				writeFile(t, filepath.Join(dir, "config_test.go"), string(extra))
			}
			testHost(t, host, "TestSmoke", "TestSeam")
		})
	}
}

// testHost builds, vets and tests a host, whose tests must include some by name.
func testHost(t *testing.T, host string, tests ...string) {
	t.Helper()
	goCommand(t, host, "build", "./...")
	goCommand(t, host, "vet", "./...")
	out := goCommand(t, host, "test", "-count=1", "-v", "./...")
	for _, test := range tests {
		if !strings.Contains(out, "--- PASS: "+test+" ") {
			t.Errorf("%s did not pass:\n%s", test, out)
		}
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func goCommand(t *testing.T, dir string, args ...string) string {
	t.Helper()
	database := os.Getenv("LOCKSPIRE_TEST_POSTGRES")
	if database == "" {
		database = "postgres://postgres@127.0.0.1:54329/postgres?sslmode=disable"
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly", "LOCKSPIRE_TEST_DATABASE_URL="+database)
	out, err := cmd.CombinedOutput()
	if err != nil {
		hint := ""
		if bytes.Contains(out, []byte("failed to connect to")) || bytes.Contains(out, []byte("connection refused")) {
			hint = "\nis the database running? scripts/postgres start"
		}
		t.Fatalf("go %s: %v\n%s%s", strings.Join(args, " "), err, out, hint)
	}
	return string(out)
}
