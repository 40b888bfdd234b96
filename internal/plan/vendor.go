package plan

import (
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/module"
)

// vendorConsistent lets the go command compare vendor/modules.txt with go.mod
// before anything builds on it.
func (r *resolver) vendorConsistent(ctx context.Context) error {
	if r.host.vendorDir == "" || r.host.env.NoVendor {
		return nil
	}
	_, err := r.host.run(ctx, r.host.root, r.host.workEnv(), "list", "-mod=vendor", "-m")
	var failed *goError
	if errors.As(err, &failed) && strings.Contains(failed.stderr, "inconsistent vendoring") {
		return &Refusal{Exit: 3, Path: r.rel(filepath.Join(r.host.vendorDir, "modules.txt")),
			What: "vendor/ does not agree with go.mod already: " + firstLines(strings.TrimPrefix(failed.stderr, "go: ")), Next: r.host.vendorCommand()}
	}
	return err
}

// workEnv switches a workspace off that does not know this module.
func (h *host) workEnv() []string {
	if h.strangerWork {
		return []string{"GOWORK=off"}
	}
	return nil
}

func (h *host) vendorCommand() string {
	if h.work != nil {
		return "go work vendor"
	}
	return "go mod vendor"
}

// vendor splices the modules that were got into vendor/, with the packages that
// the plan's code needs and those that were there.
func (r *resolver) vendor() error {
	if r.host.vendorDir == "" {
		return nil
	}
	if r.host.env.NoVendor {
		r.plan.Todo = append([]string{"Bring vendor/ up to date; until then the host does not build with it:\n" + r.host.vendorCommand()}, r.plan.Todo...)
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(r.host.vendorDir, "modules.txt"))
	if err != nil {
		return fmt.Errorf("read vendor/modules.txt: %w", err)
	}
	v := &vendoring{resolver: r, list: parseModulesTxt(raw), pkgs: map[string][]string{}}
	if err := v.closure(); err != nil {
		return err
	}
	for _, path := range sortedKeys(r.got) {
		if r.got[path].repl.used() {
			continue // a module of the workspace itself is not vendored
		}
		if err := v.module(r.got[path]); err != nil {
			return err
		}
	}
	return v.change("modules.txt", v.list.bytes(eolOf(raw)))
}

// vendoring is one splice into vendor/.
type vendoring struct {
	*resolver
	list *modulesTxt
	pkgs map[string][]string // by module path: the packages it provides
}

// owner is the module among those that were got which provides an import path.
func (v *vendoring) owner(importPath string) *fetched {
	var found *fetched
	for _, path := range sortedKeys(v.got) {
		if importPath == path || strings.HasPrefix(importPath, path+"/") {
			if found == nil || len(path) > len(found.req.Path) {
				found = v.got[path]
			}
		}
	}
	return found
}

// closure collects the packages of our modules that are needed: imported by the
// code of the plan, vendored before, or imported by one of those.
func (v *vendoring) closure() error {
	var queue []string
	for _, c := range v.plan.ordered() {
		if c.After == nil || !strings.HasSuffix(c.Path, ".go") || isVendor(c.Path) {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), c.Path, c.After, parser.ImportsOnly)
		if err != nil {
			continue // Check reports it with its position
		}
		for _, spec := range f.Imports {
			if p, err := strconv.Unquote(spec.Path.Value); err == nil {
				queue = append(queue, p)
			}
		}
	}
	for path := range v.got {
		queue = append(queue, v.list.packages(path)...)
	}
	seen := map[string]bool{}
	for len(queue) > 0 {
		importPath := queue[0]
		queue = queue[1:]
		f := v.owner(importPath)
		if f == nil || seen[importPath] {
			continue
		}
		seen[importPath] = true
		imports, err := packageImports(filepath.Join(f.dir, strings.TrimPrefix(importPath, f.req.Path)))
		if errors.Is(err, fs.ErrNotExist) {
			continue // not in this version; Check shows who imports it
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", importPath, err)
		}
		v.pkgs[f.req.Path] = append(v.pkgs[f.req.Path], importPath)
		for _, next := range imports {
			first, _, _ := strings.Cut(next, "/")
			if strings.Contains(first, ".") && v.owner(next) == nil && !v.list.has(next) {
				return &Refusal{Exit: 1, Path: v.rel(v.host.vendorDir), What: fmt.Sprintf("%s needs %s, which is not vendored", importPath, next), Next: v.host.vendorCommand()}
			}
			queue = append(queue, next)
		}
	}
	return nil
}

