package plan

import (
	"context"
	"errors"
	"io"

	"golang.org/x/tools/go/packages"
)

var errPending = errors.New("not built yet")

// WriteOptions says how Write prints.
type WriteOptions struct {
	// Color switches ANSI colours on; the caller has looked at the terminal and
	// at NO_COLOR.
	Color bool
}

// Write prints the plan the way a good pull request reads: what was found and
// where, which files are written and who owns them, the diff of edits to files
// of the host, warnings, and the numbered rest to be done by hand.
func (p *Plan) Write(w io.Writer, opts WriteOptions) error { return errPending }

// Diff is the unified diff of every change, with module-relative paths.
func (p *Plan) Diff() string { return "" }

// Baseline is the set of compile errors that a host had before a plan.
type Baseline struct{}

// NewBaseline collects the errors of main-module packages from a load of the
// unchanged host at root. Packages of other modules are ignored.
func NewBaseline(root string, pkgs []*packages.Package) *Baseline { return &Baseline{} }

// Len is the number of errors.
func (b *Baseline) Len() int { return 0 }

// Resolve turns Modules into changes of go.mod, go.sum and vendor/.
func (p *Plan) Resolve(ctx context.Context, env Env) error { return errPending }

// Check proves the plan without writing below Root.
func (p *Plan) Check(ctx context.Context, env Env) error { return errPending }

// Result says what Apply, Recover or Undo did.
type Result struct {
	// Created, Updated and Deleted are module-relative paths, sorted.
	Created, Updated, Deleted []string
	// Recovered says that an interrupted run was finished first.
	Recovered bool
	// Notes are sentences for the user, such as where a late edit was kept.
	Notes []string
}

// Apply writes the whole plan or nothing.
func (p *Plan) Apply(ctx context.Context) (Result, error) { return Result{}, errPending }

// Pending reports that an earlier Apply reached its commit point and did not
// finish. Read-only commands stop with exit 3 then; writing ones call Recover.
func Pending(root string) (bool, error) { return false, nil }

// Recover finishes an interrupted Apply, or clears away one that never reached
// its commit point. Result.Recovered is false when there was nothing to finish.
func Recover(root string) (Result, error) { return Result{}, errPending }

// Undo restores the files of the last applied plan, if none of them has changed
// since; otherwise the error lists those that have.
func Undo(root string) (Result, error) { return Result{}, errPending }
