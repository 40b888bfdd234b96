package dbtest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

const rollVariable = "LOCKSPIRE_TEST_ROLL_HOST"

// rollHost is what a process of the deploy is told.
type rollHost struct {
	killHost
	Migrate bool // do that and end
}

func (r rollHost) run(t *testing.T) {
	if r.Migrate {
		if err := lockspire.Migrate(t.Context(), openDSN(t, lockspire.PostgreSQL, r.DSN), lockspire.PostgreSQL, ""); err != nil {
			t.Fatal(err)
		}
		return
	}
	r.serve(t)
}

// command is one process of a version.
func (r rollHost) command(t *testing.T, binary string) (*exec.Cmd, *lockedBuffer) {
	t.Helper()
	described, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), binary, "-test.run=^"+t.Name()+"$", "-test.count=1")
	command.Env = append(os.Environ(), rollVariable+"="+string(described))
	output := &lockedBuffer{}
	command.Stdout, command.Stderr = output, output
	return command, output
}

// TestM26RollingDeployFailsNoRequest deploys a version with another schema on
// PostgreSQL while clients redeem codes, rotate and revoke: the new process
// refuses the old schema, the schema is migrated under the old process, both
// versions serve at once, and the old one goes. No request fails.
func TestM26RollingDeployFailsNoRequest(t *testing.T) {
	if described := os.Getenv(rollVariable); described != "" {
		var r rollHost
		if err := json.Unmarshal([]byte(described), &r); err != nil {
			t.Fatal(err)
		}
		r.run(t)
		return
	}
	older, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	newer := newerVersion(t)
	lb := newBalancer(t)
	r := rollHost{killHost: killHost{DSN: newDSN(t, lockspire.PostgreSQL), Issuer: lb.server.URL + "/lockspire"}}
	db := openDSN(t, lockspire.PostgreSQL, r.DSN)
	if err := lockspire.Migrate(t.Context(), db, lockspire.PostgreSQL, ""); err != nil {
		t.Fatal(err)
	}
	seed := faultSeed(t)
	workers := newKillWorkers(t, &r.killHost, db, seed)

	r.Addr = freeAddr(t)
	refused, output := r.command(t, newer)
	if err := refused.Run(); err == nil || !strings.Contains(output.String(), fmt.Sprintf("this runtime needs %d", latestHere(t, r.DSN)+1)) {
		t.Fatalf("the new version on the old schema: %v\n%s", err, output)
	}

	first := lb.add(t, r, older)
	stop := make(chan struct{})
	var load sync.WaitGroup
	for _, w := range workers {
		load.Go(func() { w.work(stop) })
	}
	time.Sleep(time.Second)
	migrate, output := rollHost{killHost: r.killHost, Migrate: true}.command(t, newer)
	if err := migrate.Run(); err != nil {
		t.Fatalf("migrate: %v\n%s", err, output)
	}
	aloneOnNew := first.answered.Load()
	time.Sleep(time.Second)
	second := lb.add(t, r, newer)
	together := first.answered.Load()
	time.Sleep(3 * time.Second)
	lb.drain(t, first)
	both := second.answered.Load()
	time.Sleep(time.Second)
	close(stop)
	load.Wait()
	var total killTally
	for _, w := range workers {
		w.settle()
		total.add(w.tally)
	}
	killInvariants(t, db, seed, workers)

	sent := first.sent.Load() + second.sent.Load()
	failed := sent - first.answered.Load() - second.answered.Load() + int64(total.unanswered) + int64(total.lost)
	t.Logf("seed %d: %d requests sent, %d failed; %d answered by the old version, %d of them on the new schema and %d beside the new version; %d by the new version, %d of them beside the old one; %d codes redeemed, %d refreshes, %d revocations, %d lost",
		seed, sent, failed, first.answered.Load(), first.answered.Load()-aloneOnNew, first.answered.Load()-together, second.answered.Load(), both,
		total.codes, total.refreshed, total.revoked, total.lost)
	if failed != 0 {
		t.Errorf("%d requests failed", failed)
	}
	if first.answered.Load() == together || both == 0 || aloneOnNew == together || total.codes == 0 || total.refreshed == 0 {
		t.Error("the versions did not serve at once")
	}
}

