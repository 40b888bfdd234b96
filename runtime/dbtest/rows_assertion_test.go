package dbtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	lockspire "github.com/lockspire/lockspire/runtime"
)

const rowTokenAssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// rowTokenSigner signs assertions as a client would that has a key of its own.
type rowTokenSigner struct {
	t   testing.TB
	key *ecdsa.PrivateKey
}

func newRowTokenSigner(t testing.TB) rowTokenSigner {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return rowTokenSigner{t, key}
}

func (s rowTokenSigner) sign(alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
	s.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		s.t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		s.t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		s.t.Fatal(err)
	}
	assertion, err := signed.CompactSerialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return assertion
}

// rowTokenClaims are those of a good assertion (RFC 7523 §3).
func (h *host) rowTokenClaims(clientID string) map[string]any {
	now := h.clock.Now()
	return map[string]any{"iss": clientID, "sub": clientID, "aud": h.issuer, "jti": "jti-1", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
}

// wantNoAssertion demands that the assertion of claims authenticates nobody,
// signed by whatever key, at any endpoint, beside whatever else.
func (h *host) wantNoAssertion(t *testing.T, name string, s rowTokenSigner, claims map[string]any, partner, inBody, open *app) {
	t.Helper()
	for signed, assertion := range map[string]string{
		"private_key_jwt":   s.sign(jose.ES256, s.key, claims),
		"client_secret_jwt": s.sign(jose.HS256, []byte(partner.secret), claims),
		"the server's key":  forge(t, h.db, "ES256", "JWT", claims),
	} {
		name := name + ", " + signed
		for _, v := range []struct {
			how    string
			header http.Header
			pairs  []string
			status int
			code   string
		}{
			{"alone", nil, nil, 401, "invalid_client"},
			{"with client_id", nil, []string{"client_id", partner.ID}, 401, "invalid_client"},
			{"of a public client", nil, []string{"client_id", open.ID}, 401, "invalid_client"},
			{"with the right header", basic(partner.ID, partner.secret), nil, 400, "invalid_request"},
			{"with the wrong header", basic(partner.ID, "x"), nil, 400, "invalid_request"},
			{"with the right secret", nil, []string{"client_id", inBody.ID, "client_secret", inBody.secret}, 400, "invalid_request"},
		} {
			pairs := append([]string{"client_assertion", assertion, "client_assertion_type", rowTokenAssertionType}, v.pairs...)
			wantToken(t, name+", "+v.how, partner.attempt(v.header, pairs...), v.status, v.code)
			form := url.Values{"token": {"x"}}
			for i := 0; i < len(pairs); i += 2 {
				form.Set(pairs[i], pairs[i+1])
			}
			for _, path := range []string{"/revoke", "/introspect"} {
				var headers []string
				if v.header != nil {
					headers = []string{"Authorization", v.header.Get("Authorization")}
				}
				p := h.rowTokenPost(path, form, headers...)
				if p.status != v.status || !strings.Contains(p.body, `"error":"`+v.code+`"`) || strings.Contains(p.body, assertion) {
					t.Errorf("%s, %s at %s: %d %s", name, v.how, path, p.status, p.body)
				}
			}
		}
		if strings.Contains(h.logs.String(), assertion) {
			t.Errorf("%s: the assertion is in the log", name)
		}
	}
}

// rowTokenAssertionHost is what each of the rows about assertions begins with.
func rowTokenAssertionHost(t *testing.T, h *host) (s rowTokenSigner, partner, inBody, open *app) {
	t.Helper()
	h.wantUnannounced(t, "private_key_jwt", "client_secret_jwt", "signing_alg_values_supported\":[\"hs", "token_endpoint_auth_signing_alg", "assertion", "jwt-bearer")
	for _, method := range []string{"private_key_jwt", "client_secret_jwt"} {
		_, _, err := h.provider.Clients().Create(t.Context(), lockspire.NewClient{Name: "X", RedirectURIs: []string{"https://x.example/cb"}, AuthMethod: method})
		wantError(t, err, "AuthMethod", method)
	}
	partner = h.newApp()
	return newRowTokenSigner(t), partner, h.newApp(func(n *lockspire.NewClient) { n.AuthMethod = lockspire.AuthClientSecretPost }), h.newApp(public)
}

func TestA73AssertionsOfWhateverAudienceAuthenticateNobody(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		s, partner, inBody, open := rowTokenAssertionHost(t, h)
		before := h.rowTokenCredentials()
		for name, audience := range map[string]any{
			"the issuer": h.issuer, "the token endpoint": h.issuer + "/token", "another server": "https://as.example", "an array with more": []string{h.issuer, "https://as.example"},
			"an array of one": []string{h.issuer}, "none": nil, "the revocation endpoint": h.issuer + "/revoke",
		} {
			h.wantNoAssertion(t, name, s, with(h.rowTokenClaims(partner.ID), "aud", audience), partner, inBody, open)
		}
		// A row that says otherwise changes nothing.
		for _, method := range []string{"private_key_jwt", "client_secret_jwt"} {
			mustExec(t, h.db, "UPDATE lockspire_clients SET token_endpoint_auth_method = $1 WHERE id = $2", method, partner.ID)
			assertion := s.sign(jose.HS256, []byte(partner.secret), h.rowTokenClaims(partner.ID))
			for name, pairs := range map[string][]string{
				"assertion": {"client_assertion", assertion, "client_assertion_type", rowTokenAssertionType}, "no type": {"client_assertion", assertion},
				"a type alone": {"client_id", partner.ID, "client_assertion_type", rowTokenAssertionType}, "nothing": {"client_id", partner.ID},
				"the secret": {"client_id", partner.ID, "client_secret", partner.secret},
			} {
				wantToken(t, method+" in the row, "+name, partner.attempt(nil, pairs...), 401, "invalid_client")
			}
			wantToken(t, method+" in the row, the header", partner.attempt(basic(partner.ID, partner.secret)), 401, "invalid_client")
		}
		if after := h.rowTokenCredentials(); after != before {
			t.Errorf("rows %s, %s before", after, before)
		}
	})
}

