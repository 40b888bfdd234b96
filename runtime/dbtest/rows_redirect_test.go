package dbtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// registeredFor registers nothing but these redirect URIs.
func registeredFor(uris ...string) func(*lockspire.NewClient) {
	return func(n *lockspire.NewClient) { n.RedirectURIs = uris }
}

// rowAuthorizeFixedPage is a page without what differs from one answer to the
// next: the nonce of its policy and the request's id.
func rowAuthorizeFixedPage(p page) string {
	return strings.NewReplacer(between(p.body, `nonce="`, `"`), "", between(p.body, "Request req_", "<"), "").Replace(p.body)
}

// rowAuthorizeGetAPage asks for a code at each of uris, as somebody who is signed
// in, by GET, by POST and with an error to answer. All get one page, which leads
// nowhere and says nothing of the request; nothing is kept.
func rowAuthorizeGetAPage(t *testing.T, a *app, uris ...string) {
	t.Helper()
	b := a.h.newBrowser()
	b.signIn("alice")
	want := rowAuthorizeFixedPage(b.get(a.authorizeURL("redirect_uri", "https://unregistered.example/")))
	rows, issued := a.h.interactions(), a.h.issued()
	for _, uri := range uris {
		for how, p := range map[string]page{
			"GET": b.get(a.authorizeURL("redirect_uri", uri)), "POST": a.posted(b, "redirect_uri", uri),
			"an error": b.get(a.authorizeURL("redirect_uri", uri, "response_type", "token")), "silent": b.get(a.authorizeURL("redirect_uri", uri, "prompt", "none")),
			"form_post": b.get(a.authorizeURL("redirect_uri", uri, "response_mode", "form_post")),
		} {
			wantPage(t, how+" "+uri, p)
			if rowAuthorizeFixedPage(p) != want || strings.Contains(p.body, uri) || p.header.Get("Set-Cookie") != "" {
				t.Errorf("%s %q: another page, or a cookie %q\n%s", how, uri, p.header.Get("Set-Cookie"), p.body)
			}
		}
	}
	if n := a.h.interactions() - rows; n != 0 {
		t.Errorf("%d interactions were written", n)
	}
	if n := a.h.issued() - issued; n != 0 {
		t.Errorf("%d codes or grants were written", n)
	}
}

// rowAuthorizeReachConsent demands that the same request with these URIs is good, so
// that a page is about the URI and nothing else.
func rowAuthorizeReachConsent(t *testing.T, a *app, uris ...string) {
	t.Helper()
	b := a.h.newBrowser()
	b.signIn("alice")
	for _, uri := range uris {
		if p := b.follow(b.get(a.authorizeURL("redirect_uri", uri))); !p.isConsent() {
			t.Errorf("%q: %d to %q\n%s", uri, p.status, p.location, p.body)
		}
	}
}

// rowAuthorizeNotRegistered demands that no client comes to be with any of uris: an
// operator's call is refused, whatever good URI stands beside it, and there is no
// other way. Put into the table all the same, they are refused again.
func rowAuthorizeNotRegistered(t *testing.T, h *host, uris ...string) {
	t.Helper()
	stored := h.newApp()
	clients := count(t, h.db, "SELECT COUNT(*) FROM lockspire_clients")
	h.wantUnannounced(t, "registration_endpoint", "client_id_metadata", "pushed_authorization")
	b := h.newBrowser()
	for _, uri := range uris {
		for _, n := range []lockspire.NewClient{
			{Name: "X", RedirectURIs: []string{uri}},
			{Name: "X", RedirectURIs: []string{"https://partner.example/cb", uri}, AuthMethod: lockspire.AuthNone},
			{Name: "X", RedirectURIs: []string{uri}, Trusted: true},
		} {
			_, secret, err := h.provider.Clients().Create(t.Context(), n)
			if err == nil || secret != "" || !strings.Contains(err.Error(), "RedirectURIs") {
				t.Errorf("registering %q: %v", uri, err)
			}
		}
		metadata, err := json.Marshal(map[string]any{"client_name": "X", "redirect_uris": []string{uri}})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/register", "/par"} {
			w := send(h.provider, "POST", h.issuer+path, strings.NewReader(string(metadata)), "Content-Type", "application/json", "Authorization", stored.basic())
			if w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), uri) {
				t.Errorf("POST %s with %q: %d %s", path, uri, w.Code, w.Body)
			}
		}
	}
	wantPage(t, "a document as client_id", b.get(stored.authorizeURL("client_id", "https://client.example/metadata.json")))
	if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_clients") - clients; n != 0 {
		t.Errorf("%d clients were stored", n)
	}
	list, err := json.Marshal(append([]string{stored.redirectURI}, uris...))
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, h.db, "UPDATE lockspire_clients SET redirect_uris = $1 WHERE id = $2", string(list), stored.ID)
	rowAuthorizeReachConsent(t, stored, stored.redirectURI)
	rowAuthorizeGetAPage(t, stored, uris...)
}

