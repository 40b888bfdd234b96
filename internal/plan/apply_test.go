package plan

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
