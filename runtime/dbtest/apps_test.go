package dbtest

import (
	"database/sql"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// appsHost is a provider whose signed-in account the test chooses.
type appsHost struct {
	*lockspire.Provider
	apps    *lastApps
	account lockspire.Account
	err     error
	events  eventLog
}

func newAppsHost(t *testing.T, db *sql.DB, engine lockspire.Dialect) (*appsHost, *clock) {
	clock := newClock()
	host := &appsHost{apps: &lastApps{}, account: lockspire.Account{Subject: "alice", SessionID: "s1"}}
	config := baseConfig(db, engine)
	config.Now, config.Events = clock.Now, host.events.add
	config.Pages.AuthorizedApps = host.apps.render
	config.Accounts = &alwaysAlice{current: func(*http.Request) (lockspire.Account, error) { return host.account, host.err }}
	host.Provider = mustNew(t, config)
	return host, clock
}

func (h *appsHost) get(headers ...string) *httptest.ResponseRecorder {
	return send(h, "GET", testIssuer+"/apps", nil, headers...)
}

func TestAppsPageListsAndRevokes(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		host, clock := newAppsHost(t, db, engine)
		client, other := seed(t, host.Provider, db, "Partner", clock.Now()), seed(t, host.Provider, db, "Other", clock.Now())
		token, otherToken := accessToken(t, db, client.claimsOf(clock.Now())), accessToken(t, db, other.claimsOf(clock.Now()))
		w := host.get()
		page := host.apps.page
		if w.Code != 200 || page.Action != "/lockspire/apps" || page.Account.Subject != "alice" || len(page.Grants) != 2 || page.Nonce == "" {
			t.Fatalf("GET: %d %+v", w.Code, page)
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("A52: %v", w.Header())
		}
		for _, grant := range page.Grants {
			if grant.Scopes[1].Title != "Read your notes" || grant.Resources[0] != testResource || grant.CreatedAt.IsZero() || grant.ClientName == "" {
				t.Errorf("grant %+v", grant)
			}
		}
		cookie := strings.Split(w.Header().Get("Set-Cookie"), ";")[0]
		if !strings.HasPrefix(cookie, "__Host-lockspire-") {
			t.Fatalf("cookie %q", cookie)
		}
		form := url.Values{"decision_token": {page.Token}, "decision": {"revoke"}, "grant_id": {client.grantID}}
		w = post(host, testIssuer+"/apps", form.Encode(), "Cookie", cookie, "Sec-Fetch-Site", "same-origin")
		if w.Code != 303 || w.Header().Get("Location") != "/lockspire/apps?revoked="+client.grantID {
			t.Fatalf("POST: %d %s %s", w.Code, w.Header().Get("Location"), w.Body)
		}
		if callAPI(host.Provider, token).Code != 401 || callAPI(host.Provider, otherToken).Code != 200 {
			t.Error("the wrong tokens died")
		}
		send(host, "GET", "https://app.example"+w.Header().Get("Location"), nil, "Cookie", cookie)
		if host.apps.page.Revoked != "Partner" || len(host.apps.page.Grants) != 1 {
			t.Errorf("after: %+v", host.apps.page)
		}
		if !strings.HasSuffix(host.events.names(), "grant.revoked") {
			t.Errorf("events: %s", host.events.names())
		}
		if n := count(t, db, "SELECT COUNT(*) FROM lockspire_audit WHERE name = 'grant.revoked' AND grant_id = $1 AND subject = 'alice' AND client_id = $2", client.grantID, client.client.ID); n != 1 {
			t.Errorf("%d audit rows", n)
		}
		// "revoked" of somebody else's, live or unknown grant says nothing.
		for _, id := range []string{other.grantID, "x", "%00", "<script>"} {
			send(host, "GET", testIssuer+"/apps?revoked="+url.QueryEscape(id), nil, "Cookie", cookie)
			if host.apps.page.Revoked != "" {
				t.Errorf("revoked=%s shows %q", id, host.apps.page.Revoked)
			}
		}
	})
}

