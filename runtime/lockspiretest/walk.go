package lockspiretest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// redirectURI is where the walk's client lives. Nothing is ever sent there:
// the browser stops where it would leave the host.
const redirectURI = "https://client.example/callback"

// Host is a mounted application, as [Walk] needs to know it.
type Host struct {
	// Handler is the application's whole handler, or a bare router on which
	// the generated Mount was called. Required.
	Handler http.Handler
	// Provider is what Mount returned. Required.
	Provider *lockspire.Provider
	// SignIn takes the browser from the host's login page, where an
	// authorization request sent it, through sign-in, and returns the page
	// that it ends on after the host redirected to return_to. Required.
	SignIn func(browser *Browser, login *Page) (*Page, error)
	// Subject is the sub that the signed-in account must have. Defaults to ""
	// (any).
	Subject string
	// Scopes are asked for beside openid and offline_access, and must be in
	// the provider's catalogue. Defaults to none.
	Scopes []string
}

// Walk takes a client through the whole life of an authorization on the
// mounted application: discovery, sign-in, consent, tokens, userinfo, the
// guarded API, refresh, and withdrawal by the user. It registers a client in
// the provider's database and disables it at the end. Each step is a subtest;
// the first that fails ends the walk.
func Walk(t *testing.T, host Host) {
	t.Helper()
	w := &walk{host: host, browser: NewBrowser(t, host.Handler, host.Provider.Issuer())}
	steps := []struct {
		name string
		run  func(*testing.T)
	}{
		{"discovery", w.discovery},
		{"register a client", w.register},
		{"an unproven redirect_uri is not followed", w.unproven},
		{"authorize sends a signed-out browser to sign in", w.authorize},
		{"sign-in returns to consent", w.signIn},
		{"consent leaves for the client", w.consent},
		{"the code is exchanged once", w.exchange},
		{"userinfo", w.userinfo},
		{"the guarded API admits the token", w.guarded(http.StatusOK)},
		{"refresh", w.refresh},
		{"the user withdraws the grant", w.revoke},
		{"the guarded API refuses the token", w.guarded(http.StatusUnauthorized)},
	}
	for _, step := range steps {
		if !t.Run(step.name, step.run) {
			return
		}
	}
}

type walk struct {
	host     Host
	browser  *Browser
	metadata metadata

	client   lockspire.Client
	secret   string
	verifier string
	state    string
	page     *Page
	code     string
	tokens   tokens
	subject  string
}

type metadata struct {
	Issuer    string `json:"issuer"`
	Authorize string `json:"authorization_endpoint"`
	Token     string `json:"token_endpoint"`
	Userinfo  string `json:"userinfo_endpoint"`
	JWKS      string `json:"jwks_uri"`
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	Type    string `json:"token_type"`
	Error   string `json:"error"`
}

// discovery reads the metadata in each place that a client may look (OpenID
// Connect Discovery §4, RFC 8414 §3.1) and the keys it names.
func (w *walk) discovery(t *testing.T) {
	issuer := w.host.Provider.Issuer()
	u, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	origin := u.Scheme + "://" + u.Host
	for _, place := range []string{
		issuer + "/.well-known/openid-configuration",
		origin + "/.well-known/openid-configuration" + u.Path,
		origin + "/.well-known/oauth-authorization-server" + u.Path,
	} {
		w.getJSON(t, place, &w.metadata)
		if w.metadata.Issuer != issuer {
			t.Fatalf("%s: issuer is %q, want %q", place, w.metadata.Issuer, issuer)
		}
	}
	var keys struct {
		Keys []map[string]any `json:"keys"`
	}
	w.getJSON(t, w.metadata.JWKS, &keys)
	if len(keys.Keys) == 0 {
		t.Fatalf("%s lists no keys", w.metadata.JWKS)
	}
	for _, path := range w.host.Provider.ResourceMetadataPaths() {
		var resource struct {
			Servers []string `json:"authorization_servers"`
		}
		w.getJSON(t, origin+path, &resource)
		if !slices.Contains(resource.Servers, issuer) {
			t.Fatalf("%s does not name the issuer", path)
		}
	}
}

