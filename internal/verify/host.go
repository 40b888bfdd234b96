package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
	"golang.org/x/tools/go/types/typeutil"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// host is what the rules look at.
type host struct {
	repo        *hostrepo.Repo
	cli         string
	manifest    *manifest.Manifest // nil when there is none that can be read
	noManifest  bool
	badManifest plan.Refusals
	raw         []byte // bytes of the manifest
	inputs      templates.Inputs

	funcs   map[*types.Func]*function
	assigns map[types.Object][]value // what local and package-level variables and fields are set to
	lits    []composite
	calls   map[types.Object][]*ast.CallExpr
	pkgOf   map[*token.File]*packages.Package
	graph   *graph
	runtime *types.Package // package lockspire as the host sees it, nil when nothing imports it
}

// function is a declared function of the module.
type function struct {
	pkg  *packages.Package
	decl *ast.FuncDecl
	obj  *types.Func
}

// value is one expression written to a variable; result is the index when it is a call with several results.
type value struct {
	expr   ast.Expr
	result int
}

type composite struct {
	pkg *packages.Package
	lit *ast.CompositeLit
}

func (h *host) readInputs() error {
	if len(h.manifest.Inputs) == 0 {
		return nil
	}
	if err := json.Unmarshal(h.manifest.Inputs, &h.inputs); err != nil {
		return plan.Refusals{{Exit: 1, Path: manifest.Path, What: "the recorded inputs cannot be read: " + err.Error(), Next: "git checkout -- " + manifest.Path}}
	}
	return nil
}

// index makes one pass over the module's syntax.
func (h *host) index() {
	h.funcs = map[*types.Func]*function{}
	h.assigns = map[types.Object][]value{}
	h.calls = map[types.Object][]*ast.CallExpr{}
	h.pkgOf = map[*token.File]*packages.Package{}
	h.runtime = h.repo.Types(hostrepo.RuntimeModule)
	for _, p := range h.repo.Packages {
		if p.TypesInfo == nil {
			continue
		}
		for _, f := range p.Syntax {
			h.pkgOf[h.repo.Fset.File(f.Package)] = p
			for _, d := range f.Decls {
				if fd, ok := d.(*ast.FuncDecl); ok && fd.Body != nil {
					if obj, ok := p.TypesInfo.Defs[fd.Name].(*types.Func); ok {
						h.funcs[obj] = &function{p, fd, obj}
					}
				}
			}
			ast.Inspect(f, func(n ast.Node) bool {
				h.node(p, n)
				return true
			})
		}
	}
	h.graph = buildGraph(h)
}

func (h *host) node(p *packages.Package, n ast.Node) {
	switch n := n.(type) {
	case *ast.AssignStmt:
		h.assign(p, n.Lhs, n.Rhs)
	case *ast.ValueSpec:
		lhs := make([]ast.Expr, len(n.Names))
		for i, id := range n.Names {
			lhs[i] = id
		}
		h.assign(p, lhs, n.Values)
	case *ast.CompositeLit:
		h.lits = append(h.lits, composite{p, n})
		for _, el := range n.Elts {
			if kv, ok := el.(*ast.KeyValueExpr); ok {
				if id, ok := kv.Key.(*ast.Ident); ok {
					if field, ok := p.TypesInfo.ObjectOf(id).(*types.Var); ok && field.IsField() {
						h.assigns[field.Origin()] = append(h.assigns[field.Origin()], value{kv.Value, -1})
					}
				}
			}
		}
	case *ast.CallExpr:
		if f := callee(p, n); f != nil {
			h.calls[f] = append(h.calls[f], n)
		}
	}
}

func (h *host) assign(p *packages.Package, lhs, rhs []ast.Expr) {
	for i, l := range lhs {
		obj := object(p, l)
		if obj == nil {
			continue
		}
		if len(lhs) == len(rhs) {
			h.assigns[obj] = append(h.assigns[obj], value{rhs[i], -1})
		} else if len(rhs) == 1 {
			h.assigns[obj] = append(h.assigns[obj], value{rhs[0], i})
		}
	}
}

// callee is the static callee of a call, as declared.
func callee(p *packages.Package, c *ast.CallExpr) *types.Func {
	if f, ok := typeutil.Callee(p.TypesInfo, c).(*types.Func); ok {
		return f.Origin()
	}
	return nil
}

