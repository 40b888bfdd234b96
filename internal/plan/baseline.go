package plan

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// Baseline is the set of compile errors that a host had before a plan. Half of
// all hosts have some in a fresh clone, for want of generated files.
type Baseline struct {
	count map[problemKey]int
	total int
}

// problemKey is an error without its line: the plan moves lines down.
type problemKey struct{ pkg, file, msg string }

// problem is one error of a main-module package.
type problem struct {
	problemKey
	line, col int
}

// NewBaseline collects the errors of main-module packages from a load of the
// unchanged host at root, made with or without packages.Config.Tests. Packages
// of other modules are ignored.
func NewBaseline(root string, pkgs []*packages.Package) *Baseline {
	b := &Baseline{count: map[problemKey]int{}}
	for _, p := range problemsOf(root, pkgs) {
		b.count[p.problemKey]++
		b.total++
	}
	return b
}

// Len is the number of errors.
func (b *Baseline) Len() int { return b.total }

// added are the problems that the baseline does not have, or has less often.
func (b *Baseline) added(now []problem) []problem {
	left := make(map[problemKey]int, len(b.count))
	for k, n := range b.count {
		left[k] = n
	}
	var out []problem
	for _, p := range now {
		if left[p.problemKey] > 0 {
			left[p.problemKey]--
			continue
		}
		out = append(out, p)
	}
	return out
}

// problemsOf lists the errors of the packages that belong to a main module. The
// dropped bodies of other packages make errors there that mean nothing.
func problemsOf(root string, pkgs []*packages.Package) []problem {
	var out []problem
	for _, p := range pkgs {
		if p.Module != nil && !p.Module.Main {
			continue
		}
		if p.Module == nil && !ownFiles(root, p) {
			continue
		}
		for _, e := range p.Errors {
			out = append(out, newProblem(root, p.PkgPath, e.Pos, importCause(p, e.Msg)))
		}
	}
	return out
}

// importCause completes the type checker's message about an import that is not
// there with what the go command said about it.
func importCause(p *packages.Package, msg string) string {
	rest, ok := strings.CutPrefix(msg, "could not import ")
	if !ok {
		return msg
	}
	path, _, _ := strings.Cut(rest, " ")
	if dep := p.Imports[path]; dep != nil && len(dep.Errors) > 0 {
		return "could not import " + path + ": " + dep.Errors[0].Msg
	}
	return msg
}

// ownFiles reports a package without a module, which is broken or in the
// standard library, to lie below root or nowhere.
func ownFiles(root string, p *packages.Package) bool {
	if len(p.GoFiles) == 0 {
		return len(p.Errors) > 0
	}
	return slices.ContainsFunc(p.GoFiles, func(name string) bool { return within(root, name) })
}

// newProblem splits "file:line:col", any part of which may be missing.
func newProblem(root, pkg, pos, msg string) problem {
	p := problem{problemKey: problemKey{pkg: pkg}}
	file := pos
	if file == "-" {
		file = ""
	}
	var numbers []int
	for len(numbers) < 2 {
		i := strings.LastIndexByte(file, ':')
		if i < 0 {
			break
		}
		n, err := strconv.Atoi(file[i+1:])
		if err != nil {
			break
		}
		numbers = append([]int{n}, numbers...)
		file = file[:i]
	}
	if len(numbers) > 0 {
		p.line = numbers[0]
	}
	if len(numbers) > 1 {
		p.col = numbers[1]
	}
	if filepath.IsAbs(file) {
		if rel, err := filepath.Rel(root, file); err == nil {
			file = rel
		}
	}
	p.file = filepath.ToSlash(file)
	// Messages quote the directory they were made in; the shadow tree has another.
	p.msg = strings.ReplaceAll(msg, root+string(filepath.Separator), "")
	return p
}
