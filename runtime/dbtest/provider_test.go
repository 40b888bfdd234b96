package dbtest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	lockspire "github.com/lockspire/lockspire/runtime"
)

const (
	testIssuer   = "https://app.example/lockspire"
	testResource = "https://app.example"
)

// testSecret is what baseConfig seals with.
var testSecret = bytes.Repeat([]byte{7}, 32)

// alwaysAlice is an account resolver with one account, "alice", who is signed
// in. Tests change its fields before the first request.
type alwaysAlice struct {
	current   func(r *http.Request) (lockspire.Account, error)
	bySubject func(ctx context.Context, subject string) (lockspire.Account, error)
	claims    func(request lockspire.ClaimsRequest) (lockspire.Claims, error)
}

func (a *alwaysAlice) CurrentAccount(r *http.Request) (lockspire.Account, error) {
	if a.current != nil {
		return a.current(r)
	}
	return lockspire.Account{Subject: "alice", SessionID: "s1"}, nil
}

func (a *alwaysAlice) AccountBySubject(ctx context.Context, subject string) (lockspire.Account, error) {
	if a.bySubject != nil {
		return a.bySubject(ctx, subject)
	}
	if subject != "alice" {
		return lockspire.Account{}, lockspire.ErrAccountGone
	}
	return lockspire.Account{Subject: subject}, nil
}

func (a *alwaysAlice) Claims(_ context.Context, _ lockspire.Account, request lockspire.ClaimsRequest) (lockspire.Claims, error) {
	if a.claims != nil {
		return a.claims(request)
	}
	return lockspire.Claims{}, nil
}

func (a *alwaysAlice) LoginURL(_ *http.Request, i lockspire.Interaction) string {
	return i.AppendTo("/login")
}

// lastApps keeps what the authorized-apps page was given.
type lastApps struct{ page lockspire.AuthorizedAppsPage }

func (l *lastApps) render(w http.ResponseWriter, _ *http.Request, page lockspire.AuthorizedAppsPage) {
	l.page = page
	io.WriteString(w, "apps")
}

