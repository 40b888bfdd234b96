package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/plan"
)

// fixture is a manifest as the first released schema writes it.
func fixture(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("testdata/schema1.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// inModule writes text as the manifest of a new module.
func inModule(t *testing.T, text string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, Dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, Path), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestReleasedSchemaReadsAndPrintsTheSameBytes(t *testing.T) {
	text := fixture(t)
	m, err := Read(inModule(t, text))
	if err != nil {
		t.Fatal(err)
	}
	if m.Schema != 1 || m.Generator != "v0.1.0" || m.Runtime != "v0.1.0" || len(m.Files) != 2 || len(m.Migrations) != 1 {
		t.Errorf("read %+v", m)
	}
	if f := m.File("internal/authserver/lockspire_gen.go"); f == nil || f.Owner != plan.Managed || f.Template != "mount" {
		t.Errorf("File = %+v", f)
	}
	out, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != text {
		t.Errorf("printed again:\n%s", out)
	}
}

// U23: edited by hand, sorted otherwise, with fields of a later version.
func TestU23HandEditedManifestKeepsUnknownFields(t *testing.T) {
	text := `{"schema": 1, "future": {"b": [1.50, 2e3], "a": "<&>"}, "runtime": "v1", "generator": "v1",
	  "migrations": [], "inputs": {"z": 12345678901234567890, "a": true},
	  "files": [{"template": "t", "path": "b.go", "owner": "host", "note": "mine",
	    "sha256": "` + strings.Repeat("0", 64) + `", "normalized": "` + strings.Repeat("a", 64) + `"},
	    {"template": "t", "path": "a.go", "owner": "managed",
	    "sha256": "` + strings.Repeat("0", 64) + `", "normalized": "` + strings.Repeat("a", 64) + `"}]}`
	m, err := Parse([]byte("\ufeff" + strings.ReplaceAll(text, "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	m.Put(File{Path: "b.go", Owner: plan.Host, Template: "t2", SHA256: strings.Repeat("1", 64), Normalized: strings.Repeat("b", 64)})
	if err := m.SetInputs(map[string]any{"a": false, "mount_path": "/auth"}); err != nil {
		t.Fatal(err)
	}
	out, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"note": "mine"`, `"template": "t2"`, "1.50,\n", "2e3\n", `"a": "<&>"`, `"z": 12345678901234567890`, `"a": false`, `"mount_path": "/auth"`} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("%s is lost in\n%s", want, out)
		}
	}
	if bytes.Index(out, []byte("a.go")) > bytes.Index(out, []byte("b.go")) {
		t.Error("files are not sorted by path")
	}
	again, err := Parse(out)
	if err != nil {
		t.Fatal(err)
	}
	second, err := again.Marshal()
	if err != nil || !bytes.Equal(out, second) {
		t.Errorf("not stable (%v):\n%s", err, second)
	}
}

func TestFaultsAreRefusedWithTheirLine(t *testing.T) {
	swap := func(old, new string) func(string) string {
		return func(s string) string {
			if !strings.Contains(s, old) {
				t.Fatalf("fixture has no %s", old)
			}
			return strings.Replace(s, old, new, 1)
		}
	}
	const somePath = `"internal/authserver/lockspire_gen.go"`
	for _, tc := range []struct {
		name string
		edit func(string) string
		exit int
		line int
		what string
	}{
		{"U26 empty", func(string) string { return "" }, 1, 1, "is empty"},
		{"U26 only a newline", func(string) string { return "\n\n" }, 1, 1, "is empty"},
		{"U26 truncated", func(s string) string { return s[:strings.Index(s, `"v0.1.0"`)] }, 1, 18, "ends in the middle"},
		{"U26 truncated inside a string", func(s string) string { return s[:strings.Index(s, `internal/auth`)+3] }, 1, 6, "ends in the middle"},
		{"U26 NUL byte", swap(`"mount"`, "\"mo\x00unt\""), 1, 15, "not text"},
		{"U26 not UTF-8", swap(`"mount"`, "\"mo\xffunt\""), 1, 15, "not text"},
		{"U26 a stray comma", swap(`"template": "mount"`, `"template": "mount",`), 1, 16, "not JSON"},
		{"U26 a second value", func(s string) string { return s + "{}" }, 1, 38, "more text after"},
		{"U26 duplicate key", swap(`"generator"`, `"files": [], "generator"`), 1, 18, `key "files" is here twice, first on line 2`},
		{"U26 duplicate key in inputs", swap(`"mount_path"`, `"package": "x", "mount_path"`), 1, 21, "twice, first on line 20"},
		{"U26 deep nesting", swap(`"/lockspire"`, strings.Repeat("[", 5000)), 1, 20, "nested more than"},
		{"U26 parent path", swap(somePath, `"../../x"`), 1, 13, "leaves the module"},
		{"U26 hidden parent path", swap(somePath, `"a/../../x"`), 1, 13, "leaves the module"},
		{"U26 absolute path", swap(somePath, `"/etc/passwd"`), 1, 13, "is absolute"},
		{"U26 drive", swap(somePath, `"C:/x"`), 1, 13, "has a colon"},
		{"U26 backslash", swap(somePath, `"..\\x"`), 1, 13, "has a backslash"},
		{"U26 escaped NUL", swap(somePath, `"a\u0000b"`), 1, 13, "control character"},
		{"U26 empty path", swap(somePath, `""`), 1, 13, "is empty"},
		{"U26 unclean path", swap(somePath, `"a//b"`), 1, 13, "shortest form"},
		{"U26 git directory", swap(somePath, `"x/.GIT/hooks/pre-commit"`), 1, 13, "inside .git"},
		{"U26 bad migration path", swap(`"migrations/20250102030405_lockspire_init.sql"`, `"../m.sql"`), 1, 30, "leaves the module"},
		{"path twice", swap(`"internal/authserver/account_resolver.go"`, somePath), 1, 13, "listed twice, first on line 6"},
		{"U27 conflict markers", swap(`  "generator"`, "<<<<<<< HEAD\n  \"generator\""), 1, 18, "conflict markers"},
		{"U27 half-resolved", swap(`  "generator"`, ">>>>>>> theirs\n  \"generator\""), 1, 18, "conflict markers"},
		{"U24 newer schema", swap(`"schema": 1`, `"schema": 9`), 3, 36, "written by lockspire v0.1.0"},
		{"no schema", swap(`"schema": 1`, `"scheme": 1`), 1, 1, `"schema" must be a whole number`},
		{"schema zero", swap(`"schema": 1`, `"schema": 0`), 1, 36, "does not exist"},
		{"wrong type", swap(`"template": "mount"`, `"template": 3`), 1, 15, `"template" must be a string`},
		{"unknown owner", swap(`"managed"`, `"root"`), 1, 12, "owner"},
		{"not a hash", swap(strings.Repeat("2", 64), "22"), 1, 14, "SHA-256"},
		{"files is no list", swap(`"files": [`, `"files": 1, "f": [`), 1, 2, `"files" must be a list`},
		{"a list of strings", swap(`"files": [`, `"files": ["x",`), 1, 2, "list of objects"},
		{"not an object", func(string) string { return "[]" }, 1, 1, "must be a JSON object"},
		{"inputs is no object", swap(`"inputs": {`, `"inputs": 1, "i": {`), 1, 19, `"inputs" must be an object`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := Read(inModule(t, tc.edit(fixture(t))))
			if err == nil {
				t.Fatalf("accepted: %+v", m)
			}
			refusals, ok := plan.AsRefusals(err)
			if !ok {
				t.Fatalf("not a refusal: %v", err)
			}
			first := refusals[0]
			if first.Exit != tc.exit || first.Line != tc.line || !strings.Contains(first.What, tc.what) {
				t.Errorf("exit %d line %d: %s\nwant exit %d line %d with %q", first.Exit, first.Line, first.What, tc.exit, tc.line, tc.what)
			}
			if first.Path != Path || first.Next == "" {
				t.Errorf("path %q, next %q", first.Path, first.Next)
			}
		})
	}
}

func TestAllFaultsAreReportedTogether(t *testing.T) {
	text := strings.NewReplacer(`"managed"`, `"me"`, `"mount"`, `7`).Replace(fixture(t))
	_, err := Parse([]byte(text))
	refusals, _ := plan.AsRefusals(err)
	if len(refusals) != 2 {
		t.Errorf("got %v", err)
	}
}

func TestU24NewerSchemaNamesACommandOnlyFromAVersion(t *testing.T) {
	text := strings.NewReplacer(`"schema": 1`, `"schema": 2`, `"generator": "v0.1.0"`, `"generator": "v1; rm -rf /"`).Replace(fixture(t))
	_, err := Parse([]byte(text))
	if err == nil || strings.Contains(err.Error(), "rm -rf") || !strings.Contains(err.Error(), "@latest") {
		t.Errorf("got %v", err)
	}
}

func TestU26LargeFileIsNotRead(t *testing.T) {
	root := inModule(t, "")
	if err := os.Truncate(filepath.Join(root, Path), 100<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(root); err == nil || !strings.Contains(err.Error(), "larger than 4 MiB") {
		t.Errorf("got %v", err)
	}
}

func TestU28MissingManifestIsToldApart(t *testing.T) {
	_, err := Read(t.TempDir())
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not fs.ErrNotExist: %v", err)
	}
	if refusals, ok := plan.AsRefusals(err); !ok || refusals.ExitCode() != 1 {
		t.Errorf("not a refusal with exit 1: %v", err)
	}
	_, err = Read(inModule(t, "{"))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a broken manifest counts as missing: %v", err)
	}
}

func TestU26SymbolicLinksOutOfTheModuleAreRefused(t *testing.T) {
	outside := t.TempDir()
	link := func(t *testing.T, target, name string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
	}
	for name, build := range map[string]func(t *testing.T, root string){
		"a listed file": func(t *testing.T, root string) {
			link(t, "/etc/passwd", filepath.Join(root, "internal/authserver/lockspire_gen.go"))
		},
		"a directory on the way": func(t *testing.T, root string) { link(t, outside, filepath.Join(root, "internal/authserver")) },
		"a migration directory":  func(t *testing.T, root string) { link(t, outside, filepath.Join(root, "migrations")) },
		"the base copies":        func(t *testing.T, root string) { link(t, outside, filepath.Join(root, ".lockspire/base")) },
		"the manifest itself": func(t *testing.T, root string) {
			name := filepath.Join(root, Path)
			if err := os.Rename(name, filepath.Join(outside, "m.json")); err != nil {
				t.Fatal(err)
			}
			link(t, filepath.Join(outside, "m.json"), name)
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := inModule(t, fixture(t))
			build(t, root)
			_, err := Read(root)
			if refusals, ok := plan.AsRefusals(err); !ok || refusals.ExitCode() != 1 || !strings.Contains(err.Error(), "symbolic link") {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), outside) {
				t.Errorf("names a place outside: %v", err)
			}
		})
	}
	t.Run("a directory inside the module is fine", func(t *testing.T) {
		root := inModule(t, fixture(t))
		if err := os.MkdirAll(filepath.Join(root, "real"), 0o755); err != nil {
			t.Fatal(err)
		}
		link(t, "../real", filepath.Join(root, "internal/authserver"))
		if _, err := Read(root); err != nil {
			t.Errorf("got %v", err)
		}
	})
}

func TestChangesOfTwoFilesTouchDifferentLines(t *testing.T) {
	m, err := Parse([]byte(fixture(t)))
	if err != nil {
		t.Fatal(err)
	}
	a, b := m.Clone(), m.Clone()
	a.Files[0].SHA256 = strings.Repeat("e", 64)
	b.Files[1].SHA256 = strings.Repeat("f", 64)
	if m.Files[0].SHA256 == a.Files[0].SHA256 {
		t.Fatal("Clone shares files")
	}
	changed := func(other *Manifest) map[int]bool {
		was, _ := m.Marshal()
		is, _ := other.Marshal()
		old, new := strings.Split(string(was), "\n"), strings.Split(string(is), "\n")
		lines := map[int]bool{}
		for i := range old {
			if old[i] != new[i] {
				lines[i] = true
			}
		}
		return lines
	}
	for line := range changed(a) {
		if changed(b)[line] {
			t.Errorf("both change line %d", line+1)
		}
	}
}

// FuzzParse: whatever is accepted has only safe paths and prints as bytes
// that read as the same manifest again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(fixture(f)))
	f.Add([]byte(strings.Replace(fixture(f), `"schema": 1`, `"schema": 2`, 1)))
	f.Add([]byte(`{"schema":1,"generator":"","runtime":"","inputs":{"":[]},"files":[],"migrations":[],"x":[[{}],1e1]}`))
	f.Add([]byte("<<<<<<<\n"))
	f.Add([]byte(`{"schema":1,"generator":"\ud800","runtime":"\ufffd","inputs":{},"files":[],"migrations":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data)
		if err != nil {
			if refusals, ok := plan.AsRefusals(err); !ok || refusals[0].Line < 1 || refusals[0].Next == "" {
				t.Fatalf("an error without line or command: %v", err)
			}
			return
		}
		for _, file := range m.Files {
			if !fs.ValidPath(file.Path) || !filepath.IsLocal(file.Path) {
				t.Fatalf("path %q was accepted", file.Path)
			}
		}
		if !json.Valid(m.Inputs) {
			t.Fatalf("inputs %q", m.Inputs)
		}
		first, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(first)
		if err != nil {
			t.Fatalf("does not read its own output: %v\n%s", err, first)
		}
		second, err := again.Marshal()
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("not stable (%v):\n%s\n%s", err, first, second)
		}
	})
}
