// Package plan holds what a command wants to change in a host repository, and
// is the only package that writes into one.
//
// A command builds a [Plan] from bytes it has read ([Plan.File]), names the
// modules the host must require, and then calls, in this order:
//
//	Resolve  turns Modules into edits of go.mod, go.sum and vendor/
//	Write    shows the plan, before anything is asked
//	Check    proves it: nothing outside the module, nothing read-only or dirty,
//	         and no new compile error with the plan laid over the host
//	Apply    writes all of it or nothing
//
// Resolve, Write, Diff and Check never write below the host's root.
package plan

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// Owner says who may edit a file after it was written.
type Owner string

const (
	// Host files belong to the people of the host: written once, never rewritten.
	Host Owner = "host"
	// Managed files belong to Lockspire: upgrade rewrites them.
	Managed Owner = "managed"
)

// ManifestPath is the file that is applied last, so that it never lists a file
// that is not there.
const ManifestPath = ".lockspire/manifest.json"

// basePath is where the manifest's package keeps base copies; a plan lists them
// in one row.
const basePath = ".lockspire/base/"

// Change is one file before and after.
type Change struct {
	// Path is relative to the module root, with slashes. Only the vendor
	// directory of a go.work workspace lies outside ("../vendor/...").
	Path  string
	Owner Owner
	// Why is one line for the listing: "account resolver: reads your session".
	Why string
	// Before is what was read when the plan was made; nil means the file does
	// not exist (an empty file is []byte{}). Apply stops when it is no longer so.
	Before     []byte
	BeforeMode fs.FileMode
	// After is the whole new content; nil means the file is deleted.
	After []byte
	// Insert marks a splice into a file of the host, which the listing shows as
	// a diff.
	Insert bool

	// mode is given to a file that did not exist; Undo brings back executables
	// with it. 0 leaves it to the umask.
	mode fs.FileMode
}

// Module is a requirement that the host needs in its go.mod.
type Module struct {
	Path string
	// Version to require. For a module that the host replaces it is the version
	// written in the require line; nothing is downloaded under it.
	Version string
	// Replaced says that the host replaces the module; Resolve sees it by itself.
	Replaced bool
}

// Plan is everything one command wants to do to one module. The zero value with
// Root set is an empty plan. It is not safe for concurrent use.
type Plan struct {
	// Root is the absolute directory of the host's go.mod.
	Root    string
	Changes []Change
	// Modules to require or raise; empty means none.
	Modules []Module
	// Found are the facts the plan rests on: "router  *http.ServeMux in newRouter, server.go:12".
	Found []string
	// Warnings are shown before Todo and stop nothing.
	Warnings []string
	// Todo is what remains to be done by hand, in order. A step may have
	// several lines; the first is the sentence, the rest commands.
	Todo []string

	resolved bool // Modules have become Changes
	undoes   bool // the plan takes back another one
	gitKnown *gitState
}

// Env is the surroundings of one run. The zero value is the usual one.
type Env struct {
	// Environ is the environment of the go and git commands; nil means os.Environ.
	Environ []string
	// Tags are build tags for loading, as in go build -tags.
	Tags []string
	// Baseline holds the errors the host had before. Without one, or if it does
	// not account for all errors, Check loads the host a second time.
	Baseline *Baseline
	// NoVendor leaves vendor/ alone and puts the command on the Todo list.
	NoVendor bool
	// RaiseGo permits raising the go line of go.mod.
	RaiseGo bool
	// AllowDirty permits changing files with uncommitted changes.
	AllowDirty bool
	// AllowIgnored permits writing files that git ignores.
	AllowIgnored bool
	// MaxCompileErrors bounds the compile errors that Check lists. Defaults to 30:
	// one missing import is not to fill the screen.
	MaxCompileErrors int
	// Broken is given the packages of a host that the plan would break, with the
	// plan laid over it. Defaults to nil.
	Broken func([]*packages.Package)
}

func (e Env) environ() []string {
	if e.Environ != nil {
		return e.Environ
	}
	return os.Environ()
}

// Empty reports whether applying the plan would change nothing. Before Resolve
// a plan with modules counts as one that would.
func (p *Plan) Empty() bool {
	return len(p.ordered()) == 0 && (len(p.Modules) == 0 || p.resolved)
}

// same reports that before and after agree, existence included.
func (c *Change) same() bool {
	return (c.Before == nil) == (c.After == nil) && bytes.Equal(c.Before, c.After)
}

// File makes the change that gives path the content after. It reads what is
// there now; after nil means the file is to be deleted. A path that is a
// symbolic link or a directory is read as far as possible; Check refuses it.
func (p *Plan) File(path string, owner Owner, after []byte, why string) (Change, error) {
	before, mode, err := ReadHost(p.Root, path)
	if err != nil {
		return Change{}, err
	}
	return Change{Path: path, Owner: owner, Why: why, Before: before, BeforeMode: mode, After: after}, nil
}

// Add puts c into the plan, in the place of an earlier change to the same path.
func (p *Plan) Add(c Change) {
	if i := slices.IndexFunc(p.Changes, func(o Change) bool { return o.Path == c.Path }); i >= 0 {
		p.Changes[i] = c
		return
	}
	p.Changes = append(p.Changes, c)
}

// ReadHost reads a file below root. A file that does not exist is (nil, 0, nil);
// an empty file is a non-nil empty slice.
func ReadHost(root, path string) ([]byte, fs.FileMode, error) {
	name := filepath.Join(root, filepath.FromSlash(path))
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, nil
	case err != nil:
		return nil, 0, fmt.Errorf("read %s: %w", path, err)
	case info.IsDir():
		return nil, 0, &Refusal{Exit: 1, Path: path, What: "a directory is where a file would be written", Next: "mv " + path + " " + path + ".old"}
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", path, err)
	}
	if data == nil {
		data = []byte{}
	}
	return data, info.Mode(), nil
}

// order is the position of a change in Apply: sums before requirements before
// the code that needs them, and the manifest when all of it is there, so that
// the host compiles after every step.
func (c *Change) order() int {
	switch {
	case path.Base(c.Path) == "go.sum":
		return 0
	case path.Base(c.Path) == "go.mod":
		return 1
	case isVendor(c.Path) && path.Base(c.Path) == "modules.txt":
		return 3
	case isVendor(c.Path):
		return 2
	case c.Path == ManifestPath:
		return 7
	case c.After == nil:
		return 6
	case c.Before == nil:
		return 4
	default:
		return 5
	}
}

// ordered returns the changes that change something, in the order of Apply.
func (p *Plan) ordered() []Change {
	var out []Change
	for _, c := range p.Changes {
		if !c.same() {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.order(), b.order()), cmp.Compare(a.Path, b.Path))
	})
	return out
}

func isVendor(name string) bool {
	for strings.HasPrefix(name, "../") {
		name = name[len("../"):]
	}
	return strings.HasPrefix(name, "vendor/")
}
