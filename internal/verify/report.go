package verify

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/plan"
)

// Report is the outcome of a run.
type Report struct {
	Module     string
	Go         string // the go command that loaded the host
	Packages   int
	Findings   []Finding // in the order of the tree, accepted ones included
	LoadErrors []hostrepo.LoadError
	Notes      []string
	Tool       string // version of the command, "" for a development build
	Dir        string // of the module in its git repository, "" at the top

	root     string
	environ  []string       // for the go command in this host
	baseline *plan.Baseline // the errors that it has
}

// The formats of a report.
const (
	FormatText   = "text"
	FormatJSON   = "json"
	FormatSARIF  = "sarif"
	FormatGitHub = "github"
)

// Formats are the names that Write knows.
var Formats = []string{FormatText, FormatJSON, FormatSARIF, FormatGitHub}

// Count returns how many findings of a severity are open.
func (r Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s && f.Open() {
			n++
		}
	}
	return n
}

// ExitCode is 1 when something is open that is at least as grave as failOn, which is Error, Warning or Info, and with
// strict when something is unproven. Else it is 0.
func (r Report) ExitCode(failOn Severity, strict bool) int {
	for _, s := range severities {
		if s == Unproven {
			break
		}
		if r.Count(s) > 0 {
			return 1
		}
		if s == failOn {
			break
		}
	}
	if strict && r.Count(Unproven) > 0 {
		return 1
	}
	return 0
}

// Write prints the report in a format.
func (r Report) Write(w io.Writer, format string) error {
	switch format {
	case FormatText, "":
		return r.text(w)
	case FormatJSON:
		return r.json(w)
	case FormatSARIF:
		return r.sarif(w)
	case FormatGitHub:
		return r.github(w)
	}
	return unknownFormat(format)
}

// WriteFailure prints, in a format that a program reads, that there is no report and why. Text has none: the reasons
// are on stderr.
func WriteFailure(w io.Writer, format, tool string, why plan.Refusals) error {
	switch format {
	case FormatText, "":
		return nil
	case FormatJSON:
		return jsonFailure(w, why)
	case FormatSARIF:
		return sarifFailure(w, release(tool), why)
	case FormatGitHub:
		return githubFailure(w, why)
	}
	return unknownFormat(format)
}

func unknownFormat(format string) error {
	return fmt.Errorf("unknown format %q: it is {%s}", format, strings.Join(Formats, " | "))
}

// text prints one finding per block: "file:line:col: severity: message [ID]", related positions and the fix below it
// with a tab, and last a line with the counts.
func (r Report) text(w io.Writer) error {
	var b strings.Builder
	for _, f := range r.Findings {
		if !f.Open() {
			continue
		}
		fmt.Fprintf(&b, "%s: %s: %s [%s]\n", place(f.Position), f.Severity, f.Message, f.Rule)
		for _, rel := range f.Related {
			fmt.Fprintf(&b, "\t%s: %s\n", place(rel.Position), rel.Message)
		}
		if f.Fix != "" {
			fmt.Fprintf(&b, "\tfix: %s\n", strings.ReplaceAll(f.Fix, "\n", "\n\t     "))
		}
		if len(f.Edits) > 0 {
			b.WriteString("\tlockspire verify --fix does it\n")
		}
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	b.WriteString(r.summary() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func place(p hostrepo.Position) string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// summary ends with the count of suppressed errors whatever it is: a reviewer sees that it grew without a search.
func (r Report) summary() string {
	parts := []string{plural(r.Packages, "package") + " checked"}
	for _, s := range []Severity{Error, Warning, Info} {
		if n := r.Count(s); n > 0 {
			word := map[Severity]string{Error: "error", Warning: "warning", Info: "note"}[s]
			parts = append(parts, plural(n, word))
		}
	}
	if n := r.Count(Unproven); n > 0 {
		parts = append(parts, fmt.Sprintf("%d unproven", n))
	}
	if !slices.ContainsFunc(r.Findings, Finding.Open) {
		parts = append(parts, "nothing found")
	}
	if n := len(r.LoadErrors); n > 0 {
		parts = append(parts, fmt.Sprintf("%s of the host itself (the first: %s)", plural(n, "load error"), describeError(&r.LoadErrors[0])))
	}
	known, suppressed := r.accepted()
	if known > 0 {
		parts = append(parts, plural(known, "known error")+" in the baseline")
	}
	return strings.Join(append(parts, plural(suppressed, "error")+" suppressed"), ", ")
}

// accepted counts the errors that the baseline lists and those that comments suppress.
func (r Report) accepted() (known, suppressed int) {
	for _, f := range r.Findings {
		switch {
		case f.Severity != Error:
		case f.Suppressed != "":
			suppressed++
		case f.Known != "":
			known++
		}
	}
	return known, suppressed
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
