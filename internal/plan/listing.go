package plan

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// WriteOptions says how Write prints.
type WriteOptions struct {
	// Color switches ANSI colours on; the caller has looked at the terminal and
	// at NO_COLOR.
	Color bool
}

// Write prints the plan the way a good pull request reads: what was found and
// where, which files are written and who owns them, the diff of edits to files
// of the host, warnings, and the numbered rest to be done by hand. The same
// plan gives the same bytes; no absolute path is in them.
func (p *Plan) Write(w io.Writer, opts WriteOptions) error {
	l := listing{w: bufio.NewWriter(w), color: opts.Color}
	l.found(p.Found)
	changes := p.ordered()
	if len(changes) == 0 {
		l.section("Nothing to write: every file is already as it should be.")
	} else {
		l.files(changes)
		l.edits(changes)
	}
	l.warnings(p.Warnings)
	l.todo(p.Todo)
	return l.w.Flush()
}

// listing is one printed plan. Its writer keeps the first error for Flush.
type listing struct {
	w     *bufio.Writer
	color bool
	begun bool
}

const (
	bold  = "\x1b[1m"
	red   = "\x1b[31m"
	green = "\x1b[32m"
	cyan  = "\x1b[36m"
	plain = "\x1b[0m"
)

func (l *listing) paint(color, s string) string {
	if !l.color {
		return s
	}
	return color + s + plain
}

func (l *listing) section(title string) {
	if l.begun {
		fmt.Fprintln(l.w)
	}
	l.begun = true
	fmt.Fprintln(l.w, l.paint(bold, title))
}

func (l *listing) found(facts []string) {
	if len(facts) == 0 {
		return
	}
	l.section("Found")
	for _, f := range facts {
		fmt.Fprintf(l.w, "  %s\n", f)
	}
}

// row is one line of the list of files.
type row struct{ mark, path, owner, why string }

func (l *listing) files(changes []Change) {
	rows, counts := fileRows(changes)
	l.section("Files: " + counts)
	width, owners := 0, 0
	for _, r := range rows {
		width, owners = max(width, len(r.path)), max(owners, len(r.owner))
	}
	for _, r := range rows {
		color := green
		if r.mark == "-" {
			color = red
		} else if r.mark == "~" {
			color = cyan
		}
		line := fmt.Sprintf("  %s %-*s  %-*s  %s", l.paint(color, r.mark), width, r.path, owners, r.owner, r.why)
		fmt.Fprintln(l.w, strings.TrimRight(line, " "))
	}
}

// fileRows lists the changes, with everything below vendor/ and the base copies
// in one row each: nobody reviews sixty copied files one by one.
func fileRows(changes []Change) (rows []row, counts string) {
	var created, changed, deleted, vendored int
	var bases []row
	for _, c := range changes {
		mark := "~"
		switch {
		case c.After == nil:
			mark = "-"
			deleted++
		case c.Before == nil:
			mark = "+"
			created++
		default:
			changed++
		}
		if isVendor(c.Path) {
			vendored++
			continue
		}
		if strings.HasPrefix(c.Path, basePath) {
			bases = append(bases, row{mark, basePath, ownerWord(c.Owner), c.Why})
			continue
		}
		rows = append(rows, row{mark, c.Path, ownerWord(c.Owner), c.Why})
	}
	if len(bases) > 0 {
		folded := bases[0]
		folded.why += fmt.Sprintf(" (%d files)", len(bases))
		for _, base := range bases {
			if base.mark != folded.mark {
				folded.mark = "~"
			}
		}
		rows = append(rows, folded)
	}
	if vendored > 0 {
		rows = append(rows, row{"+", "vendor/", ownerWord(Host), fmt.Sprintf("%d files, as go mod vendor writes them", vendored)})
	}
	var parts []string
	for _, n := range []struct {
		count int
		word  string
	}{{created, "new"}, {changed, "changed"}, {deleted, "deleted"}} {
		if n.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n.count, n.word))
		}
	}
	return rows, strings.Join(parts, ", ")
}

// ownerWord is what a reader of the plan wants to know: may I edit this file?
func ownerWord(o Owner) string {
	if o == Managed {
		return "managed"
	}
	return "yours"
}

// edits are the diffs of the host's own files: its code first, since that is what a reviewer looks for, then go.mod.
// Checksums are for the go command; the list of files says that they are there.
func (l *listing) edits(changes []Change) {
	titled := false
	isMod := func(c Change) bool { return path.Base(c.Path) == "go.mod" }
	for _, c := range append(slices.DeleteFunc(slices.Clone(changes), isMod), slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return !isMod(c) })...) {
		if !c.Insert || isVendor(c.Path) || path.Base(c.Path) == "go.sum" {
			continue
		}
		if !titled {
			l.section("Edits to your files")
			titled = true
		}
		for line := range strings.Lines(c.Diff()) {
			l.diffLine(line)
		}
	}
}

func (l *listing) diffLine(line string) {
	body, end := strings.TrimRight(line, "\r\n"), "\n"
	switch {
	case strings.HasPrefix(body, "---"), strings.HasPrefix(body, "+++"):
		body = l.paint(bold, body)
	case strings.HasPrefix(body, "@@"):
		body = l.paint(cyan, body)
	case strings.HasPrefix(body, "+"):
		body = l.paint(green, body)
	case strings.HasPrefix(body, "-"):
		body = l.paint(red, body)
	}
	fmt.Fprint(l.w, "  ", body, end)
}

func (l *listing) warnings(warnings []string) {
	if len(warnings) == 0 {
		return
	}
	l.section("Warnings")
	for _, s := range warnings {
		fmt.Fprintf(l.w, "  - %s\n", indent(s, "    "))
	}
}

func (l *listing) todo(todo []string) {
	if len(todo) == 0 {
		return
	}
	l.section("To do by hand")
	for i, s := range todo {
		fmt.Fprintf(l.w, "  %d. %s\n", i+1, indent(s, "     "))
	}
}

// indent puts prefix before every line but the first.
func indent(s, prefix string) string {
	return strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+prefix)
}