func (w *walk) register(t *testing.T) {
	var err error
	w.client, w.secret, err = w.host.Provider.Clients().Create(t.Context(), lockspire.NewClient{
		Name:         "Lockspire test client",
		RedirectURIs: []string{redirectURI},
		Scopes:       append([]string{"openid", "offline_access"}, w.host.Scopes...),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (w *walk) authorizeURL(redirect string) string {
	w.verifier, w.state = random(), random()
	challenge := sha256.Sum256([]byte(w.verifier))
	return w.metadata.Authorize + "?" + url.Values{
		"response_type":         {"code"},
		"client_id":             {w.client.ID},
		"redirect_uri":          {redirect},
		"scope":                 {strings.Join(w.client.Scopes, " ")},
		"state":                 {w.state},
		"nonce":                 {"n-" + w.state},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(challenge[:])},
		"code_challenge_method": {"S256"},
	}.Encode()
}

func (w *walk) unproven(t *testing.T) {
	page := w.get(t, w.authorizeURL("https://client.example.evil.test/callback"))
	if page.Status != http.StatusBadRequest || page.Leaving() != nil {
		t.Fatalf("an unregistered redirect_uri answered %d and leads to %v", page.Status, page.Leaving())
	}
}

func (w *walk) authorize(t *testing.T) {
	w.page = w.get(t, w.authorizeURL(redirectURI))
	query := w.page.URL.Query()
	if w.page.Status != http.StatusOK || query.Get("return_to") == "" || query.Get("interaction_id") == "" {
		t.Fatalf("the browser ended on %s (%d); want a login page with return_to and interaction_id", w.page.URL.Path, w.page.Status)
	}
}

func (w *walk) signIn(t *testing.T) {
	page, err := w.host.SignIn(w.browser, w.page)
	if err != nil {
		t.Fatal(err)
	}
	form := page.Form(lockspire.FieldDecision)
	if page.Status != http.StatusOK || form == nil {
		t.Fatalf("after sign-in the browser is on %s (%d) without a consent form; does the login page carry return_to and interaction_id to its end?", page.URL.Path, page.Status)
	}
	if !strings.Contains(page.Body, w.client.Name) {
		t.Errorf("the consent page does not name the client")
	}
	w.page = page
}

func (w *walk) consent(t *testing.T) {
	page, err := w.page.Form(lockspire.FieldDecision).Submit(lockspire.FieldDecision, lockspire.DecisionApprove)
	if err != nil {
		t.Fatal(err)
	}
	target := page.Leaving()
	if target == nil || !strings.HasPrefix(target.String(), redirectURI+"?") {
		t.Fatalf("consent ended on %s (%d) and leads to %v; want the client", page.URL.Path, page.Status, target)
	}
	query := target.Query()
	if query.Get("state") != w.state || query.Get("iss") != w.metadata.Issuer || query.Get("code") == "" {
		t.Fatalf("the answer lacks state, iss or code: error is %q", query.Get("error"))
	}
	w.code = query.Get("code")
}

func (w *walk) exchange(t *testing.T) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {w.code}, "redirect_uri": {redirectURI}, "code_verifier": {w.verifier}}
	status := w.post(t, form, &w.tokens)
	if status != http.StatusOK || w.tokens.Access == "" || w.tokens.Refresh == "" {
		t.Fatalf("the exchange answered %d %s", status, w.tokens.Error)
	}
	claims := claims(t, w.tokens.ID)
	w.subject, _ = claims["sub"].(string)
	if w.subject == "" || claims["iss"] != w.metadata.Issuer || claims["nonce"] != "n-"+w.state {
		t.Fatalf("the ID token has sub %v, iss %v, nonce %v", claims["sub"], claims["iss"], claims["nonce"])
	}
	if w.host.Subject != "" && w.subject != w.host.Subject {
		t.Fatalf("sub is %q, want %q", w.subject, w.host.Subject)
	}
	var again tokens
	if status := w.post(t, form, &again); status != http.StatusBadRequest || again.Error != "invalid_grant" {
		t.Fatalf("the second exchange answered %d %s, want 400 invalid_grant", status, again.Error)
	}
}

