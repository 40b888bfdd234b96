package hostrepo

import (
	"bytes"
	"go/ast"
	"go/token"
	"go/types"
	"path"
	"sort"
	"strconv"
	"strings"
)

// scopePos is the position at which names are looked up for boundary i of a statement list.
func scopePos(list []ast.Stmt, i int) token.Pos {
	if i > 0 {
		return list[i-1].End()
	}
	return list[0].Pos()
}

// insertionAt describes boundary i of a statement list of f: after statement i-1, or before the first one.
func insertionAt(ix *index, f *fn, list []ast.Stmt, i int) Insertion {
	u := f.unit
	src := ix.repo.src[u.rel]
	file := ix.repo.Fset.File(u.file.Package)
	in := Insertion{File: u.rel, EOL: "\n", InMain: u.pkg.Name == "main", Generated: ast.IsGenerated(u.file)}
	var at boundary
	if i > 0 {
		at = afterStatement(src, file.Offset(list[i-1].Pos()), file.Offset(list[i-1].End()), u.file, file)
	} else {
		at = beforeStatement(src, file.Offset(list[0].Pos()), u.file, file)
	}
	in.Offset, in.Indent, in.Prefix, in.Suffix, in.EOL = at.offset, at.indent, at.prefix, at.suffix, at.eol
	in.Line = 1 + bytes.Count(src[:at.offset], []byte("\n"))
	if strings.HasPrefix(at.prefix, at.eol) {
		in.Line++
	}
	pos := scopePos(list, i)
	results(f, pos, &in)
	in.Scope = namesAt(u, pos)
	in.Imports = fileImports(u)
	in.layout = layoutOf(u, src, file)
	return in
}

// boundary is a place between statements, in bytes.
type boundary struct {
	offset         int
	indent, eol    string
	prefix, suffix string
}

func afterStatement(src []byte, start, end int, f *ast.File, file *token.File) boundary {
	indent, clean := indentAt(src, start)
	if !clean {
		indent += "\t" // the statement shares its line with the brace that opens its block
	}
	eol := eolAt(src, end)
	rest := skipComments(end, f, file, src)
	if rest < len(src) && (src[rest] == '\n' || src[rest] == '\r') {
		next := rest + 1
		if src[rest] == '\r' {
			next++
		}
		return boundary{next, indent, eol, indent, eol}
	}
	at := boundary{offset: end, indent: indent, eol: eol, prefix: eol + indent}
	if rest >= len(src) || src[rest] != ';' {
		outer, _ := indentAt(src, end)
		at.suffix = eol + outer
	}
	return at
}

// skipComments returns the offset of the first byte behind end on its line that is no blank and no comment; a comment
// that goes on to later lines takes the place there.
func skipComments(end int, f *ast.File, file *token.File, src []byte) int {
	for {
		for end < len(src) && (src[end] == ' ' || src[end] == '\t') {
			end++
		}
		moved := false
		for _, g := range f.Comments {
			for _, c := range g.List {
				if file.Offset(c.Pos()) == end {
					end += commentLen(src[end:], c)
					moved = true
				}
			}
		}
		if !moved {
			return end
		}
	}
}

// commentLen is the length of a comment in the file; the syntax tree's copy has lost its carriage returns.
func commentLen(src []byte, c *ast.Comment) int {
	if strings.HasPrefix(c.Text, "//") {
		if i := bytes.IndexAny(src, "\r\n"); i >= 0 {
			return i
		}
		return len(src)
	}
	if i := bytes.Index(src, []byte("*/")); i >= 0 {
		return i + 2
	}
	return len(src)
}

func beforeStatement(src []byte, start int, f *ast.File, file *token.File) boundary {
	indent, clean := indentAt(src, start)
	eol := eolAt(src, start)
	if !clean {
		return boundary{offset: start, indent: indent + "\t", eol: eol, suffix: "; "}
	}
	line := lineStart(src, start)
	for _, g := range f.Comments { // a comment above the statement belongs to it
		gs, ge := file.Offset(g.Pos()), file.Offset(g.End())
		if ge < line && bytes.Count(src[ge:line], []byte("\n")) == 1 {
			if _, own := indentAt(src, gs); own {
				line = lineStart(src, gs)
			}
		}
	}
	return boundary{line, indent, eol, indent, eol}
}

func lineStart(src []byte, at int) int { return bytes.LastIndexByte(src[:at], '\n') + 1 }

// indentAt returns the white space that the line of an offset begins with, and whether nothing else comes before it.
func indentAt(src []byte, at int) (indent string, clean bool) {
	start := lineStart(src, at)
	end := start
	for end < len(src) && (src[end] == ' ' || src[end] == '\t') {
		end++
	}
	return string(src[start:end]), end >= at
}

