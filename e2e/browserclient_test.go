package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/chromedp/chromedp"
	"golang.org/x/oauth2"
)

// spa runs oauth4webapi in Chromium, in an app on another origin: what the
// server lets a page read is decided by the browser.
func spa(t *testing.T, h *host) {
	var id string
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><html lang="en"><title>App</title><script type="module" src="/app.mjs"></script><body></body></html>`)
	})
	for path, file := range map[string]string{"/app.mjs": "clients/spa.mjs", "/oauth4webapi.js": "node_modules/oauth4webapi/build/index.js"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/javascript")
			http.ServeFile(w, r, file)
		})
	}
	mux.HandleFunc("GET /settings.json", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]string{"issuer": h.issuer, "client_id": id, "scope": "openid profile offline_access"})
	})
	app := httptest.NewServer(mux)
	defer app.Close()
	id, _ = h.register("--name", "App in the browser", "--public", "--redirect-uri", app.URL+"/")

	b := newTab(t, startChromium(t, nil), true)
	b.open(app.URL + "/")
	b.click("#start")
	b.allowAsAlice(h)
	b.arrive(app.URL+"/", "#ended")
	got, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.querySelector('#ended').textContent`))
	if want := "discovery, code, ID token, userinfo, refresh, revocation, challenge"; err != nil || got != want {
		t.Errorf("the app did %q (%v), want %q", got, err, want)
	}
}

// formPost signs in with response_mode=form_post: the page that posts the
// answer runs one script, which its policy knows by hash.
func formPost(t *testing.T, h *host) {
	answers := make(chan url.Values, 1)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/callback" || r.ParseForm() != nil {
			http.NotFound(w, r)
			return
		}
		answers <- r.PostForm
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><html lang="en"><title>Back</title><p id="back">Back at the client</p></html>`)
	}))
	defer app.Close()
	id, secret := h.register("--name", "Form post", "--redirect-uri", app.URL+"/callback")
	config := oauth2.Config{
		ClientID: id, ClientSecret: secret, RedirectURL: app.URL + "/callback", Scopes: []string{"openid"},
		Endpoint: oauth2.Endpoint{AuthURL: h.issuer + "/authorize", TokenURL: h.issuer + "/token"},
	}
	verifier := oauth2.GenerateVerifier()
	b := newTab(t, startChromium(t, nil), true)
	b.open(config.AuthCodeURL("posted", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("response_mode", "form_post")))
	b.allowAsAlice(h)
	b.arrive(app.URL+"/callback", "#back")
	answer := <-answers
	if answer.Get("state") != "posted" || answer.Get("iss") != h.issuer {
		t.Errorf("the answer is %v", answer)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	token, err := config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if sub := subjectOf(t, token); sub != "user-7" {
		t.Errorf("sub is %q", sub)
	}
}

// allowAsAlice signs in at the host and allows the client.
func (b *tab) allowAsAlice(h *host) {
	b.t.Helper()
	b.arrive(h.url, "input[name=password]")
	b.fill("input[name=user]", "alice")
	b.fill("input[name=password]", "wonderland")
	b.click("button")
	b.arrive(h.issuer+"/interactions/", "button[value=approve]")
	b.click("button[value=approve]")
}
