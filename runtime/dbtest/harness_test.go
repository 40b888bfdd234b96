package dbtest

import (
	"bytes"
	"context"
	"database/sql"
	"flag"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// updateDocs rewrites the tables of docs/ that the tests that are run compare.
var updateDocs = flag.Bool("update", false, "rewrite the tables of docs/ that these tests compare")

// host is a small web application with users and sessions that embeds a
// provider, on a TLS server of its own.
type host struct {
	t        testing.TB
	server   *httptest.Server
	db       *sql.DB
	provider *lockspire.Provider
	people   *people
	clock    *clock
	events   *eventLog
	logs     *lockedBuffer
	// issuer is where requests go; a replica's is not what tokens say.
	issuer string
	config lockspire.Config
}

// newHost starts a host. Changes to the configuration come last.
func newHost(t testing.TB, db *sql.DB, engine lockspire.Dialect, changes ...func(*lockspire.Config)) *host {
	t.Helper()
	h := &host{t: t, db: db, people: newPeople(), clock: newClock(), events: &eventLog{}, logs: &lockedBuffer{}}
	mux := http.NewServeMux()
	h.server = httptest.NewTLSServer(mux)
	t.Cleanup(h.server.Close)
	h.issuer = h.server.URL + "/lockspire"
	config := baseConfig(db, engine)
	config.Issuer = h.issuer
	config.Accounts = h.people
	config.Pages.Consent = renderConsent
	config.Now = h.clock.Now
	config.Events = h.events.add
	config.Logger = slog.New(slog.NewTextHandler(h.logs, nil))
	config.Scopes = []lockspire.Scope{
		{Name: "profile", Title: "Your name"},
		{Name: "email", Title: "Your e-mail address", Optional: true},
		{Name: "notes:read", Title: "Read your notes", Default: true},
		{Name: "notes:write", Title: "Change your notes"},
	}
	for _, change := range changes {
		change(&config)
	}
	h.config = config
	h.provider = mustNew(t, config)
	mux.Handle("/", h.provider)
	mux.HandleFunc("/login", h.people.serveLogin)
	mux.Handle("/api", h.provider.Protect(lockspire.RequireScope("notes:read"))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := lockspire.TokenFrom(r.Context())
		fmt.Fprintf(w, "notes of %s", token.Subject)
	})))
	return h
}

// replica starts a second process's worth of provider for the same issuer on
// the same database.
func (h *host) replica(changes ...func(*lockspire.Config)) *host {
	h.t.Helper()
	other := *h
	for _, change := range changes {
		change(&other.config)
	}
	other.provider = mustNew(h.t, other.config)
	other.server = httptest.NewTLSServer(other.provider)
	h.t.Cleanup(other.server.Close)
	other.issuer = other.server.URL + "/lockspire"
	return &other
}

// on returns the app as it talks to another replica.
func (a *app) on(h *host) *app {
	other := *a
	other.h = h
	return &other
}

// renderConsent is the host's consent page, with all that a test looks for.
func renderConsent(w http.ResponseWriter, r *http.Request, page lockspire.ConsentPage) {
	fmt.Fprintf(w, `<form method="post" action="%s"><input name="decision_token" value="%s"><p>account=%s client=%s host=%s loopback=%v`,
		page.Action, page.Token, html.EscapeString(page.Account.Subject), html.EscapeString(page.Client.Name), page.Client.RedirectHost, page.Client.Loopback)
	for _, scope := range page.Scopes {
		fmt.Fprintf(w, ` scope=%s granted=%v`, scope.Name, scope.Granted)
	}
	fmt.Fprint(w, `</p></form>`)
}

// people are the host's accounts and sessions.
type people struct {
	mu       sync.Mutex
	sessions map[string]lockspire.Account
	gone     map[string]bool
	fault    error
	calls    map[string]int
	last     lockspire.Interaction
	claims   func(lockspire.ClaimsRequest) lockspire.Claims
	// visit is called in each callback that may use the database.
	visit func(ctx context.Context) error
}

func newPeople() *people {
	return &people{sessions: map[string]lockspire.Account{}, gone: map[string]bool{}, calls: map[string]int{}}
}

func (p *people) called(ctx context.Context, name string) error {
	p.mu.Lock()
	p.calls[name]++
	visit, fault := p.visit, p.fault
	p.mu.Unlock()
	if fault != nil {
		return fault
	}
	if visit != nil {
		return visit(ctx)
	}
	return nil
}

