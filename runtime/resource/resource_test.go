package resource

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const api = "https://billing.example/api"

// issuer publishes metadata and keys, and counts who asks.
type issuer struct {
	t      *testing.T
	server *httptest.Server
	mux    *http.ServeMux
	key    *ecdsa.PrivateKey
	// jwks is what is published; broken answers 500 instead.
	jwks    atomic.Pointer[string]
	broken  atomic.Bool
	fetches atomic.Int32
	// hold keeps answers back while it is set.
	hold  atomic.Pointer[chan struct{}]
	clock *clock
	logs  bytes.Buffer
}

type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{t: t, mux: http.NewServeMux(), key: key, clock: &clock{}}
	i.server = httptest.NewTLSServer(i.mux)
	t.Cleanup(i.server.Close)
	i.publish(jose.JSONWebKey{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"})
	i.mux.HandleFunc("/.well-known/oauth-authorization-server/as", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, i.url(), i.server.URL+"/keys")
	})
	i.mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) {
		i.fetches.Add(1)
		if hold := i.hold.Load(); hold != nil {
			<-*hold
		}
		if i.broken.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=120")
		fmt.Fprint(w, *i.jwks.Load())
	})
	return i
}

func (i *issuer) url() string { return i.server.URL + "/as" }

func (i *issuer) publish(keys ...jose.JSONWebKey) {
	body, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		i.t.Fatal(err)
	}
	text := string(body)
	i.jwks.Store(&text)
}

func (i *issuer) verifier(changes ...func(*Config)) *Verifier {
	i.t.Helper()
	config := Config{Issuer: i.url(), Identifier: api, HTTPClient: i.server.Client(), Now: i.clock.now,
		Logger: slog.New(slog.NewTextHandler(&i.logs, nil))}
	for _, change := range changes {
		change(&config)
	}
	v, err := New(config)
	if err != nil {
		i.t.Fatal(err)
	}
	return v
}

// claims are those of a good token.
func (i *issuer) claims() map[string]any {
	now := i.clock.now().Unix()
	return map[string]any{"iss": i.url(), "sub": "alice", "aud": []string{api}, "client_id": "c", "scope": "notes:write",
		"jti": "j", "fid": "f", "iat": now, "exp": now + 600, "acr": "2", "auth_time": now}
}

func (i *issuer) sign(kid, typ string, claims map[string]any) string {
	return signWith(i.t, jose.ES256, i.key, kid, typ, claims)
}

func signWith(t *testing.T, alg jose.SignatureAlgorithm, key any, kid, typ string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}},
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

// call asks the API behind v with a token.
func call(v *Verifier, token string, options ...Option) *httptest.ResponseRecorder {
	h := v.Protect(options...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := TokenFrom(r.Context())
		fmt.Fprint(w, token.Subject)
	}))
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	h.ServeHTTP(w, r)
	return w
}

func wantStatus(t *testing.T, name string, w *httptest.ResponseRecorder, status int, in string) {
	t.Helper()
	if w.Code != status || !strings.Contains(w.Header().Get("WWW-Authenticate")+w.Body.String(), in) {
		t.Errorf("%s: %d %s %s; want %d with %s", name, w.Code, w.Header().Get("WWW-Authenticate"), w.Body, status, in)
	}
}

