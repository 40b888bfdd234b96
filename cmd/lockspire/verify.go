package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/internal/verify"
)

type verifyOptions struct {
	verify.Options
	formats                 []string
	json                    bool
	failOn                  string
	strict, strictLoad      bool
	baseline                string
	writeBaseline           bool
	fix, dirtyOK, ignoredOK bool
	timeout                 time.Duration
}

func newVerify(t *terminal) *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove that wiring, seams, migrations and managed files are right",
		Example: `  lockspire verify
  lockspire verify --json
  lockspire verify --format text --format sarif=lockspire.sarif
  lockspire verify --baseline .lockspire-baseline.json --write-baseline
  lockspire verify --fix
  lockspire explain LS101    # what a finding means`,
		Long: `Loads the repository once and reports each finding as file:line:col with a fix.
Errors give exit code 1; what only a test can decide is reported as unproven and
fails with --strict alone. Exit code 3 means that nothing could be said.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return runVerify(cmd, t, o) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.formats, "format", nil, "`{text | json | sarif | github}`, with =<file> into a file; may be repeated")
	flags.BoolVar(&o.json, "json", false, "print JSON: --format json")
	flags.StringVar(&o.failOn, "fail-on", string(verify.Error), "least `{error | warning | info}` that gives exit code 1")
	flags.BoolVar(&o.strict, "strict", false, "exit code 1 for what is unproven, too")
	flags.BoolVar(&o.strictLoad, "strict-load", false, "exit code 3 when packages of the host do not compile")
	flags.StringVar(&o.baseline, "baseline", "", "`<file>` of known findings, which pass")
	flags.BoolVar(&o.writeBaseline, "write-baseline", false, "write what is found now into the --baseline file, and keep its reasons")
	flags.BoolVar(&o.NoSuppress, "no-suppress", false, "ignore //lockspire:ignore comments")
	flags.BoolVar(&o.fix, "fix", false, "make the fixes that are safe to make unseen")
	flags.BoolVar(&o.dirtyOK, "allow-dirty", false, "let --fix change files with uncommitted changes")
	flags.BoolVar(&o.ignoredOK, "allow-ignored", false, "let --fix write files that git ignores")
	flags.DurationVar(&o.timeout, "timeout", 0, "give up after `<duration>`, such as 2m; 0 is never")
	flags.StringSliceVar(&o.Tags, "tags", nil, "build `<tags>`, separated by commas")
	return cmd
}

func runVerify(cmd *cobra.Command, t *terminal, o verifyOptions) error {
	outputs, err := o.outputs(cmd)
	if err != nil {
		return err
	}
	if cli, _ := versions(); cli != developmentBuild {
		o.CLIVersion = cli
	}
	report, err := o.report(cmd.Context(), t)
	if err != nil {
		return errors.Join(err, outputs.failed(cmd.Context(), t, o.CLIVersion, err))
	}
	if err := outputs.write(t, report); err != nil {
		return err
	}
	for _, note := range report.Notes {
		t.warnf("note: %s", note)
	}
	if n := len(report.LoadErrors); o.strictLoad && n > 0 {
		t.warnf("error: --strict-load: packages of the host do not compile\n    go build ./...")
		return shown(exitEnvironment)
	}
	if code := report.ExitCode(verify.Severity(o.failOn), o.strict); code != exitOK {
		return shown(code)
	}
	return nil
}

// report is the outcome after fixes and with the baseline laid over it.
func (o *verifyOptions) report(ctx context.Context, t *terminal) (verify.Report, error) {
	old, err := o.readBaseline()
	if err != nil {
		return verify.Report{}, err
	}
	t.step("loading the module")
	report, err := o.load(ctx)
	if err != nil {
		return report, err
	}
	if o.fix {
		if report, err = o.applyFixes(ctx, t, report); err != nil {
			return report, err
		}
	}
	switch {
	case o.writeBaseline:
		return report, o.rewriteBaseline(t, &report, old)
	case o.baseline != "":
		known, err := verify.ParseBaseline(report.Name(o.baseline), old)
		if err != nil {
			return report, err
		}
		report.Accept(known)
	}
	return report, nil
}

// grace is how long a run that was told to stop may take to clean up after itself.
const grace = 2 * time.Second

// load runs verify, and no longer than --timeout.
func (o *verifyOptions) load(parent context.Context) (verify.Report, error) {
	ctx, cancel := parent, context.CancelFunc(func() {})
	if o.timeout > 0 {
		ctx, cancel = context.WithTimeout(parent, o.timeout)
	}
	defer cancel()
	type outcome struct {
		report verify.Report
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		report, err := verify.Run(ctx, o.Options)
		done <- outcome{report, err}
	}()
	var got outcome
	select {
	case got = <-done:
	case <-ctx.Done():
		select {
		case got = <-done:
		case <-time.After(grace): // type checking cannot be told to stop
			got.err = ctx.Err()
		}
	}
	switch {
	case got.err == nil || ctx.Err() == nil:
		return got.report, got.err
	case parent.Err() != nil:
		return verify.Report{}, parent.Err()
	}
	return verify.Report{}, &plan.Refusal{Exit: exitEnvironment, What: fmt.Sprintf("verify was not done after %s (--timeout), so nothing is said about this host", o.timeout),
		Next: fmt.Sprintf("lockspire verify --timeout %s", 2*o.timeout)}
}

// applyFixes makes the safe fixes and looks again, so that what is reported is what is there.
func (o *verifyOptions) applyFixes(ctx context.Context, t *terminal, report verify.Report) (verify.Report, error) {
	fixes, err := report.Fixes()
	if err != nil {
		return report, err
	}
	for _, d := range fixes.Dropped {
		t.warnf("not fixed: %s:%d: %s [%s]: %s", d.File, d.Line, d.Message, d.Rule, d.Why)
	}
	if len(fixes.Fixed) == 0 {
		t.warnf("--fix: nothing here is safe to fix unseen")
		return report, nil
	}
	if err := fixes.Plan.Write(t.stderr(), plan.WriteOptions{}); err != nil {
		return report, err
	}
	t.step("checking that the fixes compile")
	result, err := fixes.Apply(ctx, plan.Env{Tags: o.Tags, AllowDirty: o.dirtyOK, AllowIgnored: o.ignoredOK})
	if err != nil {
		return report, err
	}
	for _, note := range result.Notes {
		t.warnf("%s", note)
	}
	for _, f := range fixes.Fixed {
		t.warnf("fixed: %s:%d: %s [%s]", f.File, f.Line, f.Message, f.Rule)
	}
	t.step("loading the module again")
	return o.load(ctx)
}

// readBaseline returns the bytes of the --baseline file, nil where it may be missing.
func (o *verifyOptions) readBaseline() ([]byte, error) {
	if o.baseline == "" {
		return nil, nil
	}
	data, err := os.ReadFile(o.baseline)
	switch {
	case errors.Is(err, fs.ErrNotExist) && o.writeBaseline:
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, &plan.Refusal{Exit: exitEnvironment, Path: o.baseline, What: "there is no such baseline",
			Next: "lockspire verify --baseline " + o.baseline + " --write-baseline"}
	case err != nil:
		return nil, &plan.Refusal{Exit: exitEnvironment, Path: o.baseline, What: "the baseline cannot be read: " + cause(err).Error(), Next: "ls -l " + o.baseline}
	}
	return data, nil
}

func (o *verifyOptions) rewriteBaseline(t *terminal, report *verify.Report, old []byte) error {
	name := report.Name(o.baseline)
	var known *verify.Baseline
	var err error
	if old != nil {
		if known, err = verify.ParseBaseline(name, old); err != nil {
			return err // its reasons would be lost
		}
	}
	data, n, err := report.NewBaseline(known)
	if err != nil {
		return err
	}
	if !bytes.Equal(data, old) {
		if err := plan.WriteFile(o.baseline, data); err != nil {
			return cannotWrite(o.baseline, err)
		}
	}
	t.warnf("%s lists %d known findings", o.baseline, n)
	if known, err = verify.ParseBaseline(name, data); err != nil {
		return err
	}
	report.Accept(known)
	return nil
}

func cannotWrite(name string, err error) error {
	return &plan.Refusal{Exit: exitEnvironment, Path: name, What: "the file cannot be written: " + cause(err).Error(), Next: "ls -ld " + filepath.ToSlash(filepath.Dir(name))}
}

// output is one --format: a format, and a file or "" for stdout.
type output struct{ format, file string }

type outputs []output

// outputs reads --format and --json and the flags that go with others.
func (o *verifyOptions) outputs(cmd *cobra.Command) (outputs, error) {
	list := slices.Clone(o.formats)
	if o.json {
		list = append(list, verify.FormatJSON)
	}
	if len(list) == 0 {
		list = []string{verify.FormatText}
	}
	var out outputs
	for _, text := range list {
		format, file, named := strings.Cut(text, "=")
		switch {
		case !slices.Contains(verify.Formats, format):
			return nil, usage(cmd, "--format %q is not {%s}", format, strings.Join(verify.Formats, " | "))
		case named && file == "":
			return nil, usage(cmd, "--format %s= names no file", format)
		}
		if slices.ContainsFunc(out, func(x output) bool { return x.file == file }) {
			return nil, usage(cmd, "two formats go to %s; write one to a file: --format %s=<file>", orStdout(file), format)
		}
		out = append(out, output{format, file})
	}
	switch {
	case !slices.Contains([]string{"error", "warning", "info"}, o.failOn):
		return nil, usage(cmd, "--fail-on %q is not {error | warning | info}", o.failOn)
	case o.writeBaseline && o.baseline == "":
		return nil, usage(cmd, "--write-baseline needs --baseline <file>")
	case o.timeout < 0:
		return nil, usage(cmd, "--timeout %s is negative", o.timeout)
	case (o.dirtyOK || o.ignoredOK) && !o.fix:
		return nil, usage(cmd, "--allow-dirty and --allow-ignored go with --fix")
	}
	return out, nil
}

func orStdout(file string) string {
	if file == "" {
		return "stdout"
	}
	return file
}

// write prints the report in every format. All are made before one is written, and stdout comes last.
func (x outputs) write(t *terminal, report verify.Report) error {
	texts := make([]bytes.Buffer, len(x))
	for i, out := range x {
		if err := report.Write(&texts[i], out.format); err != nil {
			return err
		}
	}
	for i, out := range x {
		if out.file == "" {
			continue
		}
		if err := plan.WriteFile(out.file, texts[i].Bytes()); err != nil {
			return cannotWrite(out.file, err)
		}
	}
	for i, out := range x {
		if out.file != "" {
			continue
		}
		t.printf("%s", texts[i].String())
		if out.format == verify.FormatGitHub { // annotations are cut; the log of the step has all
			if err := report.Write(t.stderr(), verify.FormatText); err != nil {
				return err
			}
		}
	}
	return nil
}

// failed writes into the files that there is no report; stdout gets it with the error. An interrupted run says nothing.
func (x outputs) failed(ctx context.Context, t *terminal, tool string, err error) error {
	refusals := t.refusals(err)
	for _, out := range x {
		if out.file == "" || ctx.Err() != nil {
			continue
		}
		var text bytes.Buffer
		if err := verify.WriteFailure(&text, out.format, tool, refusals); err != nil {
			return err
		}
		if err := plan.WriteFile(out.file, text.Bytes()); err != nil {
			return cannotWrite(out.file, err)
		}
	}
	return nil
}
