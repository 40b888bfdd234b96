package dbtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

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

// app is a registered client as its developer sees it.
type app struct {
	h *host
	lockspire.Client
	secret, redirectURI string
}

func (h *host) newApp(changes ...func(*lockspire.NewClient)) *app {
	h.t.Helper()
	n := lockspire.NewClient{
		Name: "Partner", RedirectURIs: []string{"https://partner.example/cb"},
		Scopes: []string{"openid", "profile", "email", "notes:read", "notes:write", "offline_access"},
	}
	for _, change := range changes {
		change(&n)
	}
	client, secret, err := h.provider.Clients().Create(h.t.Context(), n)
	if err != nil {
		h.t.Fatal(err)
	}
	return &app{h: h, Client: client, secret: secret, redirectURI: n.RedirectURIs[0]}
}

func public(n *lockspire.NewClient) { n.AuthMethod = lockspire.AuthNone }

// The PKCE pair of RFC 7636 appendix B.
const (
	testVerifier  = "dBjftJeZ4CVP-mBdodtvRTYgEpVkqyFqKHNmEHUFAaE"
	wrongVerifier = "wrong-wrong-wrong-wrong-wrong-wrong-wrong-wrong"
)

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorizeURL is a good authorization request, with pairs changed or added;
// an empty value removes a parameter.
func (a *app) authorizeURL(pairs ...string) string {
	values := url.Values{
		"response_type": {"code"}, "client_id": {a.ID}, "redirect_uri": {a.redirectURI},
		"scope": {"openid notes:read"}, "state": {"st-1"}, "nonce": {"n-1"},
		"code_challenge": {challengeOf(testVerifier)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			values.Del(pairs[i])
			continue
		}
		values.Set(pairs[i], pairs[i+1])
	}
	return a.h.issuer + "/authorize?" + values.Encode()
}

// browser keeps cookies and follows nothing by itself.
type browser struct {
	h      *host
	client *http.Client
}

func (h *host) newBrowser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	client := *h.server.Client()
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{h: h, client: &client}
}

// page is one answer.
type page struct {
	status int
	header http.Header
	body   string
	// at is where the browser is.
	at string
	// location is where a redirect or a leave page leads, made absolute.
	location string
}

var refreshPattern = regexp.MustCompile(`http-equiv="refresh" content="0;url=([^"]*)"`)

func (b *browser) do(method, target string, form url.Values, headers ...string) page {
	b.h.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	request, err := http.NewRequest(method, target, body)
	if err != nil {
		b.h.t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := b.client.Do(request)
	if err != nil {
		b.h.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		b.h.t.Fatal(err)
	}
	p := page{status: response.StatusCode, header: response.Header, body: string(content), at: target}
	next := response.Header.Get("Location")
	if match := refreshPattern.FindStringSubmatch(p.body); match != nil {
		next = html.UnescapeString(match[1])
	}
	if next != "" {
		at, _ := url.Parse(target)
		to, err := at.Parse(next)
		if err != nil {
			b.h.t.Fatalf("unusable location %q", next)
		}
		p.location = to.String()
	}
	return p
}

func (b *browser) get(target string, headers ...string) page {
	return b.do("GET", target, nil, headers...)
}

// follow goes on to the first page that leads nowhere or out of the host.
func (b *browser) follow(p page) page {
	b.h.t.Helper()
	for hop := 0; p.location != "" && strings.HasPrefix(p.location, b.h.server.URL+"/"); hop++ {
		if hop > 10 {
			b.h.t.Fatalf("redirect loop at %s", p.location)
		}
		p = b.get(p.location)
	}
	return p
}

// signIn posts the login form as user and returns its answer.
func (b *browser) signIn(user string, pairs ...string) page {
	b.h.t.Helper()
	form := url.Values{"user": {user}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.do("POST", b.h.server.URL+"/login", form)
}

var (
	actionPattern = regexp.MustCompile(`action="([^"]*)"`)
	tokenPattern  = regexp.MustCompile(`name="decision_token" value="([^"]*)"`)
)

// isConsent reports whether p is the host's consent page.
func (p page) isConsent() bool { return p.status == 200 && tokenPattern.MatchString(p.body) }

// decide posts the consent page's form.
func (b *browser) decide(consent page, decision string, pairs ...string) page {
	b.h.t.Helper()
	if !consent.isConsent() {
		b.h.t.Fatalf("not a consent page: %d at %s\n%s", consent.status, consent.at, consent.body)
	}
	form := url.Values{"decision": {decision}, "decision_token": {tokenPattern.FindStringSubmatch(consent.body)[1]}}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return b.do("POST", b.h.server.URL+actionPattern.FindStringSubmatch(consent.body)[1], form, "Sec-Fetch-Site", "same-origin")
}

// answer are the parameters that the app was sent.
func (p page) answer(t testing.TB) url.Values {
	t.Helper()
	u, err := url.Parse(p.location)
	if err != nil || p.location == "" {
		t.Fatalf("no answer to the app: %d at %s\n%s", p.status, p.at, p.body)
	}
	return u.Query()
}

// consentTo signs user in where needed and approves what the app asks for, and
// returns the code.
func (a *app) consentTo(b *browser, user string, pairs ...string) string {
	a.h.t.Helper()
	p := b.follow(b.get(a.authorizeURL(pairs...)))
	if strings.Contains(p.body, "login return_to=") {
		at, _ := url.Parse(p.at)
		p = b.follow(b.signIn(user, "return_to", at.Query().Get("return_to")))
	}
	if p.isConsent() {
		var ticked []string
		if strings.Contains(p.body, "scope=email ") {
			ticked = []string{"scope", "email"}
		}
		p = b.decide(p, lockspire.DecisionApprove, ticked...)
		if p.status != 200 {
			a.h.t.Fatalf("approval answered %d\n%s", p.status, p.body)
		}
	}
	code := p.answer(a.h.t).Get("code")
	if code == "" {
		a.h.t.Fatalf("no code in %s", p.location)
	}
	return code
}

// code is consentTo by a new browser of alice's.
func (a *app) code(pairs ...string) string {
	a.h.t.Helper()
	return a.consentTo(a.h.newBrowser(), "alice", pairs...)
}

// tokens is the JSON of a token endpoint's answer.
type tokens struct {
	status      int
	header      http.Header
	raw         string
	Access      string `json:"access_token"`
	Refresh     string `json:"refresh_token"`
	ID          string `json:"id_token"`
	Type        string `json:"token_type"`
	Scope       string `json:"scope"`
	Expires     int    `json:"expires_in"`
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

func (r tokens) String() string { return fmt.Sprintf("%d %s", r.status, r.Error) }

// token posts to the token endpoint with the app's own credentials. Pairs are
// parameters; a name that begins with ":" is a header.
func (a *app) token(pairs ...string) tokens {
	a.h.t.Helper()
	form := url.Values{}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	switch a.AuthMethod {
	case lockspire.AuthClientSecretBasic:
		header.Set("Authorization", a.basic())
	case lockspire.AuthClientSecretPost:
		form.Set("client_id", a.ID)
		form.Set("client_secret", a.secret)
	default:
		form.Set("client_id", a.ID)
	}
	for i := 0; i < len(pairs); i += 2 {
		if name, ok := strings.CutPrefix(pairs[i], ":"); ok {
			header.Set(name, pairs[i+1])
		} else if pairs[i+1] == "" {
			form.Del(pairs[i])
		} else {
			form.Add(pairs[i], pairs[i+1])
		}
	}
	return a.h.postToken("", form.Encode(), header)
}

// basic is the app's Authorization header of client_secret_basic.
func (a *app) basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(a.ID)+":"+url.QueryEscape(a.secret)))
}

