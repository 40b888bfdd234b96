package lockspire

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// maxRedirectURI bounds a registered or requested redirect URI in bytes.
const maxRedirectURI = 2048

// forbiddenSchemes run or read something on the user's own machine instead of
// reaching a client. They have no dot and would fail that rule too; they are
// named so that the refusal says why.
var forbiddenSchemes = map[string]bool{
	"javascript": true, "data": true, "vbscript": true, "blob": true, "file": true, "about": true, "filesystem": true, "view-source": true,
}

// validateRedirectURI says why uri cannot be registered, or nil. Allowed are
// https, http on the three loopback hosts (RFC 8252 §7.3), and private-use
// schemes with a dot (RFC 8252 §7.1). Never a fragment, user information, a
// wildcard or a host that is not plain ASCII.
func validateRedirectURI(uri string) error {
	if uri == "" || len(uri) > maxRedirectURI {
		return fmt.Errorf("redirect URI is empty or longer than %d bytes", maxRedirectURI)
	}
	for i := 0; i < len(uri); i++ {
		if !uriCharacter(uri[i]) {
			return fmt.Errorf("redirect URI has a character that RFC 3986 does not allow at byte %d", i)
		}
	}
	if strings.Contains(uri, "#") {
		return errors.New("redirect URI has a fragment (RFC 6749 §3.1.2)")
	}
	if strings.Contains(uri, "*") {
		return errors.New("redirect URI has a wildcard; each URI is registered exactly (RFC 9700 §4.1.3)")
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" {
		return errors.New("redirect URI is not an absolute URL")
	}
	if u.User != nil || strings.Contains(u.Host, "@") {
		return errors.New("redirect URI has user information")
	}
	if strings.ContainsAny(strings.Replace(uri, u.Host, "", 1), "[]") {
		// Whoever writes [a-z] means a pattern.
		return errors.New("redirect URI has brackets that enclose no IPv6 address (RFC 3986 §3.2.2)")
	}
	scheme := uri[:strings.IndexByte(uri, ':')]
	switch {
	case forbiddenSchemes[u.Scheme]:
		return fmt.Errorf("redirect URI scheme %s is forbidden", u.Scheme)
	case scheme != strings.ToLower(scheme):
		return errors.New("redirect URI scheme must be lower case")
	case u.Scheme == "https":
		return validateWebHost(u)
	case u.Scheme == "http":
		if _, ok := splitLoopback(uri); !ok {
			return errors.New("redirect URI is http; only http://127.0.0.1, http://[::1] and http://localhost may be")
		}
		return validateWebHost(u)
	case !strings.Contains(u.Scheme, "."):
		return errors.New("redirect URI has a private-use scheme without a dot (RFC 8252 §7.1)")
	case u.Opaque != "" || !strings.HasPrefix(uri[len(scheme):], ":/"):
		// app.example:443 is a host without its scheme.
		return errors.New("redirect URI has a private-use scheme and no path; write it as com.example.app:/path (RFC 8252 §7.1)")
	}
	return nil
}

// validateWebHost refuses hosts that a person cannot read or that hide where
// they lead: IDN in any form but A-labels, empty labels, a trailing dot,
// shorthand IPv4.
func validateWebHost(u *url.URL) error {
	host := u.Hostname()
	if host == "" || strings.HasSuffix(u.Host, ":") {
		return errors.New("redirect URI has no host, or an empty port")
	}
	if port := u.Port(); port != "" {
		if n := portNumber(port); n < 1 {
			return errors.New("redirect URI has an impossible port")
		}
	}
	if strings.HasPrefix(u.Host, "[") {
		addr, err := netip.ParseAddr(host)
		if err != nil || addr.Zone() != "" || addr.Is4In6() {
			return errors.New("redirect URI has an unusable IPv6 host")
		}
		return nil
	}
	if host != strings.ToLower(host) {
		return errors.New("redirect URI host must be lower case")
	}
	for _, label := range strings.Split(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return errors.New("redirect URI host has an empty or malformed label")
		}
		for i := 0; i < len(label); i++ {
			if c := label[i]; c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return errors.New("redirect URI host is not made of ASCII letters, digits and hyphens; an international name is written as its A-label (xn--…)")
			}
		}
	}
	if last := host[strings.LastIndexByte(host, '.')+1:]; looksNumeric(last) {
		if _, err := netip.ParseAddr(host); err != nil {
			return errors.New("redirect URI host is a shortened or hexadecimal address")
		}
	}
	return nil
}