// object is what a name or selector denotes, as declared.
func object(p *packages.Package, e ast.Expr) types.Object {
	var obj types.Object
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		obj = p.TypesInfo.ObjectOf(e)
	case *ast.SelectorExpr:
		if sel := p.TypesInfo.Selections[e]; sel != nil {
			obj = sel.Obj()
		} else {
			obj = p.TypesInfo.Uses[e.Sel]
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

// pkg is the package that a node of the module belongs to.
func (h *host) pkg(n ast.Node) *packages.Package { return h.pkgOf[h.repo.Fset.File(n.Pos())] }

func constText(p *packages.Package, e ast.Expr) (string, bool) {
	if v := p.TypesInfo.Types[e].Value; v != nil && v.Kind() == constant.String {
		return constant.StringVal(v), true
	}
	return "", false
}

// isRuntime reports whether obj is a package-level name of package lockspire, or a method there.
func isRuntime(obj types.Object, name string) bool {
	return obj != nil && obj.Pkg() != nil && obj.Pkg().Path() == hostrepo.RuntimeModule && obj.Name() == name
}

// isRuntimeType reports whether t is lockspire.name or a pointer to it.
func isRuntimeType(t types.Type, name string) bool {
	if t == nil {
		return false
	}
	t = types.Unalias(t)
	if p, ok := t.(*types.Pointer); ok {
		t = types.Unalias(p.Elem())
	}
	n, ok := t.(*types.Named)
	return ok && isRuntime(n.Obj(), name)
}

// packageDir is the module-relative directory of the generated package: where the manifest says, else where a call of
// Mount leads, "" when there is none.
func (h *host) packageDir() string {
	if h.inputs.Package != "" {
		return h.inputs.Package
	}
	for _, m := range h.repo.Mounts {
		return strings.TrimPrefix(strings.TrimPrefix(m.Package, h.repo.ModulePath), "/")
	}
	for _, p := range h.repo.Packages {
		for _, f := range p.Syntax {
			if generated(f) {
				return path.Dir(h.repo.Position(f.Package).File)
			}
		}
	}
	return ""
}

// generated reports whether a file carries the header of managed files.
func generated(f *ast.File) bool {
	for _, g := range f.Comments {
		for _, c := range g.List {
			if c.Pos() < f.Package && strings.TrimRight(c.Text, "\r") == hostrepo.GeneratedHeader {
				return true
			}
		}
	}
	return false
}

// smokeTest is the command that decides what the source cannot.
func (h *host) smokeTest() string {
	dir := h.packageDir()
	if dir == "" {
		return "decide it with a test that drives your own handler (package lockspiretest of the runtime)"
	}
	return "go test ./" + dir + " -run TestSeam    # decides it, once hostHandler returns your handler"
}

// manifestLine is the position of the first line of the manifest that mentions text.
func (h *host) manifestLine(text string) hostrepo.Position {
	quoted := []byte(strconv.Quote(text))
	for i, line := range bytes.Split(h.raw, []byte("\n")) {
		if bytes.Contains(line, quoted) {
			return hostrepo.Position{File: manifest.Path, Line: i + 1, Col: 1 + bytes.Index(line, quoted)}
		}
	}
	return hostrepo.Position{File: manifest.Path, Line: 1, Col: 1}
}

// read reads a file of the module. Its path comes from the manifest, whose reader has checked that it stays inside.
func (h *host) read(rel string) ([]byte, error) {
	return os.ReadFile(filepath.Join(h.repo.ModuleRoot, filepath.FromSlash(rel)))
}

// sortedFuncs lists the module's functions in the order of the source.
func (h *host) sortedFuncs() []*function {
	out := make([]*function, 0, len(h.funcs))
	for _, f := range h.funcs {
		out = append(out, f)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := h.repo.Position(out[i].decl.Pos()), h.repo.Position(out[j].decl.Pos())
		if a.File != b.File {
			return a.File < b.File
		}
		return a.Line < b.Line
	})
	return out
}

// blockedBy returns a load error that could hide the answer of a rule about a package: one in that package, or in one
// that imports it.
func (h *host) blockedBy(pkgPath string) *hostrepo.LoadError {
	for i, e := range h.repo.Errors {
		if e.Package == pkgPath {
			return &h.repo.Errors[i]
		}
	}
	for i, e := range h.repo.Errors {
		for _, p := range h.repo.Packages {
			if p.PkgPath != e.Package {
				continue
			}
			found := false
			packages.Visit([]*packages.Package{p}, func(q *packages.Package) bool {
				found = found || q.PkgPath == pkgPath
				return !found
			}, nil)
			if found || p.Name == "main" {
				return &h.repo.Errors[i]
			}
		}
	}
	return nil
}

func describeError(e *hostrepo.LoadError) string {
	return fmt.Sprintf("%s: %s", place(e.Position), firstLine(e.Msg))
}
