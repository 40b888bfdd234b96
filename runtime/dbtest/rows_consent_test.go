package dbtest

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// rowConsentPages gives a host the pages that lockspire install writes, as its
// pages.go renders them.
func rowConsentPages(c *lockspire.Config) {
	pages := template.Must(template.New("").Funcs(template.FuncMap{
		"link": func(proven string) template.URL { return template.URL(proven) },
	}).ParseGlob("../../templates/pages/*.html"))
	write := func(w http.ResponseWriter, status int, name string, page any) {
		var body bytes.Buffer
		if err := pages.ExecuteTemplate(&body, name, page); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(status)
		_, _ = body.WriteTo(w)
	}
	c.Pages = lockspire.Pages{
		Consent: func(w http.ResponseWriter, _ *http.Request, p lockspire.ConsentPage) {
			write(w, 200, "consent.html", p)
		},
		AuthorizedApps: func(w http.ResponseWriter, _ *http.Request, p lockspire.AuthorizedAppsPage) {
			write(w, 200, "apps.html", p)
		},
		Error: func(w http.ResponseWriter, _ *http.Request, p lockspire.ErrorPage) {
			write(w, p.Status, "error.html", p)
		},
	}
}

// rowConsentAnswers is one of each answer that a browser gets: by name the pages,
// and the redirects.
func rowConsentAnswers(t *testing.T, h *host) (pages, redirects map[string]page) {
	t.Helper()
	partner, b, plain := h.newApp(), h.newBrowser(), h.replica(func(c *lockspire.Config) { c.Pages.Error = nil })
	pages, redirects = map[string]page{}, map[string]page{}
	redirects["to the login page"] = b.get(partner.authorizeURL())
	redirects["from the apps page to the login page"] = b.get(h.issuer + "/apps")
	redirects["error to the client"] = b.get(partner.authorizeURL("scope", "nope"))
	redirects["a posted request"] = partner.posted(b)
	pages["a posted error leaves"] = partner.posted(b, "scope", "nope")
	b.signIn("alice")
	redirects["to the interaction"] = b.get(partner.authorizeURL())
	consent := b.follow(redirects["to the interaction"])
	pages["consent"] = consent
	pages["switch account leaves"] = b.decide(consent, lockspire.DecisionSwitchAccount)
	pages["denied leaves"] = b.decide(b.follow(b.get(partner.authorizeURL())), lockspire.DecisionDeny)
	pages["form_post"] = b.decide(b.follow(b.get(partner.authorizeURL("response_mode", "form_post"))), lockspire.DecisionApprove)
	pages["form_post error"] = b.get(partner.authorizeURL("response_mode", "form_post", "scope", "nope"))
	redirects["code by remembered consent"] = b.get(partner.authorizeURL())
	pages["posted, remembered, leaves"] = b.get(partner.posted(b).location)
	other := h.newApp()
	pages["approved leaves"] = b.decide(b.follow(b.get(other.authorizeURL())), lockspire.DecisionApprove)
	pages["apps"] = b.get(h.issuer + "/apps")
	grant := between(pages["apps"].body, `name="grant_id" value="`, `"`)
	withdraw := url.Values{"decision": {"revoke"}, "decision_token": {between(pages["apps"].body, `name="decision_token" value="`, `"`)}, "grant_id": {grant}}
	redirects["withdrawn"] = b.do("POST", h.issuer+"/apps", withdraw, "Sec-Fetch-Site", "same-origin")
	pages["apps, withdrawn"] = b.get(redirects["withdrawn"].location)
	for name, issuer := range map[string]string{"": h.issuer, ", built in": plain.issuer} {
		pages["unknown client"+name] = b.get(issuer + "/authorize?client_id=x")
		pages["bad redirect"+name] = b.get(issuer + "/authorize?client_id=" + partner.ID + "&redirect_uri=https://evil.example")
		pages["unknown interaction"+name] = b.get(issuer + "/interactions/x")
		pages["method"+name] = b.do("PUT", issuer+"/authorize", nil)
		pages["method at apps"+name] = b.do("DELETE", issuer+"/apps", nil)
		pages["long query"+name] = b.get(issuer + "/authorize?x=" + strings.Repeat("x", 17<<10))
		pages["long body"+name] = b.do("POST", issuer+"/apps", url.Values{"x": {strings.Repeat("x", 65<<10)}})
		pages["forged form"+name] = b.do("POST", issuer+"/apps", url.Values{"decision_token": {"x"}, "decision": {"revoke"}, "grant_id": {"x"}})
		h.people.set(func(p *people) { p.fault = fmt.Errorf("no database") })
		pages["host fault"+name] = b.get(issuer + "/apps")
		h.people.set(func(p *people) { p.fault = nil })
	}
	for name, p := range pages {
		if !strings.HasPrefix(p.header.Get("Content-Type"), "text/html") || p.body == "" || p.header.Get("Location") != "" {
			t.Errorf("%s is no page: %d %v %s", name, p.status, p.header, p.body)
		}
	}
	for name, p := range redirects {
		if p.status != http.StatusSeeOther || p.header.Get("Location") == "" {
			t.Errorf("%s is no redirect: %d %v %s", name, p.status, p.header, p.body)
		}
	}
	return pages, redirects
}