func TestA45AppsPostNeedsItsOwnPage(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		host, clock := newAppsHost(t, db, engine)
		client := seed(t, host.Provider, db, "Partner", clock.Now())
		cookie := strings.Split(host.get().Header().Get("Set-Cookie"), ";")[0]
		token := host.apps.page.Token
		otherCookie := strings.Split(host.get().Header().Get("Set-Cookie"), ";")[0]
		form := func(token string) string {
			return url.Values{"decision_token": {token}, "decision": {"revoke"}, "grant_id": {client.grantID}}.Encode()
		}
		refused := func(name, form string, headers ...string) {
			t.Helper()
			if w := post(host, testIssuer+"/apps", form, headers...); w.Code != 403 {
				t.Errorf("%s: %d", name, w.Code)
			}
		}
		refused("no token", form(""), "Cookie", cookie)
		refused("bad token", form(token+"x"), "Cookie", cookie)
		refused("no cookie", form(token))
		refused("another browser", form(token), "Cookie", otherCookie)
		refused("cross-site", form(token), "Cookie", cookie, "Sec-Fetch-Site", "cross-site")
		refused("same-site sibling", form(token), "Cookie", cookie, "Sec-Fetch-Site", "same-site", "Origin", "https://app.example")
		refused("another origin", form(token), "Cookie", cookie, "Origin", "https://evil.example")
		host.account.SessionID = "s2"
		refused("another session", form(token), "Cookie", cookie)
		host.account = lockspire.Account{Subject: "bob", SessionID: "s1"}
		refused("another account", form(token), "Cookie", cookie)
		host.account = lockspire.Account{Subject: "alice", SessionID: "s1"}
		if n := count(t, db, "SELECT COUNT(*) FROM lockspire_grants WHERE revoked_at IS NULL"); n != 1 {
			t.Fatal("a refused form revoked the grant")
		}
		if w := post(host, testIssuer+"/apps", form(token), "Cookie", cookie, "Origin", "null"); w.Code != 303 {
			t.Errorf("Origin null: %d, the token alone decides", w.Code)
		}
		late := host.apps.page.Token
		clock.advance(11 * 60e9)
		refused("after its time", form(late), "Cookie", cookie)
	})
}

func TestAppsPageOfNobodyGoesToLogin(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		host, _ := newAppsHost(t, db, engine)
		for _, err := range []error{lockspire.ErrNotSignedIn, lockspire.ErrSignInIncomplete} {
			host.account, host.err = lockspire.Account{}, err
			for _, method := range []string{"GET", "POST"} {
				w := send(host, method, testIssuer+"/apps", strings.NewReader("a=b"), "Content-Type", "application/x-www-form-urlencoded")
				if want := "/login?interaction_id=&return_to=%2Flockspire%2Fapps"; w.Code != 303 || w.Header().Get("Location") != want {
					t.Errorf("%s, %v: %d %s", method, err, w.Code, w.Header().Get("Location"))
				}
			}
		}
		host.err = sql.ErrConnDone
		if w := host.get(); w.Code != 503 {
			t.Errorf("host fault: %d", w.Code)
		}
	})
}

func TestRevokeGrantTakesTheSubjectsOwnOnly(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		host, clock := newAppsHost(t, db, engine)
		client := seed(t, host.Provider, db, "Partner", clock.Now())
		token := accessToken(t, db, client.claimsOf(clock.Now()))
		for _, subject := range []string{"bob", ""} {
			if err := host.RevokeGrant(t.Context(), subject, client.grantID); err != nil || callAPI(host.Provider, token).Code != 200 {
				t.Errorf("subject %q: %v, or the grant is gone", subject, err)
			}
		}
		for range 2 {
			if err := host.RevokeGrant(t.Context(), "alice", client.grantID); err != nil {
				t.Fatal(err)
			}
		}
		if callAPI(host.Provider, token).Code != 401 {
			t.Error("the token lives on")
		}
		if n := count(t, db, "SELECT COUNT(*) FROM lockspire_audit WHERE name = 'grant.revoked'"); n != 1 {
			t.Errorf("%d audit rows", n)
		}
		grants, err := host.Grants(t.Context(), "alice")
		if err != nil || len(grants) != 0 {
			t.Errorf("Grants: %v %v", grants, err)
		}
		// A new consent of the same person may follow.
		mustExec(t, db, `INSERT INTO lockspire_grants (id, client_id, subject, scopes, resources, created_at, last_used_at)
			VALUES ('again', $1, 'alice', '[]', '[]', 1, 1)`, client.client.ID)
	})
}