func TestA03RedirectURIsAreComparedByteForByte(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		const plain, escaped, query = "https://partner.example/cb", "https://partner.example/a%2Fb/c", "https://partner.example/q?x=1"
		partner := h.newApp(registeredFor(plain, escaped, query))
		rowAuthorizeReachConsent(t, partner, plain, escaped, query)
		rowAuthorizeGetAPage(t, partner,
			"HTTPS://partner.example/cb", "https://PARTNER.example/cb", "https://partner.example/CB", // case
			plain+"/", "https://partner.example/c", "https://partner.example/cb2", // slash, shorter, longer
			plain+"?", plain+"?x=1", plain+"?state=st-1", plain+"&x=1", query+"&y=2", query+"&", "https://partner.example/q?x=2", "https://partner.example/q", // query
			"https://partner.example:443/cb", "https://partner.example:/cb", "https://partner.example:8443/cb", // port
			"https://partner.example/./cb", "https://partner.example/x/../cb", "https://partner.example/cb/.", plain+"/..", // dot segment
			"https://partner.example//cb", "https:///partner.example/cb", plain+"//",
			"https://partner.example%2Fcb", "https://partner.example/%2Fcb", plain+"%2F", "https://partner.example/a%2fb/c", "https://partner.example/a/b/c", "https://partner.example/a%252Fb/c",
			"https://partner.example/%2e/cb", "https://partner.example/%2E%2E/cb", "https://partner%2eexample/cb", "https://partner.example/%63b",
			`https://partner.example\cb`, `https:\\partner.example\cb`, `https://partner.example/cb\`, "https://partner.example%5Ccb",
			"https://partner.example/\tcb", plain+"\t", "\t"+plain, plain+"%09", "https://partner.example/c\nb", plain+"\r\n", " "+plain, plain+" ",
			"https://partner.example./cb", "//partner.example/cb", "http://partner.example/cb", plain+" "+escaped, plain+","+escaped,
		)
	})
}

func TestA05LoopbackLookAlikesHaveNoFreePort(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		var lookAlikes, withPort []string
		for _, name := range []string{"127.0.0.1.evil.test", "127.1", "127.0.1", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "2130706433", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
			"[0:0:0:0:0:0:0:1]", "[::1%25lo]", "localhost.", "localhost.evil.test", "127.0.0.1.", "127.0.0.2", "0.0.0.0", "LOCALHOST"} {
			lookAlikes = append(lookAlikes, "http://"+name+"/cb", "http://"+name+":49152/cb")
			withPort = append(withPort, "http://"+name+":49152/cb", "https://"+name+":49152/cb")
		}
		rowAuthorizeNotRegistered(t, h, lookAlikes...)
		native := h.newApp(public, registeredFor("http://127.0.0.1/cb", "http://[::1]/cb", "http://localhost/cb"))
		rowAuthorizeReachConsent(t, native, "http://127.0.0.1:49152/cb", "http://[::1]:49152/cb", "http://localhost:49152/cb")
		rowAuthorizeGetAPage(t, native, append(withPort, "https://127.0.0.1/cb", "https://127.0.0.1:49152/cb", "https://[::1]:49152/cb", "https://localhost:49152/cb")...)
		// With https it is a string like any other.
		web := h.newApp(registeredFor("https://127.0.0.1:8443/cb"))
		rowAuthorizeReachConsent(t, web, "https://127.0.0.1:8443/cb")
		rowAuthorizeGetAPage(t, web, "https://127.0.0.1:49152/cb", "https://127.0.0.1/cb", "http://127.0.0.1:8443/cb", "https://localhost:8443/cb", "https://127.1:8443/cb")
	})
}

func TestA06UserInformationIsRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		uris := []string{"http://evil@127.0.0.1/cb", "http://evil@127.0.0.1:49152/cb", "http://127.0.0.1:49152@evil.test/cb", "http://127.0.0.1@evil.test/cb",
			"https://good.test@evil.test/", "https://partner.example@evil.test/cb", "https://user:pass@partner.example/cb", "https://@partner.example/cb", "https://:@partner.example/cb",
			"http://localhost:@evil.test/cb", "http://[::1]@evil.test/cb", "com.example.app://evil@host/cb"}
		rowAuthorizeNotRegistered(t, h, uris...)
		partner := h.newApp(registeredFor("https://partner.example/cb", "http://127.0.0.1/cb", "http://[::1]/cb", "http://localhost/cb"))
		rowAuthorizeGetAPage(t, partner, uris...)
	})
}

func TestA07FragmentsAreRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		registered := []string{"https://partner.example/cb", "http://127.0.0.1/cb", "com.example.app:/cb"}
		var uris []string
		for _, fragment := range []string{"#", "#x", "#/route", "?x=1#", "#?x=1", "##"} {
			for _, uri := range append(registered, "http://127.0.0.1:49152/cb") {
				uris = append(uris, uri+fragment)
			}
		}
		rowAuthorizeNotRegistered(t, h, uris...)
		partner := h.newApp(registeredFor(registered...))
		rowAuthorizeReachConsent(t, partner, registered...)
		rowAuthorizeGetAPage(t, partner, uris...)
	})
}

func TestA08DangerousSchemesAreRefusedAndRefusedAgain(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		rowAuthorizeNotRegistered(t, h,
			"javascript:alert(1)", "JavaScript:alert(1)", "javascript://partner.example/%0aalert(1)", " javascript:alert(1)", "java\tscript:alert(1)",
			"data:text/html,x", "data:text/html;base64,PHNjcmlwdD4=", "vbscript:msgbox(1)", "blob:https://partner.example/9115d58c", "file:///etc/passwd", "file:/etc/passwd",
			"about:blank", "about:srcdoc", "filesystem:https://partner.example/x", "view-source:https://partner.example/",
			"myapp://cb", "myapp:/cb", "myapp:cb", "tel:1", "mailto:a@b.example", "ws://partner.example/cb", "ftp://partner.example/cb",
			"http://partner.example/cb", "http://192.168.0.1/cb", "http://[2001:db8::1]/cb", "http:/cb", "http:cb")
	})
}

func TestA09PatternsAreNotRegistered(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		rowAuthorizeNotRegistered(t, h,
			"*", "https://*", "https://*.partner.example/cb", "https://partner.*/cb", "https://partner.example/*", "https://partner.example/**", "https://partner.example/cb?*", "https://partner.example:*/cb", "http://127.0.0.1:*/cb", "com.example.app:*",
			"https://partner.example/{a,b}", "https://partner.example/cb[0-9]", "https://partner.example/cb?x=[a-z]", "com.example.app:/[a-z]", // glob
			`^https://partner\.example/.*$`, `https://partner\.example/cb`, "https://partner.example/(a|b)", "https://partner.example/.*", "https://[a-z]/cb", // regex
			"partner.example", "partner.example:443", "//partner.example", "https://", "https:partner.example", "https:///cb", "localhost", "127.0.0.1:8080") // host only
		// What has no path or ends in a slash is no prefix either.
		host, root := h.newApp(registeredFor("https://partner.example")), h.newApp(registeredFor("https://partner.example/"))
		rowAuthorizeReachConsent(t, host, "https://partner.example")
		rowAuthorizeGetAPage(t, host, "https://partner.example/", "https://partner.example/cb", "https://partner.example?x", "https://partner.example.evil.test")
		rowAuthorizeGetAPage(t, root, "https://partner.example", "https://partner.example/cb", "https://a.partner.example/")
		// And a dot is a dot.
		rowAuthorizeGetAPage(t, h.newApp(registeredFor("https://a.partner.example/.+")), "https://axpartner.example/.+", "https://a.partner.example/cb")
	})
}

