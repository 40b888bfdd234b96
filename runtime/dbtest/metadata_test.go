package dbtest

import (
	"database/sql"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

const origin = "https://app.example"

// metadataPaths are where clients look: OIDC below the issuer, RFC 8414 and
// the inserted OIDC form at the root, RFC 9728 for each resource.
var metadataPaths = []string{
	"/lockspire/.well-known/openid-configuration",
	"/.well-known/openid-configuration/lockspire",
	"/.well-known/oauth-authorization-server/lockspire",
	"/.well-known/oauth-protected-resource",
	"/.well-known/oauth-protected-resource/api",
}

func metadataProvider(t *testing.T, db *sql.DB, engine lockspire.Dialect) *lockspire.Provider {
	config := baseConfig(db, engine)
	config.Resources = []lockspire.Resource{{Identifier: origin}, {Identifier: origin + "/api"}, {Identifier: "https://elsewhere.example/api2"}}
	return mustNew(t, config)
}

func TestA167MetadataIsServedInEveryPlaceAndNowhereElse(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p := metadataProvider(t, db, engine)
		if got := strings.Join(p.ResourceMetadataPaths(), " "); got != strings.Join(metadataPaths[3:], " ") {
			t.Errorf("ResourceMetadataPaths: %s", got)
		}
		for _, path := range metadataPaths {
			w := send(p, "GET", origin+path, nil)
			var doc struct{ Issuer, Resource string }
			if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != 200 {
				t.Errorf("%s: %d %v", path, w.Code, err)
				continue
			}
			resource := strings.Contains(path, "protected-resource")
			if resource && origin+strings.TrimPrefix(path, "/.well-known/oauth-protected-resource") != doc.Resource || !resource && doc.Issuer != testIssuer {
				t.Errorf("%s describes %+v", path, doc)
			}
			if w.Header().Get("ETag") == "" || !strings.HasPrefix(w.Header().Get("Cache-Control"), "public, max-age=") || w.Header().Get("Pragma") != "" {
				t.Errorf("%s: %v", path, w.Header())
			}
			if again := send(p, "GET", origin+path, nil, "If-None-Match", w.Header().Get("ETag")); again.Code != 304 {
				t.Errorf("%s, conditional: %d", path, again.Code)
			}
			if w := send(p, "POST", origin+path, nil); w.Code != 405 || !strings.Contains(w.Header().Get("Allow"), "GET") {
				t.Errorf("A26: POST %s: %d %v", path, w.Code, w.Header())
			}
		}
		for _, path := range []string{
			"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/lockspire/",
			"/.well-known/oauth-protected-resource/api/x", "/.well-known/oauth-protected-resource/api2", "/lockspire/.well-known/oauth-authorization-server",
			"/lockspire", "/lockspire/", "/lockspire/register", "/lockspire/par", "/lockspire/end_session",
		} {
			if w := send(p, "GET", origin+path, nil); w.Code != 404 {
				t.Errorf("%s: %d, want 404", path, w.Code)
			}
		}
	})
}

func TestA166ForgedHostsChangeNothing(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p := metadataProvider(t, db, engine)
		for _, path := range metadataPaths {
			good := send(p, "GET", origin+path, nil)
			w := send(p, "GET", "https://evil.example"+path, nil, "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http", "Forwarded", "host=evil.example")
			if w.Body.String() != good.Body.String() || strings.Contains(w.Body.String(), "evil") {
				t.Errorf("%s under another host: %s", path, w.Body)
			}
		}
		w := send(api(p), "GET", "https://evil.example/api", nil, "X-Forwarded-Host", "evil.example")
		if challenge := w.Header().Get("WWW-Authenticate"); strings.Contains(challenge, "evil") || !strings.Contains(challenge, origin) {
			t.Errorf("challenge %q", challenge)
		}
	})
}

func TestA170ScriptsOfAnyOriginReachMachineEndpointsWithoutCredentials(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p := metadataProvider(t, db, engine)
		machine := map[string]string{"/lockspire/jwks": "GET", "/lockspire/token": "POST", "/lockspire/revoke": "POST", "/lockspire/userinfo": "GET"}
		for _, path := range metadataPaths {
			machine[path] = "GET"
		}
		check := func(name string, h http.Header) {
			t.Helper()
			if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" ||
				!strings.Contains(h.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") {
				t.Errorf("%s: %v", name, h)
			}
		}
		for path, method := range machine {
			for _, from := range []string{"https://spa.example", "null"} {
				w := send(p, "OPTIONS", origin+path, nil, "Origin", from, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", "authorization")
				check("preflight "+path, w.Header())
				if w.Code != 204 || !strings.Contains(w.Header().Get("Access-Control-Allow-Methods"), method) ||
					!strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "Authorization") {
					t.Errorf("preflight %s: %d %v", path, w.Code, w.Header())
				}
				check(method+" "+path, send(p, method, origin+path, nil, "Origin", from).Header())
			}
		}
		for _, path := range []string{"/lockspire/authorize", "/lockspire/apps", "/lockspire/interactions/x"} {
			for _, method := range []string{"GET", "POST", "OPTIONS"} {
				if w := send(p, method, origin+path, nil, "Origin", "https://spa.example"); w.Header().Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%s %s lets other origins in", method, path)
				}
			}
		}
	})
}
