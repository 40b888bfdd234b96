package main

import (
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
	"github.com/lockspire/lockspire/runtime/lockspiretest"

	"example.com/sigra-host/internal/signin"
	"example.com/sigra-host/internal/web"
	"example.com/sigra-host/scope"
)

const (
	issuer   = "http://localhost:8080/lockspire"
	callback = "https://partner.example/callback"
	email    = "mira@harbour.example"
	password = "ebb-and-flood"
)

var totpSecret = []byte("a secret of the test")

// TestAStrangerSignsAPersonInThroughTheHostsOwnLogin is the proof of this
// example: a third party's request, unauthenticated, goes through both steps
// of the application's sign-in and comes back with tokens for the right
// person, all through generated code and the account resolver.
func TestAStrangerSignsAPersonInThroughTheHostsOwnLogin(t *testing.T) {
	db, user, handler := start(t)
	browser := lockspiretest.NewBrowser(t, handler, issuer)
	client, secret, err := lockspire.NewClients(db, lockspire.SQLite, "").Create(t.Context(), lockspire.NewClient{
		Name: "Tide Tables", RedirectURIs: []string{callback}, Scopes: []string{"openid", "profile", "berths:read"},
	})
	if err != nil {
		t.Fatal(err)
	}

	verifier, state := rand.Text()+rand.Text(), rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	login := get(t, browser, issuer+"/authorize?"+url.Values{
		"response_type": {"code"}, "client_id": {client.ID}, "redirect_uri": {callback}, "state": {state},
		"scope": {"openid profile berths:read"}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}.Encode())

	// The host's login, first step.
	if login.URL.Path != "/sign-in" {
		t.Fatalf("a signed-out browser was sent to %s, want /sign-in", login.URL)
	}
	form := login.Form("password")
	returnTo, id := form.Values.Get("return_to"), form.Values.Get("interaction_id")
	if id == "" || returnTo != "/lockspire/interactions/"+id {
		t.Fatalf("the form carries return_to %q and interaction_id %q", returnTo, id)
	}
	second := submit(t, form, "email", email, "password", password)

	// Second step: both are still there, and half a sign-in is none.
	if second.URL.Path != "/sign-in/code" {
		t.Fatalf("after the password the browser is at %s, want /sign-in/code", second.URL)
	}
	form = second.Form("code")
	if form.Values.Get("return_to") != returnTo || form.Values.Get("interaction_id") != id {
		t.Fatalf("the second step carries %v, want return_to %q and interaction_id %q", form.Values, returnTo, id)
	}
	if half := get(t, browser, returnTo); half.URL.Path != "/sign-in" {
		t.Fatalf("with the second factor outstanding the request went on to %s", half.URL)
	}
	consent := submit(t, form, "code", signin.Code(totpSecret, time.Now()))

	// Back through the interaction to consent.
	if consent.URL.Path != returnTo || !strings.Contains(consent.Body, "Mira Quay") || !strings.Contains(consent.Body, "Tide Tables") {
		t.Fatalf("after sign-in the browser is at %s (%d), want the consent page:\n%s", consent.URL, consent.Status, consent.Body)
	}
	answer := submit(t, consent.Form(lockspire.FieldDecision), lockspire.FieldDecision, lockspire.DecisionApprove).Leaving()
	if answer == nil || !strings.HasPrefix(answer.String(), callback+"?") || answer.Query().Get("state") != state {
		t.Fatalf("consent leads to %v", answer)
	}

	// The partner's side: tokens, and the API.
	tokens := exchange(t, browser, client.ID, secret, url.Values{
		"grant_type": {"authorization_code"}, "code": {answer.Query().Get("code")},
		"redirect_uri": {callback}, "code_verifier": {verifier},
	})
	claims := payload(t, tokens.ID)
	if claims["sub"] != user.ID || claims["iss"] != issuer || claims["aud"] != client.ID {
		t.Fatalf("the ID token says sub %v, iss %v, aud %v; want sub %s", claims["sub"], claims["iss"], claims["aud"], user.ID)
	}
	if text, _ := json.Marshal(claims); strings.Contains(string(text), email) {
		t.Fatalf("nobody asked for the e-mail address, but the ID token has it: %s", text)
	}
	request, _ := http.NewRequest(http.MethodGet, "http://localhost:8080/api/berths", nil)
	request.Header.Set("Authorization", "Bearer "+tokens.Access)
	var berths struct {
		Owner string `json:"owner"`
	}
	if status := do(t, browser, request, &berths); status != http.StatusOK || berths.Owner != user.ID {
		t.Fatalf("the API answered %d for %q, want 200 for %q", status, berths.Owner, user.ID)
	}
}

// start runs the application on a database of its own, with one user.
func start(t *testing.T) (*sql.DB, scope.User, http.Handler) {
	t.Helper()
	t.Setenv("LOCKSPIRE_ISSUER", issuer)
	t.Setenv("LOCKSPIRE_SECRETS", base64.StdEncoding.EncodeToString([]byte(rand.Text()+rand.Text())))
	db, err := sql.Open("sqlite", dsn(filepath.Join(t.TempDir(), "harbour.db")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	handler, err := web.New(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	user, err := signin.New(db).AddUser(t.Context(), email, "Mira Quay", password, totpSecret)
	if err != nil {
		t.Fatal(err)
	}
	return db, user, handler
}

func get(t *testing.T, browser *lockspiretest.Browser, target string) *lockspiretest.Page {
	t.Helper()
	page, err := browser.Get(target)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func submit(t *testing.T, form *lockspiretest.Form, values ...string) *lockspiretest.Page {
	t.Helper()
	if form == nil {
		t.Fatal("the page has no such form")
	}
	page, err := form.Submit(values...)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

type tokens struct {
	Access string `json:"access_token"`
	ID     string `json:"id_token"`
}

func exchange(t *testing.T, browser *lockspiretest.Browser, id, secret string, form url.Values) tokens {
	t.Helper()
	request, _ := http.NewRequest(http.MethodPost, issuer+"/token", strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	var got tokens
	if status := do(t, browser, request, &got); status != http.StatusOK {
		t.Fatalf("the token endpoint answered %d", status)
	}
	return got
}

// do sends a request of the partner's server, which has no cookies.
func do(t *testing.T, browser *lockspiretest.Browser, request *http.Request, into any) int {
	t.Helper()
	response, err := browser.Another().HTTPClient().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		t.Fatalf("%s %s answered %d: %v", request.Method, request.URL.Path, response.StatusCode, err)
	}
	return response.StatusCode
}

func payload(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}
