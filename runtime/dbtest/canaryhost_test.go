package dbtest

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// canary is a value that must not be found where people look.
type canary struct {
	name, value string
	bearer      bool
}

// canaryFault is what goes wrong while a canary is on its way.
type canaryFault int

const (
	nothingFails canaryFault = iota
	hostFails
	hostPanics
	driverFails
)

// canaryHost is a host whose every sink is kept. Its callbacks and its driver
// quote all that they were given when they fail.
type canaryHost struct {
	*host
	n        int
	canaries []canary

	mu    sync.Mutex
	fault canaryFault
	// failAt is which statement of a request fails, and sent how many were.
	failAt, sent int
	// panics counts callbacks that did.
	panics int
	// lines are the log, refusals what clients are told, and statements what a
	// tracing driver would see.
	lines                lockedBuffer
	refusals, statements strings.Builder
}

// serverLog is where net/http writes what it has to say, of every test.
var serverLog = sync.OnceValue(func() *lockedBuffer {
	kept := &lockedBuffer{}
	log.SetOutput(io.MultiWriter(os.Stderr, kept))
	return kept
})

func onCanaryHosts(t *testing.T, fn func(t *testing.T, h *canaryHost)) {
	serverLog()
	t.Parallel()
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			h := &canaryHost{}
			dsn := newDSN(t, engine)
			db := openSpied(t, engine, dsn, h.statement)
			if err := lockspire.Migrate(t.Context(), db, engine, ""); err != nil {
				t.Fatal(err)
			}
			h.host = newHost(t, db, engine, func(c *lockspire.Config) {
				c.Accounts = &canaryAccounts{people: c.Accounts.(*people), h: h}
				c.Logger = slog.New(&canaryLog{out: &h.lines})
			})
			fn(t, h)
		})
	}
}

// canaryLog writes each record in both of slog's formats, with all that its
// context says.
type canaryLog struct{ out *lockedBuffer }

func (l *canaryLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *canaryLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *canaryLog) WithGroup(string) slog.Handler            { return l }

func (l *canaryLog) Handle(ctx context.Context, record slog.Record) error {
	options := &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}
	fmt.Fprintf(l.out, "%+v %v\n", ctx, ctx)
	return errors.Join(slog.NewJSONHandler(l.out, options).Handle(ctx, record), slog.NewTextHandler(l.out, options).Handle(ctx, record))
}

// statement keeps what a tracing driver would, and fails where it should with
// an error that quotes the parameters.
func (h *canaryHost) statement(_ context.Context, _ *spiedConn, query string, args []driver.NamedValue) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	quoted := ""
	for _, arg := range args {
		quoted += fmt.Sprintf(" %v %q %s", arg.Value, arg.Value, arg.Value)
	}
	h.statements.WriteString(query + quoted + "\n")
	if !strings.Contains(query, "lockspire_") || h.fault != driverFails {
		return nil
	}
	if h.sent++; h.sent != h.failAt {
		return nil
	}
	return fmt.Errorf("driver: %s with%s, in hex %x", query, quoted, quoted)
}

// canaryAccounts is a resolver whose faults say all that they know.
type canaryAccounts struct {
	*people
	h *canaryHost
}

func (a *canaryAccounts) quote(ctx context.Context, r *http.Request, more ...any) error {
	a.h.mu.Lock()
	defer a.h.mu.Unlock()
	text := fmt.Sprintf("host: %v %+v %q", ctx, more, more)
	if r != nil {
		text += fmt.Sprintf("%s %s %v %q %v %x", r.URL, r.URL.RawQuery, r.Header, r.Header, r.PostForm, r.PostForm.Encode())
		for _, values := range r.PostForm {
			text += fmt.Sprintf(" %q %x", values, values[0])
		}
	}
	switch a.h.fault {
	case hostFails:
		return errors.New(text)
	case hostPanics:
		a.h.panics++
		if a.h.panics%2 == 0 {
			panic(errors.New(text))
		}
		panic(text)
	}
	return nil
}

func (a *canaryAccounts) CurrentAccount(r *http.Request) (lockspire.Account, error) {
	if err := a.quote(r.Context(), r); err != nil {
		return lockspire.Account{}, err
	}
	return a.people.CurrentAccount(r)
}

func (a *canaryAccounts) AccountBySubject(ctx context.Context, subject string) (lockspire.Account, error) {
	if err := a.quote(ctx, nil, subject); err != nil {
		return lockspire.Account{}, err
	}
	return a.people.AccountBySubject(ctx, subject)
}

func (a *canaryAccounts) Claims(ctx context.Context, account lockspire.Account, request lockspire.ClaimsRequest) (lockspire.Claims, error) {
	if err := a.quote(ctx, nil, account.Subject, request); err != nil {
		return nil, err
	}
	return a.people.Claims(ctx, account, request)
}

// tried runs a request with each fault: the host's error, its panic, and the
// driver's error at the first statement, the second and so on, until it gets
// through.
func (h *canaryHost) tried(t *testing.T, name string, request func() int) {
	t.Helper()
	set := func(fault canaryFault, failAt int) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.fault, h.failAt, h.sent = fault, failAt, 0
	}
	defer set(nothingFails, 0)
	for _, fault := range []canaryFault{hostFails, hostPanics} {
		set(fault, 0)
		request()
	}
	for n := 1; ; n++ {
		set(driverFails, n)
		status := request()
		h.mu.Lock()
		sent := h.sent
		h.mu.Unlock()
		if sent < n {
			return
		}
		if n > 40 {
			t.Fatalf("%s does not get through: %d", name, status)
		}
	}
}

// saw keeps what a refusal shows. Its cookies are for the browser alone.
func (h *canaryHost) saw(status int, header http.Header, body string) {
	if status < 400 {
		return
	}
	header = header.Clone()
	header.Del("Set-Cookie")
	h.mu.Lock()
	defer h.mu.Unlock()
	fmt.Fprintln(&h.refusals, status, header, body)
}

// search fails for each canary that a sink has.
func (h *canaryHost) search(t *testing.T) {
	t.Helper()
	audit := ""
	for _, line := range strings.Split(dump(t, h.host), "\n") {
		if strings.HasPrefix(line, "audit.") {
			audit += line + "\n"
		}
	}
	sinks := map[string]string{
		"log": h.lines.String(), "events": h.events.dump(), "audit log": audit, "refusals": h.refusals.String(), "server's log": serverLog().String(),
	}
	for name, content := range sinks {
		if content == "" && name != "server's log" && name != "events" {
			t.Errorf("the %s is empty: is it heard?", name)
		}
	}
	guarded := map[string]string{"database": dump(t, h.host), "statements' parameters": h.statements.String()}
	found := 0
	for _, c := range h.canaries {
		for _, spelling := range c.spelled() {
			for sink, content := range sinks {
				if strings.Contains(content, spelling) {
					t.Errorf("%s (%q) is in the %s, as %q: %s", c.name, c.value, sink, spelling, around(content, spelling))
					found++
				}
			}
			for sink, content := range guarded {
				if c.bearer && strings.Contains(content, spelling) {
					t.Errorf("%s (%q) is in the %s, as %q: %s", c.name, c.value, sink, spelling, around(content, spelling))
					found++
				}
			}
		}
		if found > 20 {
			t.Fatal("and more")
		}
	}
	if len(h.canaries) < 10 {
		t.Errorf("only %d canaries", len(h.canaries))
	}
}

// around is where content has s.
func around(content, s string) string {
	at := strings.Index(content, s)
	return content[max(0, at-160):min(len(content), at+len(s)+60)]
}
