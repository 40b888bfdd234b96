package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/plan"
)

// awkward is a report with everything in it that a viewer could stumble over.
func awkward() Report {
	r := example()
	r.Dir, r.Tool = "services/my app", "v0.1.0"
	r.Findings = append(r.Findings,
		Finding{Rule: "LS502", Severity: Warning, Message: "a warning", Position: at(".lockspire/manifest.json", 0, 0)},
		Finding{Rule: "LS502", Severity: Info, Message: "50 % of it: \"né\", <b> & more\r\nin two lines", Position: at("ünï#1%.go", 3, 9), column: 7, Known: "next quarter"},
	)
	for i := range r.Findings {
		r.Findings[i].Fingerprint = fmt.Sprintf("%032x:1", i)
	}
	r.sort()
	return r
}

// TestV80SARIFGolden writes what the module sarifschema holds against the schema of SARIF 2.1.0.
func TestV80SARIFGolden(t *testing.T) {
	stopped := plan.Refusals{{Exit: 3, What: "there is no go.mod in this directory or above it", Next: "cd into the module"}}
	for name, write := range map[string]func(b *bytes.Buffer) error{
		"findings": func(b *bytes.Buffer) error { return awkward().Write(b, FormatSARIF) },
		"none":     func(b *bytes.Buffer) error { return Report{Packages: 1}.Write(b, FormatSARIF) },
		"failed":   func(b *bytes.Buffer) error { return WriteFailure(b, FormatSARIF, "dev", stopped) },
	} {
		var got bytes.Buffer
		if err := write(&got); err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", "sarif", name+".sarif")
		if *update {
			if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s differs; look at it and run: go test ./internal/verify -run 'TestTheDocsPage|TestV80' -update\n%s", golden, got.String())
		}
	}
}

func sarifOf(t *testing.T, r Report) sarifRun {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b, FormatSARIF); err != nil {
		t.Fatal(err)
	}
	var log sarifLog
	if err := json.Unmarshal(b.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	return log.Runs[0]
}

func TestV80SARIFPlacesAndRules(t *testing.T) {
	run := sarifOf(t, awkward())
	if run.ColumnKind != "unicodeCodePoints" {
		t.Errorf("columnKind %q", run.ColumnKind)
	}
	seen := map[string]bool{}
	for _, rule := range run.Tool.Driver.Rules {
		if seen[rule.ID] {
			t.Errorf("rule %s is there twice", rule.ID)
		}
		seen[rule.ID] = true
	}
	levels := map[string]string{}
	for _, result := range *run.Results {
		if rule := run.Tool.Driver.Rules[result.RuleIndex]; rule.ID != result.RuleID {
			t.Errorf("ruleIndex of %s leads to %s", result.RuleID, rule.ID)
		}
		for _, p := range append(result.Locations, result.Related...) {
			if p.Physical.Region.Line < 1 || p.Physical.Region.Column < 1 {
				t.Errorf("%s at line %d, column %d", result.RuleID, p.Physical.Region.Line, p.Physical.Region.Column)
			}
		}
		levels[result.Level+" "+result.Kind] = result.RuleID
	}
	for _, want := range []string{"error ", "warning ", "note ", "none open"} {
		if levels[want] == "" {
			t.Errorf("no result with level and kind %q", want)
		}
	}
	last := (*run.Results)[len(*run.Results)-1].Locations[0].Physical
	if last.Region != (sarifRegion{3, 7}) || last.Artifact.URI != "services/my%20app/%C3%BCn%C3%AF%231%25.go" {
		t.Errorf("position %+v in %s: the column is counted in characters, the path from the top of the repository", last.Region, last.Artifact.URI)
	}
	var b bytes.Buffer
	if err := awkward().Write(&b, FormatSARIF); err != nil || strings.Contains(b.String(), `"fixes"`) {
		t.Errorf("fixes are in it (%v)", err)
	}
}

