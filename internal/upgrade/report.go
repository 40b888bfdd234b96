package upgrade

import (
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/lockspire/lockspire/internal/plan"
)

// Outcome is what happens to one file.
type Outcome struct {
	Path    string
	Verdict Verdict
	// Why is half a sentence; may be empty.
	Why string
	// Yours and Ours are unified diffs since the last render, set when both
	// sides changed the file. Whole is the difference between them, for when
	// the last render is not known.
	Yours, Ours, Whole string
	// GoFix says that go fix alone made the edit.
	GoFix bool
	// Edit is the change that a file of the host needs and that is not written.
	Edit string
}

// Note is news about a file of the host that the upgrade does not touch.
type Note struct {
	Path, Text string
	// Diff is what changed in its template; empty when the old text is not kept.
	Diff string
	// Hook is the paragraph about something new that the host may use.
	Hook string
}

// Report is the result of Run, for people (Write) and for scripts.
type Report struct {
	Plan *plan.Plan
	// Inputs are recorded inputs that change.
	Inputs []InputChange
	// Outcomes and Notes are sorted by path.
	Outcomes []Outcome
	Notes    []Note
	// Pending says that the plan changes something.
	Pending bool
	// Partial says that what is not refused was to be written.
	Partial bool
	// Applied is what was written, nil for nothing.
	Applied *plan.Result
}

func (r *Report) sort() {
	sort.SliceStable(r.Outcomes, func(i, j int) bool { return r.Outcomes[i].Path < r.Outcomes[j].Path })
	sort.SliceStable(r.Notes, func(i, j int) bool { return r.Notes[i].Path < r.Notes[j].Path })
}

// Count returns how many files got one of the verdicts.
func (r *Report) Count(verdicts ...Verdict) int {
	n := 0
	for _, o := range r.Outcomes {
		for _, v := range verdicts {
			if o.Verdict == v {
				n++
			}
		}
	}
	return n
}

// Counts is the line that every report ends with.
func (r *Report) Counts() string {
	conflicts := r.Count(Conflict)
	word := "conflicts"
	if conflicts == 1 {
		word = "conflict"
	}
	return fmt.Sprintf("%d updated, %d added, %d removed, %d kept, %d refused, %d deleted by you, %d %s",
		r.Count(Updated, Merged), r.Count(Added, Restored), r.Count(Removed), r.Count(Kept, Orphaned, Resolved),
		r.Count(Refused, Moved), r.Count(Deleted), conflicts, word)
}

// Write prints each file that is not simply current, the changes of files that
// are replaced, and both sides of those that are refused. [Report.Counts] is
// left to the caller, for the end.
func (r *Report) Write(out io.Writer) error {
	p := &printer{out: out}
	width := 0
	for _, o := range r.Outcomes {
		width = max(width, len(o.Path))
	}
	for _, o := range r.Outcomes {
		if o.Verdict != Current || o.Why != "" {
			p.line("%s", strings.TrimRight(fmt.Sprintf("%-8s  %-*s  %s", o.Verdict, width, o.Path, o.Why), " "))
		}
	}
	for _, c := range r.Inputs {
		p.line("input     %s: %s -> %s  (%s)", c.Key, orNone(c.Old), orNone(c.New), c.Why)
	}
	for _, m := range r.Plan.Modules {
		p.line("require   %s %s", m.Path, m.Version)
	}
	for i := range r.Plan.Changes {
		c := &r.Plan.Changes[i]
		if c.Before != nil && c.After != nil && worthReading(c.Path) {
			p.block("", c.Diff())
		}
	}
	for _, o := range r.Outcomes {
		p.block("Yours: what you changed in "+o.Path+" since it was rendered", o.Yours)
		p.block("Ours: what its template changed since", o.Ours)
		p.block("The edit that "+o.Path+" needs", o.Edit)
		p.block("From your "+o.Path+" to the new render", o.Whole)
	}
	for _, n := range r.Notes {
		p.line("")
		p.line("note: %s: %s", n.Path, n.Text)
		if n.Hook != "" {
			p.line("%s", n.Hook)
		}
		p.block("What changed in its template", n.Diff)
	}
	for _, warning := range r.Plan.Warnings {
		p.line("warning: %s", warning)
	}
	for i, todo := range r.Plan.Todo {
		p.line("%d. %s", i+1, todo)
	}
	return p.err
}

func orNone(value string) string {
	if value == "" {
		return "(none)"
	}
	return value
}

// worthReading leaves out what only repeats other lines: base copies, sums and
// vendored modules.
func worthReading(path string) bool {
	for strings.HasPrefix(path, "../") {
		path = path[len("../"):]
	}
	return !strings.HasPrefix(path, ".lockspire/") && !strings.HasPrefix(path, "vendor/") && !strings.HasSuffix(path, "go.sum")
}

// printer keeps the first error.
type printer struct {
	out io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format+"\n", args...)
	}
}

func (p *printer) block(title, text string) {
	if text == "" {
		return
	}
	p.line("")
	if title != "" {
		p.line("%s:", title)
	}
	p.line("%s", strings.TrimRight(text, "\n"))
}
