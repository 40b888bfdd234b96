package main

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockspire/lockspire/internal/doctor"
	"github.com/lockspire/lockspire/internal/plan"
)

func newDoctor(t *terminal) *cobra.Command {
	var asJSON bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "doctor <issuer>",
		Short: "Ask a running issuer what its clients will ask",
		Example: `  lockspire doctor https://app.example/lockspire
  lockspire doctor http://localhost:8080/lockspire --json
  lockspire explain LS610    # what a finding means`,
		Long: `Reads the metadata and keys of a running issuer and tries its endpoints from
outside, as clients and strangers do. It works with any OpenID provider, sends no
credentials and changes nothing. Errors give exit code 1.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, "give the issuer, as clients are given it")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			t.step("asking the issuer")
			report, err := doctor.Run(ctx, doctor.Options{Issuer: args[0]})
			if err != nil {
				return doctorFailure(cmd, args[0], timeout, err)
			}
			var text bytes.Buffer
			write := report.Text
			if asJSON {
				write = report.JSON
			}
			if err := write(&text); err != nil {
				return err
			}
			t.printf("%s", text.String())
			if code := report.ExitCode(); code != exitOK {
				return shown(code)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "give up after `<duration>`")
	return cmd
}

func doctorFailure(cmd *cobra.Command, issuer string, timeout time.Duration, err error) error {
	var unreachable *doctor.UnreachableError
	switch {
	case errors.Is(err, doctor.ErrNoURL):
		return usage(cmd, "%v", err) // its text may hold a password
	case errors.Is(err, context.DeadlineExceeded):
		return &plan.Refusal{Exit: exitEnvironment, What: "the issuer did not answer everything within " + timeout.String(), Next: "lockspire doctor --timeout 2m " + issuer}
	case errors.As(err, &unreachable):
		return &plan.Refusal{Exit: exitEnvironment, What: err.Error(), Next: "curl -v " + unreachable.URL}
	}
	return err
}