// eolAt is the line end of the line that an offset is on, for the last line that of the one before.
func eolAt(src []byte, at int) string {
	i := bytes.IndexByte(src[at:], '\n')
	if i < 0 {
		i = bytes.LastIndexByte(src, '\n') - at
	}
	if at+i > 0 && src[at+i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// results says what the enclosing function returns, and whether err is a variable of it.
func results(f *fn, pos token.Pos, in *Insertion) {
	in.Returns = ReturnsNone
	res := f.sig.Results()
	if n := res.Len(); n > 0 {
		in.Returns = ReturnsOther
		if isError(res.At(n - 1).Type()) {
			in.Returns = ReturnsError
			for i := 0; i < n-1; i++ {
				in.Zeros = append(in.Zeros, zeroText(res.At(i).Type(), qualifier(f.unit)))
			}
		}
	}
	scope := f.unit.pkg.Types.Scope().Innermost(pos)
	if scope == nil {
		return
	}
	if s, obj := scope.LookupParent("err", pos); obj != nil && s != f.unit.pkg.Types.Scope() {
		if v, ok := obj.(*types.Var); ok && isError(v.Type()) {
			in.ErrName = "err"
		}
	}
}

func isError(t types.Type) bool { return types.Identical(t, types.Universe.Lookup("error").Type()) }

// zeroText is the zero value of a type as Go source.
func zeroText(t types.Type, q types.Qualifier) string {
	if _, ok := types.Unalias(t).(*types.TypeParam); ok {
		return "*new(" + types.TypeString(t, q) + ")"
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		switch {
		case u.Info()&types.IsBoolean != 0:
			return "false"
		case u.Info()&types.IsString != 0:
			return `""`
		case u.Info()&types.IsNumeric != 0:
			return "0"
		}
		return "nil"
	case *types.Struct, *types.Array:
		return types.TypeString(t, q) + "{}"
	}
	return "nil"
}

// qualifier writes package names as the file does.
func qualifier(u *unit) types.Qualifier {
	imports := fileImports(u)
	return func(p *types.Package) string {
		if p == u.pkg.Types {
			return ""
		}
		for _, imp := range imports {
			if imp.Path == p.Path() && imp.Name == "." {
				return ""
			}
			if imp.Path == p.Path() && imp.Name != "_" {
				return imp.Name
			}
		}
		return p.Name()
	}
}

// namesAt lists every identifier that is visible at pos, up to the universe.
func namesAt(u *unit, pos token.Pos) []string {
	seen := map[string]bool{}
	for s := u.pkg.Types.Scope().Innermost(pos); s != nil; s = s.Parent() {
		for _, n := range s.Names() {
			if _, obj := s.LookupParent(n, pos); obj != nil {
				seen[n] = true
			}
		}
	}
	// A file cannot import under a name that another file of the package declares, nor the reverse.
	names := make([]string, 0, len(seen))
	for n := range seen {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// fileImports lists the imports of a file in source order.
func fileImports(u *unit) []Import {
	var out []Import
	for _, s := range u.file.Imports {
		p, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			continue
		}
		imp := Import{Path: p, Name: path.Base(p)}
		switch {
		case s.Name != nil:
			imp.Name, imp.Alias = s.Name.Name, true
		default:
			if dep := u.pkg.Imports[p]; dep != nil && dep.Name != "" {
				imp.Name = dep.Name
			}
		}
		out = append(out, imp)
	}
	return out
}

// layoutOf finds the import block that a new import goes into: the last one in parentheses that spans lines and is
// not cgo's. Without one, the new import is a declaration of its own.
func layoutOf(u *unit, src []byte, file *token.File) importLayout {
	l := importLayout{block: -1}
	nl := eolAt(src, file.Offset(u.file.Name.End()))
	last := file.Offset(u.file.Name.End())
	hadImport := false
	for _, d := range u.file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.IMPORT {
			continue
		}
		hadImport = true
		last = file.Offset(g.End())
		if !g.Lparen.IsValid() || file.Line(g.Lparen) == file.Line(g.Rparen) {
			continue
		}
		if _, own := indentAt(src, file.Offset(g.Rparen)); !own {
			continue
		}
		l.specs, l.block, l.groups = nil, lineStart(src, file.Offset(g.Rparen)), 0
		line := 0
		for _, s := range g.Specs {
			spec := s.(*ast.ImportSpec)
			first, end := spec.Pos(), spec.End()
			if spec.Doc != nil {
				first = spec.Doc.Pos()
			}
			if spec.Comment != nil {
				end = spec.Comment.End()
			}
			if line > 0 && file.Line(first) > line+1 {
				l.groups++
			}
			line = file.Line(end)
			is := importSpec{group: l.groups, documented: spec.Doc != nil, start: lineStart(src, file.Offset(first))}
			is.end = file.Offset(end) + bytes.IndexByte(src[file.Offset(end):], '\n') + 1
			is.path, _ = strconv.Unquote(spec.Path.Value)
			if spec.Name != nil {
				is.name = spec.Name.Name
			}
			l.specs = append(l.specs, is)
			l.indent, _ = indentAt(src, file.Offset(spec.Pos()))
		}
		if l.indent == "" {
			l.indent = "\t"
		}
	}
	rest := skipComments(last, u.file, file, src)
	l.after = last
	if rest < len(src) && src[rest] == ';' || rest >= len(src) {
		l.prefix = nl
		return l
	}
	if i := bytes.IndexByte(src[last:], '\n'); i >= 0 {
		l.after = last + i + 1
	}
	l.suffix = nl
	if !hadImport {
		l.prefix = nl
	}
	return l
}
