package plan

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/tools/go/packages"
)

// view is one way of looking at the host: as it is, or as the plan would leave it.
type view struct {
	root    string            // of the module; a shadow tree has its own
	overlay map[string][]byte // by absolute path
	env     []string
	flags   []string
	owned   []string // roots of the main modules, whose function bodies count
	remove  []string // temporary directories
}

func (v *view) close() error {
	var errs []error
	for _, dir := range v.remove {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// load type-checks the packages. Dependencies come from source with function
// bodies dropped: that is fast on a cold build cache too, and a newer Go cannot
// break it as it breaks export data.
func (v *view) load(ctx context.Context, patterns ...string) ([]*packages.Package, error) {
	cfg := &packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedDeps |
			packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesSizes | packages.NeedModule |
			packages.NeedEmbedFiles,
		Context: ctx, Dir: v.root, Env: v.env, BuildFlags: v.flags, Overlay: v.overlay, Fset: token.NewFileSet(),
		ParseFile: v.parse,
	}
	pkgs, err := packages.Load(cfg, patterns...)
	if err == nil {
		return pkgs, nil
	}
	if ctx.Err() != nil {
		return nil, &Refusal{Exit: 3, What: "interrupted; nothing was written"}
	}
	text := firstLines(strings.ReplaceAll(err.Error(), v.root+string(filepath.Separator), ""))
	if _, said, ok := strings.Cut(text, "stderr: go: "); ok {
		text = said // go/packages puts its own words before those of the go command
	}
	next := "go list ./..."
	if strings.Contains(text, "GOTOOLCHAIN=local") {
		next = "export GOTOOLCHAIN=auto   # or put a newer Go on PATH"
	}
	return nil, &Refusal{Exit: 3, Path: "go.mod", What: "the packages cannot be loaded: " + text, Next: next}
}

func (v *view) parse(fset *token.FileSet, name string, src []byte) (*ast.File, error) {
	if v.owns(name) {
		return parser.ParseFile(fset, name, src, parser.AllErrors|parser.SkipObjectResolution)
	}
	f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if f != nil {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				fn.Body = nil
			}
		}
	}
	return f, err
}

func (v *view) owns(name string) bool {
	return slices.ContainsFunc(v.owned, func(root string) bool {
		return within(root, name) && !within(filepath.Join(root, "vendor"), name)
	})
}

// before is the host as it is.
func (h *host) before(ctx context.Context) (*view, error) {
	v, err := h.newView(ctx)
	if err != nil {
		return nil, err
	}
	return v, h.useWork(v)
}

// after is the host with the plan laid over it. The go command reads everything
// through an overlay except vendor/modules.txt, so with vendor/ the plan is
// written into a shadow tree instead.
func (h *host) after(ctx context.Context, p *Plan) (*view, error) {
	v, err := h.newView(ctx)
	if err != nil {
		return nil, err
	}
	if slices.Contains(v.flags, "-mod=vendor") {
		return v, h.shadow(v, p)
	}
	v.overlay = map[string][]byte{}
	for _, c := range p.ordered() {
		v.overlay[filepath.Join(h.root, filepath.FromSlash(c.Path))] = overlaid(&c)
	}
	return v, h.useWork(v)
}

// overlaid is the content of a change in an overlay, which cannot say "deleted":
// a Go file that no build uses stands for it.
func overlaid(c *Change) []byte {
	switch {
	case c.After != nil:
		return c.After
	case strings.HasSuffix(c.Path, ".go"):
		return []byte("//go:build ignore\n\npackage ignore\n")
	default:
		return []byte{}
	}
}

func (h *host) newView(ctx context.Context) (*view, error) {
	mode, err := h.modMode(ctx)
	if err != nil {
		return nil, err
	}
	env := h.env.environ()
	if !withoutCompiler(env) {
		cgo, err := h.run(ctx, h.root, []string{"GOWORK=off"}, "env", "CGO_ENABLED")
		if err != nil {
			return nil, err
		}
		env = WithoutCompiler(env, strings.TrimSpace(string(cgo)))
	}
	v := &view{root: h.root, env: slices.Clone(env), flags: []string{"-mod=" + mode}, owned: []string{h.root}}
	if len(h.env.Tags) > 0 {
		v.flags = append(v.flags, "-tags="+strings.Join(h.env.Tags, ","))
	}
	return v, nil
}

// modMode honours -mod of GOFLAGS, but for "mod": that one writes go.mod.
func (h *host) modMode(ctx context.Context) (string, error) {
	flags, err := h.goflags(ctx)
	if err != nil {
		return "", err
	}
	mode := ""
	for flag := range strings.FieldsSeq(flags) {
		if value, ok := strings.CutPrefix(strings.TrimLeft(flag, "-"), "mod="); ok {
			mode = value
		}
	}
	if h.vendorDir != "" && !h.env.NoVendor && (mode == "" || mode == "vendor") {
		return "vendor", nil
	}
	return "readonly", nil
}

// useWork points GOWORK at a copy of go.work outside the host: loading in a
// workspace writes go.work.sum beside it.
func (h *host) useWork(v *view) error {
	if h.strangerWork {
		v.env = append(v.env, "GOWORK=off")
	}
	if h.work == nil || slices.Contains(v.flags, "-mod=vendor") {
		return nil // with vendor/ nothing is downloaded and nothing summed
	}
	dir, err := os.MkdirTemp("", "lockspire-work-")
	if err != nil {
		return fmt.Errorf("make a temporary directory: %w", err)
	}
	v.remove = append(v.remove, dir)
	return h.copyWork(v, dir, func(abs string) string { return abs })
}

// copyWork writes go.work and go.work.sum into dir, with each directory that
// they name given to place, and makes it the workspace of v.
func (h *host) copyWork(v *view, dir string, place func(abs string) string) error {
	raw, err := os.ReadFile(h.workFile)
	if err != nil {
		return fmt.Errorf("read go.work: %w", err)
	}
	work, err := modfile.ParseWork("go.work", raw, nil)
	if err != nil {
		return modRefusal("go.work", err)
	}
	var uses []*modfile.Use
	for _, u := range work.Use {
		abs := place(absolute(h.workDir, u.Path))
		v.owned = append(v.owned, abs)
		uses = append(uses, &modfile.Use{Path: filepath.ToSlash(abs), ModulePath: u.ModulePath})
	}
	work.SetUse(uses)
	for _, r := range slices.Clone(work.Replace) {
		if r.New.Version == "" {
			if err := work.AddReplace(r.Old.Path, r.Old.Version, place(absolute(h.workDir, r.New.Path)), ""); err != nil {
				return fmt.Errorf("copy go.work: %w", err)
			}
		}
	}
	work.Cleanup()
	name := filepath.Join(dir, "go.work")
	if err := replaceFile(name, modfile.Format(work.Syntax)); err != nil {
		return err
	}
	sums, err := os.ReadFile(h.workFile + ".sum")
	if err == nil {
		err = replaceFile(name+".sum", sums)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	v.env = append(v.env, "GOWORK="+name)
	return err
}

// replaceFile writes a file of ours whose name may be a link into the host.
func replaceFile(name string, data []byte) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
