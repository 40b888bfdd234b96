package dbtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// A race is run by this test binary, started twice more with raceVariable in
// its environment: two processes, each a host of the same issuer on the same
// database, with half of the goroutines each.
type race struct {
	// inside says that the gate is the host's callback, where every request has
	// read and none has written. Otherwise it is before the request.
	inside bool
	change func(c *lockspire.Config)
	// prepare makes the artefact, and says what the racers need of it.
	prepare func(h *host, partner *app, b *browser) map[string]string
	// once is one attempt of fifty, in a process of its own.
	once func(r *racer, i int) raceResult
	// judge sees what all fifty were answered.
	judge func(t *testing.T, h *host, partner *app, all []raceResult)
}

const (
	raceVariable  = "LOCKSPIRE_TEST_RACER"
	raceProcesses = 2
	racePatience  = 2 * time.Minute
)

// raceJob is what a process is told.
type raceJob struct {
	Engine              lockspire.Dialect
	DSN, Issuer         string
	Now                 int64
	Client              lockspire.Client
	Secret, RedirectURI string
	Cookies             map[string]string
	Sessions            map[string]lockspire.Account
	Args                map[string]string
	// First is the number of this process's first attempt.
	First, N int
}

// raceResult is what one attempt was answered.
type raceResult struct {
	Status                      int
	Error, Access, Refresh, Raw string
}

// racer is one process's side of a race.
type racer struct {
	t       *testing.T
	h       *host
	partner *app
	browser *browser
	gate    *gate
	args    map[string]string
}

// run holds the race on each engine, or one process's part of it.
func (r race) run(t *testing.T) {
	t.Helper()
	if described := os.Getenv(raceVariable); described != "" {
		r.child(t, described)
		return
	}
	t.Parallel()
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			dsn := newDSN(t, engine)
			db := openDSN(t, engine, dsn)
			if err := lockspire.Migrate(t.Context(), db, engine, ""); err != nil {
				t.Fatal(err)
			}
			var changes []func(*lockspire.Config)
			if r.change != nil {
				changes = append(changes, r.change)
			}
			h := newHost(t, db, engine, changes...)
			partner, b := h.newApp(), h.newBrowser()
			job := raceJob{Engine: engine, DSN: dsn, Issuer: h.issuer, Args: r.prepare(h, partner, b), Now: h.clock.Now().UnixMicro(),
				Client: partner.Client, Secret: partner.secret, RedirectURI: partner.redirectURI,
				Sessions: h.people.sessions, Cookies: map[string]string{}, N: parallel / raceProcesses}
			at, _ := url.Parse(h.server.URL)
			for _, cookie := range b.client.Jar.Cookies(at) {
				job.Cookies[cookie.Name] = cookie.Value
			}
			r.judge(t, h, partner, raceInProcesses(t, job))
		})
	}
}

// raceInProcesses starts the processes, opens their gates when all of them have
// gathered, and returns what they were answered.
func raceInProcesses(t *testing.T, job raceJob) []raceResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), racePatience)
	defer cancel()
	var all []raceResult
	var mu sync.Mutex
	meeting := newGate(raceProcesses)
	inParallel(raceProcesses, func(i int) {
		mine := job
		mine.First = i * job.N
		results, err := raceProcess(ctx, t.Name(), mine, meeting)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, results...)
		if err != nil {
			t.Errorf("process %d: %v", i, err)
		}
	})
	if len(all) != raceProcesses*job.N {
		t.Fatalf("%d answers", len(all))
	}
	return all
}

// raceProcess runs one process. It says on a pipe that it has gathered, is told
// on another to go on, and then writes its results.
func raceProcess(ctx context.Context, test string, job raceJob, meeting *gate) ([]raceResult, error) {
	described, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	test, _, _ = strings.Cut(test, "/")
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, self, "-test.run=^"+test+"$", "-test.count=1")
	command.Env = append(os.Environ(), raceVariable+"="+string(described))
	var output lockedBuffer
	command.Stdout, command.Stderr = &output, &output
	goRead, goWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	saidRead, saidWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer goWrite.Close()
	defer saidRead.Close()
	command.ExtraFiles = []*os.File{goRead, saidWrite}
	err = command.Start()
	goRead.Close()
	saidWrite.Close()
	if err != nil {
		return nil, err
	}
	said := bufio.NewReader(saidRead)
	_, gatherErr := said.ReadString('\n')
	meeting.wait(ctx)
	goWrite.WriteString("go\n")
	var results []raceResult
	decodeErr := json.NewDecoder(said).Decode(&results)
	if err := command.Wait(); err != nil || gatherErr != nil || decodeErr != nil {
		return results, errors.Join(err, gatherErr, decodeErr, errors.New(output.String()))
	}
	return results, nil
}

// child is one process.
func (r race) child(t *testing.T, described string) {
	var job raceJob
	if err := json.Unmarshal([]byte(described), &job); err != nil {
		t.Fatal(err)
	}
	told, say := bufio.NewReader(os.NewFile(3, "told")), os.NewFile(4, "say")
	h := newHost(t, openDSN(t, job.Engine, job.DSN), job.Engine, func(c *lockspire.Config) {
		c.Issuer = job.Issuer
		if r.change != nil {
			r.change(c)
		}
	})
	h.clock.advance(time.UnixMicro(job.Now).Sub(h.clock.Now()))
	h.people.sessions = job.Sessions
	b := h.newBrowser()
	at, _ := url.Parse(h.server.URL)
	for name, value := range job.Cookies {
		b.client.Jar.SetCookies(at, []*http.Cookie{{Name: name, Value: value, Path: "/", Secure: true}})
	}
	crew := &racer{t: t, h: h, browser: b, gate: newGate(job.N), args: job.Args,
		partner: &app{h: h, Client: job.Client, secret: job.Secret, redirectURI: job.RedirectURI}}
	crew.gate.meet = func() {
		say.WriteString("here\n")
		if _, err := told.ReadString('\n'); err != nil {
			t.Error(err)
		}
	}
	results := make([]raceResult, job.N)
	attempt := func(i int) { results[i] = r.once(crew, job.First+i) }
	if r.inside {
		h.people.visit = crew.gate.wait
		inParallel(job.N, attempt)
	} else {
		crew.gate.run(job.N, attempt)
	}
	if err := json.NewEncoder(say).Encode(results); err != nil {
		t.Fatal(err)
	}
}

func raced(got tokens) raceResult {
	return raceResult{Status: got.status, Error: got.Error, Access: got.Access, Refresh: got.Refresh, Raw: got.raw}
}

// split parts the answers in those that are 200 and the rest, which all have to
// be refused with code.
func raceSplit(t *testing.T, all []raceResult, code string) (won []raceResult) {
	t.Helper()
	for _, result := range all {
		switch {
		case result.Status == http.StatusOK:
			won = append(won, result)
		case result.Status != http.StatusBadRequest || result.Error != code:
			t.Errorf("a loser got %d %s", result.Status, result.Raw)
		}
	}
	return won
}
