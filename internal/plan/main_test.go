package plan

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The test binary is also the process that is killed: with these variables set
// it runs one operation on one directory and dies ahead of the given step.
const (
	childOp   = "PLAN_TEST_OP"
	childRoot = "PLAN_TEST_ROOT"
	childStep = "PLAN_TEST_STEP"
	childHow  = "PLAN_TEST_HOW" // kill or interrupt
)

func TestMain(m *testing.M) {
	if op := os.Getenv(childOp); op != "" {
		os.Exit(child(op))
	}
	code := m.Run()
	for _, clean := range cleanups {
		clean()
	}
	os.Exit(code)
}

// child exits 0 when the operation ended before the step was reached.
func child(op string) int {
	step, _ := strconv.Atoi(os.Getenv(childStep))
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return 9
	}
	n := 0
	d := disk{before: func(string, string) error {
		if n++; n != step {
			return nil
		}
		if os.Getenv(childHow) == "interrupt" {
			return self.Signal(os.Interrupt)
		}
		if err := self.Kill(); err != nil {
			return err
		}
		select {}
	}}
	if err := operate(op, os.Getenv(childRoot), d); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func operate(op, root string, d disk) error {
	var err error
	switch op {
	case "apply":
		_, err = fixturePlan(root).apply(context.Background(), d)
	case "recover":
		_, err = recoverAll(root, d)
	case "undo":
		_, err = undo(root, d)
	default:
		err = fmt.Errorf("unknown operation %q", op)
	}
	return err
}

// fixture is a host with one file of each kind that Apply treats differently.
var fixture = map[string]string{
	"go.mod":                          "module example.com/host\n\ngo 1.24.0\n",
	"go.sum":                          "example.com/a v1.0.0 h1:old\n",
	"server.go":                       "package main\r\n\r\nfunc main() {}\r\n",
	"run.sh":                          "#!/bin/sh\n",
	"vendor/modules.txt":              "# example.com/a v1.0.0\n",
	"vendor/example.com/a/a.go":       "package a\n",
	"internal/old/retired_gen.go":     "package old\n",
	"internal/keep/keep.go":           "package keep\n",
	".gitignore":                      "/bin/\n",
	"internal/authserver/README.host": "",
}

var fixtureModes = map[string]fs.FileMode{"run.sh": 0o755, "server.go": 0o640}

// fixtureAfter is what fixturePlan writes; "" deletes.
var fixtureAfter = map[string]string{
	"go.mod":                             "module example.com/host\n\ngo 1.24.0\n\nrequire example.com/b v1.0.0\n",
	"go.sum":                             "example.com/a v1.0.0 h1:old\nexample.com/b v1.0.0 h1:new\n",
	"server.go":                          "package main\r\n\r\nfunc main() { mount() }\r\n",
	"run.sh":                             "#!/bin/sh\nexec true\n",
	"vendor/modules.txt":                 "# example.com/a v1.0.0\n# example.com/b v1.0.0\n",
	"vendor/example.com/b/b.go":          "package b\n",
	"internal/old/retired_gen.go":        "",
	"internal/authserver/gen.go":         "package authserver\n",
	"internal/authserver/pages/a/b.html": "<p>\n",
	".lockspire/manifest.json":           "{}\n",
	".lockspire/.gitignore":              "/txn/\n/undo/\n/lock\n",
}

func writeTree(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		full := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := fs.FileMode(0o644)
		if m, ok := fixtureModes[name]; ok {
			mode = m
		}
		if err := os.WriteFile(full, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
}

func newFixture(t *testing.T) string {
	t.Helper()
	root := scratch(t)
	writeTree(t, root, fixture)
	return root
}

// scratch is a temporary directory in memory where there is one: the kill tests
// sync tens of thousands of files, and no disk is pulled out under them.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "lockspire-plan-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func fixturePlan(root string) *Plan {
	p := &Plan{Root: root}
	for _, name := range sortedKeys(fixtureAfter) {
		var after []byte
		if fixtureAfter[name] != "" {
			after = []byte(fixtureAfter[name])
		}
		c, err := p.File(name, Host, after, "fixture")
		if err != nil {
			panic(err)
		}
		p.Add(c)
	}
	return p
}

// tree is every file and directory below root with mode and content, without
// what Apply keeps for Undo.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		rel = filepath.ToSlash(rel)
		if rel == ".lockspire/undo" {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content := ""
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			content = string(data)
		}
		out[rel] = fmt.Sprintf("%v %q", info.Mode(), content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// hostFiles is a tree without directories and without .lockspire: what a person
// and the go command see.
func hostFiles(all map[string]string) map[string]string {
	out := map[string]string{}
	for name, what := range all {
		if !strings.HasPrefix(what, "d") && !strings.HasPrefix(name, ".lockspire/") {
			out[name] = what
		}
	}
	return out
}

// differences lists the paths in which two trees differ.
func differences(a, b map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if _, ok := b[name]; !ok {
			out = append(out, "only before: "+name)
		} else if a[name] != b[name] {
			out = append(out, fmt.Sprintf("%s: %s -> %s", name, a[name], b[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if _, ok := a[name]; !ok {
			out = append(out, "only after: "+name)
		}
	}
	return out
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	// CopyFS takes permissions through the umask; a comparison needs them exact.
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, name)
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.Chmod(filepath.Join(to, rel), info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}
