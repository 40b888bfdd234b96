package plan

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// shadow makes a second tree of hard links with the plan written into it and
// points v there.
func (h *host) shadow(v *view, p *Plan) error {
	tmp, err := os.MkdirTemp("", "lockspire-shadow-")
	if err != nil {
		return fmt.Errorf("make a temporary directory: %w", err)
	}
	v.remove = append(v.remove, tmp)
	if tmp, err = filepath.EvalSymlinks(tmp); err != nil {
		return err
	}
	base := h.root
	if h.work != nil {
		base = h.workDir
	}
	to := filepath.Join(tmp, filepath.Base(base))
	if err := linkTree(base, to); err != nil {
		return fmt.Errorf("make a shadow tree: %w", err)
	}
	place := func(abs string) string {
		rel, err := filepath.Rel(base, abs)
		if err != nil || !filepath.IsLocal(rel) {
			return abs // a module outside the workspace's directory stays where it is
		}
		return filepath.Join(to, rel)
	}
	v.root = place(h.root)
	v.owned = []string{v.root}
	for _, c := range p.ordered() {
		name := filepath.Join(v.root, filepath.FromSlash(c.Path))
		if c.After == nil {
			if err := os.Remove(name); err != nil {
				return fmt.Errorf("make a shadow tree: %w", err)
			}
			continue
		}
		if err := replaceFile(name, c.After); err != nil {
			return fmt.Errorf("make a shadow tree: %w", err)
		}
	}
	if h.work != nil {
		return h.copyWork(v, to, place)
	}
	if h.strangerWork {
		v.env = append(v.env, "GOWORK=off")
	}
	return nil
}

// linkTree links every file below from into to, except what no build reads.
func linkTree(from, to string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == stateDir):
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(target, 0o777)
		case d.Type()&fs.ModeSymlink != 0:
			return linkSymlink(name, target)
		case !d.Type().IsRegular():
			return nil
		}
		return linkFile(name, target)
	})
}

// linkSymlink keeps a symbolic link working from its new place.
func linkSymlink(name, target string) error {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil // it dangles in the host too
	}
	return os.Symlink(real, target)
}

// linkFile falls back, where the temporary directory is on another file system,
// to a symbolic link, and to a copy where go:embed would refuse one.
func linkFile(name, target string) error {
	if os.Link(name, target) == nil {
		return nil
	}
	if strings.HasSuffix(name, ".go") && os.Symlink(name, target) == nil {
		return nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return os.WriteFile(target, data, 0o666)
}