func TestA52NoPageIsShownInAFrame(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		pages, redirects := rowConsentAnswers(t, h)
		for name, p := range pages {
			policies, frames := p.header.Values("Content-Security-Policy"), p.header.Values("X-Frame-Options")
			if len(policies) != 1 || !strings.Contains(policies[0]+";", "frame-ancestors 'none';") || strings.Count(policies[0], "frame-ancestors") != 1 {
				t.Errorf("%s: Content-Security-Policy %q", name, policies)
			}
			if len(frames) != 1 || frames[0] != "DENY" {
				t.Errorf("%s: X-Frame-Options %q", name, frames)
			}
		}
		// A redirect shows nothing that could be clicked.
		for name, p := range redirects {
			if p.body != "" {
				t.Errorf("%s shows %q", name, p.body)
			}
		}
	}, rowConsentPages)
}

func TestA57NeitherCodeNorIDLeaksByRefererHistoryOrCache(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		pages, redirects := rowConsentAnswers(t, h)
		foreign := regexp.MustCompile(`(?i)<(script[^>]+src|link|img|iframe|object|embed|video|audio|base)\b|@import|url\(`)
		anchor := regexp.MustCompile(`<a [^>]*href="https?:[^>]*>`)
		for name, p := range pages {
			want := "no-referrer"
			if name == "consent" || strings.HasPrefix(name, "apps") {
				want = "same-origin" // no-referrer would make the Origin of its form null
			}
			if got := p.header.Values("Referrer-Policy"); len(got) != 1 || got[0] != want {
				t.Errorf("%s: Referrer-Policy %q, want %s", name, got, want)
			}
			if found := foreign.FindString(p.body); found != "" {
				t.Errorf("%s loads %q", name, found)
			}
			for _, link := range anchor.FindAllString(p.body, -1) {
				if !strings.Contains(link, "noreferrer") {
					t.Errorf("%s links with a Referer: %s", name, link)
				}
			}
			if policy := p.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
				t.Errorf("%s: Content-Security-Policy %q", name, policy)
			}
		}
		for name, p := range redirects {
			if got := p.header.Values("Referrer-Policy"); len(got) != 1 || got[0] != "no-referrer" {
				t.Errorf("%s: Referrer-Policy %q", name, got)
			}
			pages[name] = p
		}
		for name, p := range pages {
			if got := p.header.Values("Cache-Control"); len(got) != 1 || got[0] != "no-store" || p.header.Get("ETag")+p.header.Get("Expires")+p.header.Get("Last-Modified") != "" {
				t.Errorf("%s: may be cached: %v", name, p.header)
			}
		}
		// What a history keeps is of no use: a code lives 60 s, and once.
		partner := h.newApp()
		code := partner.code()
		wantToken(t, "first use", partner.redeem(code), http.StatusOK, "")
		wantToken(t, "second use", partner.redeem(code), http.StatusBadRequest, "invalid_grant")
		late, issued := partner.code(), 0
		issued = count(t, h.db, "SELECT COUNT(*) FROM lockspire_refresh_tokens")
		h.clock.advance(61 * time.Second)
		wantToken(t, "after 61 s", partner.redeem(late), http.StatusBadRequest, "invalid_grant")
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_refresh_tokens"); n != issued {
			t.Errorf("%d refresh tokens, %d before", n, issued)
		}
	}, rowConsentPages)
}

