package hostrepo

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/types"
	"strings"
)

// wrapAt places the call around a handler that takes no routes of ours: where it is handed on as a http.Handler, as close
// to it as possible, so that the host's middleware stays outside.
func wrapAt(ix *index, s *served, r *Router) {
	r.Func, r.Type, r.TypePath = s.fn.name(), typeText(s), "net/http"
	r.Next = "lockspire install --no-wire    # then put the printed call around the handler"
	switch {
	case s.redirects:
		r.Problem = "this server only redirects"
		return
	case s.expr == nil && isVariable(s.obj) || len(s.handed) == 0:
		r.Problem = "the handler that is served here comes from where it cannot be followed: what it is was not found in this module"
		return
	case len(s.handed) > 1:
		r.Problem = "this handler is handed on at " + places(ix, s.handed) + ": a call around one of them would leave out the other"
		r.Next = "put the handler into one variable of type http.Handler, or lockspire install --no-wire"
		return
	}
	e := s.handed[0]
	u := ix.unitAt(e.Pos())
	f := ix.fnAt(u, e)
	if f == nil {
		r.Problem = "the handler is handed on outside of any function"
		r.Next = "build the server in a function, or lockspire install --no-wire"
		return
	}
	if s.kind == nil { // no router to speak of: the place is what a person would name
		at := ix.repo.Position(e.Pos())
		r.File, r.Line, r.Col = at.File, at.Line, at.Col
		r.Type = types.TypeString(u.pkg.TypesInfo.TypeOf(e), qualifier(u))
	}
	if u.pkg.TypesInfo.TypeOf(e) == types.Typ[types.Invalid] {
		r.Exit, r.Problem, r.Next = 3, ix.repo.unproven(u.pkg.PkgPath, "what is served here has no type"), nextUntyped
		return
	}
	r.Func, r.Package = f.name(), u.pkg.PkgPath
	r.Insert = insertionAround(ix, f, e)
	if r.Expr = r.Insert.Wraps; strings.ContainsAny(r.Expr, "{\n") {
		r.Expr = middlewareText(e)
	}
	r.Database = handlesAt(ix, u, f, e.Pos())
	r.Readers = readersAt(ix, u, f, e.Pos(), r.Kind)
	r.Exit, r.Next = 0, ""
	if r.Insert.Generated {
		r.Exit, r.Problem = 1, "the handler is served in a generated file, where an edit would not last"
		r.Next = "lockspire install --no-wire    # then put the printed call around what is handed to " + f.name()
	}
}

// hands notes that e is handed on as a value of type to. Below http.StripPrefix paths are not what clients send, and what a
// hand-written handler chooses from gets only some of them.
func (p trail) hands(e ast.Expr, to types.Type) trail {
	if n, ok := types.Unalias(to).(*types.Named); ok && !p.stripped && !p.chooses && isNamed(n, "net/http", "Handler") {
		p.handed = e
	}
	return p
}

func isVariable(o types.Object) bool {
	_, ok := o.(*types.Var)
	return ok
}

func places(ix *index, exprs []ast.Expr) string {
	out := make([]string, len(exprs))
	for i, e := range exprs {
		p := ix.repo.Position(e.Pos())
		out[i] = fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return strings.Join(out, " and ")
}

// insertionAround describes the place of an expression.
func insertionAround(ix *index, f *fn, e ast.Expr) Insertion {
	u := f.unit
	src := ix.repo.src[u.rel]
	file := ix.repo.Fset.File(u.file.Package)
	in := Insertion{
		File: u.rel, InMain: u.pkg.Name == "main", Generated: ast.IsGenerated(u.file), Returns: ReturnsOther,
		Offset: file.Offset(e.Pos()), End: file.Offset(e.End()), EOL: eolAt(src, file.Offset(e.Pos())),
	}
	in.Wraps = string(src[in.Offset:in.End])
	in.Line = 1 + bytes.Count(src[:in.Offset], []byte("\n"))
	in.Indent, _ = indentAt(src, in.Offset)
	in.Scope, in.Imports, in.layout = namesAt(u, e.Pos()), fileImports(u), layoutOf(u, src, file)
	return in
}

// kindPath is the import path of the package that declares a router's type.
func kindPath(s *served) string {
	if s.unit != nil && s.expr != nil {
		t := s.unit.pkg.TypesInfo.TypeOf(s.expr)
		if tup, ok := t.(*types.Tuple); ok && tup.Len() > 0 {
			t = tup.At(0).Type()
		}
		if n := namedOf(t); n != nil && n.Obj().Pkg() != nil {
			return n.Obj().Pkg().Path()
		}
	}
	if s.obj != nil {
		if n := namedOf(s.obj.Type()); n != nil && n.Obj().Pkg() != nil {
			return n.Obj().Pkg().Path()
		}
	}
	return ""
}
