package lockspire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// browserCookieName names the cookie that ties interactions to the browser
// they began in. __Host- keeps sibling subdomains from planting one; the
// issuer's hash keeps two issuers on one host name apart. Browsers accept no
// Secure cookie on plain http, so an http loopback issuer has the plain name.
func (p *Provider) browserCookieName() string {
	sum := sha256.Sum256([]byte(p.config.Issuer))
	name := "lockspire-" + hex.EncodeToString(sum[:4])
	if p.secureIssuer() {
		return "__Host-" + name
	}
	return name
}

func (p *Provider) secureIssuer() bool { return strings.HasPrefix(p.config.Issuer, "https://") }

// browserCookie returns the browser's cookie value and sets a new one where
// there is none. Every interaction of the browser shares it.
func (p *Provider) browserCookie(w http.ResponseWriter, r *http.Request) string {
	if value, ok := p.existingBrowserCookie(r); ok {
		return value
	}
	value := newToken()
	http.SetCookie(w, &http.Cookie{
		Name:     p.browserCookieName(),
		Value:    value,
		Path:     "/",
		Secure:   p.secureIssuer(),
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	})
	return value
}

// existingBrowserCookie returns the cookie the browser sent, if it has the
// shape of ours.
func (p *Provider) existingBrowserCookie(r *http.Request) (string, bool) {
	cookie, err := r.Cookie(p.browserCookieName())
	if err != nil || !tokenShaped(cookie.Value) {
		return "", false
	}
	return cookie.Value, true
}

// keyedHash returns HMAC-SHA256 under the label's subkey of the secret id over
// parts, each with its length before it, so that no two lists of parts run
// together. It reports false when that secret is not configured any more.
func (p *Provider) keyedHash(secretID, label string, parts ...string) ([]byte, bool) {
	key, ok := p.secrets.subkey(secretID, label)
	if !ok {
		return nil, false
	}
	mac := hmac.New(sha256.New, key)
	for _, part := range parts {
		mac.Write([]byte(strconv.Itoa(len(part)) + ":" + part))
	}
	return mac.Sum(nil), true
}

// pageToken returns a token for a form on one of our pages, good for
// TTLs.Decision and for exactly these parts: the browser cookie and the
// account among them. Nothing is stored for it.
func (p *Provider) pageToken(purpose string, parts ...string) string {
	secretID := p.secrets.id()
	issued := strconv.FormatInt(p.now().Unix(), 10)
	mac, _ := p.keyedHash(secretID, "decision", append([]string{"page", purpose, issued}, parts...)...)
	return secretID + "." + issued + "." + base64.RawURLEncoding.EncodeToString(mac)
}

// verifyPageToken reports whether token came from pageToken with the same
// purpose and parts, and is still in time.
func (p *Provider) verifyPageToken(token, purpose string, parts ...string) bool {
	pieces := strings.Split(token, ".")
	if len(pieces) != 3 {
		return false
	}
	issued, err := strconv.ParseInt(pieces[1], 10, 64)
	if err != nil {
		return false
	}
	// Nodes' clocks differ by a few seconds, so a token may come from the
	// near future.
	if age := p.now().Sub(time.Unix(issued, 0)); age > p.config.TTLs.Decision || age < -clockSkew {
		return false
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(pieces[2])
	if err != nil {
		return false
	}
	want, ok := p.keyedHash(pieces[0], "decision", append([]string{"page", purpose, pieces[1]}, parts...)...)
	return ok && hmac.Equal(mac, want)
}

// clockSkew is how far apart the clocks of two nodes may be.
const clockSkew = 5 * time.Second
