package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// ExitCode is 1 when an error was found, else 0.
func (r Report) ExitCode() int {
	if r.Count(Error) > 0 {
		return 1
	}
	return 0
}

// Text prints each finding as "URL: severity: message [ID]", in the form of verify, and a line with the counts.
func (r Report) Text(w io.Writer) error {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s: %s: %s [%s]\n", f.URL, f.Severity, f.Message, f.Check.ID)
		if f.Fix != "" {
			fmt.Fprintf(&b, "\tfix: %s\n", f.Fix)
		}
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	parts := []string{fmt.Sprintf("%d checks, %d requests", len(Checks), r.Requests)}
	for _, s := range []struct {
		severity Severity
		word     string
	}{{Error, "error"}, {Warning, "warning"}, {Info, "note"}} {
		switch n := r.Count(s.severity); n {
		case 0:
		case 1:
			parts = append(parts, "1 "+s.word)
		default:
			parts = append(parts, fmt.Sprintf("%d %ss", n, s.word))
		}
	}
	if len(r.Findings) == 0 {
		parts = append(parts, "nothing found")
	}
	b.WriteString(strings.Join(parts, ", ") + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

type jsonReport struct {
	Schema   int           `json:"schema"`
	Issuer   string        `json:"issuer"`
	Checks   int           `json:"checks"`
	Requests int           `json:"requests"`
	Findings []jsonFinding `json:"findings"`
	Summary  jsonSummary   `json:"summary"`
}

type jsonFinding struct {
	Rule     string   `json:"rule"`
	Name     string   `json:"name"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	URL      string   `json:"url"`
	Fix      string   `json:"fix,omitempty"`
}

type jsonSummary struct {
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
	Infos    int `json:"infos"`
}

// JSON prints the report with the member names of verify's; a URL stands where verify has a file.
func (r Report) JSON(w io.Writer) error {
	out := jsonReport{
		Schema: 1, Issuer: r.Issuer, Checks: len(Checks), Requests: r.Requests, Findings: []jsonFinding{},
		Summary: jsonSummary{r.Count(Error), r.Count(Warning), r.Count(Info)},
	}
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, jsonFinding{f.Check.ID, f.Check.Name, f.Severity, f.Message, f.URL, f.Fix})
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

// Explain returns the documentation of a check, false when there is none of that ID or name.
func Explain(name string) (string, bool) {
	for _, c := range Checks {
		if strings.EqualFold(c.ID, name) || strings.EqualFold(c.Name, name) {
			return fmt.Sprintf("%s %s (doctor, %s)\n\n%s\n\n%s\n", c.ID, c.Name, c.Severity, c.Title, c.Why), true
		}
	}
	return "", false
}
