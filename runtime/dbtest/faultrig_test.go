package dbtest

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// faultRig is a host whose provider is on a pool that fails when it is told to.
// h.db is another pool, for the test itself.
type faultRig struct {
	*host
	driver *faultDriver
	// partner is an app with everything, job one that acts in its own name, and
	// opaque one whose access tokens are rows.
	partner, job, opaque *app
	seed                 uint64
	random               *rand.Rand
	users                int
	tally                faultTally
	// thrifty says that no connection is kept for the next operation.
	thrifty bool
}

// faultTally is what a suite prints.
type faultTally struct{ flows, injected, hidden, unavailable, unknown, lost int }

// faultStep is one request of a flow, made ready.
type faultStep struct {
	// act makes the request; a client that is told to come back makes it again.
	act func() faultAnswer
	// good reports whether the answer is the one that there is without a fault.
	good func(a faultAnswer) bool
	// late reports whether the answer to a retry tells the truth about a first
	// request that took effect though its answer was lost; nil where the retry
	// has to be good.
	late func(a faultAnswer) bool
	// works says what does not work of a good answer, or "".
	works func(a faultAnswer) string
	// changes says that a good answer comes with a change of rows. many says
	// that there are several transactions, so a fault may leave some of it.
	changes, many bool
	// loose says that how many operations there are depends on the time.
	loose bool
}

type faultFlow struct {
	name    string
	prepare func(r *faultRig) faultStep
}

// faultAnswer is what a client, or the host's own code, was told.
type faultAnswer struct {
	status           int
	body, location   string
	retryAfter, code string
	tokens           tokens
	err              error
}

func (a faultAnswer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("%d to %q: %.300s", a.status, a.location, a.body)
}

// unavailable reports whether the answer says that the storage failed, and says
// it as it should: come back, with no word of refusal and no redirect.
func (a faultAnswer) unavailable() bool {
	if a.err != nil {
		return strings.Contains(a.err.Error(), "storage is unavailable")
	}
	json := !strings.HasPrefix(a.body, "{") || a.code == "temporarily_unavailable"
	return a.status == http.StatusServiceUnavailable && a.retryAfter != "" && a.location == "" && json
}

// faultSeed is printed, and read from the environment to repeat a run.
func faultSeed(t testing.TB) uint64 {
	t.Helper()
	if text := os.Getenv("LOCKSPIRE_TEST_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return seed
	}
	return uint64(time.Now().UnixNano()) % 1e9
}

func newFaultRig(t *testing.T, engine lockspire.Dialect) *faultRig {
	t.Helper()
	dsn := newDSN(t, engine)
	db := openDSN(t, engine, dsn)
	if err := lockspire.Migrate(t.Context(), db, engine, ""); err != nil {
		t.Fatal(err)
	}
	seed := faultSeed(t)
	r := &faultRig{seed: seed, random: rand.New(rand.NewPCG(seed, 0))}
	driver, faulty := openFaulty(t, engine, dsn)
	r.driver = driver
	r.host = newHost(t, db, engine, func(c *lockspire.Config) {
		c.DB = faulty
		c.Pages.AuthorizedApps = func(w http.ResponseWriter, _ *http.Request, page lockspire.AuthorizedAppsPage) {
			for _, grant := range page.Grants {
				fmt.Fprintf(w, `<input name="decision_token" value="%s"><input name="grant_id" value="%s">`, page.Token, grant.ID)
			}
		}
	})
	r.partner = r.newApp(func(n *lockspire.NewClient) { n.IDTokenAlg = "ES256" })
	r.job = r.newApp(machine)
	r.opaque = r.newApp(machine, func(n *lockspire.NewClient) { n.OpaqueAccessTokens = true })
	tended(r.host)
	return r
}

// user is somebody who was never here.
func (r *faultRig) user() string {
	r.users++
	return fmt.Sprintf("user-%d-%d", r.seed, r.users)
}

// faultOnEngines injects every fault of a list at every operation of every
// flow, on the engines that have it.
func faultOnEngines(t *testing.T, faults []fault, flows []faultFlow) {
	t.Helper()
	t.Parallel()
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			newFaultRig(t, engine).all(t, faults, flows)
		})
	}
}

