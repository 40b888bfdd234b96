package plan

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// sumLine is one line of go.sum. For the go.mod alone, version ends in "/go.mod".
type sumLine struct{ path, version, hash string }

func (s sumLine) String() string { return s.path + " " + s.version + " " + s.hash }

func parseSumLine(line []byte) (sumLine, bool) {
	f := strings.Fields(string(line))
	if len(f) != 3 {
		return sumLine{}, false
	}
	return sumLine{f[0], f[1], f[2]}, true
}

// compare is the order in which the go command writes go.sum.
func (s sumLine) compare(o sumLine) int {
	sv, sfile, _ := strings.Cut(s.version, "/")
	ov, ofile, _ := strings.Cut(o.version, "/")
	return cmp.Or(cmp.Compare(s.path, o.path), semver.Compare(sv, ov), cmp.Compare(sfile, ofile), cmp.Compare(s.hash, o.hash))
}

// addSums splices the lines that are not there yet into go.sum, each before the
// first line that sorts behind it. Every other byte stays.
func addSums(raw []byte, add []sumLine) []byte {
	add = slices.Clone(add)
	slices.SortFunc(add, sumLine.compare)
	eol := eolOf(raw)
	if len(raw) > 0 && raw[len(raw)-1] != '\n' {
		raw = append(slices.Clone(raw), eol...)
	}
	for _, s := range add {
		raw = addSum(raw, s, eol)
	}
	return raw
}

func addSum(raw []byte, s sumLine, eol string) []byte {
	at, offset := -1, 0
	for line := range bytes.Lines(raw) {
		have, ok := parseSumLine(line)
		if ok && have == s {
			return raw
		}
		if ok && at < 0 && have.compare(s) > 0 {
			at = offset
		}
		offset += len(line)
	}
	if at < 0 {
		at = len(raw)
	}
	return slices.Concat(raw[:at], []byte(s.String()+eol), raw[at:])
}

// hasSums reports that go.sum vouches for the module and for its go.mod.
func hasSums(raw []byte, m module.Version) bool {
	var zip, mod bool
	for line := range bytes.Lines(raw) {
		if have, ok := parseSumLine(line); ok && have.path == m.Path {
			zip = zip || have.version == m.Version
			mod = mod || have.version == m.Version+"/go.mod"
		}
	}
	return zip && mod
}

// dropSum removes the lines of a module at exactly this version, which may end
// in "/go.mod".
func dropSum(raw []byte, path, version string) []byte {
	var out []byte
	for line := range bytes.Lines(raw) {
		if have, ok := parseSumLine(line); ok && have.path == path && have.version == version {
			continue
		}
		out = append(out, line...)
	}
	return out
}
