package hostrepo

import (
	"cmp"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// value is something of a wanted type that an expression can name, with what decides its rank.
type value struct {
	access      access
	expr, via   string
	rank, depth int
	pos         token.Pos
	v           *types.Var // the variable or field, nil for the result of a method
}

// finder looks for values of a wanted type.
type finder struct {
	u     *unit
	want  func(v *types.Var, t types.Type) access // v is nil for the result of a method
	found []value
}

// valuesAt lists the values that an expression at pos can name, the likeliest first: variables in scope, then package-level
// variables, of imported packages of the module too, then fields reached from the receiver, then fields and accessor
// methods reached from the rest.
func valuesAt(ix *index, u *unit, f *fn, pos token.Pos, want func(*types.Var, types.Type) access) []value {
	finder := finder{u: u, want: want}
	pkgScope := u.pkg.Types.Scope()
	inner := pkgScope.Innermost(pos)
	if inner == nil {
		return nil
	}
	recv := f.root().sig.Recv()
	for s := inner; s != nil; s = s.Parent() {
		for _, name := range s.Names() {
			there, obj := inner.LookupParent(name, pos)
			if imported, ok := obj.(*types.PkgName); ok && there == s {
				finder.exported(imported)
			}
			v, ok := obj.(*types.Var)
			if !ok || there != s || name == "_" {
				continue
			}
			via, rank := "local", 0
			switch {
			case s == pkgScope:
				via, rank = "package", 1
			case v == recv:
				via, rank = "receiver", 2
			default:
				if _, isParam := ix.params[v]; isParam {
					via = "parameter"
				}
			}
			finder.reach(v, via, rank)
		}
	}
	slices.SortStableFunc(finder.found, func(a, b value) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.depth, b.depth), cmp.Compare(a.pos, b.pos), cmp.Compare(a.expr, b.expr))
	})
	var out []value
	for _, c := range finder.found {
		if !slices.ContainsFunc(out, func(v value) bool { return v.expr == c.expr }) {
			out = append(out, c)
		}
	}
	return out
}

// exported finds the variables of another package of the module, as a file that imports it names them.
func (f *finder) exported(imported *types.PkgName) {
	if !inModule(f.u, imported.Imported().Path()) {
		return
	}
	scope := imported.Imported().Scope()
	for _, name := range scope.Names() {
		v, ok := scope.Lookup(name).(*types.Var)
		if !ok || !v.Exported() {
			continue
		}
		if a := f.want(v, v.Type()); a.kind != "" {
			f.found = append(f.found, value{access: a, expr: imported.Name() + "." + name, via: "package", rank: 1, depth: 1, pos: v.Pos(), v: v})
		}
	}
}

const maxFieldDepth = 3

// reach finds values in a variable: itself, its fields up to maxFieldDepth, methods without parameters.
func (f *finder) reach(v *types.Var, via string, rank int) {
	add := func(a access, expr string, rank, depth int, field *types.Var) {
		f.found = append(f.found, value{access: a, expr: expr, via: via, rank: rank, depth: depth, pos: v.Pos(), v: field})
	}
	if a := f.want(v, v.Type()); a.kind != "" {
		add(a, v.Name(), min(rank, 1), 0, v)
		return
	}
	fieldRank := 3
	if via == "receiver" {
		fieldRank = 2
	}
	seen := map[*types.Named]bool{}
	var walk func(t types.Type, expr string, depth int)
	walk = func(t types.Type, expr string, depth int) {
		if depth > maxFieldDepth {
			return
		}
		n := namedOf(t)
		if n != nil {
			// A library's inner pools are its own business: only the module's own types are looked into.
			if seen[n] || n.Obj().Pkg() == nil || n.Obj().Pkg() != f.u.pkg.Types && !inModule(f.u, n.Obj().Pkg().Path()) {
				return
			}
			seen[n] = true
			defer delete(seen, n)
		}
		if ptr, ok := types.Unalias(t).(*types.Pointer); ok {
			t = ptr.Elem()
		}
		if st, ok := t.Underlying().(*types.Struct); ok {
			for i := 0; i < st.NumFields(); i++ {
				field := st.Field(i)
				if !visibleFrom(f.u, field) {
					continue
				}
				e := expr + "." + field.Name()
				if a := f.want(field.Origin(), field.Type()); a.kind != "" {
					add(a, e, fieldRank, depth, field.Origin())
				} else {
					walk(field.Type(), e, depth+1)
				}
			}
		}
		for i := 0; n != nil && i < n.NumMethods(); i++ {
			m := n.Method(i)
			sig := m.Signature()
			if !visibleFrom(f.u, m) || sig.Params().Len() != 0 || sig.Results().Len() != 1 {
				continue
			}
			if a := f.want(nil, sig.Results().At(0).Type()); a.kind != "" {
				add(a, expr+"."+m.Name()+"()", 4, depth, nil)
			}
		}
	}
	walk(v.Type(), v.Name(), 1)
}

// visibleFrom reports whether code of u can name a field or method.
func visibleFrom(u *unit, obj types.Object) bool { return obj.Exported() || obj.Pkg() == u.pkg.Types }

// inModule reports whether an import path is of the module of u.
func inModule(u *unit, path string) bool {
	mod := u.pkg.Module
	return mod != nil && (path == mod.Path || strings.HasPrefix(path, mod.Path+"/"))
}