// post sends pairs as a form to an endpoint, with the app's own credentials.
func (a *app) post(path string, pairs ...string) *httptest.ResponseRecorder {
	a.h.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return send(a.h.provider, "POST", a.h.issuer+path, strings.NewReader(form.Encode()),
		"Content-Type", "application/x-www-form-urlencoded", "Authorization", a.basic())
}

func (h *host) postToken(query, body string, header http.Header) tokens {
	h.t.Helper()
	request, err := http.NewRequest("POST", h.issuer+"/token"+query, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header = header
	response, err := h.server.Client().Do(request)
	if err != nil {
		h.t.Error(err)
		return tokens{}
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Error(err)
		return tokens{}
	}
	result := tokens{status: response.StatusCode, header: response.Header, raw: string(content)}
	if err := json.Unmarshal(content, &result); err != nil {
		h.t.Errorf("token endpoint answered %d without JSON: %s", result.status, content)
	}
	return result
}

// redeem exchanges a code as the app should.
func (a *app) redeem(code string, pairs ...string) tokens {
	a.h.t.Helper()
	return a.token(append([]string{"grant_type", "authorization_code", "code", code,
		"code_verifier", testVerifier, "redirect_uri", a.redirectURI}, pairs...)...)
}

func (a *app) refresh(token string, pairs ...string) tokens {
	a.h.t.Helper()
	return a.token(append([]string{"grant_type", "refresh_token", "refresh_token", token}, pairs...)...)
}

// api calls the host's own API and returns the status.
func (h *host) api(accessToken string) int {
	h.t.Helper()
	status, _ := h.bearer("/api", accessToken)
	return status
}

func (h *host) bearer(path, accessToken string) (int, string) {
	h.t.Helper()
	request, err := http.NewRequest("GET", h.server.URL+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+accessToken)
	response, err := h.server.Client().Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

// claimsIn decodes a JWT's claims without verifying it.
func claimsIn(t testing.TB, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %q", token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// audited counts audit rows of one name.
func (h *host) audited(name string) int {
	h.t.Helper()
	return count(h.t, h.db, "SELECT COUNT(*) FROM lockspire_audit WHERE name = $1", name)
}

// inParallel calls fn n times from one barrier.
func inParallel(n int, fn func(i int)) {
	var ready, done sync.WaitGroup
	barrier := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			ready.Done()
			<-barrier
			fn(i)
		}()
	}
	ready.Wait()
	close(barrier)
	done.Wait()
}

// gate holds callers back until n of them wait, so that all have read before
// the first writes. It gives up after ten seconds.
type gate struct {
	mu      sync.Mutex
	missing int
	open    chan struct{}
}

func newGate(n int) *gate { return &gate{missing: n, open: make(chan struct{})} }

func (g *gate) wait(context.Context) error {
	g.mu.Lock()
	if g.missing--; g.missing == 0 {
		close(g.open)
	}
	g.mu.Unlock()
	select {
	case <-g.open:
	case <-time.After(10 * time.Second):
	}
	return nil
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
	for _, table := range []string{"meta", "clients", "client_secrets", "keys", "grants", "interactions", "families", "codes", "refresh_tokens", "revoked_tokens", "audit"} {
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
