package lockspire

import (
	"strings"
	"testing"
)

// Each line is a redirect URI and whether it can be registered.
var registrationVectors = []struct {
	name, uri string
	allowed   bool
}{
	{"https", "https://app.example/cb", true},
	{"https with query", "https://app.example/cb?tenant=1", true},
	{"https without path", "https://app.example", true},
	{"https with port", "https://app.example:8443/cb", true},
	{"A-label", "https://xn--bcher-kva.example/cb", true},
	{"IPv6", "https://[2001:db8::1]/cb", true},
	{"loopback IPv4", "http://127.0.0.1/cb", true},
	{"loopback IPv4 with port", "http://127.0.0.1:8080/cb", true},
	{"loopback IPv6", "http://[::1]/cb", true},
	{"localhost", "http://localhost:3000/cb", true},
	{"private-use scheme", "com.example.app:/cb", true},
	{"private-use scheme with authority", "com.example.app://cb", true},

	{"A06 userinfo on loopback", "http://evil@127.0.0.1/cb", false},
	{"A06 userinfo on https", "https://good.test@evil.test/", false},
	{"A06 empty userinfo", "https://@evil.test/", false},
	{"A07 fragment", "https://app.example/cb#x", false},
	{"A07 empty fragment", "https://app.example/cb#", false},
	{"A08 javascript", "javascript:alert(1)", false},
	{"A08 data", "data:text/html,x", false},
	{"A08 vbscript", "vbscript:x", false},
	{"A08 blob", "blob:https://app.example/x", false},
	{"A08 file", "file:///etc/passwd", false},
	{"A08 about", "about:blank", false},
	{"A08 scheme without dot", "myapp://cb", false},
	{"A08 http off loopback", "http://app.example/cb", false},
	{"A05 loopback look-alike name", "http://127.0.0.1.evil.test/cb", false},
	{"A05 short loopback", "http://127.1/cb", false},
	{"A05 hex loopback", "http://0x7f000001/cb", false},
	{"A05 decimal loopback", "http://2130706433/cb", false},
	{"A05 mapped loopback", "http://[::ffff:127.0.0.1]/cb", false},
	{"A05 rooted localhost", "http://localhost./cb", false},
	{"A05 hex host on https", "https://0x7f000001/cb", false},
	{"A05 short host on https", "https://127.1/cb", false},
	{"A09 wildcard host", "https://*.app.example/cb", false},
	{"A09 wildcard path", "https://app.example/*", false},
	{"A09 host only", "app.example", false},
	{"A09 host and port only", "app.example:443", false},
	{"A09 host, port and path only", "app.example:443/cb", false},
	{"A09 character class in the path", "https://app.example/cb[0-9]", false},
	{"A09 character class in the query", "https://app.example/cb?x=[a-z]", false},
	{"A09 character class after an address", "https://[2001:db8::1]/cb[0-9]", false},
	{"private-use scheme without a path", "com.example.app:cb", false},
	{"A10 U-label", "https://bücher.example/cb", false},
	{"A10 homograph", "https://аpp.example/cb", false},
	{"A10 escaped U-label", "https://b%C3%BCcher.example/cb", false},
	{"upper-case host", "https://App.example/cb", false},
	{"upper-case scheme", "HTTPS://app.example/cb", false},
	{"empty port", "https://app.example:/cb", false},
	{"port zero", "http://127.0.0.1:0/cb", false},
	{"port too high", "http://127.0.0.1:65536/cb", false},
	{"space", "https://app.example/c b", false},
	{"tab", "https://app.example/\tcb", false},
	{"backslash", `https://app.example\cb`, false},
	{"quote", `https://app.example/"cb`, false},
	{"relative", "/cb", false},
	{"empty", "", false},
	{"no host", "https:///cb", false},
	{"too long", "https://app.example/" + strings.Repeat("a", 2048), false},
}

func TestRedirectURIRegistrationVectors(t *testing.T) {
	for _, v := range registrationVectors {
		if err := validateRedirectURI(v.uri); (err == nil) != v.allowed {
			t.Errorf("%s: validateRedirectURI(%q) = %v", v.name, v.uri, err)
		}
	}
}

