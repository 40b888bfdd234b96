package hostrepo

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/lockspire/lockspire/internal/plan"
)

// module is the module that a run is about, and how to load it.
type module struct {
	dir, root, path string
	goVersion       string
	env             []string
	workspace       string // go.work in effect
	vendored        bool
	modFlag         string // -mod flag to add, "" when the environment's or the default is right
	notes           []string
	facts           GoMod
	goenv           map[string]string
	requires        []string
	overlay         map[string][]byte
}

// findModule finds the nearest enclosing module and asks the go command how it would load it.
func findModule(ctx context.Context, opts Options) (*module, error) {
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", opts.Dir, err)
	}
	m := &module{dir: dir, env: opts.Env, overlay: opts.Overlay}
	if m.env == nil {
		m.env = os.Environ()
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, plan.Refusals{{Exit: 2, What: fmt.Sprintf("there is no directory %s", opts.Dir), Next: opts.again("<dir>")}}
	}
	m.root = FindRoot(dir)
	if m.root == "" {
		return nil, m.noModule(ctx, opts)
	}
	data, err := m.readFile(filepath.Join(m.root, "go.mod"))
	if err != nil {
		return nil, fmt.Errorf("read go.mod: %w", err)
	}
	if marks := conflictMarkers(data); len(marks) > 0 {
		return nil, conflictRefusals("go.mod", marks)
	}
	if err := m.parseGoMod(data); err != nil {
		return nil, err
	}
	goenv, err := m.goEnv(ctx)
	if err != nil {
		return nil, err
	}
	m.goVersion, m.goenv = goenv["GOVERSION"], goenv
	if err := m.checkGo(); err != nil {
		return nil, err
	}
	if err := m.useWorkspace(goenv["GOWORK"]); err != nil {
		return nil, err
	}
	m.chooseMod(goenv["GOFLAGS"])
	m.env = plan.WithoutCompiler(m.env, goenv["CGO_ENABLED"])
	return m, nil
}

// again is the command in another directory.
func (o Options) again(dir string) string {
	return cmp.Or(o.Command, "lockspire install") + " -C " + dir
}