func TestV80SARIFKeepsTheGravestFiveThousand(t *testing.T) {
	r := Report{}
	for i := range 6000 {
		f := Finding{Rule: "LS101", Severity: Warning, Message: "m", Position: at("a.go", i+1, 1)}
		switch {
		case i == 5999:
			f.Severity = Error
		case i < 999:
			f.Suppressed = "r"
		}
		r.Findings = append(r.Findings, f)
	}
	run := sarifOf(t, r)
	results := *run.Results
	if len(results) != 5000 || results[4999].Level != "error" || results[0].Suppressions != nil {
		t.Errorf("%d results, the last is %q, suppressions of the first %v", len(results), results[len(results)-1].Level, results[0].Suppressions)
	}
	if n := run.Invocations[0].Notifications; len(n) != 1 || !strings.Contains(n[0].Message.Text, "1000 findings") {
		t.Errorf("notifications: %+v", n)
	}
}

func TestV82SARIFCarriesSuppressedFindingsWithTheirReason(t *testing.T) {
	got := map[sarifSuppression]int{}
	for _, result := range *sarifOf(t, awkward()).Results {
		for _, s := range result.Suppressions {
			got[s]++
		}
	}
	if len(got) != 2 || got[sarifSuppression{"inSource", "accepted", "a reason"}] != 1 || got[sarifSuppression{"external", "accepted", "next quarter"}] != 1 {
		t.Errorf("suppressions: %v", got)
	}
}

func TestV05FailureIsNoEmptyListOfResults(t *testing.T) {
	why := plan.Refusals{{Exit: 3, Path: "go.mod", Line: 3, What: "needs go 9.9: 100 % sure", Next: "go install golang.org/dl/go9.9@latest"}}
	var sarif, github, text, js bytes.Buffer
	for format, b := range map[string]*bytes.Buffer{FormatSARIF: &sarif, FormatGitHub: &github, FormatText: &text, FormatJSON: &js} {
		if err := WriteFailure(b, format, "", why); err != nil {
			t.Fatal(err)
		}
	}
	var log sarifLog
	if err := json.Unmarshal(sarif.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	if i := run.Invocations[0]; run.Results != nil || i.Successful || i.ExitCode == nil || *i.ExitCode != 3 || !strings.Contains(i.Notifications[0].Message.Text, "go.mod:3: needs go 9.9") {
		t.Errorf("the log of a failure: %s", sarif.String())
	}
	if want := "::error title=lockspire verify could not run::go.mod:3: needs go 9.9: 100 %25 sure%0Ago install golang.org/dl/go9.9@latest\n"; github.String() != want {
		t.Errorf("github: %q", github.String())
	}
	if text.Len() != 0 || !strings.Contains(js.String(), `"exit": 3`) {
		t.Errorf("text %q, json %s", text.String(), js.String())
	}
}

func TestV81PathsCountFromTheTopOfTheRepository(t *testing.T) {
	top := t.TempDir()
	module := filepath.Join(top, "services", "auth")
	if err := os.MkdirAll(module, 0o777); err != nil {
		t.Fatal(err)
	}
	if got := belowGit(module); got != "" {
		t.Errorf("no repository: %q", got)
	}
	if err := os.WriteFile(filepath.Join(top, ".git"), []byte("gitdir: elsewhere\n"), 0o666); err != nil { // as in a worktree
		t.Fatal(err)
	}
	if got := belowGit(module); got != "services/auth" {
		t.Errorf("below the top: %q", got)
	}
	if got := belowGit(top); got != "" {
		t.Errorf("at the top: %q", got)
	}
	r := Report{Dir: "services/auth"}
	if got := r.sarifPlace(hostrepo.Position{File: "main.go"}, 0).Physical.Artifact; got != (sarifLocation{URI: "services/auth/main.go", BaseID: "%SRCROOT%"}) {
		t.Errorf("%+v", got)
	}
}
