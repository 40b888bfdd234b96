package main

import (
	"bytes"
	"slices"

	"github.com/spf13/cobra"

	"github.com/lockspire/lockspire/internal/verify"
)

func newVerify(t *terminal) *cobra.Command {
	var o verify.Options
	var format string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove that wiring, seams, migrations and managed files are right",
		Example: `  lockspire verify
  lockspire verify --json
  lockspire explain LS101    # what a finding means`,
		Long: `Loads the repository once and reports each finding as file:line:col with a fix.
Errors give exit code 1; what only a test can decide is reported as unproven and
never fails.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				format = verify.FormatJSON
			}
			if !slices.Contains([]string{verify.FormatText, verify.FormatJSON}, format) {
				return usage(cmd, "--format %q is not {text | json}", format)
			}
			if cli, _ := versions(); cli != developmentBuild {
				o.CLIVersion = cli
			}
			t.step("loading the module")
			report, err := verify.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			var text bytes.Buffer
			if err := report.Write(&text, format); err != nil {
				return err
			}
			t.printf("%s", text.String())
			for _, note := range report.Notes {
				t.warnf("note: %s", note)
			}
			if code := report.ExitCode(); code != exitOK {
				return shown(code)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", verify.FormatText, "`{text | json}`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: --format json")
	cmd.Flags().StringSliceVar(&o.Tags, "tags", nil, "build `<tags>`, separated by commas")
	return cmd
}
