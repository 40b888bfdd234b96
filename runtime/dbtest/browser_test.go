package dbtest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// app is a registered client as its developer sees it.
type app struct {
	h *host
	lockspire.Client
	secret, redirectURI string
}

func (h *host) newApp(changes ...func(*lockspire.NewClient)) *app {
	h.t.Helper()
	n := lockspire.NewClient{
		Name: "Partner", RedirectURIs: []string{"https://partner.example/cb"},
		Scopes: []string{"openid", "profile", "email", "notes:read", "notes:write", "offline_access"},
	}
	for _, change := range changes {
		change(&n)
	}
	client, secret, err := h.provider.Clients().Create(h.t.Context(), n)
	if err != nil {
		h.t.Fatal(err)
	}
	return &app{h: h, Client: client, secret: secret, redirectURI: n.RedirectURIs[0]}
}

func public(n *lockspire.NewClient) { n.AuthMethod = lockspire.AuthNone }

// The PKCE pair of RFC 7636 appendix B.
const (
	testVerifier  = "dBjftJeZ4CVP-mBdodtvRTYgEpVkqyFqKHNmEHUFAaE"
	wrongVerifier = "wrong-wrong-wrong-wrong-wrong-wrong-wrong-wrong"
)

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorizeURL is a good authorization request, with pairs changed or added;
// an empty value removes a parameter.
func (a *app) authorizeURL(pairs ...string) string {
	values := url.Values{
		"response_type": {"code"}, "client_id": {a.ID}, "redirect_uri": {a.redirectURI},
		"scope": {"openid notes:read"}, "state": {"st-1"}, "nonce": {"n-1"},
		"code_challenge": {challengeOf(testVerifier)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			values.Del(pairs[i])
			continue
		}
		values.Set(pairs[i], pairs[i+1])
	}
	return a.h.issuer + "/authorize?" + values.Encode()
}

// browser keeps cookies and follows nothing by itself.
type browser struct {
	h      *host
	client *http.Client
}

func (h *host) newBrowser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	client := *h.server.Client()
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{h: h, client: &client}
}

// page is one answer.
type page struct {
	status int
	header http.Header
	body   string
	// at is where the browser is.
	at string
	// location is where a redirect or a leave page leads, made absolute.
	location string
}

var refreshPattern = regexp.MustCompile(`http-equiv="refresh" content="0;url=([^"]*)"`)

