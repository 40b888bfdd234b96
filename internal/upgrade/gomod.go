package upgrade

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"

	"github.com/lockspire/lockspire/internal/plan"
)

// runtimeModule is the module that generated code imports.
const runtimeModule = "github.com/lockspire/lockspire/runtime"

// requireRuntime plans the requirement of the runtime that the new templates
// need. A host that is ahead, or replaces the module, is left alone.
func (w *work) requireRuntime(version string) error {
	if !semver.IsValid(version) {
		return nil
	}
	required, replaced, err := requirement(w.root)
	if err != nil {
		return err
	}
	switch {
	case replaced:
	case semver.IsValid(required) && semver.Compare(required, version) >= 0:
		w.next.Runtime = required
	default:
		w.plan.Modules = append(w.plan.Modules, plan.Module{Path: runtimeModule, Version: version})
		w.next.Runtime = version
	}
	return nil
}

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
		replaced = replaced || r.Old.Path == runtimeModule
	}
	for _, r := range file.Require {
		if r.Mod.Path == runtimeModule {
			version = r.Mod.Version
		}
	}
	return version, replaced, nil
}
