package plan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

// host is what Resolve and Check need to know about the module besides the plan:
// its go.mod and how the go command sees it from there.
type host struct {
	root   string
	env    Env
	mod    *modfile.File
	modRaw []byte
	// work is the go.work that lists this module, nil outside a workspace.
	work     *modfile.WorkFile
	workDir  string
	workFile string
	// strangerWork is a go.work in effect that does not list this module.
	strangerWork bool
	// vendorDir is the vendor directory in use, "" when there is none.
	vendorDir string
}

// openHost reads go.mod, and go.work if one is in effect.
func openHost(ctx context.Context, root string, env Env) (*host, error) {
	h := &host{root: root, env: env}
	raw, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, &Refusal{Exit: 3, Path: "go.mod", What: "cannot be read: " + cause(err), Next: "lockspire install -C <module directory>"}
	}
	h.modRaw = raw
	h.mod, err = modfile.Parse("go.mod", raw, nil)
	if err != nil {
		return nil, modRefusal("go.mod", err)
	}
	if err := h.findWork(ctx); err != nil {
		return nil, err
	}
	dir := root
	if h.work != nil {
		dir = h.workDir
	}
	if exists(filepath.Join(dir, "vendor", "modules.txt")) {
		h.vendorDir = filepath.Join(dir, "vendor")
	}
	return h, nil
}

// modRefusal carries the position of a go.mod or go.work that does not parse.
func modRefusal(path string, err error) *Refusal {
	r := &Refusal{Exit: 3, Path: path, What: "does not parse: " + err.Error(), Next: "go mod edit -fmt"}
	var list modfile.ErrorList
	if errors.As(err, &list) && len(list) > 0 {
		r.Line, r.Col = list[0].Pos.Line, list[0].Pos.LineRune
		r.What = "does not parse: " + list[0].Err.Error()
	}
	return r
}

// findWork asks the go command which workspace is in effect: GOWORK may be in
// the environment, in go env -w, or a file further up.
func (h *host) findWork(ctx context.Context) error {
	out, err := h.run(ctx, h.root, nil, "env", "GOWORK")
	if err != nil {
		return err
	}
	name := strings.TrimSpace(string(out))
	if name == "" || name == "off" {
		return nil
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return &Refusal{Exit: 3, What: "the go.work in effect cannot be read: " + cause(err), Next: "go env GOWORK"}
	}
	work, err := modfile.ParseWork("go.work", raw, nil)
	if err != nil {
		return modRefusal("go.work", err)
	}
	dir := filepath.Dir(name)
	listed := slices.ContainsFunc(work.Use, func(u *modfile.Use) bool { return sameDir(absolute(dir, u.Path), h.root) })
	if !listed {
		h.strangerWork = true
		return nil
	}
	h.work, h.workDir, h.workFile = work, dir, name
	return nil
}

func absolute(dir, path string) string {
	path = filepath.FromSlash(path)
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

func sameDir(a, b string) bool {
	if a == b {
		return true
	}
	ia, erra := os.Stat(a)
	ib, errb := os.Stat(b)
	return erra == nil && errb == nil && os.SameFile(ia, ib)
}

// replacement is where the go command takes a module from instead.
type replacement struct {
	dir string         // absolute directory, or
	mod module.Version // another module
	old module.Version // the left side as written: Version may be empty
	raw module.Version // the right side as vendor/modules.txt names it
}

// used reports a module that go.work lists beside the host's own.
func (r replacement) used() bool { return r.dir != "" && r.raw.Path == "" }

// replaced finds what replaces m: go.work wins over go.mod, a version over none.
func (h *host) replaced(m module.Version) (replacement, bool) {
	if h.work != nil {
		for _, u := range h.work.Use {
			dir := absolute(h.workDir, u.Path)
			if raw, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && modfile.ModulePath(raw) == m.Path {
				return replacement{dir: dir}, true
			}
		}
		if r, ok := pickReplace(h.work.Replace, h.workDir, m); ok {
			return r, true
		}
	}
	r, ok := pickReplace(h.mod.Replace, h.root, m)
	if ok && h.work != nil && r.dir != "" && !filepath.IsAbs(r.raw.Path) {
		if rel, err := filepath.Rel(h.workDir, r.dir); err == nil {
			r.raw.Path = filepath.ToSlash(rel)
			if r.raw.Path != ".." && !strings.HasPrefix(r.raw.Path, "../") {
				r.raw.Path = "./" + r.raw.Path
			}
		}
	}
	return r, ok
}

func pickReplace(list []*modfile.Replace, base string, m module.Version) (replacement, bool) {
	var found *modfile.Replace
	for _, r := range list {
		if r.Old.Path == m.Path && (r.Old.Version == m.Version || r.Old.Version == "" && found == nil) {
			found = r
		}
	}
	if found == nil {
		return replacement{}, false
	}
	out := replacement{old: found.Old, raw: found.New, mod: found.New}
	if found.New.Version == "" {
		out.mod, out.dir = module.Version{}, absolute(base, found.New.Path)
	}
	return out, true
}

// run runs the go command in dir. Its stderr becomes the error.
func (h *host) run(ctx context.Context, dir string, extra []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(slices.Clone(h.env.environ()), append([]string{"PWD=" + dir}, extra...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		return out, nil
	}
	if ctx.Err() != nil {
		return nil, &Refusal{Exit: 3, What: "interrupted; nothing was written"}
	}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return nil, &Refusal{Exit: 3, What: "there is no go command on PATH", Next: "https://go.dev/doc/install"}
	}
	return out, &goError{args: args, stderr: strings.TrimSpace(stderr.String()), err: err}
}

// goError is a go command that failed by itself.
type goError struct {
	args   []string
	stderr string
	err    error
}

func (e *goError) Error() string {
	if e.stderr == "" {
		return fmt.Sprintf("go %s: %v", e.args[0], e.err)
	}
	return fmt.Sprintf("go %s: %s", e.args[0], e.stderr)
}

func (e *goError) Unwrap() error { return e.err }

// goflags is GOFLAGS as the go command sees it, without the flags named.
func (h *host) goflags(ctx context.Context, without ...string) (string, error) {
	out, err := h.run(ctx, h.root, []string{"GOWORK=off"}, "env", "GOFLAGS")
	if err != nil {
		return "", err
	}
	keep := slices.DeleteFunc(strings.Fields(string(out)), func(flag string) bool {
		name, _, _ := strings.Cut(strings.TrimLeft(flag, "-"), "=")
		return slices.Contains(without, name)
	})
	return strings.Join(keep, " "), nil
}
