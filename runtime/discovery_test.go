package lockspire

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

func metadataConfig() Config {
	return Config{
		Issuer: "https://app.example/lockspire",
		Scopes: []Scope{{Name: "openid", Title: "Sign in"}, {Name: "email"}, {Name: "notes:read"}, {Name: "notes:write"}},
		Resources: []Resource{
			{Identifier: "https://app.example", Name: "Notes"},
			{Identifier: "https://APP.example/api/v1/", Name: "API", Scopes: []string{"notes:read"}},
			{Identifier: "https://elsewhere.example/api", Name: "Elsewhere"},
		},
	}
}

// A168: what is written is exactly this. A new capability changes this text in
// the commit that builds it.
const goldenServerMetadata = `{
  "issuer": "https://app.example/lockspire",
  "authorization_endpoint": "https://app.example/lockspire/authorize",
  "token_endpoint": "https://app.example/lockspire/token",
  "userinfo_endpoint": "https://app.example/lockspire/userinfo",
  "revocation_endpoint": "https://app.example/lockspire/revoke",
  "introspection_endpoint": "https://app.example/lockspire/introspect",
  "jwks_uri": "https://app.example/lockspire/jwks",
  "scopes_supported": ["openid", "offline_access", "email", "notes:read", "notes:write"],
  "response_types_supported": ["code"],
  "response_modes_supported": ["query", "form_post"],
  "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
  "subject_types_supported": ["public"],
  "id_token_signing_alg_values_supported": ["RS256", "ES256"],
  "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
  "revocation_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
  "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
  "introspection_signing_alg_values_supported": ["RS256", "ES256"],
  "code_challenge_methods_supported": ["S256"],
  "claim_types_supported": ["normal"],
  "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid", "email", "email_verified"],
  "prompt_values_supported": ["none", "login", "consent", "select_account", "create"],
  "authorization_response_iss_parameter_supported": true,
  "claims_parameter_supported": true,
  "request_parameter_supported": false,
  "request_uri_parameter_supported": false,
  "require_request_uri_registration": false,
  "protected_resources": ["https://app.example", "https://APP.example/api/v1/", "https://elsewhere.example/api"]
}`

func TestA168MetadataSaysWhatIsBuiltAndNothingElse(t *testing.T) {
	m, err := newMetadata(metadataConfig())
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := json.Compact(&want, []byte(goldenServerMetadata)); err != nil {
		t.Fatal(err)
	}
	if got := string(m.server.body); got != want.String() {
		t.Errorf("server metadata\n%s\nwant\n%s", got, want.String())
	}
	again, err := newMetadata(metadataConfig())
	if err != nil || again.server.etag != m.server.etag {
		t.Error("two replicas of one configuration have different ETags")
	}
}

func TestResourceMetadataLiesBetweenHostAndPath(t *testing.T) {
	m, err := newMetadata(metadataConfig())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"/.well-known/oauth-protected-resource":         `{"resource":"https://app.example","authorization_servers":["https://app.example/lockspire"],"scopes_supported":["email","notes:read","notes:write"],"bearer_methods_supported":["header"],"resource_name":"Notes"}`,
		"/.well-known/oauth-protected-resource/api/v1/": `{"resource":"https://APP.example/api/v1/","authorization_servers":["https://app.example/lockspire"],"scopes_supported":["notes:read"],"bearer_methods_supported":["header"],"resource_name":"API"}`,
	}
	got := map[string]string{}
	for path, doc := range m.resources {
		got[path] = string(doc.body)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("resource metadata\n%v\nwant\n%v", got, want)
	}
	if len(m.paths) != 2 || m.paths[0] != "/.well-known/oauth-protected-resource" {
		t.Errorf("paths %v", m.paths)
	}
	for identifier, want := range map[string]string{
		"https://app.example/":              "https://app.example/.well-known/oauth-protected-resource",
		"https://app.example/a%20b":         "https://app.example/.well-known/oauth-protected-resource/a%20b",
		"https://app.example/?tenant=1":     "https://app.example/.well-known/oauth-protected-resource?tenant=1",
		"https://app.example/api?tenant=1":  "https://app.example/.well-known/oauth-protected-resource/api?tenant=1",
		"https://app.example:8443/api":      "",
		"http://app.example/api":            "",
		"https://app.example.evil.test/api": "",
	} {
		if got := resourceMetadataURL("https://app.example/lockspire", identifier); got != want {
			t.Errorf("metadata of %s is at %q, want %q", identifier, got, want)
		}
	}
}

// The query of an identifier is part of where its metadata is (RFC 9728 §3.1).
// Without it a client would read the document of another resource, and refuse
// it.
func TestResourcesThatDifferInQueryHaveMetadataOfTheirOwn(t *testing.T) {
	config := metadataConfig()
	config.Resources = []Resource{{Identifier: "https://app.example/api?tenant=1"}, {Identifier: "https://app.example/api?tenant=2"}}
	m, err := newMetadata(config)
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{metadata: m}
	const path = "/.well-known/oauth-protected-resource/api"
	if len(m.paths) != 1 || m.paths[0] != path {
		t.Errorf("paths to route %v", m.paths)
	}
	for query, want := range map[string]string{"?tenant=1": "https://app.example/api?tenant=1", "?tenant=2": "https://app.example/api?tenant=2", "?tenant=3": "", "": ""} {
		w := httptest.NewRecorder()
		p.serveResourceMetadata(w, httptest.NewRequest("GET", "https://app.example"+path+query, nil))
		var got struct{ Resource string }
		if w.Code == 200 {
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
		}
		if got.Resource != want || (want == "") != (w.Code == 404) {
			t.Errorf("%q: %d, resource %q; want %q", query, w.Code, got.Resource, want)
		}
	}
}

func TestDocumentsAnswerConditionalRequests(t *testing.T) {
	doc, err := newDocument(map[string]string{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		header string
		status int
	}{
		{"", 200}, {`"other"`, 200}, {doc.etag, 304}, {"W/" + doc.etag, 304}, {`"x", ` + doc.etag, 304}, {"*", 304},
		{strings.Trim(doc.etag, `"`), 200},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if c.header != "" {
			r.Header.Set("If-None-Match", c.header)
		}
		w := httptest.NewRecorder()
		doc.serve(w, r)
		if w.Code != c.status || (w.Code == 304) != (w.Body.Len() == 0) || w.Header().Get("ETag") != doc.etag {
			t.Errorf("If-None-Match %s: %d, %d bytes, %v", c.header, w.Code, w.Body.Len(), w.Header())
		}
	}
	w := httptest.NewRecorder()
	doc.serve(w, httptest.NewRequest(http.MethodHead, "/", nil))
	if w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("HEAD: %d, %d bytes", w.Code, w.Body.Len())
	}
}
