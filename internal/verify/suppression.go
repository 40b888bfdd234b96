package verify

import (
	"strings"

	"github.com/lockspire/lockspire/internal/hostrepo"
)

var badSuppression = &Rule{
	ID: "LS504", Family: FamilyManaged, Name: "bad-suppression", Severity: Warning, Since: "0.1.0",
	Title: "A //lockspire:ignore comment has no reason, no known rule, or nothing to ignore.",
	Doc: Doc{
		Why: "A finding is accepted by a comment on its line or on the line above, with the rule and the reason. A comment without a reason " +
			"accepts nothing; one that matches no finding any more hides the next one.",
		Before: "//lockspire:ignore LS203",
		After:  "//lockspire:ignore LS203 the admin pages are on a listener of their own, behind the VPN",
	},
}

// directive is one //lockspire:ignore comment.
type directive struct {
	hostrepo.Position
	rule   *Rule
	name   string
	reason string
	used   bool
}

const ignore = "//lockspire:ignore"

// suppress marks the findings that the host accepted, and returns findings about comments that accept nothing.
func suppress(h *host, findings []Finding) []Finding {
	var all []*directive
	at := map[hostrepo.Position]*directive{}
	for _, p := range h.repo.Packages {
		for _, f := range p.Syntax {
			for _, g := range f.Comments {
				for _, c := range g.List {
					rest, ok := strings.CutPrefix(strings.TrimRight(c.Text, "\r"), ignore)
					if !ok || rest != "" && rest[0] != ' ' && rest[0] != '\t' {
						continue
					}
					name, reason, _ := strings.Cut(strings.TrimSpace(rest), " ")
					d := &directive{Position: h.repo.Position(c.Pos()), rule: Lookup(name), name: name, reason: strings.TrimSpace(reason)}
					all = append(all, d)
					at[hostrepo.Position{File: d.File, Line: d.Line}] = d
				}
			}
		}
	}
	for i := range findings {
		f := &findings[i]
		for _, line := range []int{f.Line, f.Line - 1} {
			d := at[hostrepo.Position{File: f.File, Line: line}]
			if d != nil && d.rule != nil && d.rule.ID == f.Rule && d.reason != "" {
				f.Suppressed, d.used = d.reason, true
				break
			}
		}
	}
	p := &pass{host: h, rule: badSuppression}
	for _, d := range all {
		switch {
		case d.rule == nil:
			p.report(d.Position, "there is no rule %q", d.name).Fix = "lockspire explain    # lists the rules"
		case d.reason == "":
			p.report(d.Position, "a reason is required: nothing is ignored").Fix = ignore + " " + d.rule.ID + " <reason>"
		case !d.used:
			p.report(d.Position, "%s reports nothing here", d.rule.ID).Fix = "delete the comment"
		}
	}
	return p.findings
}
