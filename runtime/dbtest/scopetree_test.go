package dbtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// wider is a catalogue in which admin implies write and write implies read.
// Profiles come in two widths, and e-mail can be unticked by itself.
func wider(config *lockspire.Config) {
	config.Scopes = []lockspire.Scope{
		{Name: "notes:admin", Title: "Manage your notes", Implies: []string{"notes:write"}},
		{Name: "notes:write", Title: "Change your notes", Implies: []string{"notes:read"}, Optional: true},
		{Name: "notes:read", Title: "Read your notes", Default: true, Optional: true},
		{Name: "person", Title: "All about you", Implies: []string{"profile"}},
		{Name: "profile", Title: "Your name"},
	}
	config.Pages.Consent = func(w http.ResponseWriter, r *http.Request, page lockspire.ConsentPage) {
		renderConsent(w, r, page)
		for _, scope := range page.Scopes {
			for _, included := range scope.Includes {
				fmt.Fprintf(w, "<p>%s includes=%s title=%s</p>", scope.Name, included.Name, included.Title)
			}
		}
	}
}

// mayAsk registers a client for scopes.
func mayAsk(scopes ...string) func(*lockspire.NewClient) {
	return func(n *lockspire.NewClient) { n.Scopes = scopes }
}

// tick asks, consents with those optional scopes ticked, and redeems.
func (a *app) tick(ticked string, pairs ...string) tokens {
	a.h.t.Helper()
	b := a.h.newBrowser()
	page := a.consentPage(b, "alice", append(pairs, "prompt", "consent")...)
	var fields []string
	for _, scope := range strings.Fields(ticked) {
		fields = append(fields, "scope", scope)
	}
	return a.redeem(b.decide(page, lockspire.DecisionApprove, fields...).answer(a.h.t).Get("code"))
}

func (h *host) protects(token string, options ...lockspire.ProtectOption) int {
	guarded := h.provider.Protect(options...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	return send(guarded, "GET", h.server.URL+"/api", nil, "Authorization", "Bearer "+token).Code
}

func TestA145AWiderScopeOpensWhatItImplies(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp(mayAsk("openid", "notes:admin", "person"))
		got := partner.tick("", "scope", "openid notes:admin person")
		if got.Scope != "openid notes:admin person" || claimsIn(t, got.Access)["scope"] != got.Scope {
			t.Errorf("the token does not carry exactly what was granted: %s", got.raw)
		}
		for scope, want := range map[string]int{"notes:admin": 200, "notes:write": 200, "notes:read": 200, "profile": 200, "offline_access": 403} {
			if status := h.protects(got.Access, lockspire.RequireScope(scope)); status != want {
				t.Errorf("RequireScope(%s): %d, want %d", scope, status, want)
			}
		}
		read := partner.tick("notes:read", "scope", "openid notes:read")
		if status := h.protects(read.Access, lockspire.RequireScope("notes:write")); status != 403 {
			t.Errorf("a narrower scope opens a wider one: %d", status)
		}
		// The handler asks the same question by itself.
		seen := map[string]bool{}
		guarded := h.provider.Protect()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, _ := lockspire.TokenFrom(r.Context())
			for _, scope := range []string{"notes:admin", "notes:read", "offline_access"} {
				seen[scope] = token.HasScope(scope)
			}
			seen["listed"] = fmt.Sprint(token.Scopes) == "[openid notes:admin person]"
		}))
		send(guarded, "GET", h.server.URL+"/api", nil, "Authorization", "Bearer "+got.Access)
		if fmt.Sprint(seen) != "map[listed:true notes:admin:true notes:read:true offline_access:false]" {
			t.Errorf("in the handler: %v", seen)
		}
		// A claim whose scope is implied is not dropped.
		if status, body := h.bearer("/lockspire/userinfo", got.Access); status != 200 || !strings.Contains(body, `"name":"ALICE"`) {
			t.Errorf("userinfo: %d %s", status, body)
		}
		if _, body := h.bearer("/lockspire/userinfo", read.Access); strings.Contains(body, "name") {
			t.Errorf("A150: userinfo without the scope: %s", body)
		}
	}, wider)
}

func TestIntrospectionSaysAllThatATokenIsGoodFor(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, server := h.newApp(mayAsk("notes:admin")), h.newApp(serves(h.server.URL))
		got := partner.tick("", "scope", "notes:admin")
		for name, w := range map[string][]byte{
			"resource server": server.introspect(got.Access).Body.Bytes(),
			"own":             partner.introspect(got.Access).Body.Bytes(),
			"refresh token":   partner.introspect(got.Refresh).Body.Bytes(),
		} {
			var answer struct{ Scope string }
			if err := json.Unmarshal(w, &answer); err != nil || answer.Scope != "notes:admin notes:write notes:read" {
				t.Errorf("%s: %s", name, w)
			}
		}
	}, wider)
}

