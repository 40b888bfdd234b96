package install

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// I78, I79: what is installed is recognised, and never installed a second time.
func TestI78AndI79InstalledAlready(t *testing.T) {
	repo := muxHost(t)
	repo.Mounts = []hostrepo.Mount{{Package: "example.com/app/internal/idp", Callee: "Mount", Position: at3("web.go", 15)}}
	_, err := decideOn(t, repo, Options{})
	refused(t, err, 1, "web.go:15:3", "installed already, as example.com/app/internal/idp", "--package internal/idp")

	repo.Mounts[0].Package = "example.com/app/internal/authserver"
	repo.Routers[0].Routes = append(repo.Routers[0].Routes, route("POST", "/lockspire/token", 30)) // ours, as hostrepo sees it
	if j := decided(t, repo, Options{}); !j.wired() {
		t.Error("the hand-written call is not recognised")
	}
}

func TestI80SecondRunTakesItsDecisionsFromTheManifest(t *testing.T) {
	repo := muxHost(t)
	repo.Mounts = []hostrepo.Mount{{Package: "example.com/app/internal/authserver", Callee: "Mount"}}
	in := decided(t, repo, Options{}).in
	m := &manifest.Manifest{Schema: manifest.Schema, Runtime: unpublished}
	if err := m.SetInputs(in); err != nil {
		t.Fatal(err)
	}
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	write(t, repo, manifest.Path, string(data))

	repo.Routers[0].Database = nil // a fact has changed: upgrade's business
	if j := decided(t, repo, Options{}); j.in != in || j.router != nil {
		t.Errorf("inputs are %+v, router %v", j.in, j.router)
	}
	_, err = decideOn(t, repo, Options{MountPath: "/other", Package: "internal/idp", Sigra: true})
	refused(t, err, 1, "with mount_path=/lockspire", "lockspire upgrade --set mount_path=/other", "with package=internal/authserver", "sigra_host")

	// I80: the host took the call out again.
	repo.Mounts = nil
	if j := decided(t, repo, Options{}); j.router == nil {
		t.Error("the call is not offered again")
	}
	repo.Routers[0].Kind, repo.Routers[0].TypePath, repo.Routers[0].Type = "chi", "github.com/go-chi/chi/v5", "chi.Router"
	_, err = decideOn(t, repo, Options{})
	refused(t, err, 1, "the router is chi.Router now")

	in.Wire = false
	if err := m.SetInputs(in); err != nil {
		t.Fatal(err)
	}
	if data, err = m.Marshal(); err != nil {
		t.Fatal(err)
	}
	write(t, repo, manifest.Path, string(data))
	if j := decided(t, repo, Options{}); j.router != nil {
		t.Error("the call is offered although --no-wire was recorded")
	}
}

// A pull request can edit the manifest; what it says is checked before any path of it is opened.
func TestManifestWithBadInputsIsRefused(t *testing.T) {
	repo := muxHost(t)
	in := decided(t, repo, Options{}).in
	in.Package = "../../outside"
	m := &manifest.Manifest{Schema: manifest.Schema}
	if err := m.SetInputs(in); err != nil {
		t.Fatal(err)
	}
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	write(t, repo, manifest.Path, string(data))
	_, err = decideOn(t, repo, Options{})
	refused(t, err, 1, manifest.Path, "inputs: package")
}

// A package of the host is never merged into; three free names are given.
func TestI90PackageOfTheHostIsInTheWay(t *testing.T) {
	repo := muxHost(t)
	write(t, repo, "internal/authserver/oauth.go", "package authserver\n")
	write(t, repo, "internal/oauthserver/x.go", "package oauthserver\n")
	_, err := decideOn(t, repo, Options{})
	refused(t, err, 1, "internal/authserver: package authserver of yours is here", "--package internal/lockspireauth")
	if strings.Contains(err.Error(), "oauthserver") {
		t.Errorf("suggests a name that is taken:\n%v", err)
	}
	if n := strings.Count(err.Error(), "lockspire install --package"); n != 3 {
		t.Errorf("%d names, want 3:\n%v", n, err)
	}
}