// FindRoot returns the directory of the nearest go.mod at or above dir, "" for none. It reads nothing else, so that a
// caller can look for an interrupted run before it loads what may be half written.
func FindRoot(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	for dir = abs; ; {
		if st, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil && !st.IsDir() {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}

// noModule explains why there is nothing to work on: a workspace root names its modules.
func (m *module) noModule(ctx context.Context, opts Options) error {
	goenv, err := m.goEnv(ctx)
	if err != nil {
		return err
	}
	work := goenv["GOWORK"]
	if work == "" || work == "off" {
		return plan.Refusals{{Exit: 3, What: "there is no go.mod here or in a directory above", Next: opts.again("<module directory>")}}
	}
	dirs, err := m.workspaceDirs(work)
	if err != nil {
		return err
	}
	var next []string
	for _, d := range dirs {
		rel, err := filepath.Rel(m.dir, d)
		if err != nil {
			rel = d
		}
		next = append(next, opts.again(filepath.ToSlash(rel)))
	}
	return plan.Refusals{{
		Exit: 3, Path: "go.work",
		What: fmt.Sprintf("this is the root of a workspace with %d modules and is no module itself; say which one is meant", len(dirs)),
		Next: strings.Join(next, "\n"),
	}}
}

func (m *module) parseGoMod(data []byte) error {
	f, err := modfile.ParseLax("go.mod", data, nil)
	if err != nil || f.Module == nil {
		r := &plan.Refusal{Exit: 3, Path: "go.mod", What: "does not parse", Next: "go mod edit -json"}
		var list modfile.ErrorList
		if errors.As(err, &list) && len(list) > 0 {
			r.Line, r.Col = list[0].Pos.Line, list[0].Pos.LineRune
			r.What += ": " + list[0].Err.Error()
		}
		return plan.Refusals{r}
	}
	m.path = f.Module.Mod.Path
	if f.Go != nil {
		m.facts.Go = f.Go.Version
	}
	for _, req := range f.Require {
		m.requires = append(m.requires, req.Mod.Path)
		if req.Mod.Path == RuntimeModule {
			m.facts.RuntimeVersion = req.Mod.Version
		}
		if req.Mod.Path == "github.com/mattn/go-sqlite3" {
			m.facts.MattnSQLite, m.facts.MattnLine = req.Mod.Version, req.Syntax.Start.Line
		}
	}
	// ParseLax leaves out the lines that matter in the main module only, and this is one.
	full, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		return nil // a directive newer than this CLI knows; the go command judges it
	}
	if full.Toolchain != nil {
		m.facts.Toolchain = full.Toolchain.Name
	}
	for _, rep := range full.Replace {
		if rep.Old.Path == RuntimeModule {
			m.facts.RuntimeReplace = strings.TrimSpace(rep.New.Path + " " + rep.New.Version)
		}
	}
	for _, g := range full.Godebug {
		if g.Key == "httpmuxgo121" && g.Value == "1" {
			m.facts.ServeMux121 = true
		}
	}
	return nil
}

// goEnv asks the go command in the host's directory, so that its toolchain choice is the one that counts.
func (m *module) goEnv(ctx context.Context) (map[string]string, error) {
	dir := m.root
	if dir == "" {
		dir = m.dir
	}
	cmd := exec.CommandContext(ctx, "go", "env", "-json", "GOVERSION", "GOWORK", "GOFLAGS", "GOOS", "GOARCH", "CGO_ENABLED")
	cmd.Dir, cmd.Env = dir, append(m.env[:len(m.env):len(m.env)], "PWD="+dir)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r := &plan.Refusal{Exit: 3, What: "the go command does not run here: " + err.Error(), Next: "go version"}
		if text := goMessage(stderr.String()); text != "" {
			r.What = "the go command does not run here: " + text
			if m.facts.Go != "" {
				r.Path = "go.mod"
				r.What = fmt.Sprintf("go.mod asks for Go %s, and the go command could not switch to it: %s", m.facts.Go, text)
				r.Next = "install Go " + m.facts.Go + " or newer, or set GOTOOLCHAIN=auto with the network on"
			}
		}
		return nil, plan.Refusals{r}
	}
	env := map[string]string{}
	if err := json.Unmarshal(out.Bytes(), &env); err != nil {
		return nil, fmt.Errorf("read go env: %w", err)
	}
	return env, nil
}

// checkGo refuses a module that is newer than the go command, or newer than the Go this program was built with.
func (m *module) checkGo() error {
	if m.facts.Go == "" {
		return nil
	}
	want := "go" + m.facts.Go
	if version.IsValid(m.goVersion) && version.Compare(want, m.goVersion) > 0 {
		return plan.Refusals{{
			Exit: 3, Path: "go.mod",
			What: fmt.Sprintf("go.mod says go %s, and the go command here is %s and may not fetch another", m.facts.Go, m.goVersion),
			Next: "export GOTOOLCHAIN=auto    # or put Go " + m.facts.Go + " or newer on PATH",
		}}
	}
	if built := runtime.Version(); version.IsValid(built) && version.Compare(version.Lang(want), version.Lang(built)) > 0 {
		return plan.Refusals{{
			Exit: 3, Path: "go.mod",
			What: fmt.Sprintf("go.mod says go %s, and this lockspire was built with %s and does not know that language", m.facts.Go, built),
			Next: "go install github.com/lockspire/lockspire/cmd/lockspire@latest    # with Go " + m.facts.Go + " or newer",
		}}
	}
	return nil
}

