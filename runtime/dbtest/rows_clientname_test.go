package dbtest

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// rowConsentLinks are the targets of a page's links.
func rowConsentLinks(p page) []string {
	var links []string
	for _, match := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(p.body, -1) {
		links = append(links, html.UnescapeString(match[1]))
	}
	return links
}

func TestA53WhatAClientCallsItselfIsTextOnEveryPage(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		tags := regexp.MustCompile(`(?i)<(script|img|svg|iframe|b)\b|</title>.*</title>|ZgotmplZ`)
		check := func(name, said string, p page) {
			t.Helper()
			if p.status != http.StatusOK || !strings.Contains(p.body, html.EscapeString(said)) {
				t.Errorf("%s: %d, does not show the name as text\n%s", name, p.status, p.body)
			}
			if found := tags.FindString(p.body); found != "" {
				t.Errorf("%s: %q of the name is markup", name, found)
			}
			if !strings.HasPrefix(p.header.Get("Content-Security-Policy"), "default-src 'none';") || strings.Contains(p.header.Get("Content-Security-Policy"), "script-src") {
				t.Errorf("%s: headers %v", name, p.header)
			}
		}
		for _, name := range []string{
			`"><script>alert(1)</script>`, `'><img src=x onerror=alert(1)>`, `</title><script>alert(1)</script>`, `<svg/onload=alert(1)>`,
			`&lt;script&gt;alert(1)`, `{{.Token}}`, `javascript:alert(1)`, `<b>Bank</b>`, `--><iframe src=javascript:alert(1)>`,
		} {
			for _, stored := range []bool{false, true} {
				partner, b := h.newApp(), h.newBrowser()
				if !stored {
					partner = h.newApp(func(n *lockspire.NewClient) { n.Name = name })
				} else {
					mustExec(t, h.db, "UPDATE lockspire_clients SET name = $1 WHERE id = $2", name, partner.ID)
				}
				consent := partner.consentPage(b, "user-"+partner.ID)
				check("consent", name, consent)
				partner.wantLeft(t, name, b.decide(consent, lockspire.DecisionApprove), "code", "")
				apps := b.get(h.issuer + "/apps")
				check("apps", name, apps)
				form := url.Values{"decision": {"revoke"}, "decision_token": {tokenPattern.FindStringSubmatch(apps.body)[1]}, "grant_id": {between(apps.body, `name="grant_id" value="`, `"`)}}
				check("apps, withdrawn", name, b.get(b.do("POST", h.issuer+"/apps", form, "Sec-Fetch-Site", "same-origin").location))
			}
		}
		rowConsentHostileLinks(t, h)
		for _, registration := range []any{lockspire.NewClient{}, lockspire.Client{}, lockspire.PageClient{}, lockspire.Grant{}} {
			for field := range fieldsOf(registration) {
				if strings.Contains(strings.ToLower(field), "logo") {
					t.Errorf("%T has %s; then this row is about where it is loaded from", registration, field)
				}
			}
		}
	}, rowConsentPages)
}

// rowConsentHostileLinks registers links that are no https links, and puts them
// into a row.
func rowConsentHostileLinks(t *testing.T, h *host) {
	before := count(t, h.db, "SELECT COUNT(*) FROM lockspire_clients")
	partner, b := h.newApp(), h.newBrowser()
	consent := partner.consentPage(b, "alice")
	for _, uri := range []string{
		"javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,<script>alert(1)</script>", "vbscript:x", "http://evil.example/", "//evil.example/",
		"https://partner.example@evil.example/", "https:evil", "\tjavascript:alert(1)", "https://", "file:///etc/passwd", "x",
	} {
		for _, field := range []string{"URI", "PolicyURI", "TOSURI"} {
			n := lockspire.NewClient{Name: "X", RedirectURIs: []string{"https://x.example/cb"}}
			switch field {
			case "URI":
				n.URI = uri
			case "PolicyURI":
				n.PolicyURI = uri
			default:
				n.TOSURI = uri
			}
			_, _, err := h.provider.Clients().Create(t.Context(), n)
			wantError(t, err, field)
		}
		mustExec(t, h.db, "UPDATE lockspire_clients SET metadata = $1 WHERE id = $2", rowConsentMetadata(t, uri), partner.ID)
		if p := b.get(consent.at); !p.isConsent() || len(rowConsentLinks(p)) != 0 {
			t.Errorf("%q of a row is linked to: %d %q", uri, p.status, rowConsentLinks(p))
		}
	}
	const breaking = `https://x.example/"onmouseover="alert(1)"><script>alert(1)</script>`
	mustExec(t, h.db, "UPDATE lockspire_clients SET metadata = $1 WHERE id = $2", rowConsentMetadata(t, breaking), partner.ID)
	p := b.get(consent.at)
	if links := rowConsentLinks(p); len(links) != 3 || !strings.HasPrefix(links[0], "https://x.example/%22onmouseover") || strings.Contains(p.body, `"onmouseover`) || strings.Contains(p.body, "<script") {
		t.Errorf("a link breaks out: %q\n%s", links, p.body)
	}
	if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_clients"); n != before+1 {
		t.Errorf("%d clients with a bad link were registered", n-before-1)
	}
}

