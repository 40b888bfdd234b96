package hostrepo

import (
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Splice is text to insert at a byte offset of a file.
type Splice struct {
	Offset int
	Text   string
}

// Apply returns src with the splices inserted. Everything else is unchanged, byte for byte.
func Apply(src []byte, splices ...Splice) []byte {
	ordered := append([]Splice(nil), splices...)
	sort.SliceStable(ordered, func(i, j int) bool { return ordered[i].Offset < ordered[j].Offset })
	var out []byte
	at := 0
	for _, s := range ordered {
		out = append(out, src[at:s.Offset]...)
		out = append(out, s.Text...)
		at = s.Offset
	}
	return append(out, src[at:]...)
}

// CallSplice inserts lines as statements of their own, with the place's indentation and the file's line ends.
// Lines carry only their indentation relative to each other.
func (in Insertion) CallSplice(lines ...string) Splice {
	return Splice{in.Offset, in.Prefix + strings.Join(lines, in.EOL+in.Indent) + in.Suffix}
}

// WrapSplices put a call around the expression at the place: its function and opening parenthesis before, the rest behind.
func (in Insertion) WrapSplices(before, behind string) []Splice {
	return []Splice{{in.Offset, before}, {in.End, behind}}
}

// ImportName returns the name under which the file already imports path, "" when it does not (a blank import
// does not count, a dot import gives ".").
func (in Insertion) ImportName(path string) string {
	for _, imp := range in.Imports {
		if imp.Path == path && imp.Name != "_" {
			return imp.Name
		}
	}
	return ""
}

// Alias returns a package name that clashes with nothing at the insertion point: want itself when it is free, else
// lsauth, lsauth2 and so on.
func (in Insertion) Alias(want string) string {
	if !in.inScope(want) {
		return want
	}
	for n := 1; ; n++ {
		name := "lsauth"
		if n > 1 {
			name += strconv.Itoa(n)
		}
		if !in.inScope(name) {
			return name
		}
	}
}

func (in Insertion) inScope(name string) bool {
	i := sort.SearchStrings(in.Scope, name)
	return i < len(in.Scope) && in.Scope[i] == name
}

// importLayout is where imports stand in the file.
type importLayout struct {
	specs  []importSpec
	groups int
	block  int    // offset just before the ")" line of the last usable import block, -1 when there is none
	after  int    // offset at which a new import declaration can begin
	indent string // indentation of specs in the block
	// newDecl is set when a spec cannot go into a block: a declaration of its own is written at after.
	prefix, suffix string
}

type importSpec struct {
	path, name string
	group      int  // of specs without a blank line between them
	documented bool // a comment stands above it
	start, end int  // offsets of its first line, that comment included, and just behind its last
}

// before reports whether gofmt puts the spec before an import of path under name.
func (s importSpec) before(path, name string) bool {
	return s.path < path || s.path == path && s.name < name
}

// ImportSplice inserts an import of path. alias is written only when it differs from name, the package's real name.
// The import joins the group that shares the longest path prefix with it, when that is a group of the same module;
// otherwise it gets a group of its own at the end. Existing imports are never sorted or merged, and a file that
// gofmt would leave alone stays one.
func (in Insertion) ImportSplice(path, name, alias string) Splice {
	spec := strconv.Quote(path)
	if alias == name {
		alias = ""
	}
	if alias != "" {
		spec = alias + " " + spec
	}
	l := in.layout
	if l.block < 0 {
		return Splice{l.after, l.prefix + "import " + spec + l.suffix}
	}
	best, score := -1, 0
	for i, s := range l.specs {
		n := sharedElements(s.path, path)
		if n > 0 && n >= score && sameModule(s.path, path) {
			if n > score || s.path <= path {
				best, score = i, n
			}
		}
	}
	if best >= 0 {
		return Splice{l.placeIn(best, path, alias), l.indent + spec + in.EOL}
	}
	blank := ""
	if len(l.specs) > 0 {
		blank = in.EOL
	}
	return Splice{l.block, blank + l.indent + spec + in.EOL}
}

// placeIn returns the offset in the group of spec best at which gofmt would leave a new import, or the one behind best
// where the group is in an order of its own. gofmt sorts lines that follow each other, so that a comment above a spec
// separates it from the one before.
func (l importLayout) placeIn(best int, path, name string) int {
	group := slices.DeleteFunc(slices.Clone(l.specs), func(s importSpec) bool { return s.group != l.specs[best].group })
	at := -1
	for i, s := range group {
		if i > 0 && !s.documented && s.before(group[i-1].path, group[i-1].name) {
			return l.specs[best].end
		}
		fits := (i == 0 || group[i-1].before(path, name)) && (s.documented || !s.before(path, name))
		if at < 0 && fits {
			at = s.start
		}
	}
	if at < 0 {
		at = group[len(group)-1].end
	}
	return at
}

// sameModule is a guess from the text of two import paths: the first element, and the first two where that is a
// domain, must agree.
func sameModule(a, b string) bool {
	n := 1
	if strings.Contains(strings.SplitN(b, "/", 2)[0], ".") {
		n = 2
	}
	return sharedElements(a, b) >= n
}

func sharedElements(a, b string) int {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	n := 0
	for n < len(x) && n < len(y) && x[n] == y[n] {
		n++
	}
	return n
}
