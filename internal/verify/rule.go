package verify

import (
	"fmt"
	"go/token"
	"strings"

	"github.com/lockspire/lockspire/internal/hostrepo"
)

// Severity says what a finding means for the exit code: only errors count.
type Severity string

const (
	Error    Severity = "error"
	Warning  Severity = "warning"
	Info     Severity = "info"
	Unproven Severity = "unproven" // cannot be decided from the source; the fix names the test that decides it
)

// Rule is one check. Its ID never changes its meaning.
type Rule struct {
	ID       string // "LS101"
	Family   string // one of the Family constants
	Name     string // short name in lower case with hyphens, for people who dislike numbers
	Severity Severity
	Title    string
	Since    string
	Doc      Doc
	run      func(p *pass)
}

// The families of rules.
const (
	FamilyWiring     = "wiring"
	FamilySeam       = "seam"
	FamilyMigrations = "migrations"
	FamilyManaged    = "managed files"
)

// Doc is what `lockspire explain` prints. Before and After are Go, SQL or shell as it stands in a host.
type Doc struct {
	Why           string
	Before, After string
}

// Rules are all rules, by number.
var Rules = []*Rule{
	mountMissing, mountUnreachable, issuerMismatch,
	resolverStub, loginLosesReturn, guardOpen,
	migrationMissing, migrationEdited, migrationVersion,
	managedEdited, versionSkew, manifestMissing, badSuppression,
}

// Lookup finds a rule by its ID or its name, in any case.
func Lookup(name string) *Rule {
	for _, r := range Rules {
		if strings.EqualFold(r.ID, name) || strings.EqualFold(r.Name, name) {
			return r
		}
	}
	return nil
}

// Explain returns the documentation of a rule, false when there is none of that ID or name.
func Explain(name string) (string, bool) {
	r := Lookup(name)
	if r == nil {
		return "", false
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s (%s, %s, since %s)\n\n%s\n\n%s\n", r.ID, r.Name, r.Family, r.Severity, r.Since, r.Title, wrap(r.Doc.Why, 80))
	for _, part := range []struct{ title, text string }{{"Reported:", r.Doc.Before}, {"Right:", r.Doc.After}} {
		if part.text != "" {
			fmt.Fprintf(&b, "\n%s\n\n    %s\n", part.title, strings.ReplaceAll(strings.TrimRight(part.text, "\n"), "\n", "\n    "))
		}
	}
	fmt.Fprintf(&b, "\nTo accept one finding:\n\n    //lockspire:ignore %s the reason, which is required\n", r.ID)
	return b.String(), true
}

// wrap breaks text at blanks.
func wrap(text string, width int) string {
	var lines []string
	line := ""
	for _, w := range strings.Fields(text) {
		if line != "" && len(line)+1+len(w) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += w
	}
	return strings.Join(append(lines, line), "\n")
}

// Finding is one thing that a rule found. It carries positions and words only.
type Finding struct {
	Rule     string
	Severity Severity
	Message  string
	hostrepo.Position
	Fix        string // one line: what to change, or the command to run
	Related    []Related
	Suppressed string // the reason, when the host accepted this finding in a comment
	Known      string // the reason, or a word for none, when the baseline lists this finding

	// Fingerprint is the same as long as rule, enclosing declaration and text of the line are. Run sets it.
	Fingerprint string
	// Edits fix the finding, all of them together, and are safe to make unseen. Most findings have none.
	Edits []Edit

	column int // of the position in characters; 0 where the line was not read
}

// Open reports whether the finding counts: neither a comment nor the baseline accepts it.
func (f Finding) Open() bool { return f.Suppressed == "" && f.Known == "" }

// Related is a second place that explains a finding.
type Related struct {
	hostrepo.Position
	Message string

	column int
}

// pass is one rule's run over one host.
type pass struct {
	*host
	rule     *Rule
	findings []Finding
}

// report adds a finding of the rule's own severity and returns it for Fix and Related.
func (p *pass) report(at hostrepo.Position, format string, args ...any) *Finding {
	p.findings = append(p.findings, Finding{Rule: p.rule.ID, Severity: p.rule.Severity, Position: at, Message: fmt.Sprintf(format, args...)})
	return &p.findings[len(p.findings)-1]
}

// unproven adds a finding that only a test can decide.
func (p *pass) unproven(at hostrepo.Position, format string, args ...any) *Finding {
	f := p.report(at, format, args...)
	f.Severity = Unproven
	f.Fix = p.smokeTest()
	return f
}

func (p *pass) pos(at token.Pos) hostrepo.Position { return p.repo.Position(at) }

func (f *Finding) related(at hostrepo.Position, format string, args ...any) *Finding {
	if at.File != "" {
		f.Related = append(f.Related, Related{Position: at, Message: fmt.Sprintf(format, args...)})
	}
	return f
}