func TestA10HostsAreALabels(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		uris := []string{"https://bücher.example/cb", "https://BÜCHER.example/cb", "https://b\u0075\u0308cher.example/cb", "https://b%C3%BCcher.example/cb", // U-labels
			"https://раrtner.example/cb", "https://partnеr.example/cb", "https://partner.exаmple/cb", // Cyrillic letters in it
			"https://ｐartner.example/cb", "https://partner。example/cb", "https://partner.example\u200b/cb", "https://partner.example\u2044cb", "https://partner.example／cb"}
		rowAuthorizeNotRegistered(t, h, uris...)
		const registered = "https://xn--bcher-kva.example/cb"
		partner, b := h.newApp(registeredFor(registered)), h.newBrowser()
		b.signIn("alice")
		consent := b.follow(b.get(partner.authorizeURL()))
		if !consent.isConsent() || !strings.Contains(consent.body, "host=xn--bcher-kva.example ") || strings.Contains(consent.body, "bücher") {
			t.Errorf("consent: %d %s", consent.status, consent.body)
		}
		rowAuthorizeGetAPage(t, partner, append(uris, "https://XN--bcher-kva.example/cb")...)
	})
}

// Nobody registers himself, so an error is answered to a URI that an operator has
// registered for this client, or not at all.
func TestA12NoErrorIsSentWhereNoOperatorHasRegistered(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		var fetched atomic.Int32
		evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fetched.Add(1)
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(map[string]any{"client_id": "http://" + r.Host + "/client.json", "redirect_uris": []string{"http://" + r.Host + "/cb"}})
		}))
		t.Cleanup(evil.Close)
		h.wantUnannounced(t, "registration_endpoint", "client_id_metadata")
		partner, disabled, other := h.newApp(), h.newApp(), h.newApp(registeredFor("https://other.example/cb"))
		if err := h.provider.Clients().Disable(t.Context(), disabled.ID); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/register", "/clients", "/connect/register"} {
			w := send(h.provider, "POST", h.issuer+path, strings.NewReader(`{"redirect_uris":["`+evil.URL+`/cb"]}`), "Content-Type", "application/json")
			if w.Code != http.StatusNotFound || w.Header().Get("Location") != "" {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
		signedIn := h.newBrowser()
		signedIn.signIn("alice")
		for _, b := range []*browser{h.newBrowser(), signedIn} {
			for name, fault := range map[string][]string{
				"response_type": {"response_type", "token"}, "scope": {"scope", "bad"}, "silent": {"prompt", "none"}, "no PKCE": {"code_challenge", ""},
				"request": {"request", "x"}, "resource": {"resource", "https://elsewhere.example"}, "max_age": {"max_age", "-1"}, "NUL": {"nonce", "\x00"},
			} {
				for _, uri := range []string{evil.URL + "/cb", "https://evil.test/", other.redirectURI} {
					wantPage(t, name+" to "+uri, b.get(partner.authorizeURL(append(fault, "redirect_uri", uri)...)))
				}
				wantPage(t, name+", disabled", b.get(disabled.authorizeURL(fault...)))
				wantPage(t, name+", a document", b.get(partner.authorizeURL(append(fault, "client_id", evil.URL+"/client.json", "redirect_uri", evil.URL+"/cb")...)))
				p := b.get(partner.authorizeURL(fault...))
				if p.status != http.StatusSeeOther || !strings.HasPrefix(p.location, partner.redirectURI+"?") || p.answer(t).Get("error") == "" {
					t.Errorf("%s, proven: %d to %q", name, p.status, p.location)
				}
			}
		}
		if n := fetched.Load(); n != 0 {
			t.Errorf("%d requests to where the attacker listens", n)
		}
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_clients"); n != 3 || h.interactions()+h.issued() != 0 {
			t.Errorf("%d clients, %d interactions, %d issued", n, h.interactions(), h.issued())
		}
	})
}
