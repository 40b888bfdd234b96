package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// A host of testdata is an archive. go.mod and go.sum are written for it. These names are not files:
//
//	inputs        JSON over the default templates.Inputs: the generated package and the manifest are rendered
//	resolver      its content replaces the rendered account_resolver.go; "filled" stands for one that is right
//	edit <path>   lines "old => new": replacements in a file that exists by then
//	delete <path> removes a file
//	cli           version of the CLI
//	want          lines `<path> <rule> "<regexp>"`, for files that cannot carry comments
//
// Expectations in Go files are comments: // want LS201 "regexp" LS202 "regexp". The expression matches
// "severity: message". Missing and additional findings both fail.
type fixture struct {
	dir, cli string
	wants    []*want
}

type want struct {
	file string
	line int // 0: any
	rule string
	re   *regexp.Regexp
	met  bool
}

const filledResolver = `package authserver

import (
	"context"
	"net/http"

	"github.com/lockspire/lockspire/runtime"
)

type accountResolver struct{ host Host }

func newAccountResolver(host Host) lockspire.AccountResolver { return &accountResolver{host: host} }

func (a *accountResolver) CurrentAccount(r *http.Request) (lockspire.Account, error) {
	c, err := r.Cookie("session")
	if err != nil {
		return lockspire.Account{}, lockspire.ErrNotSignedIn
	}
	return a.AccountBySubject(r.Context(), c.Value)
}

func (a *accountResolver) AccountBySubject(ctx context.Context, subject string) (lockspire.Account, error) {
	if subject == "" {
		return lockspire.Account{}, lockspire.ErrAccountGone
	}
	return lockspire.Account{Subject: subject}, nil
}

func (a *accountResolver) Claims(ctx context.Context, account lockspire.Account, request lockspire.ClaimsRequest) (lockspire.Claims, error) {
	return nil, nil
}

func (a *accountResolver) LoginURL(r *http.Request, interaction lockspire.Interaction) string {
	return interaction.AppendTo(loginPath)
}
`

func defaultInputs() templates.Inputs {
	return templates.Inputs{
		Database: templates.DatabaseSQL, DriverImport: "modernc.org/sqlite", DriverName: "sqlite", Engine: templates.EngineSQLite,
		LoginPath: "/login", Migrations: templates.MigrationsRuntime, Module: "example.com/host", MountPath: "/lockspire",
		Package: "internal/authserver", Router: templates.RouterMux, RouterImport: "net/http", Wire: true,
	}
}

func expand(t *testing.T, a *txtar.Archive) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir()}
	f.module(t)
	var edits []txtar.File
	for _, file := range a.Files {
		verb, arg, _ := strings.Cut(file.Name, " ")
		switch {
		case verb == "inputs":
			f.render(t, file.Data)
		case verb == "resolver":
			if strings.TrimSpace(string(file.Data)) == "filled" {
				file.Data = []byte(filledResolver)
			}
			f.write(t, "internal/authserver/account_resolver.go", file.Data)
		case verb == "edit" || verb == "delete":
			edits = append(edits, txtar.File{Name: verb + " " + arg, Data: file.Data})
		case verb == "cli":
			f.cli = strings.TrimSpace(string(file.Data))
		case verb == "want":
			f.wantLines(t, string(file.Data))
		default:
			f.write(t, file.Name, file.Data)
		}
	}
	for _, e := range edits {
		f.edit(t, e)
	}
	f.wantComments(t)
	return f
}

// module writes go.mod and go.sum; the runtime is the one of this repository.
func (f *fixture) module(t *testing.T) {
	t.Helper()
	runtime, err := filepath.Abs("../../runtime")
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, "go.mod", []byte("module example.com/host\n\ngo 1.25.0\n\nrequire (\n\tgithub.com/go-chi/chi/v5 v5.5.0\n"+
		"\tgithub.com/lockspire/lockspire/runtime v0.0.0-00010101000000-000000000000\n)\n\n"+
		"require github.com/go-jose/go-jose/v4 v4.1.9 // indirect\n\nreplace github.com/lockspire/lockspire/runtime => "+filepath.ToSlash(runtime)+"\n"))
	sum, err := os.ReadFile("testdata/go.sum")
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, "go.sum", sum)
}

