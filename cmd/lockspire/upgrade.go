package main

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/lockspire/lockspire/internal/install"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/internal/upgrade"
)

// upgradeOptions is what the flags of `upgrade` fill.
type upgradeOptions struct {
	upgrade.Options
	json, undo, repair bool
}

func newUpgrade(t *terminal) *cobra.Command {
	var o upgradeOptions
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Render the managed files afresh and keep what you edited",
		Example: `  lockspire upgrade --dry-run   # what would change, as a diff
  lockspire upgrade             # show it, ask, write it
  lockspire upgrade --merge     # merge your edits of managed files with the new templates
  lockspire upgrade --undo      # take the last run back
  lockspire upgrade --check     # for CI: exit 1 when something is pending`,
		Long: `Files that you did not edit are replaced, files that you deleted stay deleted,
and files of yours are never touched. A managed file that you edited is kept
while its template stays the same; when both changed, nothing is written and
both differences are shown. --merge merges them; what contradicts each other
goes to .lockspire/conflicts and the file stays as it is.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && len(o.Restore) > 0 {
				return usage(cmd, "give the path with --restore=%s", args[0])
			}
			return noArguments(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, t) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.DryRun, "dry-run", false, "show what would change and write nothing")
	flags.BoolVar(&o.Check, "check", false, "exit 1 when something is pending; write nothing, use no network")
	flags.BoolVar(&o.Yes, "yes", false, "do not ask before writing")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	flags.BoolVar(&o.Merge, "merge", false, "merge files that both you and their templates changed")
	flags.BoolVar(&o.Partial, "partial", false, "write what can be written where some files are refused; still exit 1")
	flags.StringArrayVar(&o.Resolved, "resolved", nil, "managed file at `<path>` holds what its new template brings")
	flags.StringSliceVar(&o.Restore, "restore", nil, "write files again that you deleted: all managed ones, or --restore=`<path>`")
	flags.Lookup("restore").NoOptDefVal = "*"
	flags.StringArrayVar(&o.Set, "set", nil, "change a recorded input, as `<key=value>`")
	flags.BoolVar(&o.WriteStubs, "write-stubs", false, "write methods that the new runtime asks for into a new file of yours")
	flags.BoolVar(&o.NoRuntime, "no-runtime", false, "leave the runtime's version in go.mod alone")
	flags.BoolVar(&o.undo, "undo", false, "take back the last run, if none of its files changed since")
	flags.BoolVar(&o.repair, "repair-manifest", false, "write a lost or broken manifest again")
	flags.StringSliceVar(&o.Env.Tags, "tags", nil, "build `<tags>`, separated by commas")
	flags.BoolVar(&o.Env.AllowDirty, "allow-dirty", false, "change managed files with uncommitted changes too")
	flags.BoolVar(&o.Env.NoVendor, "no-vendor", false, "leave vendor/ alone and print the command for it")
	cmd.MarkFlagsMutuallyExclusive("undo", "repair-manifest")
	return cmd
}

func (o *upgradeOptions) run(cmd *cobra.Command, t *terminal) error {
	if o.DryRun && o.Check {
		return usage(cmd, "--dry-run and --check contradict each other: the one shows, the other only tells")
	}
	if o.undo {
		return o.runUndo(cmd.Context(), t)
	}
	asked := false
	o.CLIVersion, o.RuntimeVersion = versions()
	o.Progress, o.Recover = t.step, recoverInputs
	o.Warn = func(sentence string) { t.warnf("%s", sentence) }
	o.Confirm = func(ctx context.Context, r *upgrade.Report) (bool, error) {
		if o.Yes {
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
	}
	verb := upgrade.Run
	if o.repair {
		verb = upgrade.Repair
	}
	report, err := verb(cmd.Context(), o.Options)
	if err != nil && (report == nil || cmd.Context().Err() != nil) {
		return err
	}
	return o.show(t, report, asked, err)
}

// recoverInputs decides as a first install would, for a manifest that is lost.
func recoverInputs(ctx context.Context, root string, set map[string]string) (json.RawMessage, error) {
	in, err := install.Inputs(ctx, install.Options{
		Dir: root, Package: set["package"], MountPath: set["mount_path"], Issuer: set["issuer"], Engine: set["engine"], Schema: set["schema"],
		Migrations: set["migrations"], MigrationsDir: set["migrations_dir"], LoginPath: set["login_path"], Sigra: set["sigra_host"] == "true",
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(in)
}

// runUndo takes back the last run, of whatever command.
func (o *upgradeOptions) runUndo(ctx context.Context, t *terminal) error {
	root, err := upgrade.ModuleRoot(o.Dir)
	if err != nil {
		return err
	}
	p, err := plan.Undoable(root)
	if err != nil {
		return err
	}
	var listing bytes.Buffer
	if err := p.Write(&listing, plan.WriteOptions{Color: t.color}); err != nil {
		return err
	}
	if o.DryRun || o.Check {
		t.printf("%s", listing.String())
		return nil
	}
	if !o.Yes {
		if t.asks {
			t.warnf("%s", listing.String())
		}
		yes, err := t.confirm(ctx, "Take these changes back?", "--yes")
		if err != nil {
			return err
		}
		if !yes {
			return &plan.Refusal{Exit: exitFindings, What: "nothing was written, as you asked", Next: "lockspire upgrade --undo"}
		}
	}
	result, err := plan.Undo(root)
	if err != nil {
		return err
	}
	for _, note := range result.Notes {
		t.warnf("%s", note)
	}
	if o.json {
		return t.json(map[string]any{"undone": append(append(result.Created, result.Updated...), result.Deleted...)})
	}
	t.printf("Undone: %d written back, %d brought back, %d removed\n", len(result.Updated), len(result.Created), len(result.Deleted))
	return nil
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
		t.printf("%s%s%s\n", text.String(), map[bool]string{true: "\n"}[text.Len() > 0], o.headline(r, err)+r.Counts())
	}
	if err == nil && o.Check && r.Pending {
		return shown(exitFindings)
	}
	return err
}

func (o *upgradeOptions) headline(r *upgrade.Report, err error) string {
	switch {
	case err != nil && r.Applied != nil:
		return "Written in part: "
	case err != nil:
		return "Nothing was written; planned: "
	case !r.Pending:
		return "Up to date: "
	case r.Applied != nil && o.repair:
		return "Repaired: "
	case r.Applied != nil:
		return "Upgraded: "
	}
	return "Pending: "
}

func upgradeJSON(r *upgrade.Report) map[string]any {
	files, inputs, modules, notes := []map[string]any{}, []map[string]any{}, []map[string]any{}, []map[string]any{}
	counts := map[string]int{}
	for _, o := range r.Outcomes {
		files = append(files, map[string]any{"path": o.Path, "verdict": string(o.Verdict), "why": o.Why})
		counts[string(o.Verdict)]++
	}
	for _, c := range r.Inputs {
		inputs = append(inputs, map[string]any{"key": c.Key, "old": c.Old, "new": c.New, "why": c.Why})
	}
	for _, m := range r.Plan.Modules {
		modules = append(modules, map[string]any{"path": m.Path, "version": m.Version})
	}
	for _, n := range r.Notes {
		notes = append(notes, map[string]any{"path": n.Path, "text": n.Text, "hook": n.Hook, "diff": n.Diff})
	}
	return map[string]any{"pending": r.Pending && r.Applied == nil, "applied": r.Applied != nil, "files": files, "counts": counts,
		"inputs": inputs, "require": modules, "notes": notes}
}
