package verify

import (
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/lockspire/lockspire/internal/plan"
)

// annotationsPerLevel is how many annotations of one level GitHub shows of one step; it drops the others in silence.
const annotationsPerLevel = 10

// github prints workflow commands, which GitHub Actions shows as annotations of a pull request: errors first, then
// warnings, then the rest as notices. What GitHub would drop is counted in a last line, which is no annotation.
func (r Report) github(w io.Writer) error {
	var b strings.Builder
	shown, left := map[string]int{}, map[string]int{}
	for _, f := range gravest(r.Findings) {
		if !f.Open() {
			continue
		}
		level := githubLevel(f.Severity)
		if shown[level] == annotationsPerLevel {
			left[level]++
			continue
		}
		shown[level]++
		fmt.Fprintf(&b, "::%s file=%s,line=%d,col=%d,title=%s::%s\n", level, githubProperty(path.Join(r.Dir, f.File)),
			max(f.Line, 1), characters(f.Col, f.column), githubProperty(f.Rule+" "+Lookup(f.Rule).Name), githubData(annotation(f)))
	}
	var rest []string
	for _, level := range []string{"error", "warning", "notice"} {
		if n := left[level]; n > 0 {
			rest = append(rest, plural(n, level))
		}
	}
	if len(rest) > 0 {
		fmt.Fprintf(&b, "and %s more, which GitHub would not show as annotations: they are in the log of this step\n", strings.Join(rest, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func githubLevel(s Severity) string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	}
	return "notice"
}

// annotation is the text below the title.
func annotation(f Finding) string {
	lines := []string{f.Message}
	if f.Severity == Unproven {
		lines[0] = "unproven: " + f.Message
	}
	for _, rel := range f.Related {
		lines = append(lines, place(rel.Position)+": "+rel.Message)
	}
	if f.Fix != "" {
		lines = append(lines, "fix: "+f.Fix)
	}
	return strings.Join(lines, "\n")
}

func githubFailure(w io.Writer, why plan.Refusals) error {
	var b strings.Builder
	for _, r := range why {
		text := r.What
		if r.Path != "" {
			text = (&plan.Refusal{Path: r.Path, Line: r.Line, Col: r.Col, What: r.What}).Error()
		}
		if r.Next != "" {
			text += "\n" + r.Next
		}
		fmt.Fprintf(&b, "::error title=lockspire verify could not run::%s\n", githubData(text))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var (
	escapeData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	escapeProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func githubData(s string) string     { return escapeData.Replace(s) }
func githubProperty(s string) string { return escapeProperty.Replace(s) }

// characters is the column in characters, at least 1.
func characters(bytes, counted int) int {
	if counted > 0 {
		return counted
	}
	return max(bytes, 1)
}