func (f *fixture) write(t *testing.T, name string, data []byte) {
	t.Helper()
	path := filepath.Join(f.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) render(t *testing.T, overrides []byte) {
	t.Helper()
	in := defaultInputs()
	if err := json.Unmarshal(overrides, &in); err != nil {
		t.Fatal(err)
	}
	m := &manifest.Manifest{Schema: manifest.Schema, Generator: "v0.1.0", Runtime: "v0.1.0"}
	files, err := templates.Render(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f.write(t, file.Path, file.Content)
		m.Files = append(m.Files, manifest.NewFile(file.Path, plan.Owner(file.Owner), file.Template, file.Content))
	}
	if templates.WritesMigrations(in.Migrations) {
		migrations, err := templates.Migrations(in, 0, 7, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range migrations {
			f.write(t, g.Path, g.Content)
			m.Migrations = append(m.Migrations, manifest.NewMigration(g.Version, g.Engine, g.Path, g.Content))
		}
	}
	if err := m.SetInputs(in); err != nil {
		t.Fatal(err)
	}
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, manifest.Path, data)
}

func (f *fixture) edit(t *testing.T, e txtar.File) {
	t.Helper()
	verb, name, _ := strings.Cut(e.Name, " ")
	path := filepath.Join(f.dir, filepath.FromSlash(name))
	if verb == "delete" {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimRight(string(e.Data), "\n"), "\n") {
		old, replacement, ok := strings.Cut(line, " => ")
		if !ok || !bytes.Contains(data, []byte(old)) {
			t.Fatalf("edit of %s: %q is not there", name, old)
		}
		data = bytes.ReplaceAll(data, []byte(old), []byte(replacement))
	}
	f.write(t, name, data)
}

var wantItem = regexp.MustCompile(`(LS\d+) ("(?:[^"\\]|\\.)*")`)

func (f *fixture) add(t *testing.T, file string, line int, text string) {
	t.Helper()
	items := wantItem.FindAllStringSubmatch(text, -1)
	if len(items) == 0 {
		t.Fatalf("%s:%d: no expectation in %q", file, line, text)
	}
	for _, item := range items {
		pattern, err := strconv.Unquote(item[2])
		if err != nil {
			t.Fatalf("%s:%d: %v", file, line, err)
		}
		f.wants = append(f.wants, &want{file: file, line: line, rule: item[1], re: regexp.MustCompile(pattern)})
	}
}

func (f *fixture) wantLines(t *testing.T, text string) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if line != "" {
			file, rest, _ := strings.Cut(line, " ")
			f.add(t, file, 0, rest)
		}
	}
}

func (f *fixture) wantComments(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(f.dir, path)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(data), "\n") {
			if _, text, ok := strings.Cut(line, "// want "); ok {
				f.add(t, filepath.ToSlash(rel), i+1, text)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// check compares the findings that were not suppressed with the expectations.
func (f *fixture) check(t *testing.T, r Report) {
	t.Helper()
	for _, found := range r.Findings {
		if found.Suppressed != "" {
			continue
		}
		text := fmt.Sprintf("%s: %s", found.Severity, found.Message)
		met := false
		for _, w := range f.wants {
			if !w.met && w.file == found.File && (w.line == 0 || w.line == found.Line) && w.rule == found.Rule && w.re.MatchString(text) {
				w.met, met = true, true
				break
			}
		}
		if !met {
			t.Errorf("unexpected: %s: [%s] %s", place(found.Position), found.Rule, text)
		}
		if found.Line < 1 || found.Col < 1 || found.File == "" || strings.HasPrefix(found.File, "/") {
			t.Errorf("[%s] has the position %s", found.Rule, place(found.Position))
		}
		if (found.Severity == Error || found.Severity == Unproven) && found.Fix == "" {
			t.Errorf("[%s] %s has no fix", found.Rule, text)
		}
	}
	for _, w := range f.wants {
		if !w.met {
			t.Errorf("missing: %s:%d: [%s] %s", w.file, w.line, w.rule, w.re)
		}
	}
}

func (f *fixture) run(t *testing.T) Report {
	t.Helper()
	before := snapshot(t, f.dir)
	r, err := Run(context.Background(), Options{Dir: f.dir, CLIVersion: f.cli})
	if err != nil {
		t.Fatal(err)
	}
	after := snapshot(t, f.dir)
	for path, s := range after {
		if before[path] != s {
			t.Errorf("%s was written", path)
		}
	}
	if len(before) != len(after) {
		t.Errorf("%d files before, %d after", len(before), len(after))
	}
	return r
}

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

func TestRules(t *testing.T) {
	hosts, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(hosts) == 0 {
		t.Fatal("no hosts in testdata", err)
	}
	sort.Strings(hosts)
	for _, host := range hosts {
		t.Run(strings.TrimSuffix(filepath.Base(host), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(host)
			if err != nil {
				t.Fatal(err)
			}
			f := expand(t, a)
			r := f.run(t)
			if len(r.LoadErrors) > 0 && !strings.Contains(string(a.Comment), "does not compile") {
				t.Errorf("the host does not compile: %v", r.LoadErrors)
			}
			f.check(t, r)
		})
	}
}
