package plan

import (
	"bytes"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
)

// Diff is the unified diff of every change, in the order of Apply, with
// module-relative paths. git apply and patch -p1 accept it.
func (p *Plan) Diff() string {
	var b strings.Builder
	for _, c := range p.ordered() {
		b.WriteString(c.Diff())
	}
	return b.String()
}

// Diff is the unified diff of this change alone; "" when nothing changes.
func (c *Change) Diff() string {
	from, to := "a/"+c.Path, "b/"+c.Path
	if c.Before == nil {
		from = "/dev/null"
	}
	if c.After == nil {
		to = "/dev/null"
	}
	if bytes.IndexByte(c.Before, 0) >= 0 || bytes.IndexByte(c.After, 0) >= 0 {
		if c.same() {
			return ""
		}
		return "Binary files " + from + " and " + to + " differ\n"
	}
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: lines(c.Before), B: lines(c.After), FromFile: from, ToFile: to, Context: 3,
	})
	if err != nil { // only a failing writer can cause it, and this one is in memory
		return ""
	}
	return text
}

// lines splits data after each newline. A last line without one gets the note
// that patch programs expect, so that it differs from the same line with one.
func lines(data []byte) []string {
	if len(data) == 0 {
		return nil
	}
	out := strings.SplitAfter(string(data), "\n")
	last := len(out) - 1
	if out[last] == "" {
		return out[:last]
	}
	out[last] += "\n\\ No newline at end of file\n"
	return out
}
