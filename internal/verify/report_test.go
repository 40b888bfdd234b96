package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/plan"
)

func at(file string, line, col int) hostrepo.Position {
	return hostrepo.Position{File: file, Line: line, Col: col}
}

func example() Report {
	r := Report{Module: "example.com/host", Go: "go1.26.0", Packages: 3, Findings: []Finding{
		{Rule: "LS203", Severity: Error, Message: "the operator guard lets every request through", Position: at("b.go", 9, 2), Fix: "check first"},
		{Rule: "LS101", Severity: Error, Message: "nothing calls <Mount>", Position: at("a.go", 4, 2), Fix: "one\ntwo",
			Related: []Related{{Position: at("a.go", 7, 1), Message: "the call belongs here"}}},
		{Rule: "LS103", Severity: Unproven, Message: "not decided", Position: at("a.go", 4, 1)},
		{Rule: "LS201", Severity: Error, Message: "accepted", Position: at("c.go", 1, 1), Suppressed: "a reason"},
	}, LoadErrors: []hostrepo.LoadError{{Position: at("x.go", 1, 2), Kind: "type", Msg: "undefined: y\nmore"}}}
	r.sort()
	return r
}

func TestTextReport(t *testing.T) {
	var b bytes.Buffer
	if err := example().Write(&b, FormatText); err != nil {
		t.Fatal(err)
	}
	want := `a.go:4:1: unproven: not decided [LS103]
a.go:4:2: error: nothing calls <Mount> [LS101]
	a.go:7:1: the call belongs here
	fix: one
	     two
b.go:9:2: error: the operator guard lets every request through [LS203]
	fix: check first

3 packages checked, 2 errors, 1 unproven, 1 load error of the host itself (the first: x.go:1:2: undefined: y), 1 error suppressed
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestA4JSONReportIsValidWithNoFindings(t *testing.T) {
	var b bytes.Buffer
	if err := (Report{Module: "m", Go: "go1.26.0", Packages: 1}).Write(&b, FormatJSON); err != nil {
		t.Fatal(err)
	}
	want := `{
  "schema": 1,
  "module": "m",
  "go": "go1.26.0",
  "packages": 1,
  "findings": [],
  "load_errors": [],
  "summary": {
    "errors": 0,
    "warnings": 0,
    "infos": 0,
    "unproven": 0,
    "known_errors": 0,
    "suppressed_errors": 0
  }
}
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

func TestV82JSONReportCarriesSuppressedFindings(t *testing.T) {
	var b bytes.Buffer
	if err := example().Write(&b, FormatJSON); err != nil {
		t.Fatal(err)
	}
	var got jsonReport
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Findings) != 4 || got.Summary != (jsonSummary{Errors: 2, Unproven: 1, SuppressedErrors: 1}) {
		t.Errorf("%d findings, summary %+v", len(got.Findings), got.Summary)
	}
	if last := got.Findings[3]; !last.Suppressed || last.SuppressedBy != "comment" || last.Reason != "a reason" || last.Name != "resolver-stub" {
		t.Errorf("suppressed finding: %+v", last)
	}
	if first := got.Findings[1]; len(first.Related) != 1 || first.Related[0].Line != 7 || first.Message != "nothing calls <Mount>" {
		t.Errorf("finding with a related position: %+v", first)
	}
}

func TestV87ExitCodeFollowsTheFilter(t *testing.T) {
	unproven, info, warning, failing := Finding{Severity: Unproven}, Finding{Severity: Info}, Finding{Severity: Warning}, Finding{Severity: Error}
	suppressed, known := Finding{Severity: Error, Suppressed: "r"}, Finding{Severity: Error, Known: "r"}
	for _, tt := range []struct {
		findings []Finding
		failOn   Severity
		strict   bool
		want     int
	}{
		{nil, Error, false, 0},
		{nil, Info, true, 0},
		{[]Finding{unproven, warning, info}, Error, false, 0},
		{[]Finding{warning, failing}, Error, false, 1},
		{[]Finding{suppressed, known}, Info, true, 0},
		{[]Finding{warning}, Warning, false, 1},
		{[]Finding{failing}, Warning, false, 1},
		{[]Finding{info}, Warning, false, 0},
		{[]Finding{info}, Info, false, 1},
		{[]Finding{unproven}, Info, false, 0},
		{[]Finding{unproven}, Error, true, 1},
		{[]Finding{warning}, Error, true, 0},
		{[]Finding{{Severity: Unproven, Suppressed: "r"}}, Error, true, 0},
	} {
		if got := (Report{Findings: tt.findings}).ExitCode(tt.failOn, tt.strict); got != tt.want {
			t.Errorf("%v, fail on %s, strict %v: exit %d, want %d", tt.findings, tt.failOn, tt.strict, got, tt.want)
		}
	}
}

