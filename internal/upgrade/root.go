package upgrade

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/semver"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
)

// plannedRoot finds the module and sees to what an interrupted run left there.
func plannedRoot(o Options) (string, error) {
	root, err := ModuleRoot(o.Dir)
	if err != nil {
		return "", err
	}
	if pending, err := plan.Pending(root); err != nil || !pending {
		return root, err
	}
	if o.DryRun || o.Check {
		return "", plan.PendingRefusal("lockspire upgrade")
	}
	result, err := plan.Recover(root)
	if err != nil {
		return "", err
	}
	o.Warn("an earlier run was interrupted while it wrote; it was finished first")
	for _, note := range result.Notes {
		o.Warn(note)
	}
	return root, nil
}

// ModuleRoot returns the absolute directory of the go.mod that dir belongs to.
func ModuleRoot(dir string) (string, error) {
	if dir == "" {
		dir = "."
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", &plan.Refusal{Exit: 3, What: fmt.Sprintf("the current directory is gone: %v", err), Next: "cd into the module"}
	}
	if info, err := os.Stat(abs); err != nil || !info.IsDir() {
		return "", &plan.Refusal{Exit: 3, What: fmt.Sprintf("%s is not a directory", filepath.ToSlash(dir)), Next: "give -C the directory of the module"}
	}
	if root := hostrepo.FindRoot(abs); root != "" {
		return root, nil
	}
	return "", &plan.Refusal{Exit: 3, What: "there is no go.mod in this directory or above it", Next: "run lockspire inside the host's module, or give its directory with -C"}
}

// refuseDowngrade stops a command that would render files older than the ones
// that are there.
func refuseDowngrade(cli, generator string) error {
	if !semver.IsValid(cli) || !semver.IsValid(generator) || semver.Compare(cli, generator) >= 0 {
		return nil
	}
	return &plan.Refusal{Exit: 1, Path: manifest.Path,
		What: fmt.Sprintf("lockspire %s generated these files and this is lockspire %s: it would take changes back", generator, cli),
		Next: "go run github.com/lockspire/lockspire/cmd/lockspire@" + generator + " upgrade"}
}
