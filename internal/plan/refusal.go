package plan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Refusal is one reason a command will not go on. A run reports all of its
// refusals together.
type Refusal struct {
	Exit      int    // 1 refusal, 2 wrong usage, 3 the environment or an open question
	Path      string // module-relative, slashes; may be empty
	Line, Col int    // 0 means none
	What      string // one sentence
	Next      string // one command or action that can be pasted; may have several lines
	// Compiler is what the compiler said, where the plan would bring a compile error.
	Compiler string
}

// Error is "path:line:col: what", and Next indented on the lines below.
func (r *Refusal) Error() string {
	var b strings.Builder
	if r.Path != "" {
		b.WriteString(r.Path)
		if r.Line > 0 {
			fmt.Fprintf(&b, ":%d", r.Line)
			if r.Col > 0 {
				fmt.Fprintf(&b, ":%d", r.Col)
			}
		}
		b.WriteString(": ")
	}
	b.WriteString(r.What)
	if r.Next != "" {
		b.WriteString("\n\t" + strings.ReplaceAll(r.Next, "\n", "\n\t"))
	}
	return b.String()
}

// Refusals are all the reasons of a run. A nil or empty value is no error: use
// Err to turn it into one.
type Refusals []*Refusal

// Error lists every refusal, one below the other.
func (rs Refusals) Error() string {
	lines := make([]string, len(rs))
	for i, r := range rs {
		lines[i] = r.Error()
	}
	return strings.Join(lines, "\n")
}

// ExitCode is the largest exit code of all refusals; 0 when there are none.
func (rs Refusals) ExitCode() int {
	code := 0
	for _, r := range rs {
		code = max(code, r.Exit)
	}
	return code
}

// Unwrap lets errors.As find each refusal.
func (rs Refusals) Unwrap() []error {
	out := make([]error, len(rs))
	for i, r := range rs {
		out[i] = r
	}
	return out
}

// Err returns the refusals sorted by position, or nil when there are none.
func (rs Refusals) Err() error {
	if len(rs) == 0 {
		return nil
	}
	rs = slices.Clone(rs)
	slices.SortStableFunc(rs, func(a, b *Refusal) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	return rs
}

// AsRefusals collects the refusals inside err, one or many. ok is false when
// err holds none, which makes it a failure of ours and not a finding.
func AsRefusals(err error) (rs Refusals, ok bool) {
	if errors.As(err, &rs) {
		return rs, true
	}
	var r *Refusal
	if errors.As(err, &r) {
		return Refusals{r}, true
	}
	return nil, false
}
