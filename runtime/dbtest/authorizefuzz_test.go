package dbtest

import (
	"database/sql"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// fuzzedHost answers authorization requests, and keeps what it showed.
type fuzzedHost struct {
	db       *sql.DB
	provider *lockspire.Provider
	client   lockspire.Client
	signedIn bool
	// shown is the consent page or the login hand-off of the last request.
	shown string
}

var fuzzedRedirects = []string{"https://partner.example/cb", "http://127.0.0.1/cb?x=1", "com.example.app:/cb"}

func newFuzzedHost(f *testing.F) *fuzzedHost {
	db := openDB(f, lockspire.SQLite)
	h := &fuzzedHost{db: db}
	config := baseConfig(db, lockspire.SQLite)
	config.Claims = []string{"email", "name"}
	config.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	config.Accounts = &fuzzedAccounts{h: h}
	config.Pages.Consent = func(_ http.ResponseWriter, _ *http.Request, page lockspire.ConsentPage) {
		page.Action, page.Token, page.Nonce = "", "", ""
		h.shown = fmt.Sprintf("consent %+v", page)
	}
	h.provider = mustNew(f, config)
	var err error
	h.client, _, err = h.provider.Clients().Create(f.Context(), lockspire.NewClient{
		Name: "Partner", RedirectURIs: fuzzedRedirects, Scopes: []string{"openid", "profile", "notes:read", "offline_access"},
	})
	if err != nil {
		f.Fatal(err)
	}
	return h
}

// fuzzedAccounts is alwaysAlice, or nobody.
type fuzzedAccounts struct {
	alwaysAlice
	h *fuzzedHost
}

func (a *fuzzedAccounts) CurrentAccount(r *http.Request) (lockspire.Account, error) {
	if !a.h.signedIn {
		return lockspire.Account{}, lockspire.ErrNotSignedIn
	}
	return a.alwaysAlice.CurrentAccount(r)
}

func (a *fuzzedAccounts) LoginURL(_ *http.Request, i lockspire.Interaction) string {
	need := i.Need
	if need.MaxAge != nil {
		a.h.shown = fmt.Sprint("max_age ", *need.MaxAge, " ")
	}
	need.MaxAge = nil
	a.h.shown += fmt.Sprintf("login %+v", need)
	return "/login"
}

// send gives the provider one request and follows it while it stays inside.
func (h *fuzzedHost) send(method, query, body string) (page, string, error) {
	h.shown = ""
	var p page
	cookies := http.Header{}
	for range 6 {
		r := httptest.NewRequest(method, testIssuer+"/authorize", strings.NewReader(body))
		r.URL.RawQuery = query
		if p.location != "" {
			at, err := url.Parse(p.location)
			if err != nil {
				return p, "", fmt.Errorf("unusable location %q", p.location)
			}
			r.URL.Path, r.URL.RawQuery = at.Path, at.RawQuery
		}
		if method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		r.Header["Cookie"] = cookies["Cookie"]
		w := httptest.NewRecorder()
		h.provider.ServeHTTP(w, r)
		for _, cookie := range w.Result().Cookies() {
			cookies.Set("Cookie", cookie.Name+"="+cookie.Value)
		}
		p = page{status: w.Code, header: w.Header(), body: w.Body.String(), location: w.Header().Get("Location")}
		if match := refreshPattern.FindStringSubmatch(p.body); match != nil {
			p.location = html.UnescapeString(match[1])
		}
		if !strings.HasPrefix(p.location, "/lockspire/") {
			break
		}
		method, body = http.MethodGet, ""
	}
	outcome, err := h.outcome(p)
	return p, outcome, err
}

// outcome is what the request came to, whichever way it came. It is an error
// where the browser is sent to an address that is not registered.
func (h *fuzzedHost) outcome(p page) (string, error) {
	if p.status >= 500 || p.status == http.StatusOK && p.location == "" && p.body == "" && h.shown == "" {
		return "", fmt.Errorf("answered %d %s", p.status, p.body)
	}
	to := p.location
	if match := actionPattern.FindStringSubmatch(p.body); match != nil {
		to = "form " + html.UnescapeString(match[1])
		for _, field := range inputPattern.FindAllStringSubmatch(p.body, -1) {
			to += " " + field[1] + "=" + field[2]
		}
		if !fuzzedRegistered(html.UnescapeString(match[1])) {
			return "", fmt.Errorf("a form for %q", match[1])
		}
	} else if to != "" && to != "/login" && !fuzzedRegistered(to) {
		return "", fmt.Errorf("sent to %q", to)
	}
	if to == "" && h.shown == "" {
		// A page of ours, in fixed words.
		title, message := between(p.body, "<h1>", "</h1>"), between(p.body, "<p>", "</p>")
		if p.status < 400 || title == "" {
			return "", errors.New("no page: " + p.body)
		}
		return fmt.Sprint(p.status, title, message), nil
	}
	return to + " " + h.shown, nil
}

// fuzzedRegistered reports whether target is a registered redirect URI with
// parameters added, its port aside where it is on loopback.
func fuzzedRegistered(target string) bool {
	for _, uri := range fuzzedRedirects {
		rest, ok := strings.CutPrefix(target, uri)
		if host, after, cut := strings.Cut(uri, "127.0.0.1"); cut && !ok {
			if rest, ok = strings.CutPrefix(target, host+"127.0.0.1:"); ok {
				rest, ok = strings.CutPrefix(strings.TrimLeft(rest, "0123456789"), after)
			}
		}
		if ok && (rest == "" || rest[0] == '?' || rest[0] == '&') {
			return true
		}
	}
	return false
}

// An authorization request comes to the same by GET and by POST, is never a
// fault, and never leads to an address that is not registered.
func FuzzAuthorizationRequest(f *testing.F) {
	h := newFuzzedHost(f)
	for _, seed := range fuzzedSeeds() {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	runs := 0
	f.Fuzz(func(t *testing.T, query string, signedIn bool) {
		query = strings.ReplaceAll(query, "CLIENT", h.client.ID)
		if len(query) > 16<<10 || strings.Contains(query, "posted") {
			return // a body may be longer, and that parameter goes on with a request
		}
		if runs++; runs%200 == 0 {
			mustExec(t, h.db, "DELETE FROM lockspire_interactions")
		}
		h.signedIn = signedIn
		_, got, err := h.send(http.MethodGet, query, "")
		if err != nil {
			t.Fatalf("GET %q: %v", query, err)
		}
		_, posted, err := h.send(http.MethodPost, "", query)
		if err != nil {
			t.Fatalf("POST %q: %v", query, err)
		}
		if got != posted {
			t.Fatalf("%q comes to\n%s by GET, and\n%s by POST", query, got, posted)
		}
	})
}

// fuzzedSeeds are the requests of the rows about parameters.
func fuzzedSeeds() []string {
	base := "response_type=code&client_id=CLIENT&redirect_uri=https%3A%2F%2Fpartner.example%2Fcb&scope=openid+notes%3Aread&state=s&nonce=n" +
		"&code_challenge=" + challengeOf(testVerifier) + "&code_challenge_method=S256"
	seeds := []string{base, "", "client_id=CLIENT", "%", "client_id=CLIENT&client_id=x"}
	for _, added := range []string{
		"prompt=none", "prompt=login", "prompt=none+login", "max_age=0", "max_age=-1", "response_mode=form_post", "response_mode=fragment", "state=2",
		"claims=%7B%22userinfo%22%3A%7B%22email%22%3Anull%7D%7D", "resource=https%3A%2F%2Fapp.example", "resource=x", "request=x", "id_token_hint=a.b.c",
		"login_hint=%3Cscript%3E", "ui_locales=de+en", "acr_values=1+2", "x=%00", "%zz=1", "scope%5B%5D=a", "redirect_uri=https%3A%2F%2Fevil.example",
	} {
		seeds = append(seeds, base+"&"+added)
	}
	for _, uri := range []string{"http%3A%2F%2F127.0.0.1%3A8080%2Fcb%3Fx%3D1", "com.example.app%3A%2Fcb", "https%3A%2F%2Fpartner.example%2Fcb%2F"} {
		seeds = append(seeds, strings.ReplaceAll(base, "https%3A%2F%2Fpartner.example%2Fcb", uri))
	}
	return seeds
}
