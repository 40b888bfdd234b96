package hostrepo

import (
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Hidden is a router in a file that this build leaves out. It was found by parsing alone, so nothing is known of who
// serves it.
type Hidden struct {
	Position
	Kind string   // one of the Kind constants; "" where something is served and no router of a known library is made
	Call string   // "http.NewServeMux()", "http.ListenAndServe(…)"
	Tags []string // what --tags has to hold besides what it holds now
	Env  []string // what the environment has to say: "GOOS=windows", "CGO_ENABLED=1"
}

// Command is how to look at the build that has the router.
func (h Hidden) Command(command string) string {
	if len(h.Tags) > 0 {
		command += " --tags " + strings.Join(h.Tags, ",")
	}
	return strings.Join(append(slices.Clone(h.Env), command), " ")
}

// findHidden is a second pass over the files that the loader left out: those behind build constraints, and those that
// need cgo where it is off. They are parsed and no more.
func findHidden(r *Repo, t *tree, b build) {
	var cgo []string
	for _, rel := range t.golang {
		if _, loaded := r.src[rel]; loaded || strings.HasSuffix(rel, "_test.go") {
			continue
		}
		f, fset, err := parseFile(filepath.Join(r.ModuleRoot, filepath.FromSlash(rel)))
		if err != nil {
			continue // what is not built need not parse
		}
		needsC := importsC(f)
		if needsC && !b.cgo {
			cgo = append(cgo, rel)
		}
		h, found := routerIn(fset, rel, f)
		if !found {
			continue
		}
		if h.Tags, h.Env, found = b.solve(constraintOf(rel, f, needsC)); found {
			r.Hidden = append(r.Hidden, h)
		}
	}
	if len(cgo) > 0 {
		r.Notes = append(r.Notes, "cgo is off here, so these files are not read: "+strings.Join(cgo, ", "))
	}
}

func parseFile(name string) (*ast.File, *token.FileSet, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
	return f, fset, err
}

func importsC(f *ast.File) bool {
	return slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"C"` })
}

var (
	constructor = regexp.MustCompile(`^(New|NewRouter|NewMux|NewServeMux|NewWithConfig|Default)$`)
	httpSink    = regexp.MustCompile(`^(ListenAndServe|ListenAndServeTLS|Serve|ServeTLS)$`)
)

// routerIn finds the first router that a file makes, or else the first call of net/http that serves.
func routerIn(fset *token.FileSet, rel string, f *ast.File) (Hidden, bool) {
	libraries := importNames(f)
	var made, served *Hidden
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := sel.X.(*ast.Ident)
		if !ok || libraries[pkg.Name] == nil {
			return true
		}
		at := fset.PositionFor(call.Pos(), false)
		h := &Hidden{Position: Position{rel, at.Line, at.Column}, Call: pkg.Name + "." + sel.Sel.Name + "()"}
		switch k := libraries[pkg.Name]; {
		case made == nil && constructor.MatchString(sel.Sel.Name) && (k.kind != KindServeMux || sel.Sel.Name == "NewServeMux"):
			h.Kind, made = k.kind, h
		case served == nil && k.kind == KindServeMux && httpSink.MatchString(sel.Sel.Name):
			h.Call = strings.Replace(h.Call, "()", "(…)", 1)
			served = h
		}
		return true
	})
	switch {
	case made != nil:
		return *made, true
	case served != nil:
		return *served, true
	}
	return Hidden{}, false
}

// importNames are the router libraries of a file by the name that it uses for them, as far as syntax tells.
func importNames(f *ast.File) map[string]*routerKind {
	names := map[string]*routerKind{}
	for _, imp := range f.Imports {
		path, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			continue
		}
		path = majorSuffix.ReplaceAllString(path, "")
		for _, k := range routerKinds {
			if k.path != path {
				continue
			}
			name := path[strings.LastIndexByte(path, '/')+1:]
			if imp.Name != nil {
				name = imp.Name.Name
			}
			names[name] = k
		}
	}
	return names
}

// build is what decides which files are built.
type build struct {
	goos, goarch string
	cgo          bool
	tags         []string // --tags and those of GOFLAGS
}

// constraintOf is the condition under which a file is built: its go:build line, its name, and its need of cgo. nil is
// no condition.
func constraintOf(rel string, f *ast.File, needsC bool) constraint.Expr {
	var all constraint.Expr
	and := func(x constraint.Expr) {
		if all == nil {
			all = x
		} else {
			all = &constraint.AndExpr{X: all, Y: x}
		}
	}
	for _, group := range f.Comments {
		for _, c := range group.List {
			if c.Pos() < f.Package && constraint.IsGoBuild(c.Text) {
				if x, err := constraint.Parse(strings.TrimRight(c.Text, "\r")); err == nil {
					and(x)
				}
			}
		}
	}
	for _, tag := range nameTags(rel) {
		and(&constraint.TagExpr{Tag: tag})
	}
	if needsC {
		and(&constraint.TagExpr{Tag: "cgo"})
	}
	return all
}

// nameTags are the system and the processor in a file's name: server_windows_amd64.go.
func nameTags(rel string) []string {
	parts := strings.Split(strings.TrimSuffix(rel[strings.LastIndexByte(rel, '/')+1:], ".go"), "_")[1:]
	n := len(parts)
	switch {
	case n >= 2 && systems[parts[n-2]] && processors[parts[n-1]]:
		return parts[n-2:]
	case n >= 1 && (systems[parts[n-1]] || processors[parts[n-1]]):
		return parts[n-1:]
	}
	return nil
}

// solve finds the smallest change to the build under which x holds: more tags, or another system or cgo. There is none
// for files that are no part of any build, such as those behind "ignore".
func (b build) solve(x constraint.Expr) (tags, env []string, ok bool) {
	if x == nil {
		return nil, nil, false // left out for another reason: in no package that is loaded
	}
	var custom, system []string
	visit(x, func(tag string) {
		switch {
		case tag == "unix" || b.fixed(tag) || slices.Contains(b.tags, tag) || slices.Contains(system, tag) || slices.Contains(custom, tag):
		case systems[tag] || processors[tag] || tag == "cgo":
			system = append(system, tag)
		default:
			custom = append(custom, tag)
		}
	})
	if len(custom) > 8 {
		custom = custom[:8]
	}
	slices.Sort(custom)
	for _, change := range append([]string{""}, system...) {
		at, env := b.with(change)
		if set, ok := at.fewest(x, custom); ok {
			if slices.ContainsFunc(set, noBuild) {
				return nil, nil, false
			}
			return set, env, true
		}
	}
	return nil, nil, false
}

// visit calls f for every tag of x.
func visit(x constraint.Expr, f func(tag string)) {
	switch x := x.(type) {
	case *constraint.TagExpr:
		f(x.Tag)
	case *constraint.NotExpr:
		visit(x.X, f)
	case *constraint.AndExpr:
		visit(x.X, f)
		visit(x.Y, f)
	case *constraint.OrExpr:
		visit(x.X, f)
		visit(x.Y, f)
	}
}

// noBuild recognises tags that by convention no program is built with.
func noBuild(tag string) bool {
	return slices.Contains([]string{"ignore", "wireinject", "mage", "tool", "tools", "exclude", "never"}, tag)
}

// with is the build after one change of system, processor or cgo.
func (b build) with(tag string) (build, []string) {
	switch {
	case systems[tag]:
		b.goos = tag
		return b, []string{"GOOS=" + tag}
	case processors[tag]:
		b.goarch = tag
		return b, []string{"GOARCH=" + tag}
	case tag == "cgo":
		b.cgo = true
		return b, []string{"CGO_ENABLED=1"}
	}
	return b, nil
}

// fewest is the smallest set of more tags under which x holds.
func (b build) fewest(x constraint.Expr, custom []string) ([]string, bool) {
	var best []string
	found := false
	for set := range 1 << len(custom) {
		var tags []string
		for i, tag := range custom {
			if set&(1<<i) != 0 {
				tags = append(tags, tag)
			}
		}
		if found && len(tags) >= len(best) {
			continue
		}
		if x.Eval(func(tag string) bool { return b.holds(tag) || slices.Contains(tags, tag) }) {
			best, found = tags, true
		}
	}
	return best, found
}

func (b build) holds(tag string) bool {
	switch tag {
	case b.goos, b.goarch:
		return true
	case "unix":
		return b.goos != "windows" && b.goos != "plan9" && b.goos != "js" && b.goos != "wasip1"
	case "linux":
		return b.goos == "android"
	case "cgo":
		return b.cgo
	}
	return b.fixed(tag) || slices.Contains(b.tags, tag)
}

// fixed are tags that the compiler sets. Every language version is taken to be there: the go line is judged elsewhere.
func (b build) fixed(tag string) bool {
	return tag == "gc" || strings.HasPrefix(tag, "go1.")
}

func names(list string) map[string]bool {
	set := map[string]bool{}
	for name := range strings.FieldsSeq(list) {
		set[name] = true
	}
	return set
}

// The systems and processors that the go command reads in names of files (go/build, syslist.go).
var (
	systems = names("aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris wasip1 windows zos")

	processors = names("386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le ppc ppc64 " +
		"ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm")
)