func (w *walk) userinfo(t *testing.T) {
	request, _ := http.NewRequest(http.MethodGet, w.metadata.Userinfo, nil)
	request.Header.Set("Authorization", "Bearer "+w.tokens.Access)
	var info struct {
		Subject string `json:"sub"`
	}
	if status := w.do(t, request, &info); status != http.StatusOK || info.Subject != w.subject {
		t.Fatalf("userinfo answered %d with sub %q, want %q", status, info.Subject, w.subject)
	}
}

// guarded asks a handler behind Protect for an answer with the access token.
func (w *walk) guarded(want int) func(*testing.T) {
	return func(t *testing.T) {
		api := w.host.Provider.Protect()(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			token, ok := lockspire.TokenFrom(r.Context())
			fmt.Fprintf(rw, "%v %s", ok, token.Subject)
		}))
		browser := NewBrowser(t, api, w.host.Provider.Issuer())
		request, _ := http.NewRequest(http.MethodGet, w.metadata.Issuer+"/guarded", nil)
		request.Header.Set("Authorization", "Bearer "+w.tokens.Access)
		response, err := browser.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		if response.StatusCode != want {
			t.Fatalf("the API answered %d, want %d", response.StatusCode, want)
		}
		if want == http.StatusOK && string(body) != "true "+w.subject {
			t.Fatalf("the API saw %q, want subject %q", body, w.subject)
		}
	}
}

func (w *walk) refresh(t *testing.T) {
	var next tokens
	status := w.post(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {w.tokens.Refresh}}, &next)
	if status != http.StatusOK || next.Access == "" {
		t.Fatalf("refresh answered %d %s", status, next.Error)
	}
	w.tokens = next
}

func (w *walk) revoke(t *testing.T) {
	ctx := context.WithoutCancel(t.Context())
	grants, err := w.host.Provider.Grants(ctx, w.subject)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(grants, func(g lockspire.Grant) bool { return g.ClientID == w.client.ID })
	if i < 0 {
		t.Fatal("the grant is not listed")
	}
	if err := w.host.Provider.RevokeGrant(ctx, w.subject, grants[i].ID); err != nil {
		t.Fatal(err)
	}
	var refused tokens
	status := w.post(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {w.tokens.Refresh}}, &refused)
	if status != http.StatusBadRequest || refused.Error != "invalid_grant" {
		t.Fatalf("refresh after withdrawal answered %d %s, want 400 invalid_grant", status, refused.Error)
	}
	if err := w.host.Provider.Clients().Disable(ctx, w.client.ID); err != nil {
		t.Fatal(err)
	}
}

func (w *walk) get(t *testing.T, target string) *Page {
	t.Helper()
	page, err := w.browser.Get(target)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func (w *walk) getJSON(t *testing.T, target string, into any) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	if status := w.do(t, request, into); status != http.StatusOK {
		t.Fatalf("GET %s answered %d; is that exact path routed to the provider?", target, status)
	}
}

// post sends a token request as the client, which has no cookies.
func (w *walk) post(t *testing.T, form url.Values, into *tokens) int {
	t.Helper()
	request, _ := http.NewRequest(http.MethodPost, w.metadata.Token, strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(w.client.ID), url.QueryEscape(w.secret))
	return w.do(t, request, into)
}

func (w *walk) do(t *testing.T, request *http.Request, into any) int {
	t.Helper()
	response, err := w.browser.Another().client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("%s %s answered %d with no JSON (%s): does the host's CSRF or login middleware stand before it?",
			request.Method, request.URL.Path, response.StatusCode, response.Header.Get("Content-Type"))
	}
	return response.StatusCode
}

// claims reads a JWT's claims without checking its signature: the token came
// from the token endpoint directly (OpenID Connect Core §3.1.3.7).
func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatal("the response has no ID token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func random() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}
