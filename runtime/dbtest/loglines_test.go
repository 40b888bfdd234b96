package dbtest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// rawLog is a handler that writes values as they are, as a careless one would.
type rawLog struct {
	mu     sync.Mutex
	values map[string][]string
}

func (l *rawLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *rawLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *rawLog) WithGroup(string) slog.Handler            { return l }

func (l *rawLog) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.values["msg"] = append(l.values["msg"], r.Message)
	r.Attrs(func(a slog.Attr) bool {
		l.values[a.Key] = append(l.values[a.Key], a.Value.String())
		return true
	})
	return nil
}

const logLine = "\r\n2026-01-01 level=ERROR msg=forged \x1b[31m\x00\u2028\u202e"

func TestA188NothingThatIsSentCanBeginALineOfTheLog(t *testing.T) {
	log := &rawLog{values: map[string][]string{}}
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		b.signIn("alice")
		good, _ := url.Parse(partner.authorizeURL())
		for name := range good.Query() {
			b.get(partner.authorizeURL(name, "x"+logLine))
			b.do("POST", h.issuer+"/authorize", url.Values{name: {logLine}})
		}
		for _, name := range []string{"prompt", "max_age", "claims", "id_token_hint", "resource", "login_hint", "request", "unknown" + logLine} {
			b.get(partner.authorizeURL(name, "x"+logLine))
		}
		for _, name := range []string{"grant_type", "code", "refresh_token", "scope", "client_id", "client_secret", "resource", "redirect_uri"} {
			partner.token("grant_type", "authorization_code", name, logLine)
		}
		basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("client"+logLine+":secret"+logLine))
		for _, path := range []string{"/token", "/revoke", "/introspect"} {
			send(h.provider, "POST", h.issuer+path, strings.NewReader(url.Values{"token": {logLine}, "grant_type": {"refresh_token"}}.Encode()),
				"Content-Type", "application/x-www-form-urlencoded", "Authorization", basic, "User-Agent", "x\tlevel=ERROR")
		}
		encode := base64.RawURLEncoding.EncodeToString
		for _, header := range []string{`{"alg":"ES256","typ":"at+jwt","kid":%q}`, `{"alg":%q,"typ":"at+jwt"}`, `{%q:"x"}`} {
			token := encode(fmt.Appendf(nil, header, "k\nlevel=ERROR")) + "." + encode(fmt.Appendf(nil, `{%q:1}`, "iss\nlevel=ERROR")) + ".AAAA"
			h.api(token)
			h.bearer("/lockspire/userinfo", token)
		}
		forged := claimsIn(t, partner.redeem(partner.code()).Access)
		forged["ISS\nlevel=ERROR"], forged["acr"] = 1, logLine
		h.api(accessToken(t, h.db, forged))
		send(h.vault(), "GET", "https://x.example/", nil, "Authorization", "Bearer "+accessToken(t, h.db, with(forged, "ISS\nlevel=ERROR", nil)))
		b.get(h.issuer + "/interactions/" + url.PathEscape(logLine))
		b.get(h.server.URL + "/lockspire/" + url.PathEscape(logLine))

		// A host and a driver that quote what they were told, and what not.
		for _, fault := range []error{errors.New("users: " + logLine), fmt.Errorf("%w: %s", lockspire.ErrAccountGone, logLine)} {
			code := partner.code()
			h.people.set(func(p *people) { p.fault = fault })
			partner.redeem(code)
			b.get(partner.authorizeURL())
			h.people.set(func(p *people) { p.fault = nil })
		}
		h.db.Close()
		partner.redeem(strings.Repeat("a", 43))

		log.mu.Lock()
		defer log.mu.Unlock()
		if len(log.values["msg"]) < 30 || len(log.values["cause"]) == 0 || len(log.values["reason"]) == 0 {
			t.Fatalf("%d lines were written, %d with a cause", len(log.values["msg"]), len(log.values["cause"]))
		}
		for name, values := range log.values {
			if name == "stack" {
				continue
			}
			for _, value := range values {
				if strings.IndexFunc(value, func(c rune) bool { return !unicode.IsPrint(c) }) >= 0 || len(value) > 4096 {
					t.Errorf("%s is %.200q", name, value)
				}
			}
		}
	}, func(c *lockspire.Config) { c.Logger = slog.New(log) })
}

// What is made for counting comes from fixed sets: a client or a person cannot
// add a name to it.
func TestA188NamesToCountByAreFixed(t *testing.T) {
	log := &rawLog{values: map[string][]string{}}
	onEngines(t, func(t *testing.T, h *host) {
		b := h.newBrowser()
		for n := range 5 {
			partner := h.newApp(func(c *lockspire.NewClient) {
				c.Name, c.RedirectURIs = fmt.Sprint("App ", n), []string{fmt.Sprintf("https://app%d.example/cb", n)}
			})
			user := fmt.Sprint("user", n)
			got := partner.redeem(partner.consentTo(h.newBrowser(), user, "scope", "openid notes:read offline_access"))
			partner.refresh(got.Refresh)
			partner.redeem("x")
			b.get(h.issuer + "/interactions/" + strings.Repeat(fmt.Sprint(n), 43))
			b.get(h.issuer + fmt.Sprint("/token", n))
			send(h.provider, fmt.Sprint("VERB", n), h.issuer+"/token", nil)
			partner.token("grant_type", fmt.Sprint("grant", n))
		}
		name := regexp.MustCompile(`^[a-z_]+(\.[a-z_]+)+$`)
		h.events.mu.Lock()
		for _, e := range h.events.events {
			if !name.MatchString(e.Name) || strings.ContainsAny(e.Name, "0123456789") {
				t.Errorf("event %q", e.Name)
			}
		}
		h.events.mu.Unlock()
		log.mu.Lock()
		defer log.mu.Unlock()
		for _, label := range []string{"msg", "endpoint", "error", "description", "event", "task", "level"} {
			seen := map[string]bool{}
			for _, value := range log.values[label] {
				seen[value] = true
				if strings.Contains(value, "app1") || strings.Contains(value, "user1") || strings.Contains(value, "grant1") || strings.Contains(value, "VERB1") {
					t.Errorf("%s is %q", label, value)
				}
			}
			if len(seen) > 30 {
				t.Errorf("%s has %d values: %v", label, len(seen), seen)
			}
		}
		for label, values := range log.values {
			for _, value := range values {
				if strings.Contains(value, "user1") || strings.Contains(value, "app1.example") {
					t.Errorf("%s names a person or a client's URL: %q", label, value)
				}
			}
		}
		if w := send(h.provider, "GET", h.issuer+"/metrics", nil); w.Code != http.StatusNotFound {
			t.Errorf("there are metrics (%d); then this row is about their labels", w.Code)
		}
	}, func(c *lockspire.Config) { c.Logger = slog.New(log) })
}
