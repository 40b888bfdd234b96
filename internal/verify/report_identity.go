package verify

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/lockspire/lockspire/internal/hostrepo"
)

// span is a declaration: what it is called, and its lines.
type span struct {
	symbol      string // "example.com/host/internal/authserver.accountResolver.Claims"
	first, last int
}

// fileOutline is what suppressions and fingerprints need to know about a Go file.
type fileOutline struct {
	decls      []span
	directives []*directive
}

// outline reads the declarations and //lockspire:ignore comments of the module's packages, by file.
func outline(repo *hostrepo.Repo, src *sources) map[string]*fileOutline {
	files := map[string]*fileOutline{}
	for _, p := range repo.Packages {
		for _, f := range p.Syntax {
			o := &fileOutline{}
			files[repo.Position(f.Package).File] = o
			lines := func(n ast.Node) (first, last int) {
				return repo.Position(n.Pos()).Line, repo.Position(n.End()).Line
			}
			docs := map[*ast.CommentGroup]ast.Node{}
			for _, d := range f.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					first, last := lines(d)
					o.decls = append(o.decls, span{p.PkgPath + "." + receiver(d) + d.Name.Name, first, last})
					docs[d.Doc] = d
				case *ast.GenDecl:
					docs[d.Doc] = d
					for _, s := range d.Specs {
						if name := specName(s); name != "" {
							first, last := lines(s)
							o.decls = append(o.decls, span{p.PkgPath + "." + name, first, last})
						}
					}
				}
			}
			o.directives = directives(repo, src, f, docs)
		}
	}
	return files
}

func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return ""
	}
	t := d.Recv.List[0].Type
	for {
		switch x := ast.Unparen(t).(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name + "."
		default:
			return ""
		}
	}
}

func specName(s ast.Spec) string {
	switch s := s.(type) {
	case *ast.TypeSpec:
		return s.Name.Name
	case *ast.ValueSpec:
		return s.Names[0].Name
	}
	return ""
}

// sources reads lines of files that findings point into.
type sources struct {
	root    string
	overlay map[string][]byte
	files   map[string][]string
}

func newSources(root string, overlay map[string][]byte) *sources {
	return &sources{root, overlay, map[string][]string{}}
}

// line is line n of a file, without its end; "" when there is none.
func (s *sources) line(file string, n int) string {
	lines, ok := s.files[file]
	if !ok {
		name := filepath.Join(s.root, filepath.FromSlash(file))
		data, overlaid := s.overlay[name]
		if !overlaid {
			data, _ = os.ReadFile(name) // a file that is not there has no lines
		}
		lines = strings.Split(string(data), "\n")
		s.files[file] = lines
	}
	if n < 1 || n > len(lines) {
		return ""
	}
	return strings.TrimSuffix(lines[n-1], "\r")
}

// column is a byte column as a column in characters, which is what SARIF and GitHub count.
func (s *sources) column(p hostrepo.Position) int {
	line := s.line(p.File, p.Line)
	if p.Col < 1 || p.Col-1 > len(line) {
		return p.Col
	}
	return utf8.RuneCountInString(line[:p.Col-1]) + 1
}

// identify gives each finding its fingerprint. Neither the number of the line nor the message goes into it: code above
// may grow, and words may get better. Findings that are alike in all of it are numbered in the order of the source.
func (r *Report) identify(lines map[string]*fileOutline, src *sources) {
	seen := map[string]int{}
	for i := range r.Findings {
		f := &r.Findings[i]
		f.column = src.column(f.Position)
		for j := range f.Related {
			f.Related[j].column = src.column(f.Related[j].Position)
		}
		text := strings.Join(strings.Fields(src.line(f.File, f.Line)), " ")
		sum := sha256.Sum256([]byte(f.Rule + "\n" + lines[f.File].symbol(f.Position) + "\n" + text))
		id := hex.EncodeToString(sum[:16])
		seen[id]++
		f.Fingerprint = fmt.Sprintf("%s:%d", id, seen[id])
	}
}

// symbol is the declaration around a position, and the file where there is none.
func (o *fileOutline) symbol(p hostrepo.Position) string {
	if o != nil {
		for _, d := range o.decls {
			if d.first <= p.Line && p.Line <= d.last {
				return d.symbol
			}
		}
	}
	return p.File
}

// belowGit is the directory of the module in its git repository, with slashes: the tools that read reports know files
// by their path from the top of the checkout. It is "" at the top, and where there is no repository.
func belowGit(moduleRoot string) string {
	root, err := filepath.EvalSymlinks(moduleRoot)
	if err != nil {
		return ""
	}
	for dir := root; ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil { // a file in worktrees and submodules
			rel, err := filepath.Rel(dir, root)
			if err != nil || rel == "." {
				return ""
			}
			return filepath.ToSlash(rel)
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// severities from the gravest on. What is unproven comes last: it may be nothing.
var severities = []Severity{Error, Warning, Info, Unproven}

// gravest sorts findings by severity, and leaves the order of the tree among equals.
func gravest(findings []Finding) []Finding {
	out := slices.Clone(findings)
	slices.SortStableFunc(out, func(a, b Finding) int {
		return cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity))
	})
	return out
}

// offset is the byte offset of a position of the loaded source, -1 when it has none.
func offset(repo *hostrepo.Repo, at token.Pos) int {
	f := repo.Fset.File(at)
	if f == nil {
		return -1
	}
	return f.Offset(at)
}
