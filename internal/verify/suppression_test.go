package verify

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"

	"github.com/lockspire/lockspire/internal/hostrepo"
)

// parsed is a host as far as suppressions and fingerprints look at it: files that are parsed, and not loaded.
func parsed(t *testing.T, files map[string]string) *host {
	t.Helper()
	repo := &hostrepo.Repo{ModuleRoot: t.TempDir(), ModulePath: "example.com/host", Fset: token.NewFileSet()}
	names := []string{}
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		path := filepath.Join(repo.ModuleRoot, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[name]), 0o666); err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(repo.Fset, path, files[name], parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		dir := "example.com/host/" + filepath.ToSlash(filepath.Dir(name))
		repo.Packages = append(repo.Packages, &packages.Package{PkgPath: strings.TrimSuffix(dir, "/."), Syntax: []*ast.File{f}})
	}
	return &host{repo: repo}
}

// judged is the report of a parsed host in which LS203 is found wherever a line says /*203*/, and LS201 at /*201*/.
func judged(t *testing.T, files map[string]string) Report {
	t.Helper()
	h := parsed(t, files)
	r := Report{root: h.repo.ModuleRoot}
	for name, text := range files {
		for i, line := range strings.Split(text, "\n") {
			for mark, rule := range map[string]string{"/*203*/": "LS203", "/*201*/": "LS201"} {
				if col := strings.Index(line, mark); col >= 0 {
					r.Findings = append(r.Findings, Finding{Rule: rule, Severity: Error, Message: "found", Position: at(name, i+1, col+1)})
				}
			}
		}
	}
	src := newSources(h.repo.ModuleRoot, nil)
	lines := outline(h.repo, src)
	r.Findings = append(r.Findings, suppress(h, lines, r.Findings)...)
	r.sort()
	r.identify(lines, src)
	return r
}