// Files that are ours already are adopted; others in their place are listed, all of them.
func TestI92AndI93FilesInTheWayAreAdoptedOrListed(t *testing.T) {
	repo := muxHost(t)
	write(t, repo, "web.go", "package app\n")
	rendered, err := templates.Render(decided(t, repo, Options{}).in)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range rendered {
		write(t, repo, f.Path, strings.ReplaceAll(string(f.Content), "\n", "\r\n")) // another checkout's line ends
	}
	j := decided(t, repo, Options{})
	if err := j.build(); err != nil {
		t.Fatal(err)
	}
	if len(j.adopted) != len(rendered) {
		t.Errorf("adopted %d of %d: %q", len(j.adopted), len(rendered), j.adopted)
	}
	recorded := plannedManifest(t, j)
	for _, f := range rendered {
		if entry := recorded.File(f.Path); entry == nil || entry.Owner != plan.Owner(f.Owner) {
			t.Errorf("%s is recorded as %+v", f.Path, entry)
		}
		if !slices.Contains(j.plan.Found, "adopted     "+f.Path) {
			t.Errorf("%s is not reported as adopted:\n%s", f.Path, strings.Join(j.plan.Found, "\n"))
		}
	}

	write(t, repo, "internal/authserver/config.go", "package authserver // mine\n")
	write(t, repo, "internal/authserver/pages/consent.html", "mine")
	err = decided(t, repo, Options{}).build()
	refused(t, err, 1, "internal/authserver/config.go: ", "internal/authserver/pages/consent.html: ", "--adopt-existing")

	j = decided(t, repo, Options{AdoptExisting: true})
	if err := j.build(); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(j.plan.Changes, func(c plan.Change) bool { return c.Path == "internal/authserver/config.go" }) {
		t.Error("--adopt-existing overwrites config.go")
	}
	for path, owner := range map[string]plan.Owner{
		"internal/authserver/config.go": plan.Host, "internal/authserver/pages/consent.html": plan.Host, "internal/authserver/lockspire_gen.go": plan.Managed,
	} {
		if entry := plannedManifest(t, j).File(path); entry == nil || entry.Owner != owner {
			t.Errorf("%s is recorded as %+v, want owner %s", path, entry, owner)
		}
	}
}

// I30: what another build serves does not get the call, and is named; the commands of this build are told with its tags.
func TestI30RoutersOfOtherBuildsAreAWarning(t *testing.T) {
	repo := muxHost(t)
	write(t, repo, "web.go", "package app\n")
	repo.Hidden = []hostrepo.Hidden{
		{Position: at3("edge.go", 7), Kind: "chi", Call: "chi.NewRouter()", Tags: []string{"edge"}},
		{Position: at3("pprof.go", 8), Call: "http.ListenAndServe(…)", Tags: []string{"debug"}}, // may be a debug page
	}
	j := decided(t, repo, Options{Tags: []string{"prod", "eu"}})
	if err := j.build(); err != nil {
		t.Fatal(err)
	}
	want := "edge.go:7 chi.NewRouter() is in another build, which does not get the call:\nlockspire install --dry-run --tags edge"
	if !slices.Equal(j.plan.Warnings, []string{want}) {
		t.Errorf("warnings %q", j.plan.Warnings)
	}
	if todo := strings.Join(j.plan.Todo, "\n"); !strings.Contains(todo, "\ngo test -tags prod,eu ./internal/authserver\nlockspire verify --tags prod,eu") {
		t.Errorf("to do:\n%s", todo)
	}
}

// A script is told to name the version; the host's go.mod gets no tool line.
func TestI119CommandsForScriptsNameTheVersion(t *testing.T) {
	for version, want := range map[string]string{
		"v1.4.0": "go run github.com/lockspire/lockspire/cmd/lockspire@v1.4.0 verify", "v1.4.0+dirty": "lockspire verify", "(devel)": "lockspire verify",
	} {
		repo := muxHost(t)
		write(t, repo, "web.go", "package app\n")
		j := decided(t, repo, Options{Version: version})
		if err := j.build(); err != nil {
			t.Fatal(err)
		}
		if todo := strings.Join(j.plan.Todo, "\n"); !strings.Contains(todo, "\n"+want) {
			t.Errorf("%s: no %q in\n%s", version, want, todo)
		}
		for _, c := range j.plan.Changes {
			if c.Path == "go.mod" {
				t.Errorf("%s: go.mod is changed to\n%s", version, c.After)
			}
		}
	}
}

// plannedManifest is the manifest that a plan writes.
func plannedManifest(t *testing.T, j *job) *manifest.Manifest {
	t.Helper()
	for _, c := range j.plan.Changes {
		if c.Path == manifest.Path {
			write(t, j.repo, manifest.Path, string(c.After))
			m, err := manifest.Read(j.repo.ModuleRoot)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(j.repo.ModuleRoot, manifest.Path)); err != nil {
				t.Fatal(err)
			}
			return m
		}
	}
	t.Fatal("the plan has no manifest")
	return nil
}
