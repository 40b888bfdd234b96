package main

import (
	"github.com/spf13/cobra"

	"github.com/lockspire/lockspire/internal/demo"
)

func newDemo(t *terminal) *cobra.Command {
	var o demo.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a small host and a partner app that signs in with it",
		Example: `  lockspire demo            # click through it in a browser
  lockspire demo --check    # the same without a person; exits at the end`,
		Long: `Writes a small web app with users and sessions into a directory, installs into
it, fills in what a person would write by hand, and runs it on SQLite beside a
partner app. An earlier demo in that directory is replaced.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Version, _ = versions()
			o.Out = t.out
			return demo.Run(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Dir, "dir", "lockspire-demo", "`<dir>` to write both apps into")
	flags.BoolVar(&o.Check, "check", false, "drive the demo without a browser, print each step, exit")
	flags.StringVar(&o.RuntimeDir, "runtime-dir", "", "`<dir>` of a runtime checkout, for development builds")
	return cmd
}
