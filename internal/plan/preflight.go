package plan

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// preflight looks at every target the way Apply will meet it and returns every
// reason not to go on. It writes nothing, so Check runs it for a dry run too.
func (p *Plan) preflight() Refusals {
	root, err := filepath.EvalSymlinks(p.Root)
	if err != nil {
		return Refusals{{Exit: 3, What: "the module directory cannot be read: " + cause(err)}}
	}
	v := visit{root: p.Root, real: root, dirs: map[string]bool{}}
	changes := p.ordered()
	if len(changes) > 0 {
		v.parents(stateDir + "/txn/x")
	}
	for _, c := range changes {
		if why := badPath(c.Path); why != "" {
			v.refuse(1, c.Path, "this path "+why, "")
			continue
		}
		if v.parents(c.Path) && v.target(&c) {
			v.markers(&c)
		}
	}
	return v.refusals
}

// visit collects the refusals of one walk over the targets.
type visit struct {
	root, real string
	dirs       map[string]bool // directories already looked at, and whether they were fine
	refusals   Refusals
}

func (v *visit) refuse(exit int, path, what, next string) {
	v.refusals = append(v.refusals, &Refusal{Exit: exit, Path: path, What: what, Next: next})
}

// parents checks the directories above path: a symbolic link among them must
// stay inside the module, and names must be allowed in the deepest that exists.
func (v *visit) parents(path string) bool {
	dir := filepath.Dir(filepath.Join(v.root, filepath.FromSlash(path)))
	for !exists(dir) {
		dir = filepath.Dir(dir)
	}
	if fine, seen := v.dirs[dir]; seen {
		return fine
	}
	fine := v.parent(dir, path)
	v.dirs[dir] = fine
	return fine
}

func (v *visit) parent(dir, path string) bool {
	rel, err := filepath.Rel(v.root, dir)
	if err != nil {
		rel = dir
	}
	rel = filepath.ToSlash(rel)
	info, err := os.Stat(dir)
	if err != nil {
		v.refuse(1, rel, "cannot be followed: "+cause(err), "ls -l "+rel)
		return false
	}
	if !info.IsDir() {
		v.refuse(1, rel, "is a file, and a directory is needed there for "+path, "mv "+rel+" "+rel+".old")
		return false
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil || !within(v.boundary(path), real) {
		v.refuse(1, rel, "is a symbolic link that leaves the module, and "+path+" would be written through it", "ls -l "+rel)
		return false
	}
	if info.Mode().Perm()&0o200 == 0 || !dirWritable(dir) {
		v.refuse(3, rel, "this directory is read-only, and "+path+" would be written in it", "chmod u+w "+rel)
		return false
	}
	return true
}

// boundary is the real directory that path must stay in: the module, or for the
// vendor directory of a workspace the directory that holds it.
func (v *visit) boundary(path string) string {
	dir := v.real
	for strings.HasPrefix(path, "../") {
		path, dir = path[len("../"):], filepath.Dir(dir)
	}
	return dir
}

func within(dir, name string) bool {
	rel, err := filepath.Rel(dir, name)
	return err == nil && filepath.IsLocal(rel)
}

// target checks the file itself.
func (v *visit) target(c *Change) bool {
	name := filepath.Join(v.root, filepath.FromSlash(c.Path))
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if c.Before != nil {
			v.refusals = append(v.refusals, staleRefusal(c.Path))
			return false
		}
		return true
	case err != nil:
		v.refuse(3, c.Path, "cannot be read: "+cause(err), "ls -l "+c.Path)
		return false
	case info.Mode()&fs.ModeSymlink != 0:
		to, _ := os.Readlink(name)
		next := "rm " + c.Path // it leads nowhere
		if _, err := os.Stat(name); err == nil {
			next = "cp " + c.Path + " " + c.Path + ".copy && mv " + c.Path + ".copy " + c.Path + "    # a file of its own"
		}
		v.refuse(1, c.Path, "is a symbolic link; replacing it would cut the link to "+to, next)
		return false
	case !info.Mode().IsRegular():
		v.refuse(1, c.Path, "is not a regular file", "ls -ld "+c.Path)
		return false
	}
	if is := otherSpelling(name, info); is != "" {
		is = path.Join(path.Dir(c.Path), is)
		v.refuse(1, c.Path, "is here as "+is+", and this file system takes the two names for one", "git mv "+is+" "+c.Path)
		return false
	}
	now, err := os.ReadFile(name)
	if err != nil {
		v.refuse(3, c.Path, "cannot be read: "+cause(err), "ls -l "+c.Path)
		return false
	}
	if c.Before == nil || !bytes.Equal(now, c.Before) {
		v.refusals = append(v.refusals, staleRefusal(c.Path))
		return false
	}
	return v.writable(c.Path, name, info)
}

// otherSpelling is how the directory writes the name of a file that was found under name, "" for the same. Only the file
// system knows which names it takes for one, so identity decides and no comparison of text.
func otherSpelling(name string, file fs.FileInfo) string {
	entries, err := os.ReadDir(filepath.Dir(name))
	if err != nil {
		return ""
	}
	other := ""
	for _, e := range entries {
		if e.Name() == filepath.Base(name) {
			return ""
		}
		if info, err := e.Info(); err == nil && os.SameFile(file, info) {
			other = e.Name()
		}
	}
	return other
}

// writable honours a read-only file although a rename could replace it: whoever
// set the bit meant it. Opening asks about ACLs and read-only mounts as well.
func (v *visit) writable(path, name string, info fs.FileInfo) bool {
	if info.Mode().Perm()&0o200 != 0 {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err == nil {
			_ = f.Close()
			return true
		}
	}
	v.refuse(3, path, "is read-only", "chmod u+w "+path)
	return false
}

// markers refuses to write a file that still has the marks of a merge in it.
// Vendored files are other people's and are written as they are.
func (v *visit) markers(c *Change) {
	if isVendor(c.Path) {
		return
	}
	for i, line := range bytes.Split(c.After, []byte("\n")) {
		for _, mark := range []string{"<<<<<<< ", "||||||| ", ">>>>>>> "} {
			if bytes.HasPrefix(line, []byte(mark)) {
				v.refusals = append(v.refusals, &Refusal{Exit: 1, Path: c.Path, Line: i + 1,
					What: fmt.Sprintf("a conflict marker (%s) would be written", strings.TrimSpace(mark)),
					Next: "resolve the conflict in " + c.Path + " and run the command again"})
			}
		}
	}
}

func staleRefusal(path string) *Refusal {
	return &Refusal{Exit: 1, Path: path, What: "has changed since the plan was made; nothing was written",
		Next: "run the command again to plan with the file as it is now"}
}

// cause is the reason inside a path error, without its absolute path.
func cause(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
