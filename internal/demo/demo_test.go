package demo

import (
	"bytes"
	"errors"
	"go/format"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/plan"
)

func TestTheProgramsAreFormatted(t *testing.T) {
	seen := 0
	err := fs.WalkDir(sources, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".go") {
			return err
		}
		seen++
		content, err := sources.ReadFile(name)
		if err != nil {
			return err
		}
		formatted, err := format.Source(content)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !bytes.Equal(content, formatted) {
			t.Errorf("%s is not gofmt'd", name)
		}
		return nil
	})
	if err != nil || seen < 10 {
		t.Fatalf("saw %d Go files: %v", seen, err)
	}
}

func TestADirectoryWithOtherThingsInItIsLeftAsItWas(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), []byte("years of work"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := &demo{Options: Options{Dir: dir}, hostDir: filepath.Join(dir, "fieldnotes")}
	var refusal *plan.Refusal
	if err := d.writeHost(t.Context()); !errors.As(err, &refusal) || refusal.Exit != 1 {
		t.Fatalf("err is %v, want a refusal with exit 1", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("the directory now holds %v (%v)", entries, err)
	}
}

func TestADemoReplacesAnEarlierOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	d := &demo{Options: Options{Dir: dir}, hostDir: filepath.Join(dir, "fieldnotes")}
	for range 2 {
		if err := d.writeHost(t.Context()); err != nil {
			t.Fatal(err)
		}
		old := filepath.Join(dir, "fieldnotes", "old.db")
		if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("a file of the earlier demo is still there: %v", err)
		}
		if err := os.WriteFile(old, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "fieldnotes", "go.mod")); err != nil {
		t.Fatal(err)
	}
}

func TestARuntimeDirectoryWithoutAModuleIsWrongUsage(t *testing.T) {
	var refusal *plan.Refusal
	if _, err := prepare(Options{Dir: t.TempDir(), RuntimeDir: t.TempDir()}); !errors.As(err, &refusal) || refusal.Exit != 2 {
		t.Fatalf("err is %v, want a refusal with exit 2", err)
	}
}

func TestADevelopmentBuildAsksForItsRuntime(t *testing.T) {
	var refusal *plan.Refusal
	_, err := prepare(Options{Dir: t.TempDir(), Version: "(devel)"})
	if !errors.As(err, &refusal) || refusal.Exit != 3 || !strings.Contains(refusal.Next, "--runtime-dir") {
		t.Fatalf("err is %v, want a refusal with exit 3 that names --runtime-dir", err)
	}
}

func TestAFormIsReadAsABrowserWouldSendIt(t *testing.T) {
	u, _ := url.Parse("http://localhost:1/login?x=1")
	p := &page{url: u, header: http.Header{}, body: `<!doctype html><html><head><style nonce="n">a > b { }</style></head><body>
<form method="post" action="/interactions/1"><input type="hidden" name="decision_token" value="a&amp;b">
<input type="checkbox" name="scope" value="one" checked><input type="checkbox" name="scope" value="two">
<br><input name="text" required><button name="decision" value="deny">No</button></form>
<form method="post"><input name="other"></form></body></html>`}
	f := p.form("decision")
	if f == nil || f.method != http.MethodPost || f.action != "http://localhost:1/interactions/1" {
		t.Fatalf("form is %+v", f)
	}
	if got, want := f.values.Encode(), "decision_token=a%26b&scope=one&text="; got != want {
		t.Errorf("values are %s, want %s", got, want)
	}
	if other := p.form("other"); other == nil || other.action != u.String() {
		t.Errorf("a form without an action posts to %+v, want the page itself", other)
	}
	if p.form("decision_") != nil {
		t.Error("found a form by half a name")
	}
}

func TestFetchSiteFollowsTheChainOfRedirects(t *testing.T) {
	at := func(address, site, location string) *page {
		u, _ := url.Parse(address)
		p := &page{url: u, site: site, header: http.Header{}}
		if location != "" {
			p.header.Set("Location", location)
		}
		return p
	}
	for _, test := range []struct {
		name, target string
		from         *page
		want         string
	}{
		{"address bar", "http://localhost:1/", nil, "none"},
		{"link on the same origin", "http://localhost:1/a", at("http://localhost:1/", "none", ""), "same-origin"},
		{"link to another port", "http://localhost:2/a", at("http://localhost:1/", "none", ""), "same-site"},
		{"link to another site", "http://127.0.0.1:1/a", at("http://localhost:1/", "none", ""), "cross-site"},
		{"redirect after a hop between sites", "http://localhost:1/b", at("http://localhost:1/a", "cross-site", "/b"), "cross-site"},
		{"page that was reached from another site", "http://localhost:1/b", at("http://localhost:1/a", "cross-site", ""), "same-origin"},
	} {
		u, _ := url.Parse(test.target)
		if got := fetchSite(u, test.from); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// TestLockspireDoesNotKnowTheHostsItIsInstalledInto holds the seam of the
// Sigra-shaped example: neither command nor runtime, tests included, depends
// on its scope package or on anything else of a host.
func TestLockspireDoesNotKnowTheHostsItIsInstalledInto(t *testing.T) {
	for _, dir := range []string{"../..", "../../runtime"} {
		command := exec.CommandContext(t.Context(), "go", "list", "-deps", "-test", "./...")
		command.Dir = dir
		command.Env = append(os.Environ(), "GOWORK=off")
		output, err := command.Output()
		if err != nil {
			t.Fatalf("go list in %s: %v", dir, err)
		}
		packages := strings.Fields(string(output))
		if len(packages) < 50 {
			t.Fatalf("go list in %s names %d packages", dir, len(packages))
		}
		for _, path := range packages {
			if strings.HasPrefix(path, "example.com/") || strings.Contains(path, "sigra") {
				t.Errorf("%s depends on %s", dir, path)
			}
		}
	}
}

func TestTheCheckEndsAtTheFirstAnswerThatDiffers(t *testing.T) {
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		w.WriteHeader(http.StatusTeapot)
	}))
	defer server.Close()
	var out bytes.Buffer
	w := &walk{ctx: t.Context(), demo: &demo{Options: Options{Out: &out}}, browser: newBrowser()}
	w.open("as it should be", server.URL+"/a", http.StatusTeapot)
	first := w.open("different", server.URL+"/b", http.StatusOK)
	w.follow("never taken", first, "/c", http.StatusOK)
	w.open("never taken", server.URL+"/d", http.StatusTeapot)

	var refusal *plan.Refusal
	if !errors.As(w.err, &refusal) || refusal.Exit != 1 || !strings.Contains(refusal.What, "step 02: partner/b answered 418, want 200") {
		t.Fatalf("err is %v", w.err)
	}
	if lines := strings.Count(out.String(), "\n"); requests != 2 || lines != 2 {
		t.Errorf("%d requests and %d lines, want 2 each:\n%s", requests, lines, out.String())
	}
}
