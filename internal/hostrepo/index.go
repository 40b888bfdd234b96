package hostrepo

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/packages"
	"golang.org/x/tools/go/types/typeutil"
)

// index holds what one pass over the module's syntax learns about values: who writes a variable or field, who calls
// a function, what a function returns. The slice in trace.go reads it backwards.
type index struct {
	repo  *Repo
	units []*unit
	byTok map[*token.File]*unit

	funcs    map[*types.Func]*fn
	lits     map[*ast.FuncLit]*fn
	params   map[types.Object]paramOf
	writes   map[types.Object][]write
	calls    map[types.Object][]*call        // by static callee: function, method, or variable that holds a closure
	litArgs  map[*ast.FuncLit]litArg         // closures passed straight to a call
	litVars  map[*ast.FuncLit][]types.Object // variables and fields that a closure is written to
	onValue  map[types.Object][]*call        // method calls by the variable or field they are made on
	all      []*call
	callOf   map[*ast.CallExpr]*call
	outer    map[*ast.CallExpr]*call         // the call of a method on a call's result: chains
	assigned map[types.Object][]types.Object // for a field written as x.f = v: the variables x
	methods  map[string][]*types.Func        // methods of the module's types by name, for interface calls
	composed []composite
}

// unit is one file of the module.
type unit struct {
	pkg  *packages.Package
	file *ast.File
	rel  string
}

// fn is a function, method or closure with a body.
type fn struct {
	unit    *unit
	node    ast.Node
	obj     *types.Func // nil for a closure
	sig     *types.Signature
	typ     *ast.FuncType
	body    *ast.BlockStmt
	parent  *fn // enclosing function of a closure
	returns []*ast.ReturnStmt
}

type paramOf struct {
	fn    *fn
	index int // -1 for the receiver
}

// write is one value that a variable or field takes. result is the index into a call's results, -1 for a plain value.
type write struct {
	expr   ast.Expr
	result int
	unit   *unit
	fn     *fn
}

type call struct {
	expr *ast.CallExpr
	unit *unit
	fn   *fn          // enclosing function, nil in a package-level initialiser
	obj  types.Object // static callee, nil when dynamic
}

type litArg struct {
	call  *call
	index int
}

type composite struct {
	lit  *ast.CompositeLit
	unit *unit
	fn   *fn
}

func buildIndex(r *Repo) *index {
	ix := &index{
		repo: r, byTok: map[*token.File]*unit{},
		funcs: map[*types.Func]*fn{}, lits: map[*ast.FuncLit]*fn{}, params: map[types.Object]paramOf{},
		writes: map[types.Object][]write{}, calls: map[types.Object][]*call{}, litArgs: map[*ast.FuncLit]litArg{},
		litVars: map[*ast.FuncLit][]types.Object{}, onValue: map[types.Object][]*call{}, callOf: map[*ast.CallExpr]*call{},
		outer:    map[*ast.CallExpr]*call{},
		assigned: map[types.Object][]types.Object{}, methods: map[string][]*types.Func{},
	}
	for _, p := range r.Packages {
		if p.TypesInfo == nil {
			continue
		}
		for _, f := range p.Syntax {
			u := &unit{pkg: p, file: f, rel: r.Position(f.Package).File}
			ix.units = append(ix.units, u)
			ix.byTok[r.Fset.File(f.Package)] = u
			for _, d := range f.Decls {
				ix.decl(u, d)
			}
		}
	}
	return ix
}

func (ix *index) decl(u *unit, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		obj, _ := u.pkg.TypesInfo.Defs[d.Name].(*types.Func)
		if obj == nil || d.Body == nil {
			return
		}
		f := &fn{unit: u, node: d, obj: obj, sig: obj.Signature(), typ: d.Type, body: d.Body}
		ix.funcs[obj] = f
		if recv := f.sig.Recv(); recv != nil {
			ix.params[recv] = paramOf{f, -1}
			ix.methods[obj.Name()] = append(ix.methods[obj.Name()], obj)
		}
		ix.addParams(f)
		ix.body(u, f, d.Body)
	case *ast.GenDecl:
		for _, s := range d.Specs {
			if v, ok := s.(*ast.ValueSpec); ok {
				ix.valueSpec(u, nil, v)
				for _, e := range v.Values {
					ix.body(u, nil, e)
				}
			}
		}
	}
}

func (ix *index) addParams(f *fn) {
	for i := 0; i < f.sig.Params().Len(); i++ {
		ix.params[f.sig.Params().At(i)] = paramOf{f, i}
	}
}

// body records everything below n, which belongs to f.
func (ix *index) body(u *unit, f *fn, n ast.Node) {
	info := u.pkg.TypesInfo
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			sig, _ := info.TypeOf(n).(*types.Signature)
			if sig == nil {
				return false
			}
			lit := &fn{unit: u, node: n, sig: sig, typ: n.Type, body: n.Body, parent: f}
			ix.lits[n] = lit
			ix.addParams(lit)
			ix.body(u, lit, n.Body)
			return false
		case *ast.AssignStmt:
			ix.assign(u, f, n.Lhs, n.Rhs)
		case *ast.DeclStmt:
			if g, ok := n.Decl.(*ast.GenDecl); ok {
				for _, s := range g.Specs {
					if v, ok := s.(*ast.ValueSpec); ok {
						ix.valueSpec(u, f, v)
					}
				}
			}
		case *ast.RangeStmt:
			if obj := ix.target(u, n.Value); obj != nil {
				ix.write(obj, write{n.X, -1, u, f})
			}
		case *ast.ReturnStmt:
			if f != nil {
				f.returns = append(f.returns, n)
			}
		case *ast.CompositeLit:
			ix.composite(u, f, n)
		case *ast.CallExpr:
			ix.call(u, f, n)
		}
		return true
	})
}

