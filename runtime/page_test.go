package lockspire

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// pureProvider is a provider for what needs no database.
func pureProvider(t *testing.T, issuer string) *Provider {
	t.Helper()
	secrets, err := newSecretSet([][]byte{bytes.Repeat([]byte{1}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	return &Provider{config: Config{Issuer: issuer, TTLs: TTLs{Decision: time.Minute}}, secrets: secrets, now: time.Now}
}

func TestA11ResponseParametersReplaceRegisteredOnes(t *testing.T) {
	p := pureProvider(t, "https://op.example")
	got := p.responseURL(&redirectTarget{uri: "https://app.example/cb?code=evil&keep=%2f%20&st%61te=evil&error=x", state: "s&<>\"'%00é"}, "code", "c")
	if !strings.HasPrefix(got, "https://app.example/cb?keep=%2f%20&") {
		t.Errorf("the registered query changed: %s", got)
	}
	u, err := url.Parse(got)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"code": "c", "state": "s&<>\"'%00é", "iss": "https://op.example", "keep": "/ "} {
		if values := u.Query()[name]; len(values) != 1 || values[0] != want {
			t.Errorf("%s = %q", name, values)
		}
	}
	if u.Query().Has("error") {
		t.Errorf("a registered error survived: %s", got)
	}
	bare := p.responseURL(&redirectTarget{uri: "com.example.app:/cb?"}, "error", "access_denied")
	if bare != "com.example.app:/cb?error=access_denied&iss=https%3A%2F%2Fop.example" {
		t.Errorf("without state: %s", bare)
	}
}

func TestA14LeavePageIsAPageWithoutScript(t *testing.T) {
	p := pureProvider(t, "https://op.example")
	for _, location := range []string{"https://app.example/cb?code=a&state=b%22", "com.example.app:/cb?code=a"} {
		w := httptest.NewRecorder()
		p.leave(w, location)
		escaped := strings.ReplaceAll(location, "&", "&amp;")
		for _, want := range []string{`<meta http-equiv="refresh" content="0;url=` + escaped + `">`, `<a href="` + escaped + `"`} {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("no %s in\n%s", want, w.Body)
			}
		}
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), "<script") {
			t.Errorf("status %d\n%s", w.Code, w.Body)
		}
		for name, want := range map[string]string{"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Frame-Options": "DENY"} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %q", name, got)
			}
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("CSP %q", csp)
		}
	}
}

func TestA14LeavePageEscapesWhatAURLMayHold(t *testing.T) {
	p := pureProvider(t, "https://op.example")
	w := httptest.NewRecorder()
	p.leave(w, `https://app.example/'"><script>x</script>`)
	if strings.Contains(w.Body.String(), "<script>") || strings.Contains(w.Body.String(), `'"`) {
		t.Errorf("the URL broke out:\n%s", w.Body)
	}
}

func TestA61CookieNameFollowsTheIssuer(t *testing.T) {
	secure, plain := pureProvider(t, "https://op.example/lockspire"), pureProvider(t, "http://localhost:8080/lockspire")
	other := pureProvider(t, "http://localhost:8081/lockspire")
	if name := secure.browserCookieName(); !strings.HasPrefix(name, "__Host-lockspire-") || len(name) != len("__Host-lockspire-")+8 {
		t.Errorf("https issuer: %s", name)
	}
	if name := plain.browserCookieName(); !strings.HasPrefix(name, "lockspire-") || name == other.browserCookieName() {
		t.Errorf("http loopback issuers: %s, %s", name, other.browserCookieName())
	}
	w := httptest.NewRecorder()
	value := secure.browserCookie(w, httptest.NewRequest("GET", "/", nil))
	cookie := w.Result().Cookies()[0]
	if cookie.Value != value || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("cookie %+v", cookie)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(cookie)
	w = httptest.NewRecorder()
	if again := secure.browserCookie(w, r); again != value || len(w.Result().Cookies()) != 0 {
		t.Errorf("the browser's cookie was not kept")
	}
}

func TestPageTokenIsBoundToItsPartsAndTime(t *testing.T) {
	p := pureProvider(t, "https://op.example")
	now := time.Now()
	p.now = func() time.Time { return now }
	token := p.pageToken("apps", "cookie", "alice")
	if !p.verifyPageToken(token, "apps", "cookie", "alice") {
		t.Fatal("a fresh token is refused")
	}
	for name, ok := range map[string]bool{
		"another purpose":    p.verifyPageToken(token, "other", "cookie", "alice"),
		"another account":    p.verifyPageToken(token, "apps", "cookie", "bob"),
		"parts run together": p.verifyPageToken(token, "apps", "cookiealice"),
		"empty":              p.verifyPageToken("", "apps", "cookie", "alice"),
		"a changed byte":     p.verifyPageToken(token[:len(token)-1]+"!", "apps", "cookie", "alice"),
	} {
		if ok {
			t.Errorf("%s was accepted", name)
		}
	}
	now = now.Add(time.Minute + 2*time.Second)
	if p.verifyPageToken(token, "apps", "cookie", "alice") {
		t.Error("an old token was accepted")
	}
}

func TestAFormThatTheHostsMiddlewareParsedIsReadAllTheSame(t *testing.T) {
	body := "decision=approve&scope=a&scope=b&decision_token=t%2B1"
	r := httptest.NewRequest("POST", "/lockspire/interactions/x", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if err := r.ParseForm(); err != nil {
		t.Fatal(err)
	}
	r = withInfo(r, &requestInfo{})
	form, err := readForm(r)
	if err != nil {
		t.Fatal(err)
	}
	if form.get("decision_token") != "t+1" || len(form.all("scope")) != 2 || formOf(r).get("decision") != "approve" {
		t.Errorf("read %v", form.values)
	}
}

// A hash allows exactly one text: what html/template writes has to be it.
func TestStyleAndScriptOfOurPagesAreAllowedByTheirPolicies(t *testing.T) {
	p := &Provider{}
	target := &redirectTarget{uri: "https://app.example/cb", state: "s"}
	for name, write := range map[string]func(w http.ResponseWriter){
		"leave":     func(w http.ResponseWriter) { p.leave(w, "https://app.example/cb") },
		"form_post": func(w http.ResponseWriter) { p.formPost(w, target, "code", "c") },
		"error": func(w http.ResponseWriter) {
			p.builtInErrorPage(w, httptest.NewRequest("GET", "/", nil), &oauthError{status: 400})
		},
	} {
		w := httptest.NewRecorder()
		write(w)
		for _, tag := range []string{"style", "script"} {
			_, rest, found := strings.Cut(w.Body.String(), "<"+tag+">")
			text, _, _ := strings.Cut(rest, "</"+tag+">")
			policy := w.Header().Get("Content-Security-Policy")
			if found && !strings.Contains(policy, tag+"-src "+hashSource(text)) && !strings.Contains(policy, "'self' "+hashSource(text)) {
				t.Errorf("%s: the policy %q does not allow the %s %q", name, policy, tag, text)
			}
			if !found && (tag == "style" || name == "form_post") {
				t.Errorf("%s has no %s", name, tag)
			}
		}
	}
}