func TestOnlyGoodTokensForThisAPIAreAdmitted(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier()
	if w := call(v, i.sign("k1", "at+jwt", i.claims())); w.Code != 200 || w.Body.String() != "alice" {
		t.Fatalf("a good token: %d %s", w.Code, w.Header())
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(name string, value any) string {
		claims := i.claims()
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
		return i.sign("k1", "at+jwt", claims)
	}
	now := i.clock.now().Unix()
	for name, token := range map[string]string{
		"ID token": i.sign("k1", "JWT", i.claims()), "logout token": i.sign("k1", "logout+jwt", i.claims()),
		"another's key":    signWith(t, jose.ES256, other, "k1", "at+jwt", i.claims()),
		"unknown kid":      i.sign("k2", "at+jwt", i.claims()),
		"HMAC":             signWith(t, jose.HS256, []byte(strings.Repeat("k", 32)), "k1", "at+jwt", i.claims()),
		"another issuer":   changed("iss", "https://other.example"),
		"another audience": changed("aud", "https://other.example"),
		"two audiences":    changed("aud", []string{api, "https://other.example"}),
		"issuer alone":     changed("aud", i.url()),
		"no audience":      changed("aud", nil),
		"expired":          changed("exp", now-61),
		"issued ahead":     changed("iat", now+90),
		"nbf ahead":        changed("nbf", now+90),
		"bound to a key":   changed("cnf", map[string]string{"jkt": "x"}),
		"odd spelling":     changed("AUD", api),
		"opaque":           "abc", "dots": "a.b.c", "long": strings.Repeat("a", 20000),
	} {
		wantStatus(t, name, call(v, token), 401, `error="invalid_token"`)
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("%s: Verify says %v", name, err)
		}
	}
	for name, token := range map[string]string{
		"within the leeway": changed("exp", now-30), "also for the issuer": changed("aud", []string{i.url(), api}),
	} {
		wantStatus(t, name, call(v, token), 200, "alice")
	}
	wantStatus(t, "no token", call(v, ""), 401, `Bearer resource_metadata="https://billing.example/.well-known/oauth-protected-resource/api"`)
	if strings.Contains(i.logs.String(), "eyJ") {
		t.Errorf("a token is in the log: %s", i.logs.String())
	}
}

func TestDemandsAreAnsweredAsProtectDoes(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(func(c *Config) {
		c.Implies = map[string][]string{"notes:write": {"notes:read"}, "notes:read": {"notes:list", "notes:write"}}
	})
	token := i.sign("k1", "at+jwt", i.claims())
	for _, scope := range []string{"notes:write", "notes:read", "notes:list"} {
		wantStatus(t, scope, call(v, token, RequireScope(scope)), 200, "alice")
	}
	wantStatus(t, "scope", call(v, token, RequireScope("notes:shred")), 403, `error="insufficient_scope"`)
	wantStatus(t, "acr", call(v, token, RequireACR("3", "4")), 401, `acr_values="3 4"`)
	wantStatus(t, "acr met", call(v, token, RequireACR("3", "2"), RequireMaxAge(time.Minute)), 200, "alice")
	i.clock.advance(2 * time.Minute)
	wantStatus(t, "age", call(v, token, RequireMaxAge(time.Minute)), 401, `max_age="60"`)
	for name, r := range map[string]*http.Request{
		"query": httptest.NewRequest("GET", "/?access_token="+token, nil),
	} {
		w := httptest.NewRecorder()
		v.Protect()(http.NotFoundHandler()).ServeHTTP(w, r)
		wantStatus(t, name, w, 400, `error="invalid_request"`)
	}
	w := httptest.NewRecorder()
	v.Protect()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(299) })).ServeHTTP(w, httptest.NewRequest("OPTIONS", "/", nil))
	if w.Code != 299 {
		t.Errorf("preflight: %d", w.Code)
	}
}

func TestNewNamesEachFieldThatIsWrong(t *testing.T) {
	_, err := New(Config{Issuer: "http://app.example", Identifier: "billing", Algorithms: []string{"none", "HS256"}})
	for _, part := range []string{"Issuer", "Identifier", `"none"`, `"HS256"`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v does not mention %s", err, part)
		}
	}
	for _, issuer := range []string{"", "https://a?b", "https://a#b", "https://u@a", "ftp://localhost"} {
		if _, err := New(Config{Issuer: issuer, Identifier: api}); err == nil {
			t.Errorf("issuer %q was accepted", issuer)
		}
	}
}

func TestMetadataNamesTheIssuer(t *testing.T) {
	for identifier, want := range map[string]string{
		"https://a.example": "https://a.example/.well-known/oauth-protected-resource", "https://a.example/": "https://a.example/.well-known/oauth-protected-resource",
		"https://a.example/b%2Fc?d=e": "https://a.example/.well-known/oauth-protected-resource/b%2Fc?d=e",
	} {
		v, err := New(Config{Issuer: "https://as.example", Identifier: identifier, Scopes: []string{"s"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := v.metadataURL.String(); got != want {
			t.Errorf("%s: %s, want %s", identifier, got, want)
		}
		path, h := v.Metadata()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if want := fmt.Sprintf(`{"resource":%q,"authorization_servers":["https://as.example"],"scopes_supported":["s"],"bearer_methods_supported":["header"]}`, identifier); w.Body.String() != want {
			t.Errorf("%s, want %s", w.Body, want)
		}
	}
}