func TestV84TextAlwaysEndsWithTheCountOfSuppressedErrors(t *testing.T) {
	for want, r := range map[string]Report{
		"0 errors suppressed\n":                               {Packages: 1},
		"0 errors suppressed\n\n":                             {Findings: []Finding{{Rule: "LS101", Severity: Warning, Suppressed: "r"}}},
		"2 errors suppressed\n":                               {Findings: []Finding{{Rule: "LS203", Severity: Error, Suppressed: "r"}, {Rule: "LS203", Severity: Error, Suppressed: "r"}}},
		"1 known error in the baseline, 1 error suppressed\n": {Findings: []Finding{{Rule: "LS203", Severity: Error, Suppressed: "r"}, {Rule: "LS203", Severity: Error, Known: "r"}}},
	} {
		var b bytes.Buffer
		if err := r.Write(&b, FormatText); err != nil {
			t.Fatal(err)
		}
		if want = strings.TrimRight(want, "\n") + "\n"; !strings.HasSuffix(b.String(), ", "+want) {
			t.Errorf("got %q, want it to end with %q", b.String(), want)
		}
	}
}

func TestWriteRefusesAnUnknownFormat(t *testing.T) {
	if err := (Report{}).Write(&bytes.Buffer{}, "xml"); err == nil {
		t.Error("no error")
	}
}

func TestRulesAreDocumentedAndUnique(t *testing.T) {
	seen := map[string]bool{}
	last := ""
	for _, r := range Rules {
		if !regexp.MustCompile(`^LS[1-5]\d\d$`).MatchString(r.ID) || seen[r.ID] || seen[r.Name] {
			t.Errorf("%s %s: malformed or used twice", r.ID, r.Name)
		}
		seen[r.ID], seen[r.Name] = true, true
		if r.ID < last {
			t.Errorf("%s comes after %s", r.ID, last)
		}
		last = r.ID
		if r.Title == "" || r.Doc.Why == "" || r.Doc.Before+r.Doc.After == "" || r.Since == "" || r.Family == "" || r.Severity == "" {
			t.Errorf("%s is not documented", r.ID)
		}
		if r.run == nil && r != badSuppression {
			t.Errorf("%s has no run function", r.ID)
		}
		text, ok := Explain(strings.ToLower(r.ID))
		if byName, _ := Explain(r.Name); !ok || byName != text {
			t.Errorf("Explain does not find %s by ID and name alike", r.ID)
		}
		for _, want := range []string{r.ID, r.Name, r.Title, "//lockspire:ignore " + r.ID} {
			if !strings.Contains(text, want) {
				t.Errorf("Explain(%s) lacks %q", r.ID, want)
			}
		}
		for _, line := range strings.Split(text, "\n") {
			if len(line) > 160 || strings.HasSuffix(line, " ") {
				t.Errorf("Explain(%s) has the line %q", r.ID, line)
			}
		}
	}
	if _, ok := Explain("LS000"); ok {
		t.Error("LS000 is explained")
	}
}

func TestA5SameTreeSameBytes(t *testing.T) {
	a, err := txtar.ParseFile("testdata/stub_shapes.txtar")
	if err != nil {
		t.Fatal(err)
	}
	f := expand(t, a)
	first := map[string]string{}
	for range 2 {
		r := f.run(t)
		for _, format := range Formats {
			var b bytes.Buffer
			if err := r.Write(&b, format); err != nil {
				t.Fatal(err)
			}
			if first[format] != "" && b.String() != first[format] {
				t.Errorf("two runs differ:\n%s\n%s", first[format], b.String())
			}
			first[format] = b.String()
			if strings.Contains(b.String(), f.dir) || strings.Contains(b.String(), filepath.ToSlash(os.TempDir())) {
				t.Errorf("the %s report contains an absolute path", format)
			}
		}
	}
}

func TestI97VerifyOverAPendingJournalStops(t *testing.T) {
	f := &fixture{dir: t.TempDir()}
	f.module(t)
	f.write(t, "main.go", []byte("package main\n\nfunc main() {}\n"))
	f.write(t, ".lockspire/txn/1/journal.json", []byte("{}\n"))
	_, err := Run(context.Background(), Options{Dir: f.dir})
	var refusals plan.Refusals
	if !errors.As(err, &refusals) || refusals.ExitCode() != 3 || refusals[0].Next == "" {
		t.Errorf("error %v, want a refusal with exit 3 that names the command", err)
	}
}

func TestU24NewerManifestStopsTheRun(t *testing.T) {
	f := &fixture{dir: t.TempDir()}
	f.module(t)
	f.write(t, "main.go", []byte("package main\n\nfunc main() {}\n"))
	f.write(t, ".lockspire/manifest.json", []byte("{\n  \"schema\": 99,\n  \"generator\": \"v9.0.0\"\n}\n"))
	_, err := Run(context.Background(), Options{Dir: f.dir})
	var refusals plan.Refusals
	if !errors.As(err, &refusals) || refusals.ExitCode() != 3 {
		t.Errorf("error %v, want a refusal with exit 3", err)
	}
}

func TestV05LoadFailureIsNoReport(t *testing.T) {
	_, err := Run(context.Background(), Options{Dir: t.TempDir()})
	var refusals plan.Refusals
	if !errors.As(err, &refusals) || refusals.ExitCode() != 3 {
		t.Errorf("error %v, want a refusal with exit 3", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f := &fixture{dir: t.TempDir()}
	f.module(t)
	if r, err := Run(ctx, Options{Dir: f.dir}); err == nil {
		t.Errorf("a cancelled run reports %+v", r)
	}
}
