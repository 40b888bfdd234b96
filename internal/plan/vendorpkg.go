package plan

import (
	"errors"
	"go/ast"
	"go/build"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// What go mod vendor copies is not documented as an interface, so a test
// compares the result with the real command's, file by file.

// vendorPackage adds to files (by path below vendor/) what go mod vendor copies
// for one package: its directory without tests and ignored files, what it
// embeds, and the license files of the directories above.
func vendorPackage(files map[string][]byte, f *fetched, pkg string) error {
	dir := filepath.Join(f.dir, filepath.FromSlash(strings.TrimPrefix(pkg, f.req.Path)))
	err := copyDir(files, pkg, dir, func(name string) (bool, error) { return isVendored(dir, name) })
	if err != nil {
		return err
	}
	for up, from := pkg, dir; up != f.req.Path; {
		up, from = path.Dir(up), filepath.Dir(from)
		if err := copyDir(files, up, from, isMetadata); err != nil {
			return err
		}
	}
	embeds, err := embedded(dir)
	if err != nil {
		return err
	}
	for _, name := range embeds {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		files[path.Join(pkg, name)] = append([]byte{}, data...)
	}
	return nil
}

func copyDir(files map[string][]byte, to, dir string, match func(name string) (bool, error)) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		ok, err := match(e.Name())
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		files[path.Join(to, e.Name())] = append([]byte{}, data...)
	}
	return nil
}

func isMetadata(name string) (bool, error) {
	for _, prefix := range []string{"AUTHORS", "CONTRIBUTORS", "COPYLEFT", "COPYING", "COPYRIGHT", "LEGAL", "LICENSE", "NOTICE", "PATENTS"} {
		if strings.HasPrefix(name, prefix) {
			return true, nil
		}
	}
	return false, nil
}

// isVendored leaves out tests, go.mod and go.sum (our modules need Go 1.24 and
// those went with 1.17), and Go files that no build can use.
func isVendored(dir, name string) (bool, error) {
	switch {
	case strings.HasSuffix(name, "_test.go"), name == "go.mod", name == "go.sum":
		return false, nil
	case !strings.HasSuffix(name, ".go"):
		return true, nil
	}
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return true, nil // the go command keeps what it cannot read
	}
	return buildable(f), nil
}

// buildable reports that some build could use the file: every tag is taken for
// true, and for false below a negation, only "ignore" is never set.
func buildable(f *ast.File) bool {
	for _, group := range f.Comments {
		for _, c := range group.List {
			if c.Pos() > f.Package || !constraint.IsGoBuild(c.Text) {
				continue
			}
			x, err := constraint.Parse(c.Text)
			return err != nil || satisfiable(x, true)
		}
	}
	return true
}

func satisfiable(x constraint.Expr, prefer bool) bool {
	switch x := x.(type) {
	case *constraint.TagExpr:
		return x.Tag != "ignore" && prefer
	case *constraint.NotExpr:
		return !satisfiable(x.X, !prefer)
	case *constraint.AndExpr:
		return satisfiable(x.X, prefer) && satisfiable(x.Y, prefer)
	case *constraint.OrExpr:
		return satisfiable(x.X, prefer) || satisfiable(x.Y, prefer)
	}
	return true
}

// packageImports are the import paths of a package's files on any platform,
// without its tests.
func packageImports(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		name := e.Name()
		if !e.Type().IsRegular() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return nil, err
		}
		if !buildable(f) {
			continue
		}
		for _, spec := range f.Imports {
			if p, err := strconv.Unquote(spec.Path.Value); err == nil {
				out = append(out, p)
			}
		}
	}
	return out, nil
}

// embedded are the files that //go:embed patterns of a package name, with
// slashes, relative to it.
func embedded(dir string) ([]string, error) {
	ctx := build.Default
	ctx.UseAllFiles = true
	pkg, err := ctx.ImportDir(dir, build.IgnoreVendor)
	var several *build.MultiplePackageError
	var none *build.NoGoError
	if errors.As(err, &none) {
		return nil, nil
	}
	if err != nil && !errors.As(err, &several) {
		return nil, err
	}
	var out []string
	for _, pattern := range pkg.EmbedPatterns {
		glob, all := strings.CutPrefix(pattern, "all:")
		found, err := fs.Glob(os.DirFS(dir), glob)
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			names, err := embedTree(dir, name, all)
			if err != nil {
				return nil, err
			}
			out = append(out, names...)
		}
	}
	return out, nil
}

// embedTree is name itself, or the files below it that an embed takes along.
func embedTree(dir, name string, all bool) ([]string, error) {
	var out []string
	err := fs.WalkDir(os.DirFS(dir), name, func(sub string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(sub)
		hidden := sub != name && !all && (base[0] == '.' || base[0] == '_')
		switch {
		case d.IsDir() && (hidden || sub != "." && exists(filepath.Join(dir, filepath.FromSlash(sub), "go.mod"))):
			return fs.SkipDir
		case d.Type().IsRegular() && !hidden:
			out = append(out, sub)
		}
		return nil
	})
	return out, err
}