func rowConsentMetadata(t *testing.T, uri string) string {
	t.Helper()
	encoded, err := json.Marshal(map[string]string{"client_uri": uri, "policy_uri": uri, "tos_uri": uri})
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

func TestA54NamesThatDeceiveAreRefusedOrLabelled(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		h.wantUnannounced(t, "registration_endpoint", "client_id_metadata", "logo_uri")
		known, b := h.newApp(), h.newBrowser()
		for _, c := range []rune{
			0x202A, 0x202B, 0x202D, 0x202E, 0x202C, 0x2066, 0x2067, 0x2068, 0x2069, 0x200E, 0x200F, 0x061C, // bidi
			0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0x00AD, 0x180E, 0x3164, 0x115F, 0x1160, 0xFFA0, 0x034F, 0x2800, 0xE0041, // zero width, blank
			0x00, 0x07, 0x08, '\t', '\n', '\r', 0x1B, 0x7F, 0x85, 0x9B, 0x2028, 0x2029, // control, line breaks
		} {
			for _, name := range []string{"Ban" + string(c) + "k", string(c) + "Bank", "Bank" + string(c)} {
				_, _, err := h.provider.Clients().Create(t.Context(), lockspire.NewClient{Name: name, RedirectURIs: []string{"https://x.example/cb"}})
				wantError(t, err, "Name", fmt.Sprintf("%U", c))
			}
			for _, field := range []lockspire.NewClient{
				{Name: "X", RedirectURIs: []string{"https://x.example/cb"}, AuthMethod: "none" + string(c)},
				{Name: "X", RedirectURIs: []string{"https://x.ex" + string(c) + "ample/cb"}},
				{Name: "X", RedirectURIs: []string{"https://x.example/cb"}, Scopes: []string{"openid" + string(c)}},
				{Name: "X", RedirectURIs: []string{"https://x.example/cb"}, GrantTypes: []string{"authorization_code" + string(c)}},
			} {
				if _, _, err := h.provider.Clients().Create(t.Context(), field); err == nil {
					t.Errorf("%U is in a registration: %+v", c, field)
				}
			}
		}
		for _, name := range []string{"", " ", "\u00a0", "Bank\xff", strings.Repeat("x", 201)} {
			_, _, err := h.provider.Clients().Create(t.Context(), lockspire.NewClient{Name: name, RedirectURIs: []string{"https://x.example/cb"}})
			wantError(t, err, "Name")
		}
		// Nobody registers by themselves, whatever they call themselves.
		for _, name := range []string{"Lockspire", "Ban\u202ek", "B\u0430nk"} {
			body := url.Values{"client_name": {name}, "redirect_uris": {"https://evil.example/cb"}}
			if p := b.do("POST", h.issuer+"/register", body); p.status != http.StatusNotFound || strings.Contains(p.body, name) {
				t.Errorf("DCR of %+q: %d %s", name, p.status, p.body)
			}
			registration := `{"client_name":"` + name + `"}`
			known.wantError(t, "registration parameter", b.get(known.authorizeURL("registration", registration)), "registration_not_supported")
			wantPage(t, "CIMD", b.get(known.authorizeURL("client_id", "https://evil.example/"+name)))
		}
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_clients"); n != 1 || h.interactions() != 0 {
			t.Errorf("%d clients, %d interactions", n, h.interactions())
		}
		// A look-alike that an operator registered is a stranger until they vouch for it.
		const label = "We have not checked who is behind this application"
		for _, name := range []string{"Lockspire", "B\u0430nk", "GOOGLE", "Partner"} {
			for _, trusted := range []bool{false, true} {
				a := h.newApp(func(n *lockspire.NewClient) {
					n.Name, n.Trusted, n.RedirectURIs = name, trusted, []string{"https://elsewhere.example/cb"}
				})
				p := a.consentPage(h.newBrowser(), "alice")
				if strings.Contains(p.body, label) == trusted || !strings.Contains(p.body, "<strong>elsewhere.example</strong>") || !strings.Contains(p.body, name) {
					t.Errorf("%s, trusted %v:\n%s", name, trusted, p.body)
				}
			}
		}
	}, rowConsentPages)
}
