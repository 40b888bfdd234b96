// Package hostrepo reads the repository that Lockspire is installed into, and never writes to it.
//
// Load finds the module, loads its packages once, and returns what install, upgrade and verify need to know
// as plain facts: what is served and where the call to Mount belongs, which database handles are in scope
// there, which migration tool is in use, and what is already wired.
package hostrepo

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"sort"
	"strings"
	"sync"

	"golang.org/x/tools/go/packages"
)

// Options say what to load.
type Options struct {
	Dir     string            // any directory of the host; defaults to the current one
	Tags    []string          // extra build tags
	Env     []string          // defaults to os.Environ()
	Overlay map[string][]byte // contents that stand in for files, by absolute path
	Command string            // what refusals tell to run again; defaults to "lockspire install"
}

// Repo is a loaded host. It is not changed after Load returns, and may be read by several goroutines.
type Repo struct {
	Dir        string // absolute directory that was asked for
	ModuleRoot string // absolute
	ModulePath string
	GoVersion  string // of the go command that loaded the host: "go1.26.8"
	Vendored   bool
	Workspace  string   // go.work in effect, "" for none
	Notes      []string // sentences worth one line in the header, such as a go.work that was left out
	Tags       []string // build tags in effect, those of GOFLAGS too
	Nested     []string // module-relative directories of other modules below this one, which are not read
	Env        []string // environment to run the go command with for this host

	Fset     *token.FileSet
	Packages []*packages.Package // of the main module, sorted by import path, without tests
	Errors   []LoadError         // in those packages; the host's own business unless they block a fact

	Facts

	deps map[string]*packages.Package // every loaded package by import path
	mu   sync.Mutex                   // guards src while packages are parsed
	src  map[string][]byte            // the module's own files as they were parsed
}

// loadPackages is the one place that runs the go command's package loader; a test counts its calls.
var loadPackages = packages.Load

const loadMode = packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
	packages.NeedDeps | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedTypesSizes |
	packages.NeedModule | packages.NeedEmbedPatterns

// noCgo is what the type checker says of import "C": no file is run through cgo. What a file uses of C has no type, and
// is no error.
const noCgo = "could not import C (no metadata for C)"

// Load reads the module around Options.Dir. A host that cannot be read at all is a plan.Refusals; packages
// that do not compile are not an error, they are listed in Repo.Errors.
func Load(ctx context.Context, opts Options) (*Repo, error) {
	mod, err := findModule(ctx, opts)
	if err != nil {
		return nil, err
	}
	tree, err := scanTree(mod.root, opts.Overlay)
	if err != nil {
		return nil, err
	}
	r := &Repo{
		Dir: mod.dir, ModuleRoot: mod.root, ModulePath: mod.path, GoVersion: mod.goVersion,
		Vendored: mod.vendored, Workspace: mod.workspace, Notes: mod.notes, Env: mod.env,
		Fset: token.NewFileSet(), deps: map[string]*packages.Package{}, src: map[string][]byte{},
	}
	r.GoMod, r.Requires = mod.facts, mod.requires
	if err := r.loadPackages(ctx, opts, mod); err != nil {
		return nil, err
	}
	ix := buildIndex(r)
	r.Engines = findEngines(ix)
	r.Routers = findRouters(ix)
	if len(r.Routers) > 0 {
		r.Database = r.Routers[0].Database
	}
	r.Migrations, r.Migrators = findMigrations(ix, tree)
	r.Sessions = findSessions(r)
	findMounts(ix)
	r.Nested = tree.nested
	b := mod.build(opts.Tags)
	r.Tags = b.tags
	findHidden(r, tree, b)
	return r, nil
}