func TestA48TheConsentPageShowsWhatAScopeBringsAlong(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp(mayAsk("notes:admin"))
		shown := func(scope string) string {
			return partner.consentPage(h.newBrowser(), "alice", "scope", scope).body
		}
		// Nobody can untick admin, so what it brings along is no question.
		body := shown("notes:read notes:admin notes:write")
		if strings.Contains(body, "scope=notes:read ") || strings.Contains(body, "scope=notes:write ") {
			t.Errorf("an implied scope is asked for again: %s", body)
		}
		for _, part := range []string{"scope=notes:admin ", "notes:admin includes=notes:write title=Change your notes", "notes:admin includes=notes:read"} {
			if !strings.Contains(body, part) {
				t.Errorf("no %q on the page: %s", part, body)
			}
		}
		// Write can be unticked, and then read is a question of its own.
		body = shown("notes:read notes:write")
		if !strings.Contains(body, "scope=notes:read ") || !strings.Contains(body, "notes:write includes=notes:read") {
			t.Errorf("an optional wider scope hides a narrower one: %s", body)
		}
		for _, c := range []struct{ ticked, asked, granted string }{
			{"", "notes:read notes:admin notes:write", "notes:read notes:admin notes:write"},
			{"notes:read notes:write", "notes:read notes:write", "notes:read notes:write"},
			{"notes:read", "notes:read notes:write", "notes:read"},
			// Read comes with write, and the answer says so.
			{"notes:write", "notes:read notes:write", "notes:read notes:write"},
			{"notes:write", "notes:write", "notes:write"},
		} {
			got := partner.tick(c.ticked, "scope", c.asked)
			if got.Scope != c.granted {
				t.Errorf("asked %q, ticked %q: granted %q", c.asked, c.ticked, got.Scope)
			}
		}
		b := h.newBrowser()
		left := b.decide(partner.consentPage(b, "alice", "scope", "notes:read notes:write", "prompt", "consent"), lockspire.DecisionApprove)
		if left.answer(t).Get("error") != "access_denied" {
			t.Errorf("everything unticked: %s", left.location)
		}
	}, wider)
}

func TestA49RememberedConsentCoversWhatItsPageShowed(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(mayAsk("notes:admin")), h.newBrowser()
		asks := func(h *host, scope string) bool {
			t.Helper()
			page := b.follow(b.get(partner.on(h).authorizeURL("scope", scope)))
			if !page.isConsent() && page.answer(t).Get("code") == "" {
				t.Fatalf("%s: %d %s", scope, page.status, page.location)
			}
			return page.isConsent()
		}
		b.signIn("alice")
		b.decide(b.follow(b.get(partner.authorizeURL("scope", "notes:write"))), lockspire.DecisionApprove, "scope", "notes:write")
		for scope, want := range map[string]bool{"notes:write": false, "notes:read": false, "notes:read notes:write": false, "notes:admin": true, "notes:write notes:admin": true} {
			if got := asks(h, scope); got != want {
				t.Errorf("after consent to notes:write, %q asks again: %v", scope, got)
			}
		}
		code := b.get(partner.authorizeURL("scope", "notes:read")).answer(t).Get("code")
		if got := partner.redeem(code); got.Scope != "notes:read" || h.protects(got.Access, lockspire.RequireScope("notes:write")) != 403 {
			t.Errorf("asked for less than is remembered: %s", got.raw)
		}
		page := b.follow(b.get(partner.authorizeURL("scope", "notes:admin"))).body
		if !strings.Contains(page, "scope=notes:admin granted=false") {
			t.Errorf("a page says that more was allowed before: %s", page)
		}
	}, wider)
}

// A scope that means more than it did when its page was shown was not allowed.
func TestA49AScopeThatGrewIsAskedForAgain(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp(mayAsk("notes:write"))
		partner.consentTo(h.newBrowser(), "alice", "scope", "notes:write")
		grown := h.replica(func(config *lockspire.Config) {
			config.Scopes = []lockspire.Scope{{Name: "notes:write", Implies: []string{"notes:burn"}}, {Name: "notes:burn"}}
		})
		ask := func(h *host) page {
			// The login page is only on the first server.
			account := lockspire.Account{Subject: "alice", SessionID: "s"}
			h.people.set(func(p *people) { p.sessions["s"] = account })
			return page{body: send(h.provider, "GET", partner.on(h).authorizeURL("scope", "notes:write"), nil, "Cookie", "session=s").Header().Get("Location")}
		}
		if to := ask(h).body; !strings.Contains(to, "code=") {
			t.Fatalf("the scope as it was allowed: sent to %s", to)
		}
		if to := ask(grown).body; !strings.Contains(to, "/interactions/") {
			t.Errorf("the scope with more in it: sent to %s", to)
		}
	})
}

func TestA104ARefreshMayNarrowToWhatIsImplied(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp(mayAsk("openid", "offline_access", "notes:admin"))
		got := partner.tick("notes:write", "scope", "openid offline_access notes:write")
		narrowed := partner.refresh(got.Refresh, "scope", "notes:read")
		if narrowed.Scope != "notes:read" || h.protects(narrowed.Access, lockspire.RequireScope("notes:write")) != 403 || h.protects(narrowed.Access, lockspire.RequireScope("notes:read")) != 200 {
			t.Fatalf("narrowed: %s", narrowed.raw)
		}
		wantToken(t, "wider", partner.refresh(narrowed.Refresh, "scope", "notes:admin"), 400, "invalid_scope")
		wantToken(t, "not in the catalogue", partner.refresh(narrowed.Refresh, "scope", "notes:burn"), 400, "invalid_scope")
		if again := partner.refresh(narrowed.Refresh); again.Scope != "openid offline_access notes:write" {
			t.Errorf("narrowing shrank the grant: %s", again.raw)
		}
	}, wider)
}

func TestA23AClientMayAskForWhatItsScopesImply(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp(mayAsk("notes:write"))
		if got := partner.tick("notes:read", "scope", "notes:read"); got.Scope != "notes:read" {
			t.Errorf("less than allowed: %s", got.raw)
		}
		partner.wantError(t, "more than allowed", h.newBrowser().get(partner.authorizeURL("scope", "notes:admin")), "invalid_scope")
		job := h.newApp(machine, mayAsk("notes:write"))
		if got := job.ownToken("scope", "notes:read"); got.Scope != "notes:read" {
			t.Errorf("client credentials: %s", got.raw)
		}
		wantToken(t, "more, client credentials", job.ownToken("scope", "notes:admin"), 400, "invalid_scope")
		if got := job.ownToken(); got.Scope != "notes:read" {
			t.Errorf("default: %s", got.raw)
		}
	}, wider)
}
