package dbtest

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

const (
	killRounds   = 20
	killWorkers  = 8
	killVariable = "LOCKSPIRE_TEST_KILL_HOST"
)

// killHost is what the process that is killed is told: it is this test binary,
// started once more, and serves a host on Addr.
type killHost struct {
	DSN, Addr, Issuer string
	Sessions          map[string]lockspire.Account
}

func (k killHost) serve(t *testing.T) {
	h := newHost(t, openDSN(t, lockspire.PostgreSQL, k.DSN), lockspire.PostgreSQL, k.configure)
	h.people.sessions = k.Sessions
	go h.provider.Run(t.Context())
	t.Fatal(http.ListenAndServe(k.Addr, h.server.Config.Handler))
}

func (k killHost) configure(c *lockspire.Config) {
	c.Issuer = k.Issuer
	c.Now = time.Now
}

// start runs the process and waits until it answers.
func (k killHost) start(t *testing.T) *exec.Cmd {
	t.Helper()
	described, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.count=1")
	command.Env = append(os.Environ(), killVariable+"="+string(described))
	var output lockedBuffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		answer, err := http.Get(k.Issuer + "/jwks")
		if err == nil {
			answer.Body.Close()
			return command
		}
		if time.Now().After(deadline) {
			t.Fatalf("the host did not come up: %v\n%s", err, output.String())
		}
	}
}

func kill(t *testing.T, command *exec.Cmd) {
	t.Helper()
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	command.Wait()
}

// killCluster is a PostgreSQL server of the test's own, with fsync as it is by
// default.
type killCluster struct{ script, dir string }

func newKillCluster(t *testing.T) killCluster {
	t.Helper()
	script, err := filepath.Abs("../../scripts/postgres")
	if err != nil {
		t.Fatal(err)
	}
	parent, err := os.MkdirTemp("", "lockspire-kill-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	c := killCluster{script: script, dir: filepath.Join(parent, "pg")}
	t.Cleanup(func() {
		c.run(t, "stop")
		os.RemoveAll(parent)
	})
	return c
}

func (c killCluster) run(t *testing.T, verb string) string {
	t.Helper()
	command := exec.Command(c.script, verb)
	command.Env = append(os.Environ(), "LOCKSPIRE_PG_DIR="+c.dir)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(c.dir, "log"))
		t.Fatalf("scripts/postgres %s: %v\n%s\n%s", verb, err, &stderr, log[max(0, len(log)-2000):])
	}
	return strings.TrimSpace(string(out))
}

