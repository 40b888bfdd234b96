// Package install makes a host an OpenID provider: it decides what the flags left open from what hostrepo found,
// renders the templates, and hands a plan to package plan, which shows, proves and applies it.
//
// Everything that can be refused is refused before a plan is made, and all reasons are reported together. A second
// run changes nothing: what is there already is recognised by its meaning, not by its text.
package install

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// Options are the flags of the command and its surroundings. A string flag that was not given is "".
type Options struct {
	Dir            string // any directory of the host; defaults to the current one
	Package        string // module-relative directory of the generated package; defaults to internal/authserver
	MountPath      string // defaults to the path of Issuer, else /lockspire
	Issuer         string // issuer where LOCKSPIRE_ISSUER is not set; defaults to a loopback address
	Router         string // file:line of the router, where several are served
	Engine         string // "sqlite" or "postgres", where the host has evidence for both
	Migrations     string // one of templates.MigrationModes; defaults to what the host has
	MigrationsDir  string // migration directory, where there are several or none yet
	Database       string // "host" or "separate": a database of Lockspire's own; defaults to the host's
	Schema         string // PostgreSQL schema of the tables
	Session        string // what tells who is signed in, where several things do; "none" for a stub
	LoginPath      string // sign-in page; defaults to the route that looks like one
	HeaderFile     string // file whose text goes first in each file that is written
	RuntimeVersion string // version of the runtime module, for development builds
	Sigra          bool   // comments speak of the current scope's User

	MigrationsTable string // where the migration tool keeps its versions, if not where it does by default
	SchemaExists    bool   // Schema is there: the first migration does not create it

	NoWire        bool // write everything but the call to Mount
	AdoptExisting bool // keep files that are in the way and record them as the host's
	DryRun        bool // print the plan, write nothing
	Check         bool // write nothing; exit 1 when something is to be done
	Yes           bool // do not ask

	Tags         []string // build tags
	NoVendor     bool     // leave vendor/ alone
	RaiseGo      bool     // permit raising the go line of go.mod
	AllowDirty   bool     // permit changing files with uncommitted changes
	AllowIgnored bool     // permit writing files that git ignores

	Version string // of this CLI; anything but a release is a development build
	Env     []string
	Now     func() time.Time // defaults to time.Now; numbers migrations

	In         io.Reader         // answers; read only when IsTerminal
	Out        io.Writer         // the plan, or the SQL of --migrations print
	Err        io.Writer         // questions and what became of them
	IsTerminal bool              // a person is there to answer
	Color      bool              // Out takes colours
	Progress   func(step string) // told what is being done; nil tells nobody

	header string // text of HeaderFile
}

// Run installs. The error is plan.Refusals with an exit code of its own, or a failure of ours. Nothing is written when
// there is an error, except that an interrupted earlier run has been finished.
func Run(ctx context.Context, o Options) error {
	flags, err := o.normalise()
	if err != nil {
		return err
	}
	root, err := moduleRoot(flags.Dir)
	if err != nil {
		return err
	}
	if err := finishEarlierRun(root, flags); err != nil {
		return err
	}
	flags.progress(wordLoading)
	repo, err := hostrepo.Load(ctx, hostrepo.Options{Dir: flags.Dir, Tags: flags.Tags, Env: flags.Env})
	if err != nil {
		return err
	}
	job, err := prepare(ctx, repo, flags)
	if err != nil {
		return err
	}
	if err := job.build(); err != nil {
		return err
	}
	return job.finish(ctx)
}

// finishEarlierRun deals with a journal that a killed run left: a command that may write finishes it, one that only
// reads stops.
func finishEarlierRun(root string, o Options) error {
	pending, err := plan.Pending(root)
	if err != nil || !pending {
		return err
	}
	if o.DryRun || o.Check {
		return plan.PendingRefusal("lockspire install")
	}
	result, err := plan.Recover(root)
	if err != nil {
		return err
	}
	if result.Recovered {
		fmt.Fprintln(o.Err, wordRecovered)
	}
	return nil
}

// job is one run on one host, from decisions to a plan.
type job struct {
	Options
	repo     *hostrepo.Repo
	in       templates.Inputs
	router   *hostrepo.Router   // nil when nothing is inserted
	handle   *hostrepo.Handle   // what the inserted call passes; nil for a pool of its own
	reader   *hostrepo.Reader   // what tells who is signed in; nil when nothing was found
	recorded *manifest.Manifest // nil on the first run
	runtime  string             // version of the runtime module
	plan     *plan.Plan
	adopted  []string // files that were there already, as we would write them
}

// finish resolves, shows and proves the plan, asks, and applies it.
func (j *job) finish(ctx context.Context) error {
	env := plan.Env{
		Environ: j.repo.Env, Tags: j.Tags, Baseline: plan.NewBaseline(j.repo.ModuleRoot, j.repo.Packages),
		NoVendor: j.NoVendor, RaiseGo: j.RaiseGo, AllowDirty: j.AllowDirty, AllowIgnored: j.AllowIgnored,
	}
	if j.plan.Empty() {
		return j.nothingToDo()
	}
	if len(j.plan.Modules) > 0 {
		j.progress(wordResolving)
		if err := j.plan.Resolve(ctx, env); err != nil {
			return err
		}
	}
	if err := j.plan.Write(j.listing(), plan.WriteOptions{Color: j.Color}); err != nil {
		return fmt.Errorf("print the plan: %w", err)
	}
	j.progress(wordChecking)
	if err := j.plan.Check(ctx, env); err != nil {
		return err
	}
	switch {
	case j.Check:
		return plan.Refusals{{Exit: 1, What: wordPending, Next: "lockspire install --dry-run"}}
	case j.DryRun:
		fmt.Fprintln(j.Err, wordDryRun)
		return j.printSQL()
	}
	if err := j.confirm(ctx); err != nil {
		return err
	}
	j.progress(wordWriting)
	result, err := j.plan.Apply(ctx)
	if err != nil {
		return err
	}
	for _, note := range result.Notes {
		fmt.Fprintln(j.Err, note)
	}
	fmt.Fprintln(j.Err, wroteWords(len(result.Created), len(result.Updated)))
	return j.printSQL()
}

// listing is where the plan goes: to the result, unless the result is SQL to be piped on.
func (j *job) listing() io.Writer {
	if j.in.Migrations == templates.MigrationsPrint && j.recorded == nil {
		return j.Err
	}
	return j.Out
}

func (j *job) printSQL() error {
	if j.in.Migrations != templates.MigrationsPrint || j.recorded != nil {
		return nil
	}
	sql, err := templates.SQL(j.in)
	if err != nil {
		return err
	}
	_, err = io.Copy(j.Out, bytes.NewReader([]byte(sql)))
	return err
}

func (j *job) nothingToDo() error {
	fmt.Fprintln(j.Out, nothingWords(j.in))
	if len(j.plan.Todo) > 0 {
		return j.plan.Write(j.Out, plan.WriteOptions{Color: j.Color})
	}
	return nil
}

func (o Options) progress(what string) {
	if o.Progress != nil {
		o.Progress(what)
	}
}
