package hostrepo

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/modfile"

	"github.com/lockspire/lockspire/internal/plan"
)

// useWorkspace decides what to do with a go.work: one that does not list this module is left out (golang/go#49632).
func (m *module) useWorkspace(work string) error {
	if work == "" || work == "off" {
		return nil
	}
	dirs, err := m.workspaceDirs(work)
	if err != nil {
		return err
	}
	root, err := filepath.EvalSymlinks(m.root)
	if err != nil {
		root = m.root
	}
	listed := false
	for _, d := range dirs {
		if real, err := filepath.EvalSymlinks(d); err == nil && real == root {
			listed = true
		}
		if data, err := os.ReadFile(filepath.Join(d, "go.mod")); err == nil && modfile.ModulePath(data) == RuntimeModule {
			m.facts.RuntimeUsed = true
		}
	}
	if !listed {
		m.facts.RuntimeUsed = false
		m.env = append(m.env[:len(m.env):len(m.env)], "GOWORK=off")
		m.notes = append(m.notes, "a go.work above this module does not list it; loading with GOWORK=off")
		return nil
	}
	m.workspace = work
	return nil
}

func (m *module) workspaceDirs(work string) ([]string, error) {
	data, err := m.readFile(work)
	if err != nil {
		return nil, fmt.Errorf("read go.work: %w", err)
	}
	f, err := modfile.ParseWork(work, data, nil)
	if err != nil {
		return nil, plan.Refusals{{Exit: 3, Path: "go.work", What: "go.work does not parse: " + err.Error(), Next: "go work edit -json"}}
	}
	var dirs []string
	for _, u := range f.Use {
		d := filepath.FromSlash(u.Path)
		if !filepath.IsAbs(d) {
			d = filepath.Join(filepath.Dir(work), d)
		}
		dirs = append(dirs, d)
	}
	return dirs, nil
}

// loadEnv returns the environment for the package load. In a workspace it points GOWORK at a copy, because the go
// command writes go.work.sum beside the real one even when it only lists packages.
func (m *module) loadEnv() (env []string, cleanup func(), err error) {
	none := func() {}
	if m.workspace == "" || m.vendored {
		return m.env, none, nil
	}
	data, err := m.readFile(m.workspace)
	if err != nil {
		return nil, none, fmt.Errorf("read go.work: %w", err)
	}
	f, err := modfile.ParseWork(m.workspace, data, nil)
	if err != nil {
		return nil, none, fmt.Errorf("parse go.work: %w", err)
	}
	base := filepath.Dir(m.workspace)
	for _, u := range append([]*modfile.Use(nil), f.Use...) {
		if !filepath.IsAbs(filepath.FromSlash(u.Path)) {
			old := u.Path
			if err := f.AddUse(filepath.ToSlash(filepath.Join(base, filepath.FromSlash(old))), ""); err != nil {
				return nil, none, fmt.Errorf("copy go.work: %w", err)
			}
			if err := f.DropUse(old); err != nil {
				return nil, none, fmt.Errorf("copy go.work: %w", err)
			}
		}
	}
	for _, r := range append([]*modfile.Replace(nil), f.Replace...) {
		if modfile.IsDirectoryPath(r.New.Path) && !filepath.IsAbs(filepath.FromSlash(r.New.Path)) {
			abs := filepath.ToSlash(filepath.Join(base, filepath.FromSlash(r.New.Path)))
			if err := f.AddReplace(r.Old.Path, r.Old.Version, abs, ""); err != nil {
				return nil, none, fmt.Errorf("copy go.work: %w", err)
			}
		}
	}
	f.Cleanup()
	tmp, err := os.MkdirTemp("", "lockspire-work-")
	if err != nil {
		return nil, none, fmt.Errorf("copy go.work: %w", err)
	}
	cleanup = func() { os.RemoveAll(tmp) }
	work := filepath.Join(tmp, "go.work")
	if err := os.WriteFile(work, modfile.Format(f.Syntax), 0o600); err != nil {
		cleanup()
		return nil, none, fmt.Errorf("copy go.work: %w", err)
	}
	if sum, err := os.ReadFile(m.workspace + ".sum"); err == nil {
		if err := os.WriteFile(work+".sum", sum, 0o600); err != nil {
			cleanup()
			return nil, none, fmt.Errorf("copy go.work.sum: %w", err)
		}
	}
	return append(m.env[:len(m.env):len(m.env)], "GOWORK="+work), cleanup, nil
}
