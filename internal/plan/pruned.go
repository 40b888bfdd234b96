package plan

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/modfile"
)

// pruned is the go line from which on go.mod lists every module that provides a
// package to the main module, so that the graph can be pruned
// (https://go.dev/ref/mod#graph-pruning).
const pruned = "1.17"

// complete adds the requirements that a go line raised past 1.17 demands, at the
// versions that the module graph selects already. Which they are the go command
// says, on a copy of go.mod in the temporary directory; requirements that it
// would move or drop stay as they are.
func (r *resolver) complete(ctx context.Context) error {
	if g := r.host.mod.Go; g != nil && !olderGo(g.Version, pruned) {
		return nil
	}
	mod, sum := filepath.Join(r.down.dir, "complete.mod"), filepath.Join(r.down.dir, "complete.sum")
	if err := os.WriteFile(mod, r.mod, 0o666); err != nil {
		return err
	}
	if err := os.WriteFile(sum, r.sum, 0o666); err != nil {
		return err
	}
	flags, err := r.host.goflags(ctx, "mod", "modfile", "overlay")
	if err != nil {
		return err
	}
	// Tidy knows of the other platforms too, but needs modules that only tests of dependencies import: without a network
	// what this platform builds has to do. -e: packages that do not build, or that are generated, are no concern of go.mod.
	run := func(args ...string) error {
		_, err := r.host.run(ctx, r.host.root, []string{"GOWORK=off", "GOFLAGS=" + flags}, args...)
		return err
	}
	if run("mod", "tidy", "-e", "-modfile="+mod) != nil {
		if err := run("list", "-e", "-mod=mod", "-modfile="+mod, "-deps", "-test", "./..."); err != nil {
			return fmt.Errorf("complete the requirements for the raised go line: %w", err)
		}
	}
	full, err := os.ReadFile(mod)
	if err != nil {
		return err
	}
	after, err := modfile.Parse("go.mod", full, nil)
	if err != nil {
		return modRefusal("go.mod", err)
	}
	for _, need := range after.Require {
		if _, listed := r.have(need.Mod.Path); listed || r.got[need.Mod.Path] != nil {
			continue
		}
		if r.mod, err = setRequire(r.mod, requirement{need.Mod, need.Indirect}); err != nil {
			return err
		}
	}
	return r.completeSums(sum)
}

// completeSums takes over the checksums that the go command found on the way.
func (r *resolver) completeSums(name string) error {
	raw, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var add []sumLine
	for line := range bytes.Lines(raw) {
		if s, ok := parseSumLine(line); ok {
			add = append(add, s)
		}
	}
	r.sum = addSums(r.sum, add)
	return nil
}