func (ix *index) valueSpec(u *unit, f *fn, v *ast.ValueSpec) {
	if len(v.Values) == 0 {
		return
	}
	lhs := make([]ast.Expr, len(v.Names))
	for i, n := range v.Names {
		lhs[i] = n
	}
	ix.assign(u, f, lhs, v.Values)
}

func (ix *index) assign(u *unit, f *fn, lhs, rhs []ast.Expr) {
	for i, l := range lhs {
		obj := ix.target(u, l)
		if obj == nil {
			continue
		}
		if sel, ok := ast.Unparen(l).(*ast.SelectorExpr); ok {
			if base := ix.object(u, sel.X); base != nil {
				ix.assigned[obj] = append(ix.assigned[obj], base)
			}
		}
		switch {
		case len(lhs) == len(rhs):
			ix.write(obj, write{rhs[i], -1, u, f})
		case len(rhs) == 1:
			result := i
			if _, ok := ast.Unparen(rhs[0]).(*ast.CallExpr); !ok {
				result = -1 // v, ok := x.(T) and friends
			}
			ix.write(obj, write{rhs[0], result, u, f})
		}
	}
}

func (ix *index) write(obj types.Object, w write) {
	ix.writes[obj] = append(ix.writes[obj], w)
	if lit, ok := ast.Unparen(w.expr).(*ast.FuncLit); ok {
		ix.litVars[lit] = append(ix.litVars[lit], obj)
	}
}

// target returns the variable or field that an expression on the left of an assignment names. An element of a map
// or slice counts as the whole.
func (ix *index) target(u *unit, e ast.Expr) types.Object {
	if e == nil {
		return nil
	}
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident, *ast.SelectorExpr:
		return ix.object(u, e)
	case *ast.IndexExpr:
		return ix.target(u, e.X)
	case *ast.StarExpr:
		return ix.target(u, e.X)
	}
	return nil
}

// object returns what an identifier or selector denotes, for a generic field or function its declaration.
func (ix *index) object(u *unit, e ast.Expr) types.Object {
	info := u.pkg.TypesInfo
	var obj types.Object
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		obj = info.ObjectOf(e)
	case *ast.SelectorExpr:
		if sel := info.Selections[e]; sel != nil {
			obj = sel.Obj()
		} else {
			obj = info.Uses[e.Sel]
		}
	}
	switch o := obj.(type) {
	case *types.Var:
		return o.Origin()
	case *types.Func:
		return o.Origin()
	}
	return obj
}

func (ix *index) composite(u *unit, f *fn, lit *ast.CompositeLit) {
	ix.composed = append(ix.composed, composite{lit, u, f})
	t := u.pkg.TypesInfo.TypeOf(lit)
	if t == nil {
		return
	}
	if p, ok := t.Underlying().(*types.Pointer); ok { // &T elided inside a slice or map literal
		t = p.Elem()
	}
	st, ok := t.Underlying().(*types.Struct)
	if !ok {
		return
	}
	for i, el := range lit.Elts {
		if kv, ok := el.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok {
				if field, ok := u.pkg.TypesInfo.ObjectOf(key).(*types.Var); ok {
					ix.write(field.Origin(), write{kv.Value, -1, u, f})
				}
			}
		} else if i < st.NumFields() {
			ix.write(st.Field(i).Origin(), write{el, -1, u, f})
		}
	}
}

func (ix *index) call(u *unit, f *fn, e *ast.CallExpr) {
	c := &call{expr: e, unit: u, fn: f}
	ix.all = append(ix.all, c)
	ix.callOf[e] = c
	switch callee := typeutil.Callee(u.pkg.TypesInfo, e).(type) {
	case *types.Func:
		c.obj = callee.Origin()
	case *types.Var:
		c.obj = callee.Origin()
	}
	if c.obj != nil {
		ix.calls[c.obj] = append(ix.calls[c.obj], c)
	}
	if sel, ok := ast.Unparen(e.Fun).(*ast.SelectorExpr); ok {
		if on := ix.object(u, sel.X); on != nil {
			ix.onValue[on] = append(ix.onValue[on], c)
		}
		if inner, ok := ast.Unparen(sel.X).(*ast.CallExpr); ok {
			ix.outer[inner] = c
		}
	}
	for i, a := range e.Args {
		if lit, ok := ast.Unparen(a).(*ast.FuncLit); ok {
			ix.litArgs[lit] = litArg{c, i}
		}
	}
}

// root is the function that a closure is written in, or the function itself.
func (f *fn) root() *fn {
	for f != nil && f.parent != nil {
		f = f.parent
	}
	return f
}

// name is how a person would call the function.
func (f *fn) name() string {
	if f == nil {
		return "package level"
	}
	if f.obj == nil {
		if f.parent == nil {
			return "closure"
		}
		return "closure in " + f.root().name()
	}
	recv := f.sig.Recv()
	if recv == nil {
		return f.obj.Name()
	}
	if _, ok := recv.Type().(*types.Pointer); ok {
		if n := namedOf(recv.Type()); n != nil {
			return "(*" + n.Obj().Name() + ")." + f.obj.Name()
		}
	}
	if n := namedOf(recv.Type()); n != nil {
		return n.Obj().Name() + "." + f.obj.Name()
	}
	return f.obj.Name()
}

// unitAt returns the file of the module that pos is in, nil for any other.
func (ix *index) unitAt(pos token.Pos) *unit { return ix.byTok[ix.repo.Fset.File(pos)] }

// inModule reports whether obj is declared in the main module.
func (ix *index) inModule(obj types.Object) bool { return obj != nil && ix.unitAt(obj.Pos()) != nil }
