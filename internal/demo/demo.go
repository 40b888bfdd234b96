// Package demo writes a small web app with users and sessions into a
// directory, installs Lockspire into it as a person would, and runs it beside
// a partner app that signs people in with it.
package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/semver"

	"github.com/lockspire/lockspire/internal/plan"
)

// Options is what [Run] takes.
type Options struct {
	// Dir receives the host, the partner and their logs. A demo that is there
	// already is replaced; anything else is refused. Required.
	Dir string
	// RuntimeDir is a checkout of the runtime module for an unpublished build
	// of the CLI. Empty means the published version.
	RuntimeDir string
	// Check drives the demo without a person and returns at the end.
	Check bool
	// Version is that of the CLI, as install wants it.
	Version string
	// Out receives the story and the steps of a check. Required.
	Out io.Writer
}

// The person who can sign in to the host.
const (
	username = "ada"
	password = "curlew-north-bank"
)

// Run writes the demo, starts it and keeps it running until ctx ends; with
// Options.Check it walks through it instead and returns nil when every step
// answered as it should.
func Run(ctx context.Context, o Options) error {
	d, err := prepare(o)
	if err != nil {
		return err
	}
	if err := d.setUp(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	host, partner, err := d.start(ctx)
	defer func() {
		stop()
		host.wait()
		partner.wait()
	}()
	if err != nil {
		return err
	}
	if o.Check {
		return check(ctx, d)
	}
	d.invite()
	ended := host
	select {
	case <-ctx.Done():
	case <-host.done:
	case <-partner.done:
		ended = partner
	}
	// Ctrl-C reaches the programs as well as us, and they may be faster.
	select {
	case <-ctx.Done():
		fmt.Fprintln(o.Out, "\nstopped")
		return nil
	case <-time.After(time.Second):
		return ended.failure()
	}
}

// demo is one demo on disk, with the addresses it runs at. Host and partner
// have different host names, so that their cookies never meet: cookies do not
// know about ports.
type demo struct {
	Options
	hostDir, partnerDir string
	hostURL, partnerURL string
}

func prepare(o Options) (*demo, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	o.Dir = dir
	if o.RuntimeDir != "" {
		if o.RuntimeDir, err = filepath.Abs(o.RuntimeDir); err != nil {
			return nil, err
		}
		if _, err := os.Stat(filepath.Join(o.RuntimeDir, "go.mod")); err != nil {
			return nil, &plan.Refusal{Exit: 2, What: fmt.Sprintf("--runtime-dir %s holds no Go module", o.RuntimeDir),
				Next: "Give the runtime directory of a Lockspire checkout, for example: --runtime-dir runtime"}
		}
	}
	if o.RuntimeDir == "" && !semver.IsValid(o.Version) {
		return nil, &plan.Refusal{Exit: 3, What: "this lockspire is a development build, which has no published runtime",
			Next: "lockspire demo --runtime-dir <lockspire checkout>/runtime"}
	}
	d := &demo{Options: o, hostDir: filepath.Join(dir, "fieldnotes"), partnerDir: filepath.Join(dir, "almanac")}
	hostPort, err := freePort("localhost", 7171)
	if err != nil {
		return nil, err
	}
	partnerPort, err := freePort("127.0.0.1", hostPort+1)
	if err != nil {
		return nil, err
	}
	d.hostURL = fmt.Sprintf("http://localhost:%d", hostPort)
	d.partnerURL = fmt.Sprintf("http://127.0.0.1:%d", partnerPort)
	return d, nil
}

// setUp writes both programs, installs into the host and builds.
func (d *demo) setUp(ctx context.Context) error {
	steps := []struct {
		say string
		run func(context.Context) error
	}{
		{"writing     a web app with users and sessions: " + d.shown(d.hostDir), d.writeHost},
		{"            a partner app, somebody else's:    " + d.shown(d.partnerDir), d.writePartner},
		{"installing  lockspire install --yes --migrations runtime; the plan it printed: " + d.shown(d.planFile()), d.install},
		{"filling in  what you would write by hand:" + d.listFilledIn(), d.fillIn},
		{"verifying   lockspire verify", d.verify},
		{"building    both programs (the first time takes a minute)", d.build},
	}
	for _, step := range steps {
		fmt.Fprintln(d.Out, step.say)
		if err := step.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) invite() {
	fmt.Fprintf(d.Out, `
  Partner app  %s   start here: "Sign in with Fieldnotes"
  Host         %s   the app that people have accounts in
  Username     %s
  Password     %s

  Take the access back at %s/lockspire/apps, then let the partner read again.
  Sources and logs are in %s. Ctrl-C stops both.
`, d.partnerURL, d.hostURL, username, password, d.hostURL, d.shown(d.Dir))
}

// shown is path as a person in this directory would type it.
func (d *demo) shown(path string) string {
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, path); err == nil && filepath.IsLocal(rel) {
			return rel
		}
	}
	return path
}

// startTimeout bounds how long a built program may take until it answers.
const startTimeout = 30 * time.Second
