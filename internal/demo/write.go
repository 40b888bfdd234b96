package demo

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/lockspire/lockspire/internal/install"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/internal/verify"
	"github.com/lockspire/lockspire/templates"
)

// The programs live below names that the go command passes over, with their
// go.mod and go.sum under other names: a directory with a go.mod cannot be
// embedded.
//
//go:embed all:_host all:_partner all:_filled
var sources embed.FS

// marker says that a directory holds a demo and may be replaced.
const marker = ".lockspire-demo"

// clear makes Dir an empty demo directory, unless something else is in it.
func (d *demo) clear() error {
	entries, err := os.ReadDir(d.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(d.Dir, marker)); err != nil {
			return &plan.Refusal{Exit: 1, What: fmt.Sprintf("%s is not empty and holds no demo; nothing was written", d.shown(d.Dir)),
				Next: "lockspire demo --dir <new directory>"}
		}
		// The marker goes last, so that an interrupted removal can be repeated.
		for _, entry := range entries {
			if entry.Name() != marker {
				if err := os.RemoveAll(filepath.Join(d.Dir, entry.Name())); err != nil {
					return err
				}
			}
		}
	}
	if err := os.MkdirAll(d.Dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(d.Dir, marker), []byte("Written by `lockspire demo`, which replaces this directory.\n"), 0o644)
}

func (d *demo) writeHost(ctx context.Context) error {
	if err := d.clear(); err != nil {
		return err
	}
	if err := write("_host", d.hostDir); err != nil {
		return err
	}
	if d.RuntimeDir == "" {
		return nil
	}
	return d.goCommand(ctx, d.hostDir, "mod", "edit", "-replace=github.com/lockspire/lockspire/runtime="+d.RuntimeDir)
}

func (d *demo) writePartner(context.Context) error { return write("_partner", d.partnerDir) }

// write copies an embedded program into dir.
func write(name, dir string) error {
	return fs.WalkDir(sources, name, func(from string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := sources.ReadFile(from)
		if err != nil {
			return err
		}
		relative := strings.TrimPrefix(from, name+"/")
		if base := path.Base(relative); base == "go.mod.txt" || base == "go.sum.txt" {
			relative = strings.TrimSuffix(relative, ".txt")
		}
		to := filepath.Join(dir, filepath.FromSlash(relative))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, content, 0o644)
	})
}

// install is `lockspire install --yes --migrations runtime` in the host.
func (d *demo) install(ctx context.Context) error {
	log, err := os.Create(d.planFile())
	if err != nil {
		return err
	}
	defer log.Close()
	return install.Run(ctx, install.Options{
		Dir: d.hostDir, Migrations: templates.MigrationsRuntime, Yes: true, Version: d.Version,
		Env: d.environment(), Out: log, Err: log,
	})
}

// planFile is where the plan that install prints is kept.
func (d *demo) planFile() string { return filepath.Join(d.Dir, "install.txt") }

// environment is what the go command runs in: the demo may lie below a
// repository whose go.work does not know it.
func (d *demo) environment() []string { return append(os.Environ(), "GOWORK=off") }

// edit is one change that a person makes after install: a piece of a file, for
// another.
type edit struct{ file, old, new string }

// edits declare a scope, guard the app's API with it, and link to the
// authorized apps.
var edits = []edit{
	{"internal/authserver/config.go",
		`{Name: "email", Title: "See your e-mail address"},
`,
		`{Name: "email", Title: "See your e-mail address"},
			{Name: "notes:read", Title: "Read your notes", Description: "See every note you have written, but not change any."},
`},
	{"router.go",
		`	if _, err := authserver.Mount(mux, authserver.Host{DB: db}); err != nil {
		return nil, err
	}
`,
		`	provider, err := authserver.Mount(mux, authserver.Host{DB: db})
	if err != nil {
		return nil, err
	}

	// Partners call this one, with an access token.
	mux.Handle("GET /api/notes", provider.Protect(lockspire.RequireScope("notes:read"))(http.HandlerFunc(a.apiNotes)))
`},
	{"router.go",
		`	"example.com/fieldnotes/internal/authserver"
`,
		`	"example.com/fieldnotes/internal/authserver"

	lockspire "github.com/lockspire/lockspire/runtime"
`},
	{"pages/home.html",
		`<span>{{.Name}}</span>
`,
		`<span>{{.Name}}</span>
<a href="/lockspire/apps">Connected apps</a>
`},
}

// fillIn does by hand what install leaves to a person.
func (d *demo) fillIn(context.Context) error {
	if err := write("_filled", d.hostDir); err != nil {
		return err
	}
	for _, e := range edits {
		name := filepath.Join(d.hostDir, filepath.FromSlash(e.file))
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if n := bytes.Count(content, []byte(e.old)); n != 1 {
			return fmt.Errorf("demo: %s holds %d times, not once:\n%s", e.file, n, e.old)
		}
		if err := os.WriteFile(name, bytes.Replace(content, []byte(e.old), []byte(e.new), 1), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// verify is `lockspire verify` in the host, which has nothing to say once the
// seams are filled in.
func (d *demo) verify(ctx context.Context) error {
	report, err := verify.Run(ctx, verify.Options{Dir: d.hostDir, Env: d.environment()})
	if err != nil || report.ExitCode(verify.Error, false) == 0 {
		return err
	}
	var text bytes.Buffer
	if err := report.Write(&text, verify.FormatText); err != nil {
		return err
	}
	return &plan.Refusal{Exit: 1, What: "lockspire verify has findings in " + d.shown(d.hostDir), Next: text.String()}
}

func (d *demo) listFilledIn() string {
	var names []string
	fs.WalkDir(sources, "_filled", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, strings.TrimPrefix(name, "_filled/"))
		}
		return err
	})
	for _, e := range edits {
		names = append(names, e.file)
	}
	var list strings.Builder
	seen := map[string]bool{}
	for _, name := range names {
		if !seen[name] {
			list.WriteString("\n              " + name)
		}
		seen[name] = true
	}
	return list.String()
}