func (p *people) CurrentAccount(r *http.Request) (lockspire.Account, error) {
	if err := p.called(r.Context(), "CurrentAccount"); err != nil {
		return lockspire.Account{}, err
	}
	cookie, err := r.Cookie("session")
	if err != nil || r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		// The cookie is SameSite=Strict; a browser would not have sent it.
		return lockspire.Account{}, lockspire.ErrNotSignedIn
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	account, ok := p.sessions[cookie.Value]
	if !ok {
		return lockspire.Account{}, lockspire.ErrNotSignedIn
	}
	return account, nil
}

func (p *people) AccountBySubject(ctx context.Context, subject string) (lockspire.Account, error) {
	if err := p.called(ctx, "AccountBySubject"); err != nil {
		return lockspire.Account{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone[subject] {
		return lockspire.Account{}, fmt.Errorf("users: %w", lockspire.ErrAccountGone)
	}
	return lockspire.Account{Subject: subject}, nil
}

func (p *people) Claims(ctx context.Context, account lockspire.Account, request lockspire.ClaimsRequest) (lockspire.Claims, error) {
	if err := p.called(ctx, "Claims"); err != nil {
		return nil, err
	}
	if p.claims != nil {
		return p.claims(request), nil
	}
	claims := lockspire.Claims{}
	if request.Has("profile") && !request.IDToken {
		claims["name"] = strings.ToUpper(account.Subject)
	}
	return claims, nil
}

func (p *people) LoginURL(r *http.Request, i lockspire.Interaction) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = i
	return i.AppendTo("/login")
}

func (p *people) interaction() lockspire.Interaction {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

func (p *people) count(name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[name]
}

func (p *people) set(change func(p *people)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// serveLogin is the host's login page: GET shows the form, POST signs in and
// goes back to where the form says.
func (p *people) serveLogin(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", "form-action 'self'")
	if r.Method != http.MethodPost {
		fmt.Fprintf(w, "login return_to=%s interaction_id=%s", r.FormValue("return_to"), r.FormValue("interaction_id"))
		return
	}
	session := "session-" + r.FormValue("user") + "-" + r.FormValue("nth")
	at := time.Time{}
	if unix := r.FormValue("auth_time"); unix != "" {
		var seconds int64
		fmt.Sscan(unix, &seconds)
		at = time.Unix(seconds, 0)
	}
	p.set(func(p *people) {
		p.sessions[session] = lockspire.Account{
			Subject: r.FormValue("user"), SessionID: session, AuthTime: at, ACR: "1", AMR: []string{"pwd"}, Epoch: r.FormValue("epoch"),
		}
	})
	http.SetCookie(w, &http.Cookie{Name: "session", Value: session, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, lockspire.SafeReturnTo(r.FormValue("return_to"), "/"), http.StatusSeeOther)
}

// audited counts audit rows of one name.
func (h *host) audited(name string) int {
	h.t.Helper()
	return count(h.t, h.db, "SELECT COUNT(*) FROM lockspire_audit WHERE name = $1", name)
}

// lockedBuffer is a log that may be written to and read at once.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// onEngines runs fn with a host on a database of each engine, beside other
// tests: most of their time is spent waiting for disks.
func onEngines(t *testing.T, fn func(t *testing.T, h *host), changes ...func(*lockspire.Config)) {
	t.Helper()
	t.Parallel()
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			fn(t, newHost(t, openDB(t, engine), engine, changes...))
		})
	}
}

// dump prints every row of every lockspire_* table.
func dump(t testing.TB, h *host) string {
	t.Helper()
	var out strings.Builder
	for _, table := range []string{"meta", "clients", "client_secrets", "keys", "grants", "interactions", "families", "codes", "refresh_tokens", "access_tokens", "revoked_tokens", "audit"} {
		rows, err := h.db.QueryContext(t.Context(), "SELECT * FROM lockspire_"+table)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(sql.RawBytes)
			}
			if err := rows.Scan(values...); err != nil {
				t.Fatal(err)
			}
			for i, value := range values {
				fmt.Fprintf(&out, "%s.%s=%s\n", table, columns[i], *value.(*sql.RawBytes))
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

// dump prints every event.
func (l *eventLog) dump() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%+v", l.events)
}
