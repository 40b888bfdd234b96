package dbtest

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// rowAuthorizeBadBytes are values that PostgreSQL, a header or a log would choke on.
var rowAuthorizeBadBytes = []string{"a\x00b", "\x00", "a\nb", "a\r\nb", "a\tb", "\x1b[2J", "\x01", "\x1f", "\x7f", "\xff", "a\xc3\x28", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "caf\xe9"}

// rowAuthorizeStatements counts what is sent to a database, and keeps what of it
// has text that no database should see.
type rowAuthorizeStatements struct {
	mu   sync.Mutex
	sent int
	bad  []string
}

func (s *rowAuthorizeStatements) tell(_ context.Context, _ *spiedConn, query string, args []driver.NamedValue) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	for _, arg := range args {
		text, ok := arg.Value.(string)
		if ok && (!utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })) {
			s.bad = append(s.bad, query)
		}
	}
	return nil
}

func (s *rowAuthorizeStatements) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// rowAuthorizeOnSpied is onEngines with a database whose statements are seen.
func rowAuthorizeOnSpied(t *testing.T, fn func(t *testing.T, h *host, seen *rowAuthorizeStatements)) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			seen := &rowAuthorizeStatements{}
			db := openSpied(t, engine, newDSN(t, engine), seen.tell)
			if err := lockspire.Migrate(t.Context(), db, engine, ""); err != nil {
				t.Fatal(err)
			}
			fn(t, newHost(t, db, engine), seen)
		})
	}
}

func TestA21BrokenTextIsRefusedBeforeAnyQuery(t *testing.T) {
	rowAuthorizeOnSpied(t, func(t *testing.T, h *host, seen *rowAuthorizeStatements) {
		partner, b := h.newApp(), h.newBrowser()
		got := partner.redeem(partner.consentTo(b, "alice", "scope", "openid notes:read offline_access"))
		seen.mu.Lock()
		seen.bad = nil
		seen.mu.Unlock()
		t.Run("authorize", func(t *testing.T) { rowAuthorizeBrokenRequests(t, partner, b) })
		t.Run("forms", func(t *testing.T) { rowAuthorizeBrokenForms(t, partner, got, seen) })
		t.Run("pages", func(t *testing.T) { rowAuthorizeBrokenDecisions(t, partner, b) })
		for _, query := range seen.bad {
			t.Errorf("broken text was sent with\n%s", query)
		}
	})
}

// rowAuthorizeBrokenRequests sends each value in each parameter of an authorization
// request, and in a parameter's name.
func rowAuthorizeBrokenRequests(t *testing.T, a *app, b *browser) {
	rows, issued := a.h.interactions(), a.h.issued()
	for _, bad := range rowAuthorizeBadBytes {
		for _, name := range []string{"client_id", "redirect_uri"} {
			wantPage(t, name+" "+url.QueryEscape(bad), b.get(a.authorizeURL(name, bad)))
			wantPage(t, name+" by POST "+url.QueryEscape(bad), a.posted(b, name, a.redirectURI+bad))
		}
		wantPage(t, "posted", b.get(a.h.issuer+"/authorize?posted="+url.QueryEscape(bad)))
		for _, name := range []string{"response_type", "scope", "state", "response_mode", "code_challenge", "code_challenge_method", "nonce", "display", "prompt", "max_age", "ui_locales",
			"claims_locales", "id_token_hint", "login_hint", "acr_values", "claims", "request", "request_uri", "registration", "dpop_jkt", "authorization_details", "resource", "unknown", "na" + bad + "me"} {
			about := url.QueryEscape(name + "=" + bad)
			answer := a.wantError(t, about, b.get(a.authorizeURL(name, bad)), "invalid_request")
			if state := answer.Get("state"); state != "st-1" && name != "state" || state != "" && name == "state" {
				t.Errorf("%s: state %q", about, state)
			}
			if p := a.posted(b, name, bad); p.status != http.StatusOK || p.answer(t).Get("error") != "invalid_request" {
				t.Errorf("%s by POST: %d to %q", about, p.status, p.location)
			}
		}
	}
	for _, escape := range []string{"nonce=%", "nonce=%0", "nonce=%zz", "%zz=1"} {
		a.wantError(t, escape, b.get(a.authorizeURL("nonce", "")+"&"+escape), "invalid_request")
	}
	if a.h.interactions() != rows || a.h.issued() != issued {
		t.Errorf("%d interactions and %d codes or grants were written", a.h.interactions()-rows, a.h.issued()-issued)
	}
}

// rowAuthorizeBrokenForms does the same where programs post forms: J400, and no
// statement at all.
func rowAuthorizeBrokenForms(t *testing.T, a *app, got tokens, seen *rowAuthorizeStatements) {
	good := map[string]url.Values{
		"/token":      {"grant_type": {"refresh_token"}, "refresh_token": {got.Refresh}, "scope": {"openid"}},
		"/revoke":     {"token": {got.Refresh}, "token_type_hint": {"refresh_token"}},
		"/introspect": {"token": {got.Access}, "token_type_hint": {"access_token"}},
	}
	b, before := a.h.newBrowser(), seen.count()
	for path, form := range good {
		for _, bad := range rowAuthorizeBadBytes {
			for _, name := range []string{"grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "scope", "resource", "client_id", "client_secret", "client_assertion",
				"client_assertion_type", "token", "token_type_hint", "unknown", "na" + bad + "me"} {
				sent := url.Values{name: {bad}}
				for other, values := range form {
					if other != name {
						sent[other] = values
					}
				}
				p := b.do("POST", a.h.issuer+path, sent, "Authorization", a.basic())
				var refusal struct{ Error string }
				if err := json.Unmarshal([]byte(p.body), &refusal); err != nil || p.status != http.StatusBadRequest || refusal.Error != "invalid_request" || p.header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s %q=%q: %d %s", path, name, bad, p.status, p.body)
				}
			}
		}
	}
	if n := seen.count() - before; n != 0 {
		t.Errorf("%d statements were sent for forms with broken text", n)
	}
	for _, bad := range []string{"\xff", got.Access + "\xff", "caf\xe9"} {
		if status, body := a.h.bearer("/lockspire/userinfo", bad); status != http.StatusBadRequest || !strings.Contains(body, "invalid_request") {
			t.Errorf("bearer %q: %d %s", bad, status, body)
		}
	}
	if a.h.api(got.Access) != http.StatusOK || a.refresh(got.Refresh).status != http.StatusOK {
		t.Error("a token was revoked or spent by a form with broken text")
	}
}

// rowAuthorizeBrokenDecisions does the same where people post forms: PAGE, and a
// question that was answered with a tampered form is closed.
func rowAuthorizeBrokenDecisions(t *testing.T, a *app, b *browser) {
	codes := a.h.codes()
	for i, bad := range rowAuthorizeBadBytes {
		consent := a.consentPage(b, "alice", "scope", "openid notes:write")
		name := []string{"scope", "unknown", "state", "na" + bad + "me", "decision"}[i%5]
		p := b.decide(consent, lockspire.DecisionApprove, name, bad)
		wantPage(t, url.QueryEscape(name+"="+bad), p)
		if strings.Contains(p.body, bad) {
			t.Errorf("%s=%q: the page repeats it", name, bad)
		}
		wantPage(t, "id", b.get(a.h.issuer+"/interactions/"+url.PathEscape(bad)))
		wantPage(t, "after it", b.decide(consent, lockspire.DecisionApprove))
	}
	if a.h.codes() != codes {
		t.Errorf("%d codes", a.h.codes()-codes)
	}
}