func (b *browser) do(method, target string, form url.Values, headers ...string) page {
	b.h.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	request, err := http.NewRequest(method, target, body)
	if err != nil {
		b.h.t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := b.client.Do(request)
	if err != nil {
		b.h.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		b.h.t.Fatal(err)
	}
	p := page{status: response.StatusCode, header: response.Header, body: string(content), at: target}
	next := response.Header.Get("Location")
	if match := refreshPattern.FindStringSubmatch(p.body); match != nil {
		next = html.UnescapeString(match[1])
	}
	if next != "" {
		at, _ := url.Parse(target)
		to, err := at.Parse(next)
		if err != nil {
			b.h.t.Fatalf("unusable location %q", next)
		}
		p.location = to.String()
	}
	return p
}

func (b *browser) get(target string, headers ...string) page {
	return b.do("GET", target, nil, headers...)
}

// follow goes on to the first page that leads nowhere or out of the host.
func (b *browser) follow(p page) page {
	b.h.t.Helper()
	for hop := 0; p.location != "" && strings.HasPrefix(p.location, b.h.server.URL+"/"); hop++ {
		if hop > 10 {
			b.h.t.Fatalf("redirect loop at %s", p.location)
		}
		p = b.get(p.location)
	}
	return p
}

// signIn posts the login form as user and returns its answer.
func (b *browser) signIn(user string, pairs ...string) page {
	b.h.t.Helper()
	form := url.Values{"user": {user}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.do("POST", b.h.server.URL+"/login", form)
}

var (
	actionPattern = regexp.MustCompile(`action="([^"]*)"`)
	tokenPattern  = regexp.MustCompile(`name="decision_token" value="([^"]*)"`)
)

// isConsent reports whether p is the host's consent page.
func (p page) isConsent() bool { return p.status == 200 && tokenPattern.MatchString(p.body) }

// decide posts the consent page's form.
func (b *browser) decide(consent page, decision string, pairs ...string) page {
	b.h.t.Helper()
	if !consent.isConsent() {
		b.h.t.Fatalf("not a consent page: %d at %s\n%s", consent.status, consent.at, consent.body)
	}
	form := url.Values{"decision": {decision}, "decision_token": {tokenPattern.FindStringSubmatch(consent.body)[1]}}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return b.do("POST", b.h.server.URL+actionPattern.FindStringSubmatch(consent.body)[1], form, "Sec-Fetch-Site", "same-origin")
}

// answer are the parameters that the app was sent.
func (p page) answer(t testing.TB) url.Values {
	t.Helper()
	u, err := url.Parse(p.location)
	if err != nil || p.location == "" {
		t.Fatalf("no answer to the app: %d at %s\n%s", p.status, p.at, p.body)
	}
	return u.Query()
}

// consentTo signs user in where needed and approves what the app asks for, and
// returns the code.
func (a *app) consentTo(b *browser, user string, pairs ...string) string {
	a.h.t.Helper()
	p := b.follow(b.get(a.authorizeURL(pairs...)))
	if strings.Contains(p.body, "login return_to=") {
		at, _ := url.Parse(p.at)
		p = b.follow(b.signIn(user, "return_to", at.Query().Get("return_to")))
	}
	if p.isConsent() {
		var ticked []string
		if strings.Contains(p.body, "scope=email ") {
			ticked = []string{"scope", "email"}
		}
		p = b.decide(p, lockspire.DecisionApprove, ticked...)
		if p.status != 200 {
			a.h.t.Fatalf("approval answered %d\n%s", p.status, p.body)
		}
	}
	code := p.answer(a.h.t).Get("code")
	if code == "" {
		a.h.t.Fatalf("no code in %s", p.location)
	}
	return code
}

// code is consentTo by a new browser of alice's.
func (a *app) code(pairs ...string) string {
	a.h.t.Helper()
	return a.consentTo(a.h.newBrowser(), "alice", pairs...)
}

// tokens is the JSON of a token endpoint's answer.
type tokens struct {
	status      int
	header      http.Header
	raw         string
	Access      string `json:"access_token"`
	Refresh     string `json:"refresh_token"`
	ID          string `json:"id_token"`
	Type        string `json:"token_type"`
	Scope       string `json:"scope"`
	Expires     int    `json:"expires_in"`
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

func (r tokens) String() string { return fmt.Sprintf("%d %s", r.status, r.Error) }

// token posts to the token endpoint with the app's own credentials. Pairs are
// parameters; a name that begins with ":" is a header.
func (a *app) token(pairs ...string) tokens {
	a.h.t.Helper()
	form := url.Values{}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	switch a.AuthMethod {
	case lockspire.AuthClientSecretBasic:
		header.Set("Authorization", a.basic())
	case lockspire.AuthClientSecretPost:
		form.Set("client_id", a.ID)
		form.Set("client_secret", a.secret)
	default:
		form.Set("client_id", a.ID)
	}
	for i := 0; i < len(pairs); i += 2 {
		if name, ok := strings.CutPrefix(pairs[i], ":"); ok {
			header.Set(name, pairs[i+1])
		} else if pairs[i+1] == "" {
			form.Del(pairs[i])
		} else {
			form.Add(pairs[i], pairs[i+1])
		}
	}
	return a.h.postToken("", form.Encode(), header)
}

// basic is the app's Authorization header of client_secret_basic.
func (a *app) basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(a.ID)+":"+url.QueryEscape(a.secret)))
}

// post sends pairs as a form to an endpoint, with the app's own credentials.
func (a *app) post(path string, pairs ...string) *httptest.ResponseRecorder {
	a.h.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return send(a.h.provider, "POST", a.h.issuer+path, strings.NewReader(form.Encode()),
		"Content-Type", "application/x-www-form-urlencoded", "Authorization", a.basic())
}

func (h *host) postToken(query, body string, header http.Header) tokens {
	h.t.Helper()
	return h.postForm("/token"+query, body, header)
}

// postForm sends what it is given to an endpoint that clients sign in to.
func (h *host) postForm(endpoint, body string, header http.Header) tokens {
	h.t.Helper()
	request, err := http.NewRequest("POST", h.issuer+endpoint, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header = header
	response, err := h.server.Client().Do(request)
	if err != nil {
		h.t.Error(err)
		return tokens{}
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Error(err)
		return tokens{}
	}
	result := tokens{status: response.StatusCode, header: response.Header, raw: string(content)}
	if err := json.Unmarshal(content, &result); err != nil {
		h.t.Errorf("token endpoint answered %d without JSON: %s", result.status, content)
	}
	return result
}

// redeem exchanges a code as the app should.
func (a *app) redeem(code string, pairs ...string) tokens {
	a.h.t.Helper()
	return a.token(append([]string{"grant_type", "authorization_code", "code", code,
		"code_verifier", testVerifier, "redirect_uri", a.redirectURI}, pairs...)...)
}

func (a *app) refresh(token string, pairs ...string) tokens {
	a.h.t.Helper()
	return a.token(append([]string{"grant_type", "refresh_token", "refresh_token", token}, pairs...)...)
}

// api calls the host's own API and returns the status.
func (h *host) api(accessToken string) int {
	h.t.Helper()
	status, _ := h.bearer("/api", accessToken)
	return status
}

func (h *host) bearer(path, accessToken string) (int, string) {
	h.t.Helper()
	request, err := http.NewRequest("GET", h.server.URL+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+accessToken)
	response, err := h.server.Client().Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

// claimsIn decodes a JWT's claims without verifying it.
func claimsIn(t testing.TB, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %q", token)
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