// chooseMod keeps every load from writing go.mod: -mod=mod from the environment is overridden, vendor/ is honoured.
func (m *module) chooseMod(goflags string) {
	vendor := filepath.Join(m.root, "vendor", "modules.txt")
	if m.workspace != "" {
		vendor = filepath.Join(filepath.Dir(m.workspace), "vendor", "modules.txt")
	}
	_, err := os.Stat(vendor)
	have := err == nil
	mod := ""
	for _, f := range strings.Fields(goflags) {
		if v, ok := strings.CutPrefix(strings.TrimLeft(f, "-"), "mod="); ok {
			mod = v
		}
	}
	switch {
	case mod == "vendor":
		m.vendored = true
	case mod == "" && have && version.Compare("go"+m.facts.Go, "go1.14") >= 0:
		m.vendored = true // the go command's own default
	default:
		m.modFlag = "-mod=readonly"
	}
}

// build is what the loader decides by which files there are.
func (m *module) build(tags []string) build {
	b := build{goos: m.goenv["GOOS"], goarch: m.goenv["GOARCH"], cgo: m.goenv["CGO_ENABLED"] == "1", tags: slices.Clone(tags)}
	for flag := range strings.FieldsSeq(m.goenv["GOFLAGS"]) {
		if list, ok := strings.CutPrefix(strings.TrimLeft(flag, "-"), "tags="); ok && len(tags) == 0 {
			b.tags = strings.Split(list, ",")
		}
	}
	return b
}

func (m *module) buildFlags(tags []string) []string {
	var flags []string
	if m.modFlag != "" {
		flags = append(flags, m.modFlag)
	}
	if len(tags) > 0 {
		flags = append(flags, "-tags="+strings.Join(tags, ","))
	}
	return flags
}

var goModLine = regexp.MustCompile(`errors parsing (?:\S*/)?go\.mod:\s+(?:\S*/)?go\.mod:(\d+): (.*)`)

// loadRefusal turns a failure of the whole load into one with a way out.
func (m *module) loadRefusal(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	text := err.Error()
	r := &plan.Refusal{Exit: 3, What: "the go command cannot list the packages of this module: " + goMessage(text), Next: "go list ./..."}
	switch {
	case strings.Contains(text, "inconsistent vendoring"):
		r.Path, r.What, r.Next = "vendor/modules.txt", "vendor/ does not agree with go.mod", "go mod vendor"
		if m.workspace != "" {
			r.Next = "go work vendor"
		}
	case strings.Contains(text, "updates to go.mod needed"):
		r.Path, r.What, r.Next = "go.mod", "go.mod is not up to date with the code", "go mod tidy"
	case goModLine.MatchString(text): // in what ParseLax lets pass
		at := goModLine.FindStringSubmatch(text)
		r.Path, r.What, r.Next = "go.mod", "does not parse: "+at[2], "go mod edit -json"
		r.Line, _ = strconv.Atoi(at[1])
	case strings.Contains(text, "missing go.sum entry"):
		r.Path, r.What, r.Next = "go.sum", "lacks a checksum that go.mod calls for", "go mod tidy"
	}
	return plan.Refusals{r}
}

func (m *module) readFile(name string) ([]byte, error) {
	if b, ok := m.overlay[name]; ok {
		return b, nil
	}
	return os.ReadFile(name)
}

// goMessage is what the go command said, on one line, out of the error of the package loader.
func goMessage(s string) string {
	_, said, ok := strings.Cut(s, "stderr: ")
	if !ok {
		said = s
	}
	return strings.Join(strings.Fields(said), " ")
}

// parsePosition reads the "file:line:col" of the go command and the type checker.
func (r *Repo) parsePosition(s string) Position {
	var p Position
	rest := s
	for i := 0; i < 2; i++ {
		j := strings.LastIndexByte(rest, ':')
		if j < 0 {
			break
		}
		n, err := strconv.Atoi(rest[j+1:])
		if err != nil {
			break
		}
		p.Line, p.Col = n, p.Line
		rest = rest[:j]
	}
	if rest == "" || rest == "-" {
		return Position{}
	}
	if !filepath.IsAbs(rest) {
		rest = filepath.Join(r.ModuleRoot, rest)
	}
	p.File = r.rel(rest)
	return p
}
