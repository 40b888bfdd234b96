package hostrepo

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the want sections of testdata/*.txtar")

// expand writes the files of an archive into a new directory. Words behind a file's name change its bytes: crlf, bom.
func expand(t *testing.T, a *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range a.Files {
		name, mods, _ := strings.Cut(f.Name, " ")
		if name == "want" {
			continue
		}
		data := f.Data
		if strings.Contains(mods, "crlf") {
			data = bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))
		}
		if strings.Contains(mods, "bom") {
			data = append([]byte("\xef\xbb\xbf"), data...)
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func archive(files ...string) *txtar.Archive {
	a := &txtar.Archive{}
	for i := 0; i < len(files); i += 2 {
		a.Files = append(a.Files, txtar.File{Name: files[i], Data: []byte(files[i+1])})
	}
	return a
}

// snapshot is every file below dir with content, mode and time.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var data []byte
		if info.Mode().IsRegular() {
			if data, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		out[path] = fmt.Sprint(info.Mode(), info.ModTime(), string(data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sameTree(t *testing.T, dir string, before map[string]string) {
	t.Helper()
	after := snapshot(t, dir)
	for path, s := range after {
		if before[path] != s {
			t.Errorf("%s was changed by a read", path)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d files before, %d after", len(before), len(after))
	}
}

// TestFacts loads each host of testdata and compares the facts, and what a splice makes of the router file, with the
// want section. The spliced host is then loaded again: it must type-check no worse, and our call must be recognised.
func TestFacts(t *testing.T) {
	hosts, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(hosts) == 0 {
		t.Fatal("no hosts in testdata", err)
	}
	for _, host := range hosts {
		t.Run(strings.TrimSuffix(filepath.Base(host), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(host)
			if err != nil {
				t.Fatal(err)
			}
			dir := expand(t, a)
			before := snapshot(t, dir)
			r, err := Load(context.Background(), Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			sameTree(t, dir, before)
			got := describeRepo(t, r)
			compareWant(t, host, a, got)
			if root, refusals := r.Root(""); refusals == nil {
				checkSpliced(t, r, root)
			}
		})
	}
}

func compareWant(t *testing.T, host string, a *txtar.Archive, got string) {
	t.Helper()
	for i, f := range a.Files {
		if f.Name != "want" {
			continue
		}
		if *update {
			a.Files[i].Data = []byte(got)
			if err := os.WriteFile(host, txtar.Format(a), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if got != string(f.Data) {
			diff, _ := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: difflib.SplitLines(string(f.Data)), B: difflib.SplitLines(got), FromFile: "want", ToFile: "got", Context: 2})
			t.Error(diff)
		}
		return
	}
	if !*update {
		t.Fatal("no want section; run with -update and read what it writes")
	}
	a.Files = append(a.Files, txtar.File{Name: "want", Data: []byte(got)})
	if err := os.WriteFile(host, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

const mountPackage = "example.com/host/internal/authserver"

// splice is what install makes of an insertion, reduced to the call.
func splice(in Insertion, expr string, src []byte) []byte {
	alias := in.Alias("authserver")
	lines := []string{alias + ".MustMount(" + expr + ")"}
	if in.Returns == ReturnsError {
		lines = []string{
			"if err := " + alias + ".Mount(" + expr + "); err != nil {",
			"\treturn " + strings.Join(append(in.Zeros[:len(in.Zeros):len(in.Zeros)], "err"), ", "),
			"}",
		}
	}
	return Apply(src, in.ImportSplice(mountPackage, "authserver", alias), in.CallSplice(lines...))
}

func describeRepo(t *testing.T, r *Repo) string {
	t.Helper()
	var b strings.Builder
	for _, e := range r.Errors {
		fmt.Fprintf(&b, "error %s:%d %s\n", e.File, e.Line, e.Kind)
	}
	for i := range r.Routers {
		describeRouter(&b, &r.Routers[i])
	}
	for _, e := range r.Engines {
		fmt.Fprintf(&b, "engine %s driver=%s import=%s %s\n", e.Engine, e.Driver, e.Import, e.Why)
	}
	for _, m := range r.Migrations {
		fmt.Fprintf(&b, "migrations %s %s %s/%d newest=%d files=%d engine=%s\n", m.Dir, m.Tool, m.Naming, m.Width, m.Newest, m.Files, m.Engine)
	}
	for _, s := range r.Sessions {
		fmt.Fprintf(&b, "session %s %s:%d\n", s.Name, s.File, s.Line)
	}
	root, refusals := r.Root("")
	for _, ref := range refusals {
		fmt.Fprintf(&b, "refusal(%d) %s\n", ref.Exit, strings.ReplaceAll(ref.Error(), "\n", "\n  "))
	}
	if root != nil {
		old := r.src[root.Insert.File]
		text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
			A: difflib.SplitLines(visible(old)), B: difflib.SplitLines(visible(splice(root.Insert, root.Expr, old))), Context: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(text)
	}
	return b.String()
}

func describeRouter(b *strings.Builder, c *Router) {
	fmt.Fprintf(b, "router %s %s at %s:%d:%d\n", c.Kind, c.Type, c.File, c.Line, c.Col)
	if c.Minor {
		b.WriteString("  minor\n")
	}
	if c.Problem != "" {
		fmt.Fprintf(b, "  problem(%d) %s\n", c.Exit, c.Problem)
	} else {
		fmt.Fprintf(b, "  %s in %s of %s, returns %s %v err=%q main=%v\n", c.Expr, c.Func, c.Package, c.Insert.Returns, c.Insert.Zeros, c.Insert.ErrName, c.Insert.InMain)
	}
	for _, s := range c.Served {
		fmt.Fprintf(b, "  served %s:%d %s\n", s.File, s.Line, s.Addr)
	}
	for _, w := range c.Wrappers {
		fmt.Fprintf(b, "  wrapper %s %s:%d\n", w.Func, w.File, w.Line)
	}
	for _, u := range c.Uses {
		fmt.Fprintf(b, "  use %s %s:%d\n", u.Func, u.File, u.Line)
	}
	for _, rt := range c.Routes {
		fmt.Fprintf(b, "  route %s:%d %q %s", rt.File, rt.Line, rt.Method, rt.Pattern)
		for _, f := range []struct {
			name string
			on   bool
		}{{"unknown", !rt.Known}, {"subtree", rt.Subtree}, {"group", rt.Group}, {"catch-all", rt.CatchAll()}} {
			if f.on {
				b.WriteString(" " + f.name)
			}
		}
		b.WriteString("\n")
	}
	for _, h := range c.Database {
		fmt.Fprintf(b, "  handle %s %s via %s engine=%s driver=%s import=%s\n", h.Kind, h.Expr, h.Via, h.Engine, h.Driver, h.Import)
	}
	for _, r := range c.Readers {
		fmt.Fprintf(b, "  reader %s\n", describeReader(r))
	}
	if c.Login != nil {
		fmt.Fprintf(b, "  login %s %s:%d\n", c.Login.Path, c.Login.File, c.Login.Line)
	}
}

func describeReader(r Reader) string {
	text := fmt.Sprintf("%s %s %s:%d", r.Kind, r.Name, r.File, r.Line)
	for _, fact := range [][2]string{
		{"takes", r.Takes}, {"gives", r.Gives}, {"id", r.Path + ":" + r.ID}, {"nil", strings.Join(r.Checks, ",")}, {"zero", r.Zero}, {"key", r.Key},
		{"cookie", r.Cookie}, {"call", r.Call}, {"host", r.Host}, {"import", r.Import}, {"problem", r.Problem},
	} {
		if fact[1] != "" {
			text += fmt.Sprintf(" %s=%q", fact[0], fact[1])
		}
	}
	return text
}

// visible makes carriage returns and the byte order mark readable.
func visible(b []byte) string {
	return strings.NewReplacer("\r", "␍", "\xef\xbb\xbf", "<BOM>").Replace(string(b))
}

func checkSpliced(t *testing.T, r *Repo, root *Router) {
	t.Helper()
	router, imp := root.Type, root.TypePath
	router = strings.TrimLeft(router, "*")
	if i := strings.LastIndexByte(router, '.'); i >= 0 {
		router = router[i+1:]
	}
	if strings.HasPrefix(root.Type, "*") {
		router = "*lib." + router
	} else {
		router = "lib." + router
	}
	generated := GeneratedHeader + "\n\npackage authserver\n\nimport lib \"" + imp + "\"\n\n" +
		"func Mount(router " + router + ") error { return nil }\n\nfunc MustMount(router " + router + ") {}\n"
	name := filepath.Join(r.ModuleRoot, filepath.FromSlash(root.Insert.File))
	again, err := Load(context.Background(), Options{Dir: r.ModuleRoot, Overlay: map[string][]byte{
		name: splice(root.Insert, root.Expr, r.src[root.Insert.File]),
		filepath.Join(r.ModuleRoot, "internal", "authserver", "lockspire_gen.go"): []byte(generated),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Errors) > len(r.Errors) {
		t.Errorf("the spliced host has new errors: %v", again.Errors)
	}
	if len(again.Mounts) != 1 || again.Mounts[0].Package != mountPackage || again.Mounts[0].File != root.Insert.File {
		t.Errorf("mounts of the spliced host: %+v", again.Mounts)
	}
}