func TestRedirectURIComparisonVectors(t *testing.T) {
	const web = "https://app.example/cb"
	for _, v := range []struct {
		name, registered, requested string
		same                        bool
	}{
		{"identical", web, web, true},
		{"A03 case of path", web, "https://app.example/CB", false},
		{"A03 case of host", web, "https://APP.example/cb", false},
		{"A03 trailing slash", web, "https://app.example/cb/", false},
		{"A03 extra query", web, "https://app.example/cb?x=1", false},
		{"A03 empty query", web, "https://app.example/cb?", false},
		{"A03 default port", web, "https://app.example:443/cb", false},
		{"A03 dot segment", web, "https://app.example/x/../cb", false},
		{"A03 double slash", web, "https://app.example//cb", false},
		{"A03 escaped slash", web, "https://app.example%2Fcb", false},
		{"A03 escaped dot", web, "https://app.example/%2e/cb", false},
		{"A03 escaped letter", web, "https://app.example/%63b", false},
		{"A03 backslash", web, `https://app.example\cb`, false},
		{"A03 tab", web, "https://app.example/c\tb", false},
		{"prefix", web, "https://app.example/c", false},
		{"https has no port flexibility", web, "https://app.example:8443/cb", false},

		{"A04 IPv4, another port", "http://127.0.0.1/cb", "http://127.0.0.1:49152/cb", true},
		{"A04 IPv4, registered port", "http://127.0.0.1:80/cb", "http://127.0.0.1:49152/cb", true},
		{"A04 IPv6, another port", "http://[::1]:1/cb", "http://[::1]:49152/cb", true},
		{"A04 localhost, another port", "http://localhost/cb?x=1", "http://localhost:3000/cb?x=1", true},
		{"A04 hosts do not stand in", "http://127.0.0.1/cb", "http://localhost:49152/cb", false},
		{"A04 hosts do not stand in, IPv6", "http://127.0.0.1/cb", "http://[::1]:49152/cb", false},
		{"A04 another path", "http://127.0.0.1/cb", "http://127.0.0.1:49152/other", false},
		{"A04 another query", "http://127.0.0.1/cb?x=1", "http://127.0.0.1:49152/cb?x=2", false},
		{"A04 no path against slash", "http://127.0.0.1", "http://127.0.0.1:49152/", false},
		{"A05 https loopback", "https://127.0.0.1/cb", "https://127.0.0.1:49152/cb", false},
		{"A05 look-alike", "http://127.0.0.1/cb", "http://127.0.0.1.evil.test:1/cb", false},
		{"A05 short", "http://127.0.0.1/cb", "http://127.1:49152/cb", false},
		{"A05 rooted", "http://localhost/cb", "http://localhost.:49152/cb", false},
		{"A06 userinfo", "http://127.0.0.1/cb", "http://evil@127.0.0.1:49152/cb", false},
		{"A06 userinfo as port", "http://127.0.0.1/cb", "http://127.0.0.1:49152@evil.test/cb", false},
		{"A07 fragment", "http://127.0.0.1/cb", "http://127.0.0.1:49152/cb#", false},
		{"port with leading zero", "http://127.0.0.1/cb", "http://127.0.0.1:080/cb", false},
		{"port with a sign", "http://127.0.0.1/cb", "http://127.0.0.1:+80/cb", false},

		{"A08 bad row in the table", "javascript:alert(1)", "javascript:alert(1)", false},
		{"A08 http row in the table", "http://app.example/cb", "http://app.example/cb", false},
		{"A09 wildcard row in the table", "https://app.example/*", "https://app.example/evil", false},
		{"nothing", web, "", false},
	} {
		if got := redirectURIAllowed(v.requested, []string{"https://other.example/", v.registered}); got != v.same {
			t.Errorf("%s: redirectURIAllowed(%q, %q) = %v", v.name, v.requested, v.registered, got)
		}
	}
}

// What is accepted is a registered string, or differs from a registered
// loopback URI in nothing but the port.
func FuzzRedirectURIAllowed(f *testing.F) {
	for _, v := range registrationVectors {
		f.Add(v.uri, "http://127.0.0.1:8080/cb")
	}
	f.Add("http://localhost:1/cb?x", "http://localhost/cb?x")
	f.Fuzz(func(t *testing.T, requested, registered string) {
		if !redirectURIAllowed(requested, []string{registered}) || requested == registered {
			return
		}
		for _, host := range []string{"http://127.0.0.1", "http://[::1]", "http://localhost"} {
			a, okA := withoutPort(requested, host)
			b, okB := withoutPort(registered, host)
			if okA && okB && a == b {
				return
			}
		}
		t.Fatalf("%q was accepted for %q", requested, registered)
	})
}

// withoutPort is written apart from splitLoopback, so that both have to be
// wrong for the fuzzer to miss it.
func withoutPort(uri, prefix string) (string, bool) {
	rest, ok := strings.CutPrefix(uri, prefix)
	if !ok {
		return "", false
	}
	if strings.HasPrefix(rest, ":") {
		rest = strings.TrimLeft(rest[1:], "0123456789")
	}
	return rest, rest == "" || rest[0] == '/' || rest[0] == '?'
}

func TestConsentMemoryNeedsAnAddressThatProvesTheClient(t *testing.T) {
	confidential := Client{AuthMethod: AuthClientSecretBasic}
	public := Client{AuthMethod: AuthNone}
	trusted := Client{AuthMethod: AuthNone, Trusted: true}
	for _, v := range []struct {
		name   string
		client Client
		uri    string
		want   bool
	}{
		{"confidential web client", confidential, "https://app.example/cb", true},
		{"A50 public web client", public, "https://app.example/cb", false},
		{"A50 trusted public web client", trusted, "https://app.example/cb", true},
		{"A51 confidential on loopback", confidential, "http://127.0.0.1:1/cb", false},
		{"A51 trusted on loopback", trusted, "http://localhost:1/cb", false},
		{"A30 confidential with private scheme", confidential, "com.example.app:/cb", false},
	} {
		if got := mayRemember(v.client, v.uri); got != v.want {
			t.Errorf("%s: %v", v.name, got)
		}
	}
}
