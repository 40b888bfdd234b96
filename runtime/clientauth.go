package lockspire

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// clientParameters are the single-valued parameters of client authentication
// (RFC 6749 §2.3, RFC 7521 §4.2). None may be in a URL, where logs keep it.
var clientParameters = []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"}

// credentials are what a request presents to say who its client is.
type credentials struct {
	clientID string
	method   string
	secret   string
	// header is true when the Authorization header was used, which decides
	// whether a 401 carries a challenge (RFC 6749 §5.2).
	header bool
}

// refuse is one answer for an unknown client, a disabled one, a
// wrong secret and a wrong method: which of them it was is nobody's business.
func (c credentials) refuse() *oauthError {
	return &oauthError{code: "invalid_client", status: http.StatusUnauthorized, description: "Client authentication failed.", basic: c.header}
}

// authenticateClient returns the live client that a form request comes from,
// proven by exactly the method it is registered with (RFC 6749 §2.3).
func (p *Provider) authenticateClient(r *http.Request) (Client, error) {
	presented, err := readCredentials(r, formOf(r))
	if err != nil {
		return Client{}, err
	}
	key := p.limitKey(r, presented.clientID)
	if key != "" && p.failed.count(key, 0, p.now()) >= maxAuthFailures {
		return Client{}, errTooMany
	}
	client, err := p.provenClient(r.Context(), presented)
	infoOf(r).clientID = client.ID
	if err != nil {
		if key != "" && !errors.Is(err, errUnavailable) {
			p.failed.count(key, 1, p.now())
		}
		return Client{}, err
	}
	return client, nil
}

// readCredentials finds the one method that the request uses. Two at once are
// an error, with no falling back from one to the other.
func readCredentials(r *http.Request, form params) (credentials, error) {
	if err := form.check(clientParameters...); err != nil {
		return credentials{}, err
	}
	query := parseParams(r.URL.RawQuery)
	for _, name := range clientParameters {
		if len(query.values[name]) > 0 || query.malformed[name] {
			return credentials{}, badRequest("Client credentials must not be in the URL.")
		}
	}
	headers := r.Header.Values("Authorization")
	if len(headers) > 1 {
		return credentials{}, badRequest("The Authorization header is repeated.")
	}
	if len(headers) == 1 {
		return headerCredentials(headers[0], form)
	}
	c := credentials{clientID: form.get("client_id"), method: AuthNone}
	switch {
	case form.get("client_assertion") != "" && form.get("client_secret") != "":
		return c, badRequest("Two client authentication methods at once.")
	case form.get("client_assertion") != "":
		return c, c.refuse()
	case form.get("client_secret") != "":
		c.method, c.secret = AuthClientSecretPost, form.get("client_secret")
	}
	if c.clientID == "" {
		return c, c.refuse()
	}
	return c, nil
}

func headerCredentials(header string, form params) (credentials, error) {
	c := credentials{method: AuthClientSecretBasic, header: true}
	if form.get("client_secret") != "" || form.get("client_assertion") != "" {
		return c, badRequest("Two client authentication methods at once.")
	}
	var ok bool
	if c.clientID, c.secret, ok = parseBasic(header); !ok {
		return c, c.refuse()
	}
	if named := form.get("client_id"); named != "" && named != c.clientID {
		return c, badRequest("The header and the body name different clients.")
	}
	return c, nil
}

// parseBasic reads an Authorization header of the Basic scheme (RFC 7617 §2)
// whose user and password are form-encoded first (RFC 6749 §2.3.1). It takes
// one spelling only: no stray space, no missing padding, no trailing bits.
func parseBasic(header string) (clientID, secret string, ok bool) {
	scheme, encoded, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "Basic") || strings.ContainsAny(encoded, "\r\n") {
		return "", "", false
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return "", "", false
	}
	rawID, rawSecret, found := strings.Cut(string(decoded), ":")
	if !found {
		return "", "", false
	}
	clientID, err = url.QueryUnescape(rawID)
	if err != nil || clientID == "" || !clean(clientID) {
		return "", "", false
	}
	secret, err = url.QueryUnescape(rawSecret)
	if err != nil || secret == "" || !clean(secret) {
		return "", "", false
	}
	return clientID, secret, true
}

// provenClient looks the client up and checks what was presented. An unknown
// client costs the same read and comparison as a known one.
func (p *Provider) provenClient(ctx context.Context, presented credentials) (Client, error) {
	client, hashes, err := p.clients.getWithSecrets(ctx, presented.clientID, p.now())
	unknown := errors.Is(err, ErrClientNotFound)
	if err != nil && !unknown {
		return Client{}, p.store.fault(err)
	}
	if presented.method != AuthNone && !secretMatches(presented.secret, hashes) {
		return Client{}, presented.refuse()
	}
	if unknown || !client.DisabledAt.IsZero() {
		return Client{}, presented.refuse()
	}
	if client.AuthMethod != presented.method {
		// The answer does not say so, but the log does: client libraries
		// differ in the method they choose by themselves. The line names the
		// client by its own attribute: what a cause repeats of the request is
		// taken out.
		refusal := presented.refuse()
		refusal.cause = fmt.Errorf("the client is registered for %s and used %s", client.AuthMethod, presented.method)
		return Client{ID: client.ID}, refusal
	}
	return client, nil
}

// secretMatches compares with every live secret, and with one that matches
// nothing where there is none.
func secretMatches(secret string, hashes [][]byte) bool {
	if len(hashes) == 0 {
		hashes = [][]byte{make([]byte, 32)}
	}
	presented := hashToken(secret)
	match := 0
	for _, hash := range hashes {
		match |= subtle.ConstantTimeCompare(presented, hash)
	}
	return match == 1
}
