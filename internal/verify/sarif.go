package verify

import (
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/plan"
)

// What viewers make of SARIF decides which members are here.
//
//   - GitHub shows message, the first location, the related locations, and the help of the rule as Markdown. It reads
//     suppressions, and drops results beyond 5,000 (5,000 per run are kept, by severity).
//   - GitHub computes primaryLocationLineHash by itself and warns at each value that differs, so the fingerprint has a
//     name of its own; DefectDojo, GitLab's converters and SARIF Multitool compare all of them.
//   - Paths count from the top of the checkout, under a base that has no URI: an absolute path would differ between
//     machines.
//   - fixes are left out: a viewer applies them as they are, and most of ours are words.
//   - What is unproven has the kind "open", "insufficient information to decide", which must have the level "none".
const (
	sarifSchema  = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	sarifResults = 5000
	sarifBase    = "%SRCROOT%"
	fingerprint  = "lockspire/v1"
	docsURL      = "https://github.com/lockspire/lockspire/blob/main/docs/verify.md"
)

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool        sarifTool                `json:"tool"`
	Invocations []sarifInvocation        `json:"invocations"`
	Bases       map[string]sarifLocation `json:"originalUriBaseIds"`
	ColumnKind  string                   `json:"columnKind"`
	// Results is nil when the host could not be loaded: an empty list would say that it was, and is fine.
	Results *[]sarifResult `json:"results,omitempty"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name           string      `json:"name"`
	Version        string      `json:"semanticVersion,omitempty"`
	InformationURI string      `json:"informationUri"`
	Rules          []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID            string         `json:"id"`
	Name          string         `json:"name"`
	Short         sarifText      `json:"shortDescription"`
	Full          sarifText      `json:"fullDescription"`
	HelpURI       string         `json:"helpUri"`
	Help          sarifText      `json:"help"`
	Configuration sarifLevel     `json:"defaultConfiguration"`
	Properties    sarifRuleExtra `json:"properties"`
}

type sarifRuleExtra struct {
	Tags []string `json:"tags"`
}

type sarifText struct {
	Text     string `json:"text"`
	Markdown string `json:"markdown,omitempty"`
}

type sarifLevel struct {
	Level string `json:"level"`
}

type sarifInvocation struct {
	Successful    bool                `json:"executionSuccessful"`
	ExitCode      *int                `json:"exitCode,omitempty"`
	Notifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
}

type sarifNotification struct {
	Level     string       `json:"level"`
	Message   sarifText    `json:"message"`
	Locations []sarifPlace `json:"locations,omitempty"`
}

type sarifResult struct {
	RuleID       string             `json:"ruleId"`
	RuleIndex    int                `json:"ruleIndex"`
	Kind         string             `json:"kind,omitempty"`
	Level        string             `json:"level"`
	Message      sarifText          `json:"message"`
	Locations    []sarifPlace       `json:"locations"`
	Related      []sarifPlace       `json:"relatedLocations,omitempty"`
	Fingerprints map[string]string  `json:"partialFingerprints,omitempty"`
	Suppressions []sarifSuppression `json:"suppressions,omitempty"`
}

type sarifSuppression struct {
	Kind          string `json:"kind"` // "inSource" for a comment, "external" for the baseline
	Status        string `json:"status"`
	Justification string `json:"justification"`
}

type sarifPlace struct {
	ID       int           `json:"id,omitempty"`
	Physical sarifPhysical `json:"physicalLocation"`
	Message  *sarifText    `json:"message,omitempty"`
}

type sarifPhysical struct {
	Artifact sarifLocation `json:"artifactLocation"`
	Region   sarifRegion   `json:"region"`
}

type sarifLocation struct {
	URI         string     `json:"uri,omitempty"`
	BaseID      string     `json:"uriBaseId,omitempty"`
	Description *sarifText `json:"description,omitempty"`
}

type sarifRegion struct {
	Line   int `json:"startLine"`
	Column int `json:"startColumn"`
}

func (r Report) sarif(w io.Writer) error {
	run := newSARIFRun(r.Tool)
	invocation := sarifInvocation{Successful: true}
	for _, e := range r.LoadErrors {
		n := sarifNotification{Level: "warning", Message: sarifText{Text: "load error of the host itself: " + firstLine(e.Msg)}}
		if e.File != "" {
			n.Locations = []sarifPlace{r.sarifPlace(e.Position, 0)}
		}
		invocation.Notifications = append(invocation.Notifications, n)
	}
	findings := r.Findings
	if n := len(findings) - sarifResults; n > 0 {
		findings = r.gravestOf(sarifResults)
		invocation.Notifications = append(invocation.Notifications, sarifNotification{
			Level: "warning", Message: sarifText{Text: fmt.Sprintf("%s beyond the %d gravest left out", plural(n, "finding"), sarifResults)},
		})
	}
	run.Invocations = []sarifInvocation{invocation}
	results := []sarifResult{}
	for _, f := range findings {
		results = append(results, r.sarifResult(f))
	}
	run.Results = &results
	return writeJSON(w, sarifLog{sarifSchema, "2.1.0", []sarifRun{run}})
}

func sarifFailure(w io.Writer, tool string, why plan.Refusals) error {
	run := newSARIFRun(tool)
	code := why.ExitCode()
	invocation := sarifInvocation{ExitCode: &code}
	for _, refusal := range why {
		invocation.Notifications = append(invocation.Notifications, sarifNotification{Level: "error", Message: sarifText{Text: refusal.Error()}})
	}
	run.Invocations = []sarifInvocation{invocation}
	return writeJSON(w, sarifLog{sarifSchema, "2.1.0", []sarifRun{run}})
}

func newSARIFRun(tool string) sarifRun {
	driver := sarifDriver{Name: "lockspire", Version: strings.TrimPrefix(tool, "v"), InformationURI: docsURL, Rules: []sarifRule{}}
	for _, r := range Rules {
		level, _ := sarifSeverity(r.Severity)
		driver.Rules = append(driver.Rules, sarifRule{
			ID: r.ID, Name: r.Name, Short: sarifText{Text: r.Title}, Full: sarifText{Text: r.Doc.Why},
			HelpURI: docsURL + "#" + strings.ToLower(r.ID) + "-" + r.Name, Help: sarifHelp(r),
			Configuration: sarifLevel{level}, Properties: sarifRuleExtra{[]string{r.Family}},
		})
	}
	return sarifRun{
		Tool: sarifTool{driver}, ColumnKind: "unicodeCodePoints",
		Bases: map[string]sarifLocation{sarifBase: {Description: &sarifText{Text: "the top of the git repository"}}},
	}
}

// sarifHelp is what `lockspire explain` says, once more as Markdown.
func sarifHelp(r *Rule) sarifText {
	text, _ := Explain(r.ID)
	var b strings.Builder
	b.WriteString(r.Doc.Why + "\n")
	for _, part := range []struct{ title, text string }{{"Reported", r.Doc.Before}, {"Right", r.Doc.After}} {
		if part.text != "" {
			fmt.Fprintf(&b, "\n**%s**\n\n```\n%s\n```\n", part.title, strings.TrimRight(part.text, "\n"))
		}
	}
	return sarifText{Text: text, Markdown: b.String()}
}

func (r Report) sarifResult(f Finding) sarifResult {
	level, kind := sarifSeverity(f.Severity)
	text := f.Message
	if f.Fix != "" {
		text += "\nfix: " + f.Fix
	}
	out := sarifResult{
		RuleID: f.Rule, RuleIndex: ruleIndex(f.Rule), Kind: kind, Level: level, Message: sarifText{Text: text},
		Locations: []sarifPlace{r.sarifPlace(f.Position, f.column)},
	}
	if f.Fingerprint != "" {
		out.Fingerprints = map[string]string{fingerprint: f.Fingerprint}
	}
	for i, rel := range f.Related {
		p := r.sarifPlace(rel.Position, rel.column)
		p.ID, p.Message = i+1, &sarifText{Text: rel.Message}
		out.Related = append(out.Related, p)
	}
	if f.Suppressed != "" {
		out.Suppressions = append(out.Suppressions, sarifSuppression{"inSource", "accepted", f.Suppressed})
	}
	if f.Known != "" {
		out.Suppressions = append(out.Suppressions, sarifSuppression{"external", "accepted", f.Known})
	}
	return out
}

func sarifSeverity(s Severity) (level, kind string) {
	switch s {
	case Error:
		return "error", ""
	case Warning:
		return "warning", ""
	case Unproven:
		return "none", "open"
	}
	return "note", ""
}

func (r Report) sarifPlace(p hostrepo.Position, column int) sarifPlace {
	uri := url.URL{Path: path.Join(r.Dir, p.File)}
	return sarifPlace{Physical: sarifPhysical{
		Artifact: sarifLocation{URI: strings.TrimPrefix(uri.String(), "./"), BaseID: sarifBase},
		Region:   sarifRegion{max(p.Line, 1), characters(p.Col, column)},
	}}
}

func ruleIndex(id string) int {
	for i, r := range Rules {
		if r.ID == id {
			return i
		}
	}
	return -1
}

// gravestOf are n findings in the order of the tree: those that count first, by severity.
func (r Report) gravestOf(n int) []Finding {
	var open, accepted []Finding
	for _, f := range r.Findings {
		if f.Open() {
			open = append(open, f)
		} else {
			accepted = append(accepted, f)
		}
	}
	kept := append(gravest(open), gravest(accepted)...)[:n]
	short := Report{Findings: kept}
	short.sort()
	return short.Findings
}
