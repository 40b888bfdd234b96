// Package repository holds tests of the repository as a whole: its modules and
// the import rules between its packages. It has no code of its own.
package repository

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

const modulePath = "github.com/lockspire/lockspire"

// modules is every go.mod of the repository with the go line it must have.
// The runtime's is go-jose's floor, since it becomes the floor of every host.
var modules = map[string]string{
	".":                           "1.26.0",
	"runtime":                     "1.24.0",
	"runtime/dbtest":              "1.26.0",
	"bench":                       "1.26.0",
	"e2e":                         "1.26.0",
	"examples/sigra-host":         "1.26.0",
	"internal/verify/sarifschema": "1.26.0",
	"migrationtest":               "1.26.0",
}

func TestEveryModuleIsListedWithItsGoLine(t *testing.T) {
	found := map[string]string{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch entry.Name() {
			case "testdata", "node_modules", ".git", ".tmp", "golden":
				return filepath.SkipDir
			}
		}
		if entry.Name() == "go.mod" {
			found[filepath.ToSlash(filepath.Dir(path))] = parse(t, path).Go.Version
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, version := range modules {
		if found[dir] != version {
			t.Errorf("%s/go.mod: go line is %q, want %q", dir, found[dir], version)
		}
	}
	for dir := range found {
		if _, listed := modules[dir]; !listed {
			t.Errorf("%s is a module that this test does not list", dir)
		}
	}
}

func TestTheWorkspaceNamesTheModulesThatAreDevelopedTogether(t *testing.T) {
	data, err := os.ReadFile("go.work")
	if err != nil {
		t.Fatal(err)
	}
	work, err := modfile.ParseWork("go.work", data, nil)
	if err != nil {
		t.Fatal(err)
	}
	var used []string
	for _, use := range work.Use {
		used = append(used, filepath.ToSlash(filepath.Clean(use.Path)))
	}
	for dir := range modules {
		if !slices.Contains(used, dir) {
			t.Errorf("go.work does not use %s", dir)
		}
	}
}

func TestARuntimeHostInheritsOnlyGoJose(t *testing.T) {
	file := parse(t, "runtime/go.mod")
	if len(file.Require) != 1 || file.Require[0].Mod.Path != "github.com/go-jose/go-jose/v4" {
		t.Errorf("runtime/go.mod requires %v, want go-jose alone", file.Require)
	}
	if len(file.Replace) != 0 {
		t.Errorf("runtime/go.mod has a replace; hosts would not see it")
	}
	for _, dep := range deps(t, "runtime", "./...") {
		if standard(dep) || strings.HasPrefix(dep, modulePath+"/runtime") || strings.HasPrefix(dep, "github.com/go-jose/go-jose/v4") {
			continue
		}
		t.Errorf("the runtime reaches %s", dep)
	}
}

// TestImportArrows holds the rule of ARCHITECTURE.md: commands call the verbs,
// the verbs call the readers and the writer, and nothing points back.
func TestImportArrows(t *testing.T) {
	allowed := map[string][]string{
		"internal/plan":     nil,
		"internal/manifest": {"internal/plan"},
		"internal/merge":    nil,
		"internal/hostrepo": {"internal/plan"},
		"templates":         {"runtime/migrations"},
		"internal/install":  {"internal/hostrepo", "internal/plan", "internal/manifest", "templates", "runtime"},
		"internal/upgrade":  {"internal/hostrepo", "internal/plan", "internal/manifest", "internal/merge", "templates", "runtime"},
		"internal/verify":   {"internal/hostrepo", "internal/plan", "internal/manifest", "templates", "runtime"},
	}
	for from, to := range allowed {
		for _, dep := range imports(t, "./"+from) {
			target, ours := strings.CutPrefix(dep, modulePath+"/")
			if !ours || target == from || strings.HasPrefix(target, from+"/") {
				continue
			}
			if !slices.ContainsFunc(to, func(rule string) bool { return target == rule || strings.HasPrefix(target, rule+"/") }) {
				t.Errorf("%s imports %s", from, target)
			}
		}
	}
}

func TestNothingImportsTheSigraShapedExample(t *testing.T) {
	for dir, pattern := range map[string]string{".": "./...", "runtime": "./..."} {
		for _, dep := range deps(t, dir, pattern) {
			if strings.Contains(dep, "sigra") || strings.HasPrefix(dep, "example.com/") {
				t.Errorf("%s reaches %s", dir, dep)
			}
		}
	}
}

func parse(t *testing.T, path string) *modfile.File {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := modfile.Parse(path, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func deps(t *testing.T, dir, pattern string) []string {
	return list(t, dir, "-deps", "-f", "{{.ImportPath}}", pattern)
}

func imports(t *testing.T, pattern string) []string {
	return list(t, ".", "-f", `{{range .Imports}}{{println .}}{{end}}`, pattern)
}

func list(t *testing.T, dir string, args ...string) []string {
	t.Helper()
	command := exec.Command("go", append([]string{"list"}, args...)...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GOWORK=off")
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list in %s: %v", dir, err)
	}
	return strings.Fields(string(out))
}
