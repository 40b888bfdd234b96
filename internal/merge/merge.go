// Package merge merges two versions of a text that grew from a common one, line
// by line, as diff3 does. It needs no git: a host may be a shallow clone, a
// submodule, or a directory on a computer without it.
package merge

import (
	"slices"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
)

// Labels stand behind the conflict markers. Empty ones leave the marker alone.
type Labels struct{ Yours, Base, Ours string }

// Result is a merged text.
type Result struct {
	// Text has both sides' changes. Where they contradict it has both between
	// the markers of git's diff3 style.
	Text []byte
	// Conflicts is the number of such places.
	Conflicts int
}

// Three merges what changed from base to yours with what changed from base to
// ours. Changes that touch each other are a conflict, as they are for git: that
// two lines may be changed independently is known only when one between them
// stayed. The same change on both sides is made once. No line that either side
// added is missing from the result, whatever the texts are.
//
// Line endings are compared like all other bytes: bring the texts to one style
// first.
func Three(base, yours, ours []byte, labels Labels) Result {
	m := merger{base: lines(base), yours: lines(yours), ours: lines(ours), labels: labels}
	m.eol = "\n"
	if strings.HasSuffix(first(m.yours), "\r\n") {
		m.eol = "\r\n"
	}
	at := anchor{}
	for _, a := range m.anchors() {
		m.between(at, a)
		m.put(m.base[a.base : a.base+a.size])
		at = anchor{a.base + a.size, a.yours + a.size, a.ours + a.size, 0}
	}
	return Result{[]byte(m.out.String()), m.conflicts}
}

type merger struct {
	base, yours, ours []string
	labels            Labels
	eol               string
	out               strings.Builder
	conflicts         int
}

// anchor is a run of lines that all three texts have, by its beginnings.
type anchor struct{ base, yours, ours, size int }

// anchors are the runs of base that neither side changed, in order. The last one
// is empty and at the end of all three.
func (m *merger) anchors() []anchor {
	yours, ours := blocks(m.base, m.yours), blocks(m.base, m.ours)
	var out []anchor
	for i, j := 0, 0; i < len(yours) && j < len(ours); {
		y, o := yours[i], ours[j]
		from, to := max(y.A, o.A), min(y.A+y.Size, o.A+o.Size)
		if from < to {
			out = append(out, anchor{from, y.B + from - y.A, o.B + from - o.A, to - from})
		}
		if y.A+y.Size < o.A+o.Size {
			i++
		} else {
			j++
		}
	}
	return append(out, anchor{len(m.base), len(m.yours), len(m.ours), 0})
}

// blocks are the runs of lines that stayed from a to b. No line is taken for
// junk for being frequent: in Go half of all lines are a closing brace.
func blocks(a, b []string) []difflib.Match {
	return difflib.NewMatcherWithJunk(a, b, false, nil).GetMatchingBlocks()
}

// between merges the lines between two anchors.
func (m *merger) between(from, to anchor) {
	base, yours, ours := m.base[from.base:to.base], m.yours[from.yours:to.yours], m.ours[from.ours:to.ours]
	switch {
	case slices.Equal(yours, ours), slices.Equal(ours, base):
		m.put(yours)
	case slices.Equal(yours, base):
		m.put(ours)
	default:
		m.conflict(base, yours, ours)
	}
}

// conflict writes both sides. What they have in common at the ends is no matter
// of dispute.
func (m *merger) conflict(base, yours, ours []string) {
	n := 0
	for n < len(yours) && n < len(ours) && yours[n] == ours[n] {
		n++
	}
	m.put(yours[:n])
	yours, ours = yours[n:], ours[n:]
	for n = 0; n < len(yours) && n < len(ours) && yours[len(yours)-1-n] == ours[len(ours)-1-n]; {
		n++
	}
	tail := yours[len(yours)-n:]
	yours, ours = yours[:len(yours)-n], ours[:len(ours)-n]
	m.conflicts++
	m.marker("<<<<<<<", m.labels.Yours)
	m.put(yours)
	m.marker("|||||||", m.labels.Base)
	m.put(base)
	m.marker("=======", "")
	m.put(ours)
	m.marker(">>>>>>>", m.labels.Ours)
	m.put(tail)
}

func (m *merger) put(lines []string) {
	for _, line := range lines {
		m.freshLine()
		m.out.WriteString(line)
	}
}

func (m *merger) marker(mark, label string) {
	m.freshLine()
	m.out.WriteString(mark)
	if label != "" {
		m.out.WriteString(" " + label)
	}
	m.out.WriteString(m.eol)
}

// freshLine ends a line that was the last of its text and had no newline.
func (m *merger) freshLine() {
	if s := m.out.String(); s != "" && !strings.HasSuffix(s, "\n") {
		m.out.WriteString(m.eol)
	}
}

// lines splits text behind each newline.
func lines(text []byte) []string {
	out := strings.SplitAfter(string(text), "\n")
	if out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

func first(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[0]
}
