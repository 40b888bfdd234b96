// Command lockspire makes a Go web application into an OAuth 2.1 and OpenID
// Connect provider, in its own repository.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/lockspire/lockspire/internal/plan"
)

// Exit codes, for every command. `lockspire help exit-codes` prints them.
const (
	exitOK          = 0
	exitFindings    = 1 // findings, refusals, or pending changes with --check
	exitUsage       = 2 // the command line is wrong
	exitEnvironment = 3 // something outside stopped it, or a question was left open
)

func main() {
	// An interrupt ends the command where it can stop; a second one ends the
	// process. plan.Apply looks after itself.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], newTerminal(os.Stdin, os.Stdout, os.Stderr)))
}

// run is the command without the process around it.
func run(ctx context.Context, args []string, t *terminal) int {
	root := newRoot(t)
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	t.done()
	if ctx.Err() != nil && err != nil {
		err = ctx.Err()
	}
	t.failure(command, err)
	return exitCode(err)
}

// newRoot builds the command tree; each command has a file of its own.
func newRoot(t *terminal) *cobra.Command {
	root := &cobra.Command{
		Use:   "lockspire",
		Short: "Make a Go web app an OAuth 2.1 and OpenID Connect provider",
		Example: `  lockspire install --dry-run      # what would be written, as a diff
  lockspire install                # show it, ask, write it
  lockspire verify                 # prove that wiring and seams are right
  lockspire upgrade                # take the next version, keep your edits`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringP("chdir", "C", "", "run as if started in `<dir>`")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return changeDir(cmd) }
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, "%v", err) })
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.err)
	root.SetHelpTemplate(helpTemplate)
	root.SetUsageTemplate(usageTemplate)
	root.SetHelpCommand(newHelp())
	root.AddCommand(
		newInstall(t), newVerify(t), newUpgrade(t), newDoctor(t),
		newClient(t), newKeys(t), newMigrate(t),
		newExplain(t), newVersion(t), newDemo(t),
		exitCodesTopic(), databaseTopic(),
	)
	return root
}

func changeDir(cmd *cobra.Command) error {
	dir, err := cmd.Flags().GetString("chdir")
	if err != nil || dir == "" {
		return err
	}
	if err := os.Chdir(dir); err != nil {
		return &plan.Refusal{Exit: exitEnvironment, What: fmt.Sprintf("-C %s: %v", dir, cause(err)), Next: "ls -ld " + dir}
	}
	return nil
}

// cause is the reason inside a *fs.PathError, whose text repeats the path.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// usageError is a wrong command line; the command's usage is shown with it.
type usageError struct {
	command *cobra.Command
	what    string
}

func (e *usageError) Error() string { return e.what }

func usage(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{cmd, fmt.Sprintf(format, args...)}
}

// shown ends a command with an exit code whose reason is already on stdout.
type shown int

func (s shown) Error() string { return fmt.Sprintf("exit %d", int(s)) }

// exitCode is the one place that turns errors into exit codes.
func exitCode(err error) int {
	var wrong *usageError
	var already shown
	refusals, refused := plan.AsRefusals(err)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled):
		return exitEnvironment
	case errors.As(err, &already):
		return int(already)
	case errors.As(err, &wrong):
		return exitUsage
	case refused:
		return refusals.ExitCode()
	}
	return exitEnvironment
}

// noArguments refuses arguments; for a command with subcommands an argument is
// a misspelt one.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !cmd.HasAvailableSubCommands() {
		return usage(cmd, "%s takes no argument, and got %q", cmd.CommandPath(), args[0])
	}
	cmd.SuggestionsMinimumDistance = 2
	what := fmt.Sprintf("%s has no command %q", cmd.CommandPath(), args[0])
	for i, name := range cmd.SuggestionsFor(args[0]) {
		if i == 0 {
			what += "; did you mean this?"
		}
		what += "\n\t" + cmd.CommandPath() + " " + name
	}
	return usage(cmd, "%s", what)
}

// group is a command that only has subcommands.
func group(cmd *cobra.Command, children ...*cobra.Command) *cobra.Command {
	cmd.Args = noArguments
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		what := "say which one:"
		for _, child := range children {
			what += "\n\t" + child.CommandPath()
		}
		return usage(cmd, "%s", what)
	}
	cmd.AddCommand(children...)
	return cmd
}
