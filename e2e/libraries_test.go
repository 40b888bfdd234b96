package e2e

import "testing"

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
			} {
				t.Run(library.name, func(t *testing.T) { library.run(t, h.in(t)) })
			}
		})
	}
}

func goOIDC(t *testing.T, h *host) {
	id, secret := h.register("--name", "go-oidc", "--redirect-uri", callbackURL)
	completeFlow(t, h, id, secret)
	id, secret = h.newClient("--name", "go-oidc service", "--grant-type", "client_credentials", "--scope", "notes:read")
	actAsService(t, h, id, secret)
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
