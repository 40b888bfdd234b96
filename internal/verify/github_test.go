package verify

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestV86GitHubEscapesAndOrders(t *testing.T) {
	r := Report{Dir: "services/auth", Findings: []Finding{
		{Rule: "LS103", Severity: Unproven, Message: "not decided", Position: at("a.go", 1, 1)},
		{Rule: "LS502", Severity: Warning, Message: "100 % of\r\nit", Position: at("a,b:c%.go", 2, 9), column: 8},
		{Rule: "LS101", Severity: Error, Message: "nothing calls Mount: really, nothing", Position: at("z.go", 0, 0), Fix: "one\ntwo",
			Related: []Related{{Position: at("a.go", 7, 1), Message: "here"}}},
		{Rule: "LS201", Severity: Error, Message: "accepted", Position: at("c.go", 1, 1), Suppressed: "a reason"},
	}}
	var b bytes.Buffer
	if err := r.Write(&b, FormatGitHub); err != nil {
		t.Fatal(err)
	}
	want := `::error file=services/auth/z.go,line=1,col=1,title=LS101 mount-missing::nothing calls Mount: really, nothing%0Aa.go:7:1: here%0Afix: one%0Atwo
::warning file=services/auth/a%2Cb%3Ac%25.go,line=2,col=8,title=LS502 version-skew::100 %25 of%0D%0Ait
::notice file=services/auth/a.go,line=1,col=1,title=LS103 issuer-path-mismatch::unproven: not decided
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestV86GitHubShowsTenOfALevelAndCountsTheRest(t *testing.T) {
	var r Report
	for i := range 25 {
		f := Finding{Rule: "LS101", Severity: []Severity{Info, Error, Unproven, Error, Warning}[i%5], Message: fmt.Sprint("finding ", i), Position: at("a.go", i+1, 1)}
		r.Findings = append(r.Findings, f)
	}
	for i := range 3 {
		r.Findings = append(r.Findings, Finding{Rule: "LS101", Severity: Error, Message: "more", Position: at("b.go", i+1, 1)})
	}
	var b bytes.Buffer
	if err := r.Write(&b, FormatGitHub); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	levels := ""
	for _, line := range lines {
		levels += line[:3]
	}
	if want := strings.Repeat("::e", 10) + strings.Repeat("::w", 5) + strings.Repeat("::n", 10) + "and"; levels != want {
		t.Errorf("lines are %s, want %s", levels, want)
	}
	if want := "and 3 errors more, which GitHub would not show as annotations: they are in the log of this step"; lines[len(lines)-1] != want {
		t.Errorf("last line %q", lines[len(lines)-1])
	}
}

func TestA4GitHubIsEmptyWithNoFindings(t *testing.T) {
	var b bytes.Buffer
	if err := (Report{Packages: 3}).Write(&b, FormatGitHub); err != nil || b.Len() != 0 {
		t.Errorf("%q, %v", b.String(), err)
	}
}