func TestA74ReplayedAssertionsAuthenticateNobody(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		s, partner, inBody, open := rowTokenAssertionHost(t, h)
		before := h.rowTokenCredentials()
		claims := h.rowTokenClaims(partner.ID)
		for _, name := range []string{"first", "replayed"} {
			h.wantNoAssertion(t, name, s, claims, partner, inBody, open)
		}
		assertion := s.sign(jose.ES256, s.key, claims)
		got := make([]tokens, 50)
		inParallel(50, func(i int) {
			got[i] = partner.attempt(nil, "client_assertion", assertion, "client_assertion_type", rowTokenAssertionType)
		})
		for i, answer := range got {
			wantToken(t, fmt.Sprintf("parallel %d", i), answer, 401, "invalid_client")
		}
		if after := h.rowTokenCredentials(); after != before {
			t.Errorf("rows %s, %s before", after, before)
		}
		// A code stays what it was: nobody came who could spend it.
		code := partner.code()
		spent := partner.attempt(nil, "client_assertion", assertion, "client_id", partner.ID)
		wantToken(t, "with a code", spent, 401, "invalid_client")
		wantToken(t, "its client", partner.redeem(code), 200, "")
		for _, path := range []string{"/par", "/device_authorization", "/register"} {
			if p := h.rowTokenPost(path, url.Values{"client_assertion": {assertion}, "client_assertion_type": {rowTokenAssertionType}}); p.status != http.StatusNotFound {
				t.Errorf("%s: %d %s", path, p.status, p.body)
			}
		}
		if strings.Contains(dump(t, h), "jti-1") {
			t.Error("the jti was kept")
		}
	})
}

func TestA75AssertionsOfWhateverClaimsAuthenticateNobody(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		s, partner, inBody, open := rowTokenAssertionHost(t, h)
		before, now := h.rowTokenCredentials(), h.clock.Now()
		good := h.rowTokenClaims(partner.ID)
		for name, claims := range map[string]map[string]any{
			"good": good, "no exp": with(good, "exp", nil), "exp in 11 min": with(good, "exp", now.Add(11*time.Minute).Unix()), "exp in a year": with(good, "exp", now.AddDate(1, 0, 0).Unix()),
			"expired": with(good, "exp", now.Add(-2*time.Minute).Unix()), "iat in the future": with(good, "iat", now.Add(2*time.Minute).Unix()),
			"another iss": with(good, "iss", inBody.ID), "another sub": with(good, "sub", open.ID), "both another's": with(with(good, "iss", inBody.ID), "sub", inBody.ID),
			"no iss": with(good, "iss", nil), "no sub": with(good, "sub", nil), "no jti": with(good, "jti", nil), "empty jti": with(good, "jti", ""), "nothing": {},
		} {
			h.wantNoAssertion(t, name, s, claims, partner, inBody, open)
		}
		none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+partner.ID+`"}`)) + "."
		for name, assertion := range map[string]string{"alg none": none, "garbage": "x", "dots": strings.Repeat(".", 500)} {
			wantToken(t, name, partner.attempt(nil, "client_assertion", assertion, "client_assertion_type", rowTokenAssertionType), 401, "invalid_client")
		}
		for _, kind := range []string{"", "x", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"} {
			wantToken(t, "type "+kind, partner.attempt(nil, "client_assertion", s.sign(jose.ES256, s.key, good), "client_assertion_type", kind), 401, "invalid_client")
		}
		if after := h.rowTokenCredentials(); after != before {
			t.Errorf("rows %s, %s before", after, before)
		}
	})
}

