package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	lockspire "github.com/lockspire/lockspire/runtime"
	"github.com/lockspire/lockspire/runtime/migrations"
)

const (
	developmentBuild = "(devel)"
	runtimeModule    = "github.com/lockspire/lockspire/runtime"
)

// buildVersions returns the version of this command, and that of the runtime
// module it was built with ("" for a development build). Only what the module
// proxy delivered has a version that others can get: a local build, whatever
// its checkout says, has not.
func buildVersions() (cli, runtimeVersion string) {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Sum == "" {
		return developmentBuild, ""
	}
	for _, dep := range info.Deps {
		if dep.Path == runtimeModule && dep.Replace == nil {
			runtimeVersion = dep.Version
		}
	}
	return info.Main.Version, runtimeVersion
}

// versions is buildVersions, except in scripts that play another version.
var versions = buildVersions

func newVersion(t *terminal) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show the versions of the command, the runtime and its schema",
		Example: "  lockspire version\n  lockspire version --json",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			cli, _ := versions()
			if asJSON {
				return t.json(map[string]any{"lockspire": cli, "runtime": lockspire.Version, "schema": migrations.Latest, "go": runtime.Version()})
			}
			t.printf("lockspire %s\nruntime   %s, schema %d\ngo        %s\n", cli, lockspire.Version, migrations.Latest, runtime.Version())
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