// loadPackages fills Packages, Errors, Mains and the dependency map from one packages.Load.
func (r *Repo) loadPackages(ctx context.Context, opts Options, mod *module) error {
	env, cleanup, err := mod.loadEnv()
	if err != nil {
		return err
	}
	defer cleanup()
	cfg := &packages.Config{
		Mode: loadMode, Context: ctx, Dir: mod.root, Env: env, Fset: r.Fset, Overlay: opts.Overlay,
		BuildFlags: mod.buildFlags(opts.Tags),
		ParseFile:  r.parseFile,
	}
	pkgs, err := loadPackages(cfg, "./...")
	if err != nil {
		return mod.loadRefusal(ctx, err)
	}
	packages.Visit(pkgs, nil, func(p *packages.Package) { r.deps[p.PkgPath] = p })
	for _, p := range pkgs {
		if p.Name == "" && len(p.GoFiles) == 0 && len(p.Errors) == 0 {
			continue
		}
		if p.Module != nil && !p.Module.Main || ignoredDir(r.rel(p.Dir)) {
			continue
		}
		r.Packages = append(r.Packages, p)
		if p.Name == "main" {
			r.Mains = append(r.Mains, Main{Path: p.PkgPath, Dir: r.rel(p.Dir)})
		}
		for _, e := range p.Errors {
			if e.Kind == packages.TypeError && e.Msg == noCgo {
				continue
			}
			r.Errors = append(r.Errors, r.loadError(p, e))
		}
	}
	sort.Slice(r.Packages, func(i, j int) bool { return r.Packages[i].PkgPath < r.Packages[j].PkgPath })
	sort.Slice(r.Mains, func(i, j int) bool { return r.Mains[i].Path < r.Mains[j].Path })
	sortErrors(r.Errors)
	seen := map[Position]bool{}
	for _, e := range r.Errors {
		if e.Kind == "parse" && !seen[Position{File: e.File, Line: e.Line}] {
			seen[Position{File: e.File, Line: e.Line}] = true
			r.SyntaxErrors = append(r.SyntaxErrors, e)
		}
	}
	return nil
}

// parseFile parses the host's own files whole and drops the function bodies of everything else: types of
// dependencies come from source, at a fraction of its cost and without export data, which a cold build cache
// does not have and a newer Go writes differently. The dropped bodies make errors in dependencies, which
// nobody reads, and mark every package IllTyped, which nobody may read.
func (r *Repo) parseFile(fset *token.FileSet, name string, src []byte) (*ast.File, error) {
	if r.owns(name) {
		r.mu.Lock()
		r.src[r.rel(name)] = src
		r.mu.Unlock()
		return parser.ParseFile(fset, name, src, parser.ParseComments|parser.AllErrors|parser.SkipObjectResolution)
	}
	f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if f != nil {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				fn.Body = nil
			}
		}
	}
	return f, err
}

// owns reports whether a file belongs to the main module.
func (r *Repo) owns(name string) bool {
	rel := r.rel(name)
	return rel != "" && !strings.HasPrefix(rel, "../") && !filepath.IsAbs(rel) && !strings.HasPrefix(rel, "vendor/")
}

// rel turns an absolute path into a module-relative one with forward slashes.
func (r *Repo) rel(name string) string {
	rel, err := filepath.Rel(r.ModuleRoot, name)
	if err != nil {
		return filepath.ToSlash(name)
	}
	return filepath.ToSlash(rel)
}

// Position resolves pos to the physical file, whatever line directives say.
func (r *Repo) Position(pos token.Pos) Position {
	if !pos.IsValid() {
		return Position{}
	}
	p := r.Fset.PositionFor(pos, false)
	return Position{File: r.rel(p.Filename), Line: p.Line, Col: p.Column}
}

func (r *Repo) loadError(p *packages.Package, e packages.Error) LoadError {
	kind := "list"
	switch e.Kind {
	case packages.ParseError:
		kind = "parse"
	case packages.TypeError:
		kind = "type"
	}
	le := LoadError{Package: p.PkgPath, Kind: kind, Msg: e.Msg}
	le.Position = r.parsePosition(e.Pos)
	// The go command quotes absolute paths in some messages; they would differ from machine to machine.
	le.Msg = strings.ReplaceAll(le.Msg, r.ModuleRoot+string(filepath.Separator), "")
	return le
}
