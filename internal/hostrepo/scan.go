package hostrepo

import (
	"bytes"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"github.com/lockspire/lockspire/internal/plan"
)

// tree is what one walk over the module's files found.
type tree struct {
	sql    []string // module-relative *.sql files, sorted
	golang []string // module-relative *.go files, in the order of the walk
	nested []string // module-relative directories of other modules
	dir    map[string][]string
}

// scanTree walks the directories that the go command would read, looks for conflict markers before anything is
// loaded, and collects SQL files. Nested modules, vendor, node_modules, testdata and hidden directories are not read.
func scanTree(root string, overlay map[string][]byte) (*tree, error) {
	t := &tree{dir: map[string][]string{}}
	var bad plan.Refusals
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrPermission) {
				return fs.SkipDir
			}
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel == "." {
				return nil
			}
			if ignoredDir(rel) {
				return fs.SkipDir
			}
			if isFile(filepath.Join(name, "go.mod")) {
				t.nested = append(t.nested, rel)
				return fs.SkipDir
			}
			return nil
		}
		t.dir[path.Dir(rel)] = append(t.dir[path.Dir(rel)], path.Base(rel))
		switch {
		case strings.HasSuffix(rel, ".sql"):
			t.sql = append(t.sql, rel)
		case strings.HasSuffix(rel, ".go") && !strings.HasPrefix(d.Name(), "_") && !strings.HasPrefix(d.Name(), "."):
			t.golang = append(t.golang, rel)
			src, ok := overlay[name]
			if !ok {
				if src, err = os.ReadFile(name); err != nil {
					return nil // the loader reports it, if the file matters at all
				}
			}
			bad = append(bad, goConflicts(rel, src)...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the module's files: %w", err)
	}
	if len(bad) > 0 {
		return nil, bad
	}
	sort.Strings(t.sql)
	return t, nil
}

// ignoredDir reports whether Go, or nobody who keeps Go code, looks into a module-relative directory.
func ignoredDir(rel string) bool {
	for _, e := range strings.Split(rel, "/") {
		if e == "vendor" || e == "node_modules" || e == "testdata" || len(e) > 1 && (e[0] == '.' || e[0] == '_') && e != ".." {
			return true
		}
	}
	return false
}

func isFile(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode().IsRegular()
}

// goConflicts lists the markers of a file that does not parse. A file that parses has them in a string or comment.
func goConflicts(rel string, src []byte) plan.Refusals {
	marks := conflictMarkers(src)
	if len(marks) == 0 {
		return nil
	}
	if _, err := parser.ParseFile(token.NewFileSet(), rel, src, parser.SkipObjectResolution); err == nil {
		return nil
	}
	return conflictRefusals(rel, marks)
}

func conflictRefusals(rel string, lines []int) plan.Refusals {
	var out plan.Refusals
	for _, l := range lines {
		out = append(out, &plan.Refusal{
			Exit: 3, Path: rel, Line: l, Col: 1,
			What: "merge conflict marker", Next: "git mergetool " + rel,
		})
	}
	return out
}

// conflictMarkers returns the lines that begin a conflict, separate its sides or end it. A lone ======= is an
// underline in prose, so nothing counts without an opening marker.
func conflictMarkers(src []byte) []int {
	if !bytes.Contains(src, []byte("<<<<<<< ")) {
		return nil
	}
	var lines []int
	open := false
	for i, l := range bytes.Split(src, []byte("\n")) {
		l = bytes.TrimRight(l, "\r")
		switch {
		case bytes.HasPrefix(l, []byte("<<<<<<< ")):
			open = true
			lines = append(lines, i+1)
		case open && (bytes.Equal(l, []byte("=======")) || bytes.HasPrefix(l, []byte("||||||| "))):
			lines = append(lines, i+1)
		case open && bytes.HasPrefix(l, []byte(">>>>>>> ")):
			open = false
			lines = append(lines, i+1)
		}
	}
	return lines
}
