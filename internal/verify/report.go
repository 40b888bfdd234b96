package verify

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/lockspire/lockspire/internal/hostrepo"
)

// Report is the outcome of a run.
type Report struct {
	Module     string
	Go         string // the go command that loaded the host
	Packages   int
	Findings   []Finding // in the order of the tree, suppressed ones included
	LoadErrors []hostrepo.LoadError
	Notes      []string

	root string
}

// Formats that Write knows.
const (
	FormatText = "text"
	FormatJSON = "json"
)

// Count returns how many findings of a severity were not suppressed.
func (r Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s && f.Suppressed == "" {
			n++
		}
	}
	return n
}

// ExitCode is 1 when an error was found and not suppressed, else 0. What is unproven is no error.
func (r Report) ExitCode() int {
	if r.Count(Error) > 0 {
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
	}
	return fmt.Errorf("unknown format %q: it is {text | json}", format)
}

// text prints one finding per block: "file:line:col: severity: message [ID]", related positions and the fix below it
// with a tab, and last a line with the counts.
func (r Report) text(w io.Writer) error {
	var b strings.Builder
	for _, f := range r.Findings {
		if f.Suppressed != "" {
			continue
		}
		fmt.Fprintf(&b, "%s: %s: %s [%s]\n", place(f.Position), f.Severity, f.Message, f.Rule)
		for _, rel := range f.Related {
			fmt.Fprintf(&b, "\t%s: %s\n", place(rel.Position), rel.Message)
		}
		if f.Fix != "" {
			fmt.Fprintf(&b, "\tfix: %s\n", strings.ReplaceAll(f.Fix, "\n", "\n\t     "))
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
	suppressed := 0
	for _, f := range r.Findings {
		if f.Suppressed != "" && f.Severity == Error {
			suppressed++
		}
	}
	if suppressed > 0 {
		parts = append(parts, plural(suppressed, "error")+" suppressed")
	}
	if len(r.Findings) == 0 {
		parts = append(parts, "nothing found")
	}
	if n := len(r.LoadErrors); n > 0 {
		parts = append(parts, fmt.Sprintf("%s of the host itself (the first: %s: %s)", plural(n, "load error"), place(r.LoadErrors[0].Position), firstLine(r.LoadErrors[0].Msg)))
	}
	return strings.Join(parts, ", ")
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

// The JSON form. Names and meaning are kept once released; new members may come.
type jsonReport struct {
	Schema     int           `json:"schema"`
	Module     string        `json:"module"`
	Go         string        `json:"go"`
	Packages   int           `json:"packages"`
	Findings   []jsonFinding `json:"findings"`
	LoadErrors []jsonError   `json:"load_errors"`
	Summary    jsonSummary   `json:"summary"`
}

type jsonFinding struct {
	Rule       string        `json:"rule"`
	Name       string        `json:"name"`
	Severity   Severity      `json:"severity"`
	Message    string        `json:"message"`
	File       string        `json:"file"`
	Line       int           `json:"line"`
	Col        int           `json:"col"`
	Fix        string        `json:"fix,omitempty"`
	Related    []jsonRelated `json:"related,omitempty"`
	Suppressed bool          `json:"suppressed"`
	Reason     string        `json:"reason,omitempty"`
}

type jsonRelated struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Col     int    `json:"col"`
	Message string `json:"message"`
}

type jsonError struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Col     int    `json:"col"`
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

type jsonSummary struct {
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
	Infos    int `json:"infos"`
	Unproven int `json:"unproven"`
}

func (r Report) json(w io.Writer) error {
	out := jsonReport{
		Schema: 1, Module: r.Module, Go: r.Go, Packages: r.Packages, Findings: []jsonFinding{}, LoadErrors: []jsonError{},
		Summary: jsonSummary{r.Count(Error), r.Count(Warning), r.Count(Info), r.Count(Unproven)},
	}
	for _, f := range r.Findings {
		j := jsonFinding{
			Rule: f.Rule, Name: Lookup(f.Rule).Name, Severity: f.Severity, Message: f.Message, File: f.File, Line: f.Line, Col: f.Col,
			Fix: f.Fix, Suppressed: f.Suppressed != "", Reason: f.Suppressed,
		}
		for _, rel := range f.Related {
			j.Related = append(j.Related, jsonRelated{rel.File, rel.Line, rel.Col, rel.Message})
		}
		out.Findings = append(out.Findings, j)
	}
	for _, e := range r.LoadErrors {
		out.LoadErrors = append(out.LoadErrors, jsonError{e.File, e.Line, e.Col, e.Kind, e.Msg})
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}
