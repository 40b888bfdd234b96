package e2e

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// TestWorstCommonHost takes a real browser through sign-in, consent, denial
// and withdrawal on a host that has everything that breaks authorization
// servers (testdata/host), with a client on a loopback port.
func TestWorstCommonHost(t *testing.T) {
	axe := axeSource(t)
	native, office := newNativeClient(t), newWebClient(t, "office.example")
	browser := startChromium(t, map[string]string{"office.example": office.server.Listener.Addr().String()})
	h := startHost(t)
	id, _ := h.register("--name", "Paper Trail", "--public", "--redirect-uri", "http://127.0.0.1/callback")
	native.registered(h.issuer, id, "")
	id, secret := h.register("--name", "Back Office", "--redirect-uri", office.callbackURL())
	office.registered(h.issuer, id, secret)

	b := newTab(t, browser, true)
	var token *oauth2.Token
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"signed out: login, consent, code", func(t *testing.T) {
			signIn(b, h, native)
			b.expectWalked("127.0.0.1/ 200",
				"localhost/lockspire/authorize 200", // the leave page: the browser came from another site
				"localhost/lockspire/interactions/… 303", "localhost/login 200",
				"localhost/login 303", "localhost/lockspire/interactions/… 200")
			b.expectAccessible(axe, "consent")
			token = approve(b, native)
			b.expectWalked("localhost/lockspire/interactions/… 200", // the leave page
				"127.0.0.1/callback 200")
			if sub := subjectOf(t, token); sub != subject {
				t.Fatalf("sub is %q, want %q", sub, subject)
			}
			if status := h.api(t, token.AccessToken); status != http.StatusOK {
				t.Fatalf("the API answered %d", status)
			}
		}},
		{"signed in: the Strict cookie comes with the second request, and no login", func(t *testing.T) {
			start(b, native)
			b.arrive(h.issuer+"/interactions/", "button[value=deny]")
			b.expectWalked("127.0.0.1/ 200", "localhost/lockspire/authorize 200", "localhost/lockspire/interactions/… 200")
		}},
		{"not you: sign in as somebody else, consent shown afresh", func(t *testing.T) {
			b.click("button[value=switch_account]")
			logIn(b, h)
			b.arrive(h.issuer+"/interactions/", "button[value=deny]")
			b.expectWalked("localhost/lockspire/interactions/… 200", // the leave page, after a form post
				"localhost/login 200", "localhost/login 303", "localhost/lockspire/interactions/… 200")
		}},
		{"deny", func(t *testing.T) {
			b.click("button[value=deny]")
			b.arrive(native.url+"/callback", "#back")
			if code := native.answer(t).Get("error"); code != "access_denied" {
				t.Fatalf("the client was told %q", code)
			}
			b.walked()
		}},
		{"error page", func(t *testing.T) {
			b.open(h.issuer + "/authorize?client_id=nobody&redirect_uri=https://evil.example/")
			b.arrive(h.issuer+"/authorize", "h1")
			b.expectAccessible(axe, "error page")
			b.expectWalked("localhost/lockspire/authorize 400")
		}},
		{"remembered consent: straight from the login form to the client", func(t *testing.T) {
			start(b, office)
			b.arrive(h.issuer+"/interactions/", "button[value=approve]")
			approve(b, office)
			b.open(h.url + "/")
			b.click("button")
			b.arrive(h.url+"/", "#login")
			b.walked()
			start(b, office)
			logIn(b, h)
			b.arrive(office.url+"/callback", "#back")
			b.expectWalked("office.example/ 200", "localhost/lockspire/authorize 200",
				"localhost/lockspire/interactions/… 303", "localhost/login 200", "localhost/login 303",
				"localhost/lockspire/interactions/… 200", // the leave page, since a form post came before
				"office.example/callback 200")
			office.redeem(t)
			start(b, office)
			b.arrive(office.url+"/callback", "#back")
			b.expectWalked("office.example/ 200", "localhost/lockspire/authorize 200",
				"localhost/lockspire/interactions/… 200", "office.example/callback 200")
			office.redeem(t)
		}},
		{"the user withdraws a grant", func(t *testing.T) {
			b.open(h.issuer + "/apps")
			b.arrive(h.issuer+"/apps", "button[value=revoke]")
			b.expectAccessible(axe, "authorized apps")
			b.click(`button[aria-label*="Paper Trail"]`)
			b.arrive(h.issuer+"/apps", "[role=status]")
			b.expectAccessible(axe, "authorized apps, after")
			b.expectNone(`button[aria-label*="Paper Trail"]`)
			if status := h.api(t, token.AccessToken); status != http.StatusUnauthorized {
				t.Fatalf("the API answered %d after the grant was withdrawn", status)
			}
		}},
		{"without JavaScript", func(t *testing.T) {
			plain := newTab(t, browser, false)
			plain.open(native.url + "/")
			plain.arrive(native.url+"/", "noscript p") // proves that no script runs
			signIn(plain, h, native)
			token := approve(plain, native)
			plain.open(h.issuer + "/apps")
			plain.arrive(h.issuer+"/apps", "button[value=revoke]")
			plain.click(`button[aria-label*="Paper Trail"]`)
			plain.arrive(h.issuer+"/apps", "[role=status]")
			if status := h.api(t, token.AccessToken); status != http.StatusUnauthorized {
				t.Fatalf("the API answered %d after the grant was withdrawn", status)
			}
		}},
	} {
		if !t.Run(step.name, func(t *testing.T) {
			outer := b.t
			b.t = t
			defer func() { b.t = outer }()
			step.run(t)
		}) {
			return
		}
	}
}

// start follows the link on the client's own page.
func start(b *tab, c *client) {
	b.t.Helper()
	b.open(c.url + "/")
	b.click("#start")
}

// logIn fills in the host's form, which carries where to go on.
func logIn(b *tab, h *host) {
	b.t.Helper()
	b.arrive(h.url+"/login?", "#sign-in")
	b.fill("#name", userName)
	b.fill("#password", userPassword)
	b.click("#sign-in")
}

func signIn(b *tab, h *host, c *client) {
	b.t.Helper()
	start(b, c)
	logIn(b, h)
	b.arrive(h.issuer+"/interactions/", "button[value=approve]")
}

func approve(b *tab, c *client) *oauth2.Token {
	b.t.Helper()
	b.click("button[value=approve]")
	b.arrive(c.url+"/callback", "#back")
	return c.redeem(b.t)
}

// subjectOf reads sub from the ID token, which came from the token endpoint
// itself.
func subjectOf(t *testing.T, token *oauth2.Token) string {
	t.Helper()
	raw, _ := token.Extra("id_token").(string)
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		t.Fatal("there is no ID token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.Subject
}
