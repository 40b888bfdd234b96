package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// Help shows examples before prose: most people want a line to copy.
const helpTemplate = `{{.Short}}.
{{if .HasExample}}
Examples:
{{.Example}}
{{end}}{{with .Long}}
{{. | trimTrailingWhitespaces}}
{{end}}{{if or .Runnable .HasSubCommands}}
{{.UsageString}}{{end}}`

// usageTemplate is shown with a wrong command line as well, so it is short.
const usageTemplate = `Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} <command>{{else}}{{.UseLine}}{{end}}
{{if .HasAvailableSubCommands}}
Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{end}}{{if .HasHelpSubCommands}}
Topics:{{range .Commands}}{{if .IsAdditionalHelpTopicCommand}}
  {{rpad .CommandPath .CommandPathPadding}} {{.Short}}{{end}}{{end}}
{{end}}{{if .HasAvailableLocalFlags}}
Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if .HasAvailableInheritedFlags}}
Flags of every command:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}
Exit codes: lockspire help exit-codes
`

// newHelp replaces cobra's own, which ends with 0 for a topic that is not
// there.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about a command or topic",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 || found == nil {
				return usage(cmd.Root(), "there is no help about %q", strings.Join(args, " "))
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

func exitCodesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit code of a command says",
		Long: `Every command ends with one of these:

  0  fine
  1  findings or refusals: something in the repository or the database is not
     as it must be, or --check found pending changes
  2  the command line is wrong
  3  the environment stopped it (no Go, no database, no permission, an
     interrupt), or a question was left open because there is no terminal and
     no flag answered it

A command that does not end with 0 leaves the repository as it was, byte for
byte.`,
	}
}

func databaseTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "database-url",
		Short: "How to name the database",
		Example: `  --database-url postgres://app@db.example:5432/app?sslmode=verify-full
  --database-url sqlite:app.db
  --database-url 'file:app.db?_pragma=busy_timeout(5000)'
  LOCKSPIRE_DATABASE_URL=sqlite:/var/lib/app/app.db lockspire client list`,
		Long: `The commands client, keys and migrate work on the database of the host. Give it with
--database-url or, to keep the password out of the process list, in the
environment variable LOCKSPIRE_DATABASE_URL. --schema names the PostgreSQL
schema of the lockspire_* tables, if they are not in the default one.

A connection string is never printed, also not in errors.`,
	}
}