// rowTokenCertificate is a client's own certificate.
func rowTokenCertificate(t *testing.T, san string, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: san}, DNSNames: []string{san},
		NotBefore: until.Add(-24 * time.Hour), NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), crypto.PrivateKey(key))
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestA84CertificatesAndTheirHeadersAuthenticateNobody(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		h.wantUnannounced(t, "tls_client_auth", "mtls", "certificate")
		for _, method := range []string{"tls_client_auth", "self_signed_tls_client_auth"} {
			_, _, err := h.provider.Clients().Create(t.Context(), lockspire.NewClient{Name: "X", RedirectURIs: []string{"https://x.example/cb"}, AuthMethod: method})
			wantError(t, err, "AuthMethod", method)
		}
		partner, open := h.newApp(), h.newApp(public)
		before := h.rowTokenCredentials()
		for name, certificate := range map[string]tls.Certificate{
			"right": rowTokenCertificate(t, "partner.example", time.Now().Add(time.Hour)), "wrong SAN": rowTokenCertificate(t, "evil.example", time.Now().Add(time.Hour)),
			"expired": rowTokenCertificate(t, "partner.example", time.Now().Add(-time.Hour)),
		} {
			text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}))
			forged := http.Header{
				"X-Client-Cert": {url.QueryEscape(text)}, "X-Ssl-Client-Cert": {url.QueryEscape(text)}, "Ssl-Client-Cert": {url.QueryEscape(text)},
				"Client-Cert": {":" + base64.StdEncoding.EncodeToString(certificate.Certificate[0]) + ":"}, "Client-Cert-Chain": {"::"},
				"X-Forwarded-Client-Cert": {`Hash=x;Subject="CN=partner.example";URI=` + partner.ID}, "X-Ssl-Client-Verify": {"SUCCESS"}, "X-Ssl-Client-S-Dn": {"CN=" + partner.ID},
				"X-Arr-Clientcert": {base64.StdEncoding.EncodeToString(certificate.Certificate[0])}, "X-Amzn-Mtls-Clientcert": {url.QueryEscape(text)}, "X-Client-Id": {partner.ID},
			}
			server := httptest.NewUnstartedServer(h.provider)
			server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
			server.StartTLS()
			t.Cleanup(server.Close)
			edge := *h
			edge.server, edge.issuer = server, server.URL+"/lockspire"
			server.Client().Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{certificate}
			for way, at := range map[string]*host{"in headers": h, "in the handshake": &edge} {
				name := name + " " + way
				headers := func(more http.Header) http.Header {
					merged := forged.Clone()
					for key, values := range more {
						merged[key] = values
					}
					return merged
				}
				nobody, withSecret, stranger := partner.on(at), partner.on(at), open.on(at)
				wantToken(t, name+", client_id", nobody.attempt(headers(nil), "client_id", partner.ID), 401, "invalid_client")
				wantToken(t, name+", nothing else", nobody.attempt(headers(nil)), 401, "invalid_client")
				wantToken(t, name+", wrong secret", withSecret.attempt(headers(basic(partner.ID, "x"))), 401, "invalid_client")
				wantToken(t, name+", secret", withSecret.attempt(headers(basic(partner.ID, partner.secret))), 400, "invalid_grant")
				wantToken(t, name+", public", stranger.attempt(headers(nil), "client_id", open.ID), 400, "invalid_grant")
				for _, path := range []string{"/revoke", "/introspect"} {
					var pairs []string
					for key := range forged {
						pairs = append(pairs, key, forged.Get(key))
					}
					p := at.rowTokenPost(path, url.Values{"client_id": {partner.ID}, "token": {"x"}}, pairs...)
					if p.status != 401 || !strings.Contains(p.body, `"error":"invalid_client"`) {
						t.Errorf("%s at %s: %d %s", name, path, p.status, p.body)
					}
				}
			}
		}
		if after := h.rowTokenCredentials(); after != before {
			t.Errorf("rows %s, %s before", after, before)
		}
		// A row that says otherwise changes nothing, and no token is bound.
		got := partner.redeem(partner.code(), ":X-Client-Cert", "x", ":Client-Cert", ":eA==:")
		if claims := claimsIn(t, got.Access); got.status != http.StatusOK || claims["cnf"] != nil || got.Type != "Bearer" {
			t.Errorf("%s: %v", got.raw, claims)
		}
		mustExec(t, h.db, "UPDATE lockspire_clients SET token_endpoint_auth_method = 'tls_client_auth' WHERE id = $1", partner.ID)
		wantToken(t, "tls_client_auth in the row", partner.attempt(http.Header{"X-Ssl-Client-Verify": {"SUCCESS"}, "X-Client-Cert": {"x"}}, "client_id", partner.ID), 401, "invalid_client")
	})
}
