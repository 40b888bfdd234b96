package e2e

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// loopbackURL is where a native client listens, at a port of the day: it was
// registered without one.
const loopbackURL = "http://127.0.0.1:33418/callback"

// goMCP is a native client, and one with a secret, which the SDK sends in the
// body.
func goMCP(t *testing.T, h *host) {
	for _, method := range []string{lockspire.AuthNone, lockspire.AuthClientSecretPost} {
		id, secret := h.newClient("--name", "Go MCP", "--auth-method", method, "--redirect-uri", "http://127.0.0.1/callback",
			"--scope", "notes:read", "--scope", "offline_access")
		credentials := &oauthex.ClientCredentials{ClientID: id, Issuer: h.issuer}
		if secret != "" {
			credentials.ClientSecretAuth = &oauthex.ClientSecretAuth{ClientSecret: secret}
		}
		completeMCP(t, h, credentials)
	}
}

// completeMCP knows who it is, and nothing else but the address of the API: the
// first answer there says where to go.
func completeMCP(t *testing.T, h *host, credentials *oauthex.ClientCredentials) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()

	decision, asked := lockspire.DecisionDeny, 0
	var config *oauth2.Config
	var token *oauth2.Token
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		PreregisteredClient: credentials,
		RedirectURL:         loopbackURL,
		RequestRefreshToken: true,
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			asked++
			query := signInAndDecide(t, h, args.URL, decision).Query()
			if code := query.Get("error"); code != "" {
				return nil, errors.New(code)
			}
			return &auth.AuthorizationResult{Code: query.Get("code"), State: query.Get("state"), Iss: query.Get("iss")}, nil
		},
		NewTokenSource: func(ctx context.Context, c *oauth2.Config, got *oauth2.Token) (oauth2.TokenSource, error) {
			config, token = c, got
			return c.TokenSource(ctx, got), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	connect := func() (*mcp.ClientSession, error) {
		client := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil)
		return client.Connect(ctx, &mcp.StreamableClientTransport{
			Endpoint: h.url + "/api", OAuthHandler: handler, DisableStandaloneSSE: true,
		}, nil)
	}
	if _, err := connect(); err == nil || asked == 0 || token != nil {
		t.Fatalf("denied: %v, asked %d times", err, asked)
	}
	decision, asked = lockspire.DecisionApprove, 0
	session, err := connect()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "read_notes"})
	if err != nil {
		t.Fatal(err)
	}
	if text, ok := result.Content[0].(*mcp.TextContent); !ok || text.Text != "the notes" || asked != 1 {
		t.Errorf("the tool said %v; asked %d times", result.Content, asked)
	}
	refreshMCP(t, ctx, h, config, token)
}

// refreshMCP refreshes twice, as a session does that outlives its token.
func refreshMCP(t *testing.T, ctx context.Context, h *host, config *oauth2.Config, token *oauth2.Token) {
	t.Helper()
	if token.RefreshToken == "" {
		t.Fatal("no refresh token, though offline_access was asked for")
	}
	for range 2 {
		next, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken, Expiry: time.Now().Add(-time.Minute)}).Token()
		if err != nil {
			t.Fatal(err)
		}
		if next.RefreshToken == token.RefreshToken {
			t.Error("the refresh token did not change")
		}
		token = next
	}
	request, err := http.NewRequest(http.MethodGet, h.url+"/api/notes", nil)
	if err != nil {
		t.Fatal(err)
	}
	token.SetAuthHeader(request)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("the API answered %d to a refreshed token", response.StatusCode)
	}
}
