package verify

import (
	"encoding/json"
	"io"

	"github.com/lockspire/lockspire/internal/plan"
)

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
	Rule         string        `json:"rule"`
	Name         string        `json:"name"`
	Severity     Severity      `json:"severity"`
	Message      string        `json:"message"`
	File         string        `json:"file"`
	Line         int           `json:"line"`
	Col          int           `json:"col"`
	Fix          string        `json:"fix,omitempty"`
	Fixable      bool          `json:"fixable"`
	Fingerprint  string        `json:"fingerprint"`
	Related      []jsonRelated `json:"related,omitempty"`
	Suppressed   bool          `json:"suppressed"`
	SuppressedBy string        `json:"suppressed_by,omitempty"` // "comment" or "baseline"
	Reason       string        `json:"reason,omitempty"`
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
	Errors           int `json:"errors"`
	Warnings         int `json:"warnings"`
	Infos            int `json:"infos"`
	Unproven         int `json:"unproven"`
	KnownErrors      int `json:"known_errors"`
	SuppressedErrors int `json:"suppressed_errors"`
}

func (r Report) json(w io.Writer) error {
	known, suppressed := r.accepted()
	out := jsonReport{
		Schema: 1, Module: r.Module, Go: r.Go, Packages: r.Packages, Findings: []jsonFinding{}, LoadErrors: []jsonError{},
		Summary: jsonSummary{r.Count(Error), r.Count(Warning), r.Count(Info), r.Count(Unproven), known, suppressed},
	}
	for _, f := range r.Findings {
		j := jsonFinding{
			Rule: f.Rule, Name: Lookup(f.Rule).Name, Severity: f.Severity, Message: f.Message, File: f.File, Line: f.Line, Col: f.Col,
			Fix: f.Fix, Fixable: len(f.Edits) > 0, Fingerprint: f.Fingerprint, Suppressed: !f.Open(),
		}
		switch {
		case f.Suppressed != "":
			j.SuppressedBy, j.Reason = "comment", f.Suppressed
		case f.Known != "":
			j.SuppressedBy, j.Reason = "baseline", f.Known
		}
		for _, rel := range f.Related {
			j.Related = append(j.Related, jsonRelated{rel.File, rel.Line, rel.Col, rel.Message})
		}
		out.Findings = append(out.Findings, j)
	}
	for _, e := range r.LoadErrors {
		out.LoadErrors = append(out.LoadErrors, jsonError{e.File, e.Line, e.Col, e.Kind, e.Msg})
	}
	return writeJSON(w, out)
}

// jsonFailure has the form that every command with --json gives its refusals.
func jsonFailure(w io.Writer, why plan.Refusals) error {
	type fault struct {
		Path string `json:"path,omitempty"`
		Line int    `json:"line,omitempty"`
		Col  int    `json:"col,omitempty"`
		What string `json:"what"`
		Next string `json:"next,omitempty"`
	}
	faults := []fault{}
	for _, r := range why {
		faults = append(faults, fault{r.Path, r.Line, r.Col, r.What, r.Next})
	}
	return writeJSON(w, map[string]any{"errors": faults, "exit": why.ExitCode()})
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
