package upgrade

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/plan"
)

// requireRuntime plans the requirement of the runtime that the new templates
// need. A host that is ahead, or replaces the module, is left alone.
func (w *work) requireRuntime(version string) error {
	required, replaced, err := requirement(w.root)
	if err != nil {
		return err
	}
	enough := semver.IsValid(required) && semver.Compare(required, version) >= 0
	switch {
	case replaced && required == "":
		// The replace directive alone brings nothing into the build.
		w.plan.Modules = append(w.plan.Modules, plan.Module{Path: hostrepo.RuntimeModule, Version: unpublished, Replaced: true})
		w.next.Runtime = unpublished
	case replaced, !semver.IsValid(version):
	case enough:
		w.next.Runtime = required
	case w.NoRuntime:
		w.blockers = append(w.blockers, &plan.Refusal{Exit: 1, Path: "go.mod",
			What: fmt.Sprintf("these templates need the runtime at %s, go.mod has %s, and --no-runtime leaves it there", version, cmp.Or(required, "none")),
			Next: "lockspire upgrade"})
	default:
		w.plan.Modules = append(w.plan.Modules, plan.Module{Path: hostrepo.RuntimeModule, Version: version})
		w.next.Runtime = version
	}
	return nil
}

// unpublished is the version in the require line of a module that is replaced.
const unpublished = "v0.0.0-00010101000000-000000000000"

// requirement reads what the host's go.mod says of the runtime.
func requirement(root string) (version string, replaced bool, err error) {
	data, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return "", false, &plan.Refusal{Exit: 3, Path: "go.mod", What: fmt.Sprintf("cannot be read: %v", errors.Unwrap(err)), Next: "ls -l go.mod"}
	}
	file, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		refusal := &plan.Refusal{Exit: 3, Path: "go.mod", What: fmt.Sprintf("does not parse: %v", err), Next: "go mod edit -json"}
		var list modfile.ErrorList
		if errors.As(err, &list) && len(list) > 0 {
			refusal.Line, refusal.Col, refusal.What = list[0].Pos.Line, list[0].Pos.LineRune, fmt.Sprintf("does not parse: %v", list[0].Err)
		}
		return "", false, refusal
	}
	for _, r := range file.Replace {
		replaced = replaced || r.Old.Path == hostrepo.RuntimeModule
	}
	for _, r := range file.Require {
		if r.Mod.Path == hostrepo.RuntimeModule {
			version = r.Mod.Version
		}
	}
	return version, replaced, nil
}