// looksNumeric reports whether browsers would read a host that ends in this
// label as an IPv4 address.
func looksNumeric(label string) bool {
	if strings.HasPrefix(label, "0x") {
		return true
	}
	for i := 0; i < len(label); i++ {
		if label[i] < '0' || label[i] > '9' {
			return false
		}
	}
	return true
}

// uriCharacter reports whether c may stand in a URI (RFC 3986 §2). That
// excludes space, control bytes, backslash, quotes and everything that is not
// ASCII, which browsers repair in ways that differ from ours.
func uriCharacter(c byte) bool {
	if unreserved(c) {
		return true
	}
	return strings.IndexByte(":/?#[]@!$&'()*+,;=%", c) >= 0
}

// redirectURIAllowed reports whether requested is one of registered, byte for
// byte; nothing is decoded or normalised first (RFC 9700 §4.1.3). For a
// registered loopback URI the port alone may differ (RFC 8252 §7.3).
func redirectURIAllowed(requested string, registered []string) bool {
	if validateRedirectURI(requested) != nil {
		// A bad row that came into the table some other way is refused again.
		return false
	}
	for _, uri := range registered {
		if requested == uri {
			return true
		}
	}
	want, ok := splitLoopback(requested)
	if !ok {
		return false
	}
	for _, uri := range registered {
		if have, ok := splitLoopback(uri); ok && have == want {
			return true
		}
	}
	return false
}

// loopbackHosts never stand in for one another: which of them a native app
// listens on is its own business, and "localhost" may resolve elsewhere.
var loopbackHosts = []string{"127.0.0.1", "[::1]", "localhost"}

// loopbackURI is a loopback redirect URI without its port.
type loopbackURI struct{ host, rest string }

// splitLoopback takes "http://" + loopback host + optional port + rest apart,
// by bytes. Anything that only resembles a loopback host (127.1, a longer name
// that begins like one, user information) is not split.
func splitLoopback(uri string) (loopbackURI, bool) {
	after, ok := strings.CutPrefix(uri, "http://")
	if !ok {
		return loopbackURI{}, false
	}
	for _, host := range loopbackHosts {
		rest, ok := strings.CutPrefix(after, host)
		if !ok {
			continue
		}
		if strings.HasPrefix(rest, ":") {
			end := strings.IndexAny(rest, "/?#")
			if end < 0 {
				end = len(rest)
			}
			if portNumber(rest[1:end]) < 1 {
				return loopbackURI{}, false
			}
			rest = rest[end:]
		}
		if rest == "" || rest[0] == '/' || rest[0] == '?' {
			return loopbackURI{host: host, rest: rest}, true
		}
	}
	return loopbackURI{}, false
}

// portNumber returns the port that s spells in plain decimal, or 0.
func portNumber(s string) int {
	if len(s) == 0 || len(s) > 5 || s[0] == '0' {
		return 0
	}
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0
		}
		n = n*10 + int(s[i]-'0')
	}
	if n > 65535 {
		return 0
	}
	return n
}

// redirectKind says how far a redirect URI proves who receives the answer.
type redirectKind int

const (
	// redirectWeb is https: DNS and TLS name the receiver.
	redirectWeb redirectKind = iota
	// redirectLoopback reaches whatever program listens (RFC 8252 §8.6).
	redirectLoopback
	// redirectPrivateScheme reaches whatever program claimed the scheme.
	redirectPrivateScheme
)

func kindOfRedirect(uri string) redirectKind {
	if _, ok := splitLoopback(uri); ok {
		return redirectLoopback
	}
	if strings.HasPrefix(uri, "https://") {
		return redirectWeb
	}
	return redirectPrivateScheme
}

// redirectHost is what a consent page calls the place a redirect URI leads to.
func redirectHost(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	if u.Host == "" {
		return u.Scheme + ":"
	}
	if _, ok := splitLoopback(uri); ok {
		return u.Hostname()
	}
	return u.Host
}