// kill ends the server and all its processes at once, as a power cut does.
func (c killCluster) kill(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	server, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	// A server that stands still starts no process that would be missed.
	syscall.Kill(server, syscall.SIGSTOP)
	pids := append(childrenOf(t, server), server)
	for _, pid := range pids {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	for deadline := time.Now().Add(10 * time.Second); len(pids) > 0; {
		// One that is dying holds the shared memory still.
		if syscall.Kill(pids[0], 0) != nil {
			pids = pids[1:]
			continue
		}
		if time.Now().After(deadline) {
			t.Fatal("the server does not die")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func childrenOf(t *testing.T, parent int) (pids []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it ended since
		}
		// pid (command) state ppid
		pid, _, _ := strings.Cut(string(text), " ")
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			n, _ := strconv.Atoi(pid)
			pids = append(pids, n)
		}
	}
	return pids
}

// TestKillHostUnderLoadLosesNothing: kill -9 of the process that serves.
func TestKillHostUnderLoadLosesNothing(t *testing.T) {
	killed(t, func(t *testing.T) string { return newDSN(t, lockspire.PostgreSQL) },
		func(t *testing.T, k killHost, running *exec.Cmd) *exec.Cmd {
			kill(t, running)
			return k.start(t)
		})
}

// TestKillPostgreSQLUnderLoadLosesNothing: kill -9 of the database server, with
// the host running on.
func TestKillPostgreSQLUnderLoadLosesNothing(t *testing.T) {
	var cluster killCluster
	killed(t, func(t *testing.T) string {
		cluster = newKillCluster(t)
		return cluster.run(t, "start")
	}, func(t *testing.T, k killHost, running *exec.Cmd) *exec.Cmd {
		cluster.kill(t)
		cluster.run(t, "start")
		return running
	})
}

// killed puts a host under load and strikes in every round.
func killed(t *testing.T, database func(t *testing.T) string, strike func(*testing.T, killHost, *exec.Cmd) *exec.Cmd) {
	if described := os.Getenv(killVariable); described != "" {
		var k killHost
		if err := json.Unmarshal([]byte(described), &k); err != nil {
			t.Fatal(err)
		}
		k.serve(t)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close()
	k := killHost{DSN: database(t), Addr: addr, Issuer: "http://" + addr + "/lockspire"}
	db := openDSN(t, lockspire.PostgreSQL, k.DSN)
	if err := lockspire.Migrate(t.Context(), db, lockspire.PostgreSQL, ""); err != nil {
		t.Fatal(err)
	}
	seed := faultSeed(t)
	random := rand.New(rand.NewPCG(seed, 0))
	workers := newKillWorkers(t, &k, db, seed)
	running := k.start(t)
	defer func() { kill(t, running) }()

	var total killTally
	for range killRounds {
		stop := make(chan struct{})
		var load sync.WaitGroup
		for _, w := range workers {
			load.Go(func() { w.work(stop) })
		}
		time.Sleep(time.Duration(100+random.IntN(400)) * time.Millisecond)
		running = strike(t, k, running)
		time.Sleep(50 * time.Millisecond)
		close(stop)
		load.Wait()
		for _, w := range workers {
			w.settle()
		}
		killInvariants(t, db, seed, workers)
	}
	for _, w := range workers {
		total.add(w.tally)
	}
	if total.unanswered == 0 || total.codes == 0 || total.refreshed == 0 || total.revoked == 0 {
		t.Errorf("the load did not meet the kills: %+v", total)
	}
	t.Logf("seed %d: %d rounds, %d codes redeemed, %d refreshes, %d revocations, %d requests unanswered or 503, %d codes spent without an answer, %d lost",
		seed, killRounds, total.codes, total.refreshed, total.revoked, total.unanswered, total.spent, total.lost)
}

// killInvariants: nothing is half stored, and nothing that a client was told
// lacks its audit row.
func killInvariants(t *testing.T, db *sql.DB, seed uint64, workers []*killWorker) {
	t.Helper()
	r := &faultRig{host: &host{t: t, db: db}, seed: seed}
	r.invariants(t, "a kill")
	var told killTally
	for _, w := range workers {
		told.add(w.tally)
	}
	for name, least := range map[string]int{"code.redeemed": told.codes, "refresh.rotated": told.refreshed, "refresh.revoked": told.revoked} {
		if n := r.audited(name); n < least {
			t.Errorf("seed %d: %d rows of %s, and clients were told of %d", seed, n, name, least)
		}
	}
	workers[0].tally.lost += r.tally.lost
}

// killTally is what the clients saw.
type killTally struct{ codes, refreshed, revoked, unanswered, spent, lost int }

func (k *killTally) add(other killTally) {
	k.codes += other.codes
	k.refreshed += other.refreshed
	k.revoked += other.revoked
	k.unanswered += other.unanswered
	k.spent += other.spent
	k.lost += other.lost
}

// newKillWorkers are people who agreed to a trusted client, so that every
// authorization request is answered with a code at once.
func newKillWorkers(t *testing.T, k *killHost, db *sql.DB, seed uint64) []*killWorker {
	t.Helper()
	h := newHost(t, db, lockspire.PostgreSQL, k.configure)
	partner := h.newApp(func(n *lockspire.NewClient) { n.Trusted, n.IDTokenAlg = true, "ES256" })
	var workers []*killWorker
	for i := range killWorkers {
		b, user := h.newBrowser(), fmt.Sprintf("user-%d", i)
		partner.consentTo(b, user, "scope", faultScope)
		at, _ := url.Parse(h.server.URL)
		workers = append(workers, &killWorker{t: t, issuer: k.Issuer, partner: partner, cookies: b.client.Jar.Cookies(at),
			random: rand.New(rand.NewPCG(seed, uint64(i+1)))})
	}
	k.Sessions = h.people.sessions
	return workers
}