func baseConfig(db *sql.DB, engine lockspire.Dialect) lockspire.Config {
	return lockspire.Config{
		Issuer:   testIssuer,
		DB:       db,
		Dialect:  engine,
		Accounts: &alwaysAlice{},
		Pages: lockspire.Pages{
			Consent:        func(http.ResponseWriter, *http.Request, lockspire.ConsentPage) {},
			AuthorizedApps: (&lastApps{}).render,
		},
		Secrets: [][]byte{testSecret},
		Scopes: []lockspire.Scope{
			{Name: "notes:read", Title: "Read your notes"},
			{Name: "notes:write", Title: "Change your notes"},
			{Name: "profile", Title: "Your name"},
		},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func mustNew(t testing.TB, config lockspire.Config) *lockspire.Provider {
	t.Helper()
	p, err := lockspire.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// send gives a handler one request over HTTP, under whatever host the target
// names, and follows nothing. The answer has status 0 where there was none.
func send(h http.Handler, method, target string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	server := httptest.NewServer(h)
	defer server.Close()
	w := httptest.NewRecorder()
	if err := exchange(server, w, method, target, body, headers); err != nil {
		w.Code = 0
		w.Body.WriteString(err.Error())
	}
	return w
}

func exchange(server *httptest.Server, w *httptest.ResponseRecorder, method, target string, body io.Reader, headers []string) error {
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	r, err := http.NewRequest(method, server.URL+u.RequestURI(), body)
	if err != nil {
		return err
	}
	r.Host = u.Host
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	response, err := server.Client().Transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(response.StatusCode)
	_, err = io.Copy(w.Body, response.Body)
	return err
}

// post sends a form.
func post(h http.Handler, target, form string, headers ...string) *httptest.ResponseRecorder {
	return send(h, "POST", target, strings.NewReader(form), append(headers, "Content-Type", "application/x-www-form-urlencoded")...)
}

// clock is a Config.Now that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now().Truncate(time.Second)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// eventLog is a Config.Events that remembers names.
type eventLog struct {
	mu     sync.Mutex
	events []lockspire.Event
}

func (l *eventLog) add(e lockspire.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

// names leaves out the keys: every provider makes some when it starts.
func (l *eventLog) names() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for _, e := range l.events {
		if !strings.HasPrefix(e.Name, "key.") {
			names = append(names, e.Name)
		}
	}
	return strings.Join(names, " ")
}

// seeded is a client with a grant, a family and two refresh tokens, written
// as rows, so that these tests depend on no flow.
type seeded struct {
	client                     lockspire.Client
	secret                     string
	grantID, familyID          string
	refreshToken, rotatedToken string
}

// seed writes a client with an approved authorization of alice's.
func seed(t testing.TB, p *lockspire.Provider, db *sql.DB, name string, now time.Time) seeded {
	t.Helper()
	client, secret, err := p.Clients().Create(t.Context(), lockspire.NewClient{
		Name: name, RedirectURIs: []string{"https://" + strings.ToLower(name) + ".example/cb"},
		AuthMethod: lockspire.AuthClientSecretPost,
		Scopes:     []string{"openid", "profile", "notes:read", "notes:write", "offline_access"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := seeded{client: client, secret: secret, grantID: "grant_" + name, familyID: "family_" + name,
		refreshToken: "refresh-token-of-" + name + "-current", rotatedToken: "refresh-token-of-" + name + "-rotated"}
	year := now.Add(365 * 24 * time.Hour).UnixMicro()
	mustExec(t, db, `INSERT INTO lockspire_grants (id, client_id, subject, scopes, resources, created_at, last_used_at)
		VALUES ($1, $2, 'alice', '["openid","notes:read"]', '["https://app.example"]', $3, $4)`,
		s.grantID, client.ID, now.UnixMicro(), now.UnixMicro())
	mustExec(t, db, `INSERT INTO lockspire_families (id, grant_id, client_id, subject, scopes, resources, resource_named, created_at, expires_at)
		VALUES ($1, $2, $3, 'alice', '["openid","notes:read"]', '["https://app.example"]', 0, $4, $5)`,
		s.familyID, s.grantID, client.ID, now.UnixMicro(), year)
	for i, token := range []string{s.refreshToken, s.rotatedToken} {
		hash := sha256.Sum256([]byte(token))
		mustExec(t, db, `INSERT INTO lockspire_refresh_tokens (id, hash, family_id, client_id, created_at, valid_until, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			"rt_"+name+[]string{"1", "0"}[i], hash[:], s.familyID, client.ID, now.UnixMicro(), year, year)
	}
	mustExec(t, db, "UPDATE lockspire_refresh_tokens SET rotated_at = $1 WHERE id = $2", now.UnixMicro(), "rt_"+name+"0")
	return s
}

// claimsOf returns the claims of a good access token for the seeded family.
func (s seeded) claimsOf(now time.Time) map[string]any {
	return map[string]any{
		"iss": testIssuer, "sub": "alice", "aud": []string{testResource, testIssuer}, "client_id": s.client.ID,
		"scope": "openid notes:read", "jti": "jti-" + s.client.Name, "fid": s.familyID,
		"iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
	}
}

// signingKey opens the active key for alg as anybody who holds the secret and
// the documentation of the seal can.
func signingKey(t testing.TB, db *sql.DB, alg string) (kid string, private any) {
	t.Helper()
	var sealed []byte
	if err := db.QueryRowContext(t.Context(), "SELECT kid, sealed FROM lockspire_keys WHERE alg = $1 AND state = 'active'", alg).Scan(&kid, &sealed); err != nil {
		t.Fatal(err)
	}
	key, err := hkdf.Key(sha256.New, testSecret, nil, "lockspire/v1/key/signing-key", 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := aead.Open(nil, sealed[:12], sealed[12:], []byte("lockspire_keys/"+kid+"/"+alg))
	if err != nil {
		t.Fatal(err)
	}
	private, err = x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		t.Fatal(err)
	}
	return kid, private
}

// forge signs claims with the issuer's own key, as a JWT of any alg and typ.
func forge(t testing.TB, db *sql.DB, alg, typ string, claims map[string]any) string {
	t.Helper()
	kid, private := signingKey(t, db, alg)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: jose.JSONWebKey{Key: private, KeyID: kid}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// accessToken is forge for an access token.
func accessToken(t testing.TB, db *sql.DB, claims map[string]any) string {
	t.Helper()
	return forge(t, db, "ES256", "at+jwt", claims)
}

// with returns claims with one changed; a nil value removes it.
func with(claims map[string]any, name string, value any) map[string]any {
	changed := map[string]any{}
	for k, v := range claims {
		changed[k] = v
	}
	if changed[name] = value; value == nil {
		delete(changed, name)
	}
	return changed
}

func publicOf(private any) any { return private.(crypto.Signer).Public() }

// lastBitFlipped changes bits of a base64url text that a lenient decoder
// ignores.
func lastBitFlipped(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + alphabet[last^1:last^1+1]
}
