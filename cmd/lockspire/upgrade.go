package main

import (
	"bytes"
	"context"

	"github.com/spf13/cobra"

	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/internal/upgrade"
)

// upgradeOptions is what the flags of `upgrade` fill.
type upgradeOptions struct {
	dryRun, check, yes, json bool
	env                      plan.Env
}

func newUpgrade(t *terminal) *cobra.Command {
	var o upgradeOptions
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Render the managed files afresh and keep what you edited",
		Example: `  lockspire upgrade --dry-run   # what would change, as a diff
  lockspire upgrade             # show it, ask, write it
  lockspire upgrade --check     # for CI: exit 1 when something is pending`,
		Long: `Files that you did not edit are replaced, files that you deleted stay deleted,
and files of yours are never touched. A managed file that you edited is kept
while its template stays the same; when both changed, nothing is written and
both differences are shown.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, t) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.dryRun, "dry-run", false, "show what would change and write nothing")
	flags.BoolVar(&o.check, "check", false, "exit 1 when something is pending; write nothing, use no network")
	flags.BoolVar(&o.yes, "yes", false, "do not ask before writing")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	flags.BoolVar(&o.env.AllowDirty, "allow-dirty", false, "change managed files with uncommitted changes too")
	flags.BoolVar(&o.env.NoVendor, "no-vendor", false, "leave vendor/ alone and print the command for it")
	return cmd
}

func (o *upgradeOptions) run(cmd *cobra.Command, t *terminal) error {
	if o.dryRun && o.check {
		return usage(cmd, "--dry-run and --check contradict each other: the one shows, the other only tells")
	}
	cli, runtimeVersion := versions()
	asked := false
	report, err := upgrade.Run(cmd.Context(), upgrade.Options{
		CLIVersion: cli, RuntimeVersion: runtimeVersion, DryRun: o.dryRun, Check: o.check, Env: o.env, Progress: t.step,
		Warn: func(sentence string) { t.warnf("%s", sentence) },
		Confirm: func(ctx context.Context, r *upgrade.Report) (bool, error) {
			if o.yes {
				return true, nil
			}
			var text bytes.Buffer
			if err := r.Write(&text); err != nil {
				return false, err
			}
			asked = t.asks
			if asked {
				t.warnf("%s", text.String())
			}
			return t.confirm(ctx, "Write these changes?", "--yes")
		},
	})
	if err != nil && (report == nil || cmd.Context().Err() != nil) {
		return err
	}
	return o.show(t, report, asked, err)
}

// show prints the result: also beside a refusal, whose diffs are in it.
func (o *upgradeOptions) show(t *terminal, r *upgrade.Report, asked bool, err error) error {
	if o.json {
		if err != nil {
			return err
		}
		if err := t.json(upgradeJSON(r)); err != nil {
			return err
		}
	} else {
		var text bytes.Buffer
		if !asked {
			if err := r.Write(&text); err != nil {
				return err
			}
		}
		t.printf("%s%s%s\n", text.String(), map[bool]string{true: "\n"}[text.Len() > 0], headline(r, err)+r.Counts())
	}
	if err == nil && o.check && r.Pending {
		return shown(exitFindings)
	}
	return err
}

func headline(r *upgrade.Report, err error) string {
	switch {
	case err != nil:
		return "Nothing was written; planned: "
	case !r.Pending:
		return "Up to date: "
	case r.Applied != nil:
		return "Upgraded: "
	}
	return "Pending: "
}

func upgradeJSON(r *upgrade.Report) map[string]any {
	files := []map[string]any{}
	for _, o := range r.Outcomes {
		files = append(files, map[string]any{"path": o.Path, "verdict": string(o.Verdict), "why": o.Why})
	}
	modules := []map[string]any{}
	for _, m := range r.Plan.Modules {
		modules = append(modules, map[string]any{"path": m.Path, "version": m.Version})
	}
	return map[string]any{"pending": r.Pending && r.Applied == nil, "applied": r.Applied != nil, "files": files, "require": modules}
}