// newerVersion builds this test binary on a runtime that has one schema version
// more.
func newerVersion(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	runtime := filepath.Join(dir, "runtime")
	if err := os.CopyFS(runtime, os.DirFS("..")); err != nil {
		t.Fatal(err)
	}
	latest := regexp.MustCompile(`const Latest = (\d+)`)
	source := filepath.Join(runtime, "migrations", "migrations.go")
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	version, err := strconv.Atoi(string(latest.FindSubmatch(text)[1]))
	if err != nil {
		t.Fatal(err)
	}
	version++
	files := map[string]string{
		source:                       latest.ReplaceAllString(string(text), fmt.Sprintf("const Latest = %d", version)),
		filepath.Join(dir, "go.mod"): "", filepath.Join(dir, "go.sum"): "",
	}
	for _, engine := range []string{"postgres", "sqlite"} {
		name := filepath.Join(runtime, "migrations", engine, fmt.Sprintf("%04d_rolling", version))
		files[name+".up.sql"] = fmt.Sprintf("ALTER TABLE @.lockspire_clients ADD COLUMN rolling TEXT;\n\nUPDATE @.lockspire_meta SET version = %d;\n", version)
		files[name+".down.sql"] = fmt.Sprintf("ALTER TABLE @.lockspire_clients DROP COLUMN rolling;\n\nUPDATE @.lockspire_meta SET version = %d;\n", version-1)
	}
	for name, content := range files {
		if base := filepath.Base(name); content == "" {
			there, err := os.ReadFile(base)
			if err != nil {
				t.Fatal(err)
			}
			content = strings.ReplaceAll(string(there), "=> ../", "=> "+runtime)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(dir, "newer.test")
	build := exec.Command("go", "test", "-c", "-vet=off", "-modfile="+filepath.Join(dir, "go.mod"), "-o", binary, ".")
	build.Env = append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the newer version: %v\n%s", err, out)
	}
	return binary
}

// latestHere is the schema version of the older runtime.
func latestHere(t *testing.T, dsn string) int {
	t.Helper()
	status, err := lockspire.SchemaStatus(t.Context(), openDSN(t, lockspire.PostgreSQL, dsn), lockspire.PostgreSQL, "")
	if err != nil {
		t.Fatal(err)
	}
	return status.Latest
}

func freeAddr(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// balancer hands requests to its backends in turn, as what stands in front of
// replicas does. It repeats no request.
type balancer struct {
	server *httptest.Server
	mu     sync.Mutex
	turn   int
	in     []*backend
}

type backend struct {
	proxy          *httputil.ReverseProxy
	process        *exec.Cmd
	running        sync.WaitGroup
	sent, answered atomic.Int64
}

func newBalancer(t *testing.T) *balancer {
	b := &balancer{}
	b.server = httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(b.server.Close)
	return b
}

func (b *balancer) serve(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.turn++
	to := b.in[b.turn%len(b.in)]
	to.running.Add(1)
	b.mu.Unlock()
	defer to.running.Done()
	to.sent.Add(1)
	to.proxy.ServeHTTP(w, r)
}

// add starts a process and lets it serve once it is up.
func (b *balancer) add(t *testing.T, r rollHost, binary string) *backend {
	t.Helper()
	r.Addr = freeAddr(t)
	at := &url.URL{Scheme: "http", Host: r.Addr}
	process, output := r.command(t, binary)
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	to := &backend{process: process}
	to.proxy = &httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: killWorkers},
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(at)
			p.Out.Host = p.In.Host
		},
		ModifyResponse: func(answer *http.Response) error {
			if answer.StatusCode < http.StatusInternalServerError {
				to.answered.Add(1)
			}
			return nil
		},
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		answer, err := http.Get(at.String() + "/lockspire/jwks")
		if err == nil {
			answer.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the process did not come up: %v\n%s", err, output)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.in = append(b.in, to)
	return to
}

// drain gives a backend no more requests, waits for those that it has, and ends
// its process.
func (b *balancer) drain(t *testing.T, gone *backend) {
	t.Helper()
	b.mu.Lock()
	var left []*backend
	for _, to := range b.in {
		if to != gone {
			left = append(left, to)
		}
	}
	b.in = left
	b.mu.Unlock()
	gone.running.Wait()
	if err := gone.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
}
