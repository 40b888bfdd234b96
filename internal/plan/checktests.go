package plan

import (
	"errors"
	"go/ast"
	"go/build"
	"go/parser"
	"go/scanner"
	"go/token"
	"go/types"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// Loading test variants of the whole host would double the time of Check, and a
// second load of the new packages would type-check their dependencies again.
// So the imports of their tests ride along in the one load, and the few test
// files are type-checked here.

// testFiles are the directories into which the plan writes a test, each with all
// test files that will be there.
type testFiles struct {
	dirs map[string][]*ast.File // by absolute directory
	fset *token.FileSet         // the load has one of its own
	bad  []problem              // files that do not parse
}

func (p *Plan) newTests(v *view) *testFiles {
	t := &testFiles{dirs: map[string][]*ast.File{}, fset: token.NewFileSet()}
	written := map[string][]byte{}
	for _, c := range p.ordered() {
		name := filepath.Join(v.root, filepath.FromSlash(c.Path))
		if strings.HasSuffix(name, "_test.go") && !isVendor(c.Path) {
			written[name] = c.After
			if c.After != nil {
				t.dirs[filepath.Dir(name)] = nil
			}
		}
	}
	for dir := range t.dirs {
		t.dirs[dir] = t.parse(v, dir, written)
	}
	return t
}

// testContext decides which test files a build would take.
func testContext(v *view, written map[string][]byte) *build.Context {
	ctx := build.Default
	for _, flag := range v.flags {
		if tags, ok := strings.CutPrefix(flag, "-tags="); ok {
			ctx.BuildTags = strings.Split(tags, ",")
		}
	}
	ctx.OpenFile = func(name string) (io.ReadCloser, error) {
		if data, ok := written[name]; ok {
			return io.NopCloser(strings.NewReader(string(data))), nil
		}
		return os.Open(name)
	}
	return &ctx
}

func (t *testFiles) parse(v *view, dir string, written map[string][]byte) []*ast.File {
	ctx := testContext(v, written)
	names := map[string]bool{}
	for name := range written {
		if filepath.Dir(name) == dir {
			names[name] = true
		}
	}
	existing, _ := filepath.Glob(filepath.Join(globQuote(dir), "*_test.go"))
	for _, name := range existing {
		names[name] = true
	}
	var out []*ast.File
	for _, name := range sortedKeys(names) {
		src, planned := written[name]
		if planned && src == nil {
			continue // the plan deletes it
		}
		if ok, err := ctx.MatchFile(dir, filepath.Base(name)); err == nil && !ok {
			continue
		}
		var from any
		if planned {
			from = src
		}
		f, err := parser.ParseFile(t.fset, name, from, parser.AllErrors|parser.SkipObjectResolution)
		var list scanner.ErrorList
		if errors.As(err, &list) {
			list.RemoveMultiples()
			for _, e := range list {
				t.bad = append(t.bad, newProblem(v.root, "", e.Pos.String(), e.Msg))
			}
			continue
		}
		if f != nil {
			out = append(out, f)
		}
	}
	return out
}

// globQuote makes dir stand for itself in a pattern.
func globQuote(dir string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// imports are the packages that the load must bring for the tests.
func (t *testFiles) imports() []string {
	var out []string
	for _, dir := range sortedKeys(t.dirs) {
		for _, f := range t.dirs[dir] {
			for _, spec := range f.Imports {
				if p, err := strconv.Unquote(spec.Path.Value); err == nil && p != "C" && !slices.Contains(out, p) {
					out = append(out, p)
				}
			}
		}
	}
	return out
}

// check type-checks the tests of each directory against the loaded packages.
func (t *testFiles) check(v *view, pkgs []*packages.Package) []problem {
	all := map[string]*packages.Package{}
	packages.Visit(pkgs, nil, func(p *packages.Package) { all[p.PkgPath] = p })
	out := t.bad
	for _, dir := range sortedKeys(t.dirs) {
		for _, p := range pkgs {
			if len(p.GoFiles) > 0 && filepath.Dir(p.GoFiles[0]) == dir {
				c := testCheck{testFiles: t, view: v, pkg: p, all: all}
				out = append(out, c.run(t.dirs[dir])...)
				break
			}
		}
	}
	return out
}

// testCheck is the check of one package's tests.
type testCheck struct {
	*testFiles
	view *view
	pkg  *packages.Package
	all  map[string]*packages.Package
}

func (c *testCheck) run(files []*ast.File) []problem {
	var inside, outside []*ast.File
	for _, f := range files {
		if f.Name.Name == c.pkg.Name {
			inside = append(inside, f)
		} else {
			outside = append(outside, f)
		}
	}
	variant, out := c.pkg.Types, []problem(nil)
	if len(inside) > 0 {
		variant, out = c.types(c.pkg.PkgPath, append(c.reparsed(), inside...), nil)
		// Errors of the package itself are counted already.
		out = slices.DeleteFunc(out, func(p problem) bool { return !strings.HasSuffix(p.file, "_test.go") })
	}
	if len(outside) == 0 {
		return out
	}
	// An external test may import packages that import this one; they were loaded
	// against the package without its tests. Only a test that uses names from
	// in-package tests needs the variant.
	_, plainErrs := c.types(c.pkg.PkgPath+"_test", outside, nil)
	if len(plainErrs) > 0 && len(inside) > 0 {
		_, errs := c.types(c.pkg.PkgPath+"_test", outside, variant)
		if len(errs) < len(plainErrs) {
			plainErrs = errs
		}
	}
	return append(out, plainErrs...)
}

// reparsed are the package's own files with positions in our set.
func (c *testCheck) reparsed() []*ast.File {
	var out []*ast.File
	for _, name := range c.pkg.CompiledGoFiles {
		var src any
		if data, ok := c.view.overlay[name]; ok {
			src = data
		}
		if f, _ := parser.ParseFile(c.fset, name, src, parser.SkipObjectResolution); f != nil {
			out = append(out, f)
		}
	}
	return out
}

// types type-checks files as one package. variant stands for the tested package
// where they import it.
func (c *testCheck) types(path string, files []*ast.File, variant *types.Package) (*types.Package, []problem) {
	var out []problem
	cfg := types.Config{
		Importer: importer(func(path string) (*types.Package, error) {
			if variant != nil && path == c.pkg.PkgPath {
				return variant, nil
			}
			return c.imported(path)
		}),
		Sizes: c.pkg.TypesSizes,
		Error: func(err error) {
			if e, ok := err.(types.Error); ok {
				out = append(out, newProblem(c.view.root, path, c.fset.Position(e.Pos).String(), e.Msg))
			}
		},
	}
	if m := c.pkg.Module; m != nil && m.GoVersion != "" {
		cfg.GoVersion = "go" + m.GoVersion
	}
	pkg, _ := cfg.Check(path, c.fset, files, nil) // its error is the first of those collected
	return pkg, out
}

func (c *testCheck) imported(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	if p := c.all[path]; p != nil && p.Types != nil && len(p.GoFiles) > 0 {
		return p.Types, nil
	}
	return nil, &missingImport{path}
}

type importer func(path string) (*types.Package, error)

func (i importer) Import(path string) (*types.Package, error) { return i(path) }

type missingImport struct{ path string }

func (e *missingImport) Error() string { return "package " + e.path + " is not there" }
