package verify

import (
	"bytes"
	"go/ast"
	"strings"

	"github.com/lockspire/lockspire/internal/hostrepo"
)

var badSuppression = &Rule{
	ID: "LS504", Family: FamilyManaged, Name: "bad-suppression", Severity: Warning, Since: "0.1.0",
	Title: "A //lockspire:ignore comment has no reason, no known rule, or nothing to ignore.",
	Doc: Doc{
		Why: "A finding is accepted by a comment with the rule and the reason: on its line, on the line above, in the comment of the " +
			"declaration around it, or above the package clause for the whole file. A comment without a reason accepts nothing; one that " +
			"matches no finding any more hides the next one. An entry of the baseline that matches no finding is reported too, for information.",
		Before: "//lockspire:ignore LS203",
		After:  "//lockspire:ignore LS203 the admin pages are on a listener of their own, behind the VPN",
	},
}

// directive is one //lockspire:ignore comment. It accepts what is found on the lines from first to last.
type directive struct {
	hostrepo.Position
	start, end  int // byte offsets of the comment
	text        string
	rule        *Rule
	name        string
	reason      string
	first, last int
	used        bool
}

const ignore = "//lockspire:ignore"

// directives finds the comments of a file and what each is about. docs are the comments of declarations.
func directives(repo *hostrepo.Repo, src *sources, f *ast.File, docs map[*ast.CommentGroup]ast.Node) []*directive {
	var all []*directive
	own := map[int]bool{} // lines of directives so far: several may stand above one line
	for _, g := range f.Comments {
		for _, c := range g.List {
			text := strings.TrimRight(c.Text, "\r")
			rest, ok := strings.CutPrefix(text, ignore)
			if !ok || rest != "" && rest[0] != ' ' && rest[0] != '\t' {
				continue
			}
			name, reason := rest, ""
			if fields := strings.Fields(rest); len(fields) > 0 {
				name = fields[0]
				reason = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(rest), name))
			}
			d := &directive{
				Position: repo.Position(c.Pos()), start: offset(repo, c.Pos()), text: text,
				rule: Lookup(name), name: strings.TrimSpace(name), reason: reason,
			}
			d.end = d.start + len(text)
			switch decl := docs[g]; {
			case c.Pos() < f.Package:
				d.first, d.last = 1, repo.Position(f.FileEnd).Line
			case decl != nil:
				d.first, d.last = repo.Position(decl.Pos()).Line, repo.Position(decl.End()).Line
			default:
				d.first, d.last = d.Line, d.Line
				if before := src.line(d.File, d.Line); d.Col-1 <= len(before) && strings.TrimSpace(before[:d.Col-1]) == "" {
					d.last++ // alone on its line, it is about the next one
				}
			}
			all, own[d.Line] = append(all, d), true
		}
	}
	for _, d := range all {
		for d.first == d.Line && d.last > d.Line && own[d.last] {
			d.last++
		}
	}
	return all
}

// suppress marks the findings that the host accepted, and returns findings about comments that accept nothing.
func suppress(h *host, files map[string]*fileOutline, findings []Finding) []Finding {
	for i := range findings {
		f := &findings[i]
		if d := files[f.File].accepts(f); d != nil {
			f.Suppressed, d.used = d.reason, true
		}
	}
	p := &pass{host: h, rule: badSuppression}
	for _, o := range files {
		for _, d := range o.directives {
			switch {
			case d.rule == nil:
				p.report(d.Position, "there is no rule %q", d.name).Fix = "lockspire explain    # lists the rules"
			case d.reason == "":
				p.report(d.Position, "a reason is required: nothing is ignored").Fix = ignore + " " + d.rule.ID + " <reason>"
			case !d.used:
				f := p.report(d.Position, "%s reports nothing here", d.rule.ID)
				f.Fix, f.Edits = "delete the comment", p.withoutComment(d)
			}
		}
	}
	return p.findings
}

// accepts is the narrowest comment that accepts a finding, nil for none.
func (o *fileOutline) accepts(f *Finding) *directive {
	if o == nil {
		return nil
	}
	var best *directive
	for _, d := range o.directives {
		if d.rule == nil || d.rule.ID != f.Rule || d.reason == "" || f.Line < d.first || d.last < f.Line {
			continue
		}
		if best == nil || d.last-d.first < best.last-best.first {
			best = d
		}
	}
	return best
}

// withoutComment deletes a comment that accepts nothing, and its line when it stands alone there.
func (h *host) withoutComment(d *directive) []Edit {
	data, err := h.read(d.File)
	if err != nil || d.start < 0 || d.end > len(data) || string(data[d.start:d.end]) != d.text {
		return nil // the file is not what was loaded
	}
	start, end := d.start, d.end
	for start > 0 && (data[start-1] == ' ' || data[start-1] == '\t') {
		start--
	}
	if start == 0 || data[start-1] == '\n' {
		if eol := bytes.IndexByte(data[end:], '\n'); eol >= 0 {
			end += eol + 1
		}
	}
	return []Edit{{Path: d.File, Start: start, End: end, Old: string(data[start:end])}}
}