func summaryOf(r Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s %s", place(hostrepo.Position{File: f.File, Line: f.Line}), f.Rule)
		switch {
		case f.Suppressed != "":
			b.WriteString(" accepted: " + f.Suppressed)
		case f.Rule == "LS504":
			b.WriteString(" " + f.Message)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestV83SuppressionOnLineLineAboveFuncAndFile(t *testing.T) {
	got := summaryOf(judged(t, map[string]string{
		"file.go": `//lockspire:ignore LS203 all of this file
package host

var a = 1 /*203*/ /*201*/

func b() { _ = 2 } /*203*/
`,
		"lines.go": `package host

func f() {
	_ = 1 /*203*/ //lockspire:ignore LS203	on the line
	_ = 2 /*203*/

	//lockspire:ignore ls203 line above, in lower case
	_ = 3 /*203*/
	_ = 4 /*203*/

	//lockspire:ignore resolver-stub one by its name
	//lockspire:ignore LS203 and one by its number
	_ = 5 /*203*/ /*201*/

	//lockspire:ignore LS203 not of this rule
	_ = 6 /*201*/
}

// g does.
//
//lockspire:ignore LS203 all of g
func g() {
	_ = 7 /*203*/ /*201*/

	_ = 8 /*203*/ //lockspire:ignore LS203 narrower
}

//lockspire:ignore LS201 these variables
var (
	x = 1 /*201*/
	y = 2 /*201*/
)

var z = 3 /*201*/
`,
	}))
	want := `file.go:4 LS203 accepted: all of this file
file.go:4 LS201
file.go:6 LS203 accepted: all of this file
lines.go:4 LS203 accepted: on the line
lines.go:5 LS203
lines.go:8 LS203 accepted: line above, in lower case
lines.go:9 LS203
lines.go:13 LS203 accepted: and one by its number
lines.go:13 LS201 accepted: one by its name
lines.go:15 LS504 LS203 reports nothing here
lines.go:16 LS201
lines.go:23 LS203 accepted: all of g
lines.go:23 LS201
lines.go:25 LS203 accepted: narrower
lines.go:30 LS201 accepted: these variables
lines.go:31 LS201 accepted: these variables
lines.go:34 LS201
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestV83BadSuppressionsAcceptNothingAndAreReported(t *testing.T) {
	r := judged(t, map[string]string{"main.go": "package main\r\n\r\nfunc main() {\r\n" +
		"\t_ = 1 /*203*/ //lockspire:ignore LS203\r\n" +
		"\t_ = 2 /*203*/ //lockspire:ignore LS999 no such rule\r\n" +
		"\t_ = 3 /*203*/ //lockspire:ignore\r\n" +
		"\t_ = 4 //lockspire:ignore LS203 nothing is here\r\n" +
		"\t_ = 5 /*203*/ //lockspire:ignored is another word\r\n" +
		"\t_ = 6 /*203*/ // lockspire:ignore LS203 a blank makes it prose\r\n}\r\n"})
	want := `main.go:4 LS203
main.go:4 LS504 a reason is required: nothing is ignored
main.go:5 LS203
main.go:5 LS504 there is no rule "LS999"
main.go:6 LS203
main.go:6 LS504 there is no rule ""
main.go:7 LS504 LS203 reports nothing here
main.go:8 LS203
main.go:9 LS203
`
	if got := summaryOf(r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, f := range r.Findings {
		if f.Rule == "LS504" && f.Severity != Warning {
			t.Errorf("%s is %s", f.Message, f.Severity)
		}
	}
}

func TestV81FingerprintsAreStableWhenLinesAboveChange(t *testing.T) {
	text := `package authserver

type guard[T any] struct{}

func (g *guard[T]) allow() bool {
	return true /*203*/
}

func (g *guard[T]) deny() bool {
	return true /*203*/
}

func twice() {
	_ = 1 /*203*/
	_ = 1 /*203*/
}
`
	before := judged(t, map[string]string{"internal/authserver/operator.go": text})
	moved := strings.Replace(text, "type guard", "// New lines,\n// more of them.\n\nimport \"fmt\"\n\nvar _ = fmt.Sprint\n\ntype guard", 1)
	moved = strings.ReplaceAll(strings.Replace(moved, "return true /*203*/", "  return   true /*203*/  ", 1), "\n", "\r\n")
	after := judged(t, map[string]string{"internal/authserver/operator.go": moved})
	if len(before.Findings) != 4 || len(after.Findings) != 4 {
		t.Fatalf("%d and %d findings", len(before.Findings), len(after.Findings))
	}
	seen := map[string]bool{}
	for i, f := range before.Findings {
		if f.Fingerprint != after.Findings[i].Fingerprint {
			t.Errorf("%s: %s, and after the move %s", place(f.Position), f.Fingerprint, after.Findings[i].Fingerprint)
		}
		if seen[f.Fingerprint] || f.Fingerprint == "" {
			t.Errorf("%s: the fingerprint %q is used twice: the same line in two methods, or twice in one, differs", place(f.Position), f.Fingerprint)
		}
		seen[f.Fingerprint] = true
	}
	for name, changed := range map[string]string{
		"another line":   strings.Replace(text, "return true /*203*/", "return 1 == 1 /*203*/", 1),
		"another symbol": strings.Replace(text, "allow", "permit", 1),
		"another rule":   strings.Replace(text, "/*203*/", "/*201*/", 1),
	} {
		if got := judged(t, map[string]string{"internal/authserver/operator.go": changed}).Findings[0].Fingerprint; seen[got] {
			t.Errorf("%s has the same fingerprint", name)
		}
	}
}

func TestV80ColumnsCountCharacters(t *testing.T) {
	r := judged(t, map[string]string{"main.go": "package main\n\nvar s = \"äöü €\" /*203*/\n"})
	if f := r.Findings[0]; f.Col != 22 || f.column != 17 {
		t.Errorf("byte column %d, character column %d; want 22 and 17", f.Col, f.column)
	}
}
