package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// client is a third party with a web page of its own.
type client struct {
	url    string // of its own page
	server *httptest.Server
	scopes []string
	config oauth2.Config

	mu              sync.Mutex
	state, verifier string
	answers         chan url.Values
}

// newNativeClient listens on a port of 127.0.0.1 that the system chooses, as
// native apps do.
func newNativeClient(t *testing.T) *client {
	t.Helper()
	c := &client{scopes: []string{"openid", "profile", "offline_access"}, answers: make(chan url.Values, 8)}
	c.server = httptest.NewServer(c.routes())
	t.Cleanup(c.server.Close)
	c.url = c.server.URL
	return c
}

// newWebClient is on a site of its own, with TLS; the browser is told where
// that name leads. It asks for nothing that outlasts the visit, so consent to
// it is remembered.
func newWebClient(t *testing.T, host string) *client {
	t.Helper()
	c := &client{url: "https://" + host, scopes: []string{"openid", "profile"}, answers: make(chan url.Values, 8)}
	c.server = httptest.NewTLSServer(c.routes())
	t.Cleanup(c.server.Close)
	return c
}

func (c *client) callbackURL() string { return c.url + "/callback" }

// registered tells the client who it is.
func (c *client) registered(issuer, id, secret string) {
	style := oauth2.AuthStyleInParams
	if secret != "" {
		style = oauth2.AuthStyleInHeader
	}
	c.config = oauth2.Config{
		ClientID: id, ClientSecret: secret,
		RedirectURL: c.callbackURL(),
		Scopes:      c.scopes,
		Endpoint:    oauth2.Endpoint{AuthURL: issuer + "/authorize", TokenURL: issuer + "/token", AuthStyle: style},
	}
}

func (c *client) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", c.page)
	mux.HandleFunc("GET /callback", c.callback)
	return mux
}

var clientPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><head><title>A client</title></head>
<body><main><h1>A client</h1><p><a id="start" href="{{.}}">Sign in with Ledger</a></p><noscript><p>Without script</p></noscript></main></body></html>`))

func (c *client) page(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.state, c.verifier = rand.Text(), oauth2.GenerateVerifier()
	target := c.config.AuthCodeURL(c.state, oauth2.S256ChallengeOption(c.verifier))
	c.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	clientPage.Execute(w, target)
}

func (c *client) callback(w http.ResponseWriter, r *http.Request) {
	c.answers <- r.URL.Query()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, `<!doctype html><html lang="en"><title>Back</title><p id="back">Back at the client</p></html>`)
}

// answer is what the browser brought to the callback.
func (c *client) answer(t *testing.T) url.Values {
	t.Helper()
	select {
	case query := <-c.answers:
		c.mu.Lock()
		defer c.mu.Unlock()
		if query.Get("state") != c.state {
			t.Fatalf("state is %q, want %q", query.Get("state"), c.state)
		}
		return query
	case <-time.After(patience):
		t.Fatal("the browser never came to the callback")
		return nil
	}
}

// redeem trades the code of the last answer for tokens.
func (c *client) redeem(t *testing.T) *oauth2.Token {
	t.Helper()
	query := c.answer(t)
	if query.Get("code") == "" {
		t.Fatalf("the answer has no code: %v", query)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	token, err := c.config.Exchange(ctx, query.Get("code"), oauth2.VerifierOption(c.verifier))
	if err != nil {
		t.Fatalf("redeem the code: %v", err)
	}
	return token
}