// all injects the faults and prints what came of them.
func (r *faultRig) all(t *testing.T, faults []fault, flows []faultFlow) {
	t.Helper()
	begun := time.Now()
	for _, flow := range flows {
		r.tally.flows++
		r.flow(t, flow, faults)
	}
	n := r.tally
	t.Logf("seed %d: %d flows, %d faults injected, %d hidden by a retry, %d answered 503, %d retries told that the first attempt took effect, %d lost; %s",
		r.seed, n.flows, n.injected, n.hidden, n.unavailable, n.unknown, n.lost, time.Since(begun).Round(time.Second))
}

// flow counts the operations of a flow and then fails each in every way.
func (r *faultRig) flow(t *testing.T, flow faultFlow, faults []fault) {
	t.Helper()
	step := flow.prepare(r)
	before := r.rows(t)
	var first faultAnswer
	ops, _ := r.during(nil, 0, func() { first = step.act() })
	if !step.good(first) || step.changes == (before == r.rows(t)) {
		t.Fatalf("%s without a fault: %s", flow.name, first)
	}
	r.mustWork(t, flow.name+" without a fault", step, first)
	for i := range faults {
		f := &faults[i]
		if f.engine != "" && f.engine != r.config.Dialect {
			continue
		}
		for nth, op := range ops {
			if strings.Contains(f.at, op) && !(f.alone && inTransaction(ops[:nth+1])) {
				r.inject(t, flow, f, nth+1, fmt.Sprintf("%s, %s at operation %d of %d (%s)", flow.name, f.name, nth+1, len(ops), op))
			}
		}
	}
}

// inTransaction reports whether the last of ops belongs to a transaction.
func inTransaction(ops []string) bool {
	open := false
	for _, op := range ops {
		open = op == opBegin || open && op != opCommit
	}
	return open
}

// during is the driver's. Where the rig is thrifty, each operation needs a
// connection of its own meanwhile.
func (r *faultRig) during(f *fault, nth int, act func()) (ops []string, hit bool) {
	if r.thrifty {
		r.config.DB.SetMaxIdleConns(0)
		defer r.config.DB.SetMaxIdleConns(2)
	}
	return r.driver.during(f, nth, act)
}

// inject runs a flow once with one fault, and then as the client that was told
// to come back does.
func (r *faultRig) inject(t *testing.T, flow faultFlow, f *fault, nth int, name string) {
	t.Helper()
	step := flow.prepare(r)
	before := r.rows(t)
	var first faultAnswer
	if _, hit := r.during(f, nth, func() { first = step.act() }); !hit {
		if !step.loose {
			t.Errorf("%s: not reached", name)
		}
		return
	}
	r.tally.injected++
	after := r.rows(t)
	lost := func(format string, args ...any) {
		t.Helper()
		r.tally.lost++
		t.Errorf("seed %d: %s: %s", r.seed, name, fmt.Sprintf(format, args...))
	}
	switch {
	case step.good(first):
		r.tally.hidden++
		if step.changes && before == after {
			lost("answered as if it had been done: %s", first)
		}
	case first.unavailable():
		r.tally.unavailable++
		if f.retried {
			lost("a passing fault was not hidden: %s", first)
		}
		if before != after && !f.done && !step.many {
			lost("half of it was stored:\n%s\n%s", before, after)
		}
	default:
		lost("the answer is not true: %s", first)
		return
	}
	answer := first
	if !step.good(first) {
		answer = step.act()
		if f.done && step.late != nil && !step.good(answer) && step.late(answer) {
			r.tally.unknown++
			r.invariants(t, name)
			return
		}
		if !step.good(answer) {
			lost("the retry was answered %s", answer)
			return
		}
	}
	r.mustWork(t, name, step, answer)
	r.invariants(t, name)
}

func (r *faultRig) mustWork(t *testing.T, name string, step faultStep, answer faultAnswer) {
	t.Helper()
	if step.works == nil {
		return
	}
	if flaw := step.works(answer); flaw != "" {
		r.tally.lost++
		t.Errorf("seed %d: %s: %s", r.seed, name, flaw)
	}
}