// module writes one module's packages into vendor/ and its lines into modules.txt.
func (v *vendoring) module(f *fetched) error {
	pkgs := v.pkgs[f.req.Path]
	slices.Sort(pkgs)
	note := "## explicit"
	if f.mod.Go != nil {
		note += "; go " + f.mod.Go.Version
	}
	v.list.set(f.req, f.repl, note, pkgs)

	files := map[string][]byte{}
	for _, pkg := range pkgs {
		if err := vendorPackage(files, f, pkg); err != nil {
			return fmt.Errorf("vendor %s: %w", pkg, err)
		}
	}
	for _, name := range sortedKeys(files) {
		if err := v.change(name, files[name]); err != nil {
			return err
		}
	}
	return v.removeOthers(f.req.Path, files)
}

// removeOthers deletes what an earlier version of the module has left.
func (v *vendoring) removeOthers(modPath string, files map[string][]byte) error {
	base := filepath.Join(v.host.vendorDir, filepath.FromSlash(modPath))
	if !exists(base) {
		return nil
	}
	return filepath.WalkDir(base, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(v.host.vendorDir, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel != modPath && v.list.isModule(rel) {
				return fs.SkipDir // another module below this one's path
			}
			return nil
		}
		if _, kept := files[rel]; kept {
			return nil
		}
		return v.change(rel, nil)
	})
}

// change plans one file below vendor/.
func (v *vendoring) change(name string, after []byte) error {
	c, err := v.plan.File(path.Join(v.rel(v.host.vendorDir), name), Host, after, "as "+v.host.vendorCommand()+" writes it")
	if err != nil {
		return err
	}
	if !c.same() {
		v.plan.Add(c)
	}
	return nil
}

// modulesTxt is vendor/modules.txt.
type modulesTxt struct {
	head     []string // "## workspace"
	sections []section
	tail     []string // replacements that no section carries
}

// section is one module with its packages.
type section struct {
	mod  module.Version
	line string
	note string
	pkgs []string
}

func parseModulesTxt(raw []byte) *modulesTxt {
	m := &modulesTxt{}
	var bare []section // headers that nothing followed are replacements
	flush := func() {
		if n := len(m.sections); n > 0 && m.sections[n-1].note == "" && len(m.sections[n-1].pkgs) == 0 {
			bare = append(bare, m.sections[n-1])
			m.sections = m.sections[:n-1]
		}
	}
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "## ") && len(m.sections) == 0:
			m.head = append(m.head, line)
		case strings.HasPrefix(line, "## "):
			m.sections[len(m.sections)-1].note = line
		case strings.HasPrefix(line, "# "):
			flush()
			f := strings.Fields(line)
			s := section{line: line, mod: module.Version{Path: f[1]}}
			if len(f) > 2 && f[2] != "=>" {
				s.mod.Version = f[2]
			}
			m.sections = append(m.sections, s)
		case line != "" && len(m.sections) > 0:
			s := &m.sections[len(m.sections)-1]
			s.pkgs = append(s.pkgs, line)
		}
	}
	flush()
	for _, s := range bare {
		m.tail = append(m.tail, s.line)
	}
	return m
}

func (m *modulesTxt) bytes(eol string) []byte {
	all := slices.Clone(m.head)
	for _, s := range m.sections {
		all = append(all, s.line)
		if s.note != "" {
			all = append(all, s.note)
		}
		all = append(all, s.pkgs...)
	}
	all = append(all, m.tail...)
	return []byte(strings.Join(all, eol) + eol)
}

func (m *modulesTxt) packages(modPath string) []string {
	for _, s := range m.sections {
		if s.mod.Path == modPath {
			return s.pkgs
		}
	}
	return nil
}

func (m *modulesTxt) isModule(path string) bool {
	return slices.ContainsFunc(m.sections, func(s section) bool { return s.mod.Path == path })
}

func (m *modulesTxt) has(pkg string) bool {
	return slices.ContainsFunc(m.sections, func(s section) bool { return slices.Contains(s.pkgs, pkg) })
}

// set gives a module its section, in the order of the go command.
func (m *modulesTxt) set(mod module.Version, r replacement, note string, pkgs []string) {
	line := "# " + mod.Path + " " + mod.Version
	if r.raw.Path != "" {
		line += " => " + r.raw.Path
		if r.raw.Version != "" {
			line += " " + r.raw.Version
		}
		if r.old.Version != "" { // used now, so no longer listed at the end
			m.tail = slices.DeleteFunc(m.tail, func(l string) bool { return l == line })
		}
	}
	m.sections = slices.DeleteFunc(m.sections, func(s section) bool { return s.mod.Path == mod.Path })
	at := slices.IndexFunc(m.sections, func(s section) bool { return s.mod.Path > mod.Path })
	if at < 0 {
		at = len(m.sections)
	}
	m.sections = slices.Insert(m.sections, at, section{mod, line, note, pkgs})
}
