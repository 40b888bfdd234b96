package main

import (
	"bytes"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lockspire/lockspire/internal/install"
	"github.com/lockspire/lockspire/templates"
)

func newInstall(t *terminal) *cobra.Command {
	var o install.Options
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Write an authorization server into this repository",
		Example: `  lockspire install --dry-run
  lockspire install
  lockspire install --yes --mount-path /auth --package internal/auth
  lockspire install --no-wire          # everything but the call in your router`,
		Long: `Reads the repository, shows what was found and what would be written, proves
that it compiles, asks, and writes all of it or nothing. Your own files get one
inserted call and one import, shown as a diff.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return runInstall(cmd, t, o) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.DryRun, "dry-run", false, "show the plan and write nothing")
	flags.BoolVar(&o.Check, "check", false, "exit 1 when something is to be done; write nothing")
	flags.BoolVar(&o.Yes, "yes", false, "do not ask before writing")
	flags.BoolVar(&o.NoWire, "no-wire", false, "write everything but the call in the router, and print that")
	flags.StringVar(&o.MountPath, "mount-path", "", "`<path>` of the endpoints (default /lockspire)")
	flags.StringVar(&o.Package, "package", "", "`<dir>` of the generated package (default internal/authserver)")
	flags.StringVar(&o.Issuer, "issuer", "", "`<url>` of the issuer; its path is the mount path")
	flags.StringVar(&o.Router, "router", "", "`<file:line>` of the router, where several are served")
	flags.StringVar(&o.Database, "database", "", "`<which>` database the tables go to: host, or separate for one of Lockspire's own (LOCKSPIRE_DATABASE_URL)")
	flags.StringVar(&o.Session, "session", "", "`<name>` of what tells who is signed in, where several things do; none for a stub")
	flags.StringVar(&o.Engine, "engine", "", "`<engine>` of the database where the host has both: sqlite or postgres")
	flags.StringVar(&o.Migrations, "migrations", "", "`<how>` the tables come: "+strings.Join(templates.MigrationTools, ", ")+", runtime (at start) or print")
	flags.StringVar(&o.MigrationsDir, "migrations-dir", "", "`<dir>` of the migrations")
	flags.StringVar(&o.MigrationsTable, "migrations-table", "", "`<table>` in which the migration tool keeps its versions")
	flags.StringVar(&o.Schema, "schema", "", "PostgreSQL `<schema>` of the lockspire_* tables")
	flags.BoolVar(&o.SchemaExists, "schema-exists", false, "the schema is there: no migration creates it")
	flags.StringVar(&o.LoginPath, "login-path", "", "`<path>` of the sign-in page")
	flags.BoolVar(&o.Sigra, "sigra-host", false, "comments speak of the current scope's User; code is the same")
	flags.StringVar(&o.HeaderFile, "header-file", "", "`<file>` with the license text that goes first in each new file")
	flags.StringVar(&o.RuntimeVersion, "runtime-version", "", "`<version>` of the runtime module, for development builds")
	flags.StringSliceVar(&o.Tags, "tags", nil, "build `<tags>`, separated by commas")
	flags.BoolVar(&o.AdoptExisting, "adopt-existing", false, "keep files that are in the way and record them as yours")
	flags.BoolVar(&o.AllowDirty, "allow-dirty", false, "change files with uncommitted changes too")
	flags.BoolVar(&o.AllowIgnored, "allow-ignored", false, "write files that git ignores too")
	flags.BoolVar(&o.NoVendor, "no-vendor", false, "leave vendor/ alone and print the command for it")
	flags.BoolVar(&o.RaiseGo, "raise-go", false, "raise the go line of go.mod where the runtime needs it")
	return cmd
}

func runInstall(cmd *cobra.Command, t *terminal, o install.Options) error {
	cli, runtimeVersion := versions()
	o.Version = cli
	if o.RuntimeVersion == "" {
		o.RuntimeVersion = runtimeVersion
	}
	o.In, o.Err, o.IsTerminal, o.Color, o.Progress = t.in, t.stderr(), t.asks, t.color, t.step
	// Without a person the result waits for the end, so that an interrupted
	// command leaves stdout empty. A person must see the plan before the question.
	var result bytes.Buffer
	o.Out = io.Writer(&result)
	if t.asks {
		o.Out = t.stdout()
	}
	err := install.Run(cmd.Context(), o)
	if err == nil || cmd.Context().Err() == nil {
		t.printf("%s", result.String())
	}
	return err
}
