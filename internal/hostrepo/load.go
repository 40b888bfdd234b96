// Package hostrepo reads the repository that Lockspire is installed into, and never writes to it.
//
// Load finds the module, loads its packages once, and returns what install, upgrade and verify need to know
// as plain facts: what is served and where the call to Mount belongs, which database handles are in scope
// there, which migration tool is in use, and what is already wired.
package hostrepo

import (
	"context"
	"errors"
	"go/token"

	"golang.org/x/tools/go/packages"
)

// Options say what to load.
type Options struct {
	Dir     string            // any directory of the host; defaults to the current one
	Tags    []string          // extra build tags
	Env     []string          // defaults to os.Environ()
	Overlay map[string][]byte // contents that stand in for files, by absolute path
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
	Env        []string // environment to run the go command with for this host

	Fset     *token.FileSet
	Packages []*packages.Package // of the main module, sorted by import path, without tests
	Errors   []LoadError         // in those packages; the host's own business unless they block a fact

	Facts
}

// Load reads the module around Options.Dir. A host that cannot be read at all is a plan.Refusals; packages
// that do not compile are not an error, they are listed in Repo.Errors.
func Load(ctx context.Context, opts Options) (*Repo, error) {
	return nil, errors.New("hostrepo: not built yet")
}