func TestA55ErrorPagesRepeatNothingOfTheRequest(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		b.signIn("alice")
		plain := h.replica(func(c *lockspire.Config) { c.Pages.Error = nil })
		steady := func(p page) string {
			return strings.NewReplacer(between(p.body, `nonce="`, `"`), "", between(p.body, "req_", "<"), "").Replace(p.body)
		}
		send := map[string]func(issuer string, v url.Values) page{
			"unknown client": func(issuer string, v url.Values) page { return b.get(issuer + "/authorize?client_id=x&" + v.Encode()) },
			"bad redirect": func(issuer string, v url.Values) page {
				return b.get(issuer + "/authorize?client_id=" + partner.ID + "&redirect_uri=x&" + v.Encode())
			},
			"unknown posted":      func(issuer string, v url.Values) page { return b.get(issuer + "/authorize?posted=x&" + v.Encode()) },
			"posted, unknown":     func(issuer string, v url.Values) page { return b.do("POST", issuer+"/authorize", v) },
			"unknown interaction": func(issuer string, v url.Values) page { return b.get(issuer + "/interactions/x?" + v.Encode()) },
			"odd interaction": func(issuer string, v url.Values) page {
				return b.get(issuer + "/interactions/" + url.PathEscape(v.Get("error")+"x"))
			},
			"unknown decision": func(issuer string, v url.Values) page { return b.do("POST", issuer+"/interactions/x", v) },
			"apps decision":    func(issuer string, v url.Values) page { return b.do("POST", issuer+"/apps?"+v.Encode(), v) },
			"method":           func(issuer string, v url.Values) page { return b.do("PUT", issuer+"/authorize?"+v.Encode(), nil) },
		}
		names := []string{"error", "error_description", "error_uri", "hint", "login_hint", "id_token_hint", "logout_hint", "ui_locales", "acr_values",
			"state", "message", "title", "return_to", "decision_token", "decision", "grant_id", "revoked", "interaction_id"}
		before := dump(t, h)
		for name, request := range send {
			for _, issuer := range []string{h.issuer, plain.issuer} {
				want := request(issuer, url.Values{})
				if want.status < 400 || want.location != "" || !strings.HasPrefix(want.header.Get("Content-Type"), "text/html") {
					t.Errorf("%s: %d to %q", name, want.status, want.location)
				}
				filled := func(value string) url.Values {
					values := url.Values{}
					for _, parameter := range names {
						values.Set(parameter, value)
					}
					return values
				}
				for _, canary := range []string{`"><script>canary</script>`, "canary, call 555-0100", "%3Cscript%3Ecanary", "canary\r\nSet-Cookie: canary=1", "{{.Token}}canary"} {
					p, want := request(issuer, filled(canary)), want
					if strings.Contains(canary, "\r\n") {
						// Control bytes have a text of their own, whatever is around them.
						want = request(issuer, filled("x\r\n"))
					}
					if p.status != want.status || steady(p) != steady(want) {
						t.Errorf("%s with %q: %d, and another text:\n%s\nwithout:\n%s", name, canary, p.status, p.body, want.body)
					}
					if strings.Contains(fmt.Sprint(p.header, p.body), "canary") {
						t.Errorf("%s repeats the request: %v\n%s", name, p.header, p.body)
					}
				}
			}
		}
		for _, path := range []string{"/apps?revoked=canary&error=canary&error_description=canary", "/apps?error=%3Cscript%3Ecanary"} {
			if p := b.get(h.issuer + path); p.status != http.StatusOK || strings.Contains(p.body, "canary") {
				t.Errorf("%s: %d %s", path, p.status, p.body)
			}
		}
		if dump(t, h) != before {
			t.Error("a row was written")
		}
	}, rowConsentPages)
}

func TestA62WebMessageIsNotOffered(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		h.wantUnannounced(t, "web_message", "fragment", "postmessage")
		if modes := fmt.Sprint(h.announced(t)["response_modes_supported"]); modes != "[query form_post]" {
			t.Errorf("response modes %s", modes)
		}
		partner, b := h.newApp(), h.newBrowser()
		partner.consentTo(b, "alice")
		rows, codes := h.interactions(), h.codes()
		for _, mode := range []string{"web_message", "web_message.jwt", "WEB_MESSAGE", "web_message query", "query web_message", "webmessage", "postmessage"} {
			for name, more := range map[string][]string{
				"": nil, "prompt=none": {"prompt", "none"}, "a target": {"web_message_uri", "https://evil.example", "web_message_target", "*"},
				"an origin": {"origin", "https://evil.example", "display", "popup"},
			} {
				pairs := append([]string{"response_mode", mode}, more...)
				p := b.get(partner.authorizeURL(pairs...), "Sec-Fetch-Dest", "iframe")
				if got := partner.wantError(t, mode+" "+name, p, "invalid_request"); got.Get("state") != "st-1" || p.body != "" {
					t.Errorf("%s %s: state %q, body %q", mode, name, got.Get("state"), p.body)
				}
				posted := partner.posted(b, pairs...)
				partner.wantLeft(t, mode+" "+name+", posted", posted, "error", "invalid_request")
				if strings.Contains(posted.body, "<script") || strings.Contains(posted.body, "postMessage") || strings.Contains(posted.header.Get("Content-Security-Policy"), "script-src") {
					t.Errorf("%s %s: the leave page runs a script: %v\n%s", mode, name, posted.header, posted.body)
				}
			}
		}
		for _, kind := range []string{"none", "token", "id_token"} {
			p := b.get(partner.authorizeURL("response_mode", "web_message", "response_type", kind))
			if got := p.answer(t); p.status != http.StatusSeeOther || got.Get("error") == "" || got.Has("access_token") || strings.Contains(p.location, "#") {
				t.Errorf("response_type %s: %d to %s", kind, p.status, p.location)
			}
		}
		if h.interactions() != rows || h.codes() != codes {
			t.Errorf("%d interactions and %d codes were written", h.interactions()-rows, h.codes()-codes)
		}
	})
}
