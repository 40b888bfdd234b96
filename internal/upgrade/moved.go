package upgrade

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// elsewhere looks for a managed file that is not at its place: the same tokens
// below another package clause, or our header on a file of the same name.
func (w *work) elsewhere(f templates.File, entry manifest.File) string {
	base := path.Base(f.Path)
	if path.Ext(base) != ".go" {
		return ""
	}
	last := f.Content
	if copied, err := w.base(entry); err == nil && copied != nil {
		last = copied
	}
	want := anyPackage(f.Path, last)
	found := ""
	w.goFiles(func(name string, content []byte) bool {
		if !bytes.Contains(content, []byte(hostrepo.GeneratedHeader)) || w.old.File(name) != nil {
			return true
		}
		if path.Base(name) == base || anyPackage(name, content) == want {
			found = name
		}
		return found == ""
	})
	return found
}

// goFiles calls yield for each Go file that a build may read, until that returns
// false.
func (w *work) goFiles(yield func(name string, content []byte) bool) {
	_ = filepath.WalkDir(w.root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // what cannot be read has none of ours
		}
		base := d.Name()
		if d.IsDir() {
			if name != w.root && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "vendor" || base == "testdata" || base == "node_modules") {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && name != w.root {
				return fs.SkipDir // another module, with a package of its own
			}
			return nil
		}
		if !d.Type().IsRegular() || path.Ext(base) != ".go" {
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return nil
		}
		rel, err := filepath.Rel(w.root, name)
		if err == nil && !yield(filepath.ToSlash(rel), content) {
			return fs.SkipAll
		}
		return nil
	})
}

var packageClause = regexp.MustCompile(`(?m)^package \w+`)

// anyPackage is the hash of a Go file whatever its package is called.
func anyPackage(name string, content []byte) string {
	return manifest.Normalized(name, packageClause.ReplaceAll(content, []byte("package p")))
}

func movedRefusal(from, to string) *plan.Refusal {
	next := "lockspire upgrade --set package=" + path.Dir(to)
	if path.Dir(from) == path.Dir(to) {
		next = "git mv " + to + " " + from // only renamed: there is no input for that
	}
	return &plan.Refusal{Exit: 1, Path: from, What: "is not at its place: it is at " + to + ", and writing it here again would declare everything twice", Next: next}
}

// follow renames the entries of a package that the host moved, when the package
// was set to its new place: files are recognised there, and nothing is written at
// the old one.
func (w *work) follow(fresh Generation) error {
	from, to := packageOf(w.old.Inputs), packageOf(w.next.Inputs)
	if from == to || from == "" || to == "" {
		return nil
	}
	old := w.old.Clone()
	for _, f := range fresh.Files {
		entry := w.old.File(path.Join(from, strings.TrimPrefix(f.Path, to+"/")))
		if !strings.HasPrefix(f.Path, to+"/") || entry == nil {
			continue
		}
		disk, _, err := plan.ReadHost(w.root, f.Path)
		if err != nil {
			return err
		}
		here, _, err := plan.ReadHost(w.root, entry.Path)
		if err != nil {
			return err
		}
		if here != nil {
			w.blockers = append(w.blockers, &plan.Refusal{Exit: 1, Path: entry.Path,
				What: "the package is to be at " + to + ", and this file is still here; only you can move files of yours",
				Next: "git mv " + from + " " + to + "    # and rename the package in it; then lockspire upgrade --set package=" + to})
			continue
		}
		if err := w.followFile(f, *entry, disk, old); err != nil {
			return err
		}
	}
	w.old = old
	return nil
}

// followFile moves one entry and its base copy.
func (w *work) followFile(f templates.File, entry manifest.File, disk []byte, old *manifest.Manifest) error {
	base, err := w.base(entry)
	if err != nil {
		return err
	}
	was := entry.Path
	moved := entry
	moved.Path = f.Path
	if base != nil {
		last := renamed(base, path.Base(path.Dir(was)), path.Base(path.Dir(f.Path)), packageOf(w.old.Inputs), packageOf(w.next.Inputs))
		for _, text := range last {
			// Moving it, by whatever tool, was no edit.
			if moved.Normalized = manifest.Normalized(f.Path, text); disk != nil && manifest.Normalized(f.Path, disk) == moved.Normalized {
				break
			}
		}
	}
	old.Remove(was)
	old.Put(moved)
	w.next.Remove(was)
	w.next.Put(moved)
	if err := w.change(manifest.BasePath(was), plan.Managed, nil, "base copy of a file that moved"); err != nil || base == nil {
		return err
	}
	return w.setBase(f.Path, renamed(base, path.Base(path.Dir(was)), path.Base(path.Dir(f.Path)), packageOf(w.old.Inputs), packageOf(w.next.Inputs))[0])
}

// renamed are the texts that a file may have after its package was moved: every
// mention of it renamed, the package clause and the import path alone, or the
// clause alone.
func renamed(text []byte, from, to, fromPath, toPath string) [][]byte {
	all := bytes.ReplaceAll(bytes.ReplaceAll(text, []byte(fromPath), []byte(toPath)), []byte(from), []byte(to))
	clause := packageClause.ReplaceAllFunc(text, func(line []byte) []byte { return bytes.Replace(line, []byte(from), []byte(to), 1) })
	imports := bytes.ReplaceAll(clause, []byte(fromPath+`"`), []byte(toPath+`"`))
	qualified := bytes.ReplaceAll(imports, []byte(from+"."), []byte(to+"."))
	return [][]byte{all, qualified, imports, clause}
}

func packageOf(inputs json.RawMessage) string {
	var in struct {
		Package string `json:"package"`
	}
	if err := json.Unmarshal(inputs, &in); err != nil {
		return ""
	}
	return in.Package
}
