package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	userName     = "odd" // who signs in
	userPassword = "correct horse"
	subject      = "4711" // the id behind it
)

// host is the app in testdata/host with Lockspire installed, running.
type host struct {
	t      *testing.T
	cli    string // the lockspire command
	dir    string
	url    string // http://localhost:PORT
	issuer string
	env    []string
	log    bytes.Buffer // read after the process ended
}

// copyHost copies an app of testdata to where it may be changed, and builds
// the real command.
func copyHost(t *testing.T, name string) *host {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	h := &host{t: t, cli: filepath.Join(work, "lockspire"), dir: filepath.Join(work, name)}
	h.command(root, "go", "build", "-o", h.cli, "./cmd/lockspire")
	if err := os.CopyFS(h.dir, os.DirFS(filepath.Join("testdata", name))); err != nil {
		t.Fatal(err)
	}
	h.command(h.dir, "go", "mod", "edit", "-replace=github.com/lockspire/lockspire/runtime="+filepath.Join(root, "runtime"))
	return h
}

// startHost copies the worst common host, installs into it with the real
// command, fills in what install leaves to a person, builds it and runs it.
func startHost(t *testing.T) *host {
	t.Helper()
	h := copyHost(t, "host")
	h.command(h.dir, h.cli, "install", "--yes", "--migrations", "runtime")
	h.fillIn("filled")
	for _, e := range edits {
		h.edit(e.file, e.old, e.new, e.times)
	}
	h.command(h.dir, h.cli, "verify")
	h.command(h.dir, "go", "build", "-o", "ledger", ".")
	address := freeAddress(t)
	h.run("ledger", address, "LOCKSPIRE_DATABASE_URL="+h.database(),
		"LEDGER_ADDR="+address, "LEDGER_DATABASE="+filepath.Join(h.dir, "ledger.db"),
		"LEDGER_USER="+userName, "LEDGER_PASSWORD="+userPassword)
	return h
}

// fillIn does what the plan of install lists as left to do, with the files of
// a folder of testdata.
func (h *host) fillIn(folder string) {
	h.t.Helper()
	folder = filepath.Join("testdata", folder)
	err := filepath.WalkDir(folder, func(from string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		to := filepath.Join(h.dir, strings.TrimPrefix(from, folder+string(filepath.Separator)))
		if _, err := os.Stat(to); err != nil {
			return fmt.Errorf("install should have written it: %w", err)
		}
		return os.WriteFile(to, content, 0o644)
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// edit is a change by hand: old becomes new, where old must occur that often.
type edit struct {
	file, old, new string
	times          int
}

// edit makes the change.
func (h *host) edit(file, old, new string, times int) {
	h.t.Helper()
	name := filepath.Join(h.dir, filepath.FromSlash(file))
	content, err := os.ReadFile(name)
	if err != nil {
		h.t.Fatal(err)
	}
	if n := bytes.Count(content, []byte(old)); n != times {
		h.t.Fatalf("%s holds %d times, not %d:\n%s", file, n, times, old)
	}
	if err := os.WriteFile(name, bytes.ReplaceAll(content, []byte(old), []byte(new)), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// edits carry the CSRF library's field into the forms of the pages, let the
// machine endpoints past it, and guard an API.
var edits = []edit{
	{"router.go", `	"POST /webhooks/payments": true,
`, `	"POST /webhooks/payments": true,

	// Clients call these, with credentials of their own and no cookie.
	"POST /lockspire/token":      true,
	"POST /lockspire/revoke":     true,
	"POST /lockspire/introspect": true,
	"POST /lockspire/authorize":  true,
	"POST /lockspire/userinfo":   true,
`, 1},
	{"internal/authserver/pages/consent.html", `<input type="hidden" name="decision_token" value="{{.Token}}">`,
		`<input type="hidden" name="decision_token" value="{{.Token}}">{{.CSRF}}`, 2},
	{"internal/authserver/pages/apps.html", `<input type="hidden" name="decision_token" value="{{$.Token}}">`,
		`<input type="hidden" name="decision_token" value="{{$.Token}}">{{$.CSRF}}`, 1},
	{"internal/authserver/pages.go", `"consent.html", page)`, `"consent.html", struct {
				lockspire.ConsentPage
				CSRF template.HTML
			}{page, csrf.TemplateField(r)})`, 1},
	{"internal/authserver/pages.go", `"apps.html", page)`, `"apps.html", struct {
				lockspire.AuthorizedAppsPage
				CSRF template.HTML
			}{page, csrf.TemplateField(r)})`, 1},
	{"internal/authserver/pages.go", `	lockspire "github.com/lockspire/lockspire/runtime"
`, `	"github.com/gorilla/csrf"
	lockspire "github.com/lockspire/lockspire/runtime"
`, 1},
}

// command runs a program in dir and ends the test with its output if it fails.
func (h *host) command(dir, name string, args ...string) string {
	h.t.Helper()
	command := exec.Command(name, args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GOWORK=off", "NO_COLOR=1")
	command.Env = append(command.Env, h.env...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		h.t.Fatalf("%s %s: %v\n%s%s", filepath.Base(name), strings.Join(args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.String()
}

// freeAddress is a port of localhost that nothing listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port)
}

// run starts the host's binary, which listens on address, and waits until it
// answers.
func (h *host) run(binary, address string, env ...string) {
	h.t.Helper()
	h.url = "http://" + address
	h.issuer = h.url + "/lockspire"
	h.env = append(env, "LOCKSPIRE_ISSUER="+h.issuer)

	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, filepath.Join(h.dir, binary))
	command.Dir = h.dir
	command.Env = append(os.Environ(), h.env...)
	command.Stdout, command.Stderr = &h.log, &h.log
	if err := command.Start(); err != nil {
		cancel()
		h.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		command.Wait()
		close(ended)
	}()
	h.t.Cleanup(func() {
		cancel()
		<-ended
		if h.t.Failed() {
			h.t.Logf("the host's log:\n%s", h.log.Bytes())
		}
	})
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case <-ended:
			h.t.Fatal("the host ended at once")
		default:
		}
		if response, err := http.Get(h.issuer + "/.well-known/openid-configuration"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
	}
	h.t.Fatal("the host does not answer with its metadata")
}

func (h *host) database() string {
	return "file:" + filepath.Join(h.dir, "ledger.db") + "?_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)"
}

// in is the same running host for a subtest.
func (h *host) in(t *testing.T) *host {
	return &host{t: t, cli: h.cli, dir: h.dir, url: h.url, issuer: h.issuer, env: h.env}
}

// register makes a client that people sign in through.
func (h *host) register(args ...string) (id, secret string) {
	h.t.Helper()
	return h.newClient(append([]string{"--scope", "openid", "--scope", "profile", "--scope", "offline_access"}, args...)...)
}

// newClient makes a client with the command and returns its id and secret.
func (h *host) newClient(args ...string) (id, secret string) {
	h.t.Helper()
	out := h.command(h.dir, h.cli, append([]string{"client", "create", "--json"}, args...)...)
	var created struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(out), &created); err != nil || created.ID == "" {
		h.t.Fatalf("client create printed %q (%v)", out, err)
	}
	return created.ID, created.Secret
}

// api calls the guarded API and returns the status.
func (h *host) api(t *testing.T, token string) int {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, h.issuer+"/userinfo", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}
