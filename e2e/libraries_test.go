package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// callbackURL is where client libraries wait. Nothing listens there: what the
// person's browser would have brought is handed to the library.
const callbackURL = "https://client.example/callback"

// TestClientLibrariesCompleteTheirFlowsOnAnInstalledHost installs into a
// ServeMux host on SQLite and a chi host on PostgreSQL, and goes through what a
// client can do with the libraries that clients are written with.
func TestClientLibrariesCompleteTheirFlowsOnAnInstalledHost(t *testing.T) {
	for _, app := range installedHosts {
		t.Run(app.name, func(t *testing.T) {
			h := app.start(t)
			for _, library := range []struct {
				name string
				run  func(t *testing.T, h *host)
			}{
				{"coreos go-oidc and x oauth2", goOIDC},
				{"zitadel rp and rs", zitadelRP},
				{"Go MCP SDK", goMCP},
				{"npm openid-client", openidClient},
				{"npm oauth4webapi", oauth4webapi},
				{"npm oauth4webapi in Chromium", spa},
				{"form_post in Chromium", formPost},
				{"npm modelcontextprotocol client", npmMCP},
			} {
				t.Run(library.name, func(t *testing.T) { library.run(t, h.in(t)) })
			}
		})
	}
}

// TestClientDocsNameTheVersionsThatAreTested compares with what go.mod and
// package.json pin.
func TestClientDocsNameTheVersionsThatAreTested(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	docs, pinned := read("../docs/clients.md"), read("go.mod")+read("package.json")
	for documented, pin := range map[string]string{
		"coreos/go-oidc":               "github.com/coreos/go-oidc/v3 v",
		"golang.org/x/oauth2":          "golang.org/x/oauth2 v",
		"zitadel/oidc":                 "github.com/zitadel/oidc/v3 v",
		"modelcontextprotocol/go-sdk":  "github.com/modelcontextprotocol/go-sdk v",
		"openid-client":                `"openid-client": "`,
		"oauth4webapi":                 `"oauth4webapi": "`,
		"@modelcontextprotocol/client": `"@modelcontextprotocol/client": "`,
	} {
		version := regexp.MustCompile(regexp.QuoteMeta(pin) + `(\d+\.\d+)\.`).FindStringSubmatch(pinned)
		if version == nil {
			t.Errorf("%s is not pinned", documented)
		} else if !strings.Contains(docs, documented+" "+version[1]) {
			t.Errorf("docs/clients.md does not say %s %s", documented, version[1])
		}
	}
}

// goOIDC leaves it to x/oauth2 to find out how a client authenticates: it tries
// the header first, and with another registration the body after that.
func goOIDC(t *testing.T, h *host) {
	id, secret := h.register("--name", "go-oidc", "--redirect-uri", callbackURL)
	completeFlow(t, h, id, secret)
	id, _ = h.register("--name", "go-oidc without a secret", "--public", "--redirect-uri", callbackURL)
	completeFlow(t, h, id, "")
	for _, method := range []string{"client_secret_basic", "client_secret_post"} {
		id, secret = h.newClient("--name", "service", "--auth-method", method, "--grant-type", "client_credentials", "--scope", "notes:read")
		actAsService(t, h, id, secret)
	}
}

// openidClient has a client with a secret, and a service that posts its own.
func openidClient(t *testing.T, h *host) {
	var s settings
	s.Client.ID, s.Client.Secret = h.register("--name", "openid-client", "--redirect-uri", callbackURL, "--scope", "notes:read")
	s.Service.ID, s.Service.Secret = h.newClient("--name", "openid-client service",
		"--grant-type", "client_credentials", "--scope", "notes:read", "--auth-method", "client_secret_post")
	h.node(t, "openid-client.mjs", s,
		"discovery, both forms", "state, nonce, PKCE, iss", "wrong code", "ID token", "API", "userinfo", "refresh, twice",
		"introspection", "revocation", "denied", "other issuer", "client credentials", "wrong secret")
}

// oauth4webapi has a public client, and a resource server that introspects.
func oauth4webapi(t *testing.T, h *host) {
	var s settings
	s.Client.ID, _ = h.register("--name", "oauth4webapi", "--public", "--redirect-uri", callbackURL, "--scope", "notes:read")
	s.Service.ID, s.Service.Secret = h.newClient("--name", "oauth4webapi service",
		"--grant-type", "client_credentials", "--scope", "notes:read", "--introspects-for", h.url+"/api")
	h.node(t, "oauth4webapi.mjs", s,
		"challenge", "resource metadata", "discovery, both forms", "iss", "wrong verifier", "code with resource", "ID token",
		"API", "JWT access token", "userinfo", "refresh, twice", "introspection", "revocation", "unknown scope", "unknown resource", "client credentials")
}

// npmMCP has a secret, which the SDK sends as the client is registered.
func npmMCP(t *testing.T, h *host) {
	var s settings
	s.Client.ID, s.Client.Secret = h.newClient("--name", "TypeScript MCP", "--redirect-uri", callbackURL,
		"--scope", "notes:read", "--scope", "offline_access")
	h.node(t, "mcp.mjs", s, "challenge, metadata, request", "other issuer", "tool", "refresh, twice", "new authorization")
}
