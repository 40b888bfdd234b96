// Command zitadel is zitadel/oidc's example server with its memory storage, for
// the load generator.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/lockspire/lockspire/bench/internal/ready"
)

const (
	redirectURI = "http://localhost/callback"
	form        = "application/x-www-form-urlencoded"
)

func main() {
	workload := flag.String("workload", "", "what will be asked")
	flag.Parse()
	if err := run(*workload); err != nil {
		log.Fatal(err)
	}
}

func run(workload string) error {
	listener, err := ready.Listen()
	if err != nil {
		return err
	}
	origin := "http://" + listener.Addr().String()
	storage.RegisterClients(storage.WebClient("web", "secret", redirectURI))
	store := &memory{Storage: storage.NewStorage(storage.NewUserStore(origin + "/")), jwt: workload == "client_credentials/RS256"}
	handler := exampleop.SetupServer(origin+"/", store, slog.New(slog.DiscardHandler), false)
	offered, err := offer(handler, origin, workload)
	if err != nil {
		return err
	}
	return ready.Serve(listener, handler, map[string]ready.Workload{workload: offered})
}

// memory is the example's storage. Its service user gets opaque tokens; where
// the workload is JWTs, that one answer differs.
type memory struct {
	*storage.Storage
	jwt bool
}

func (m *memory) ClientCredentials(ctx context.Context, clientID, clientSecret string) (op.Client, error) {
	client, err := m.Storage.ClientCredentials(ctx, clientID, clientSecret)
	if err != nil || !m.jwt {
		return client, err
	}
	return jwtClient{client}, nil
}

type jwtClient struct{ op.Client }

func (jwtClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

func offer(handler http.Handler, origin, workload string) (ready.Workload, error) {
	switch workload {
	case "client_credentials/opaque", "client_credentials/RS256":
		return ready.Workload{Want: `"access_token"`, Requests: []ready.Request{{
			Method: "POST", Path: "/oauth/token", Body: "grant_type=client_credentials&scope=openid",
			Header: map[string]string{"Content-Type": form, "Authorization": basic("sid1", "verysecret")},
		}}}, nil
	case "code/RS256":
		return ready.Workload{Want: `"id_token"`, Code: codeFlow()}, nil
	case "introspection/opaque":
		token, err := userToken(handler, origin)
		return ready.Workload{Want: `"active":true`, Requests: []ready.Request{{
			Method: "POST", Path: "/oauth/introspect", Body: "token=" + url.QueryEscape(token),
			Header: map[string]string{"Content-Type": form, "Authorization": basic("web", "secret")},
		}}}, err
	}
	return ready.Workload{}, fmt.Errorf("no workload %q", workload)
}

// codeFlow signs in each time: the example keeps no session.
func codeFlow() *ready.CodeFlow {
	query := url.Values{"response_type": {"code"}, "client_id": {"web"}, "redirect_uri": {redirectURI}, "scope": {"openid profile"},
		"nonce": {"n-0S6_WzA2Mj"}, "code_challenge": {ready.Challenge}, "code_challenge_method": {"S256"}}
	return &ready.CodeFlow{
		Authorize: "/auth?" + query.Encode(), RedirectURI: redirectURI,
		LoginPath: "/login/username", LoginID: "authRequestID",
		Login: url.Values{"username": {"test-user@127.0.0.1"}, "password": {"verysecure"}}.Encode(),
		Token: ready.Request{Path: "/oauth/token", Header: map[string]string{"Content-Type": form, "Authorization": basic("web", "secret")},
			Body: url.Values{"grant_type": {"authorization_code"}, "redirect_uri": {redirectURI}, "code_verifier": {ready.Verifier}}.Encode()},
	}
}

// userToken goes through the flow once.
func userToken(handler http.Handler, origin string) (string, error) {
	flow := codeFlow()
	ask := func(method, target, body string, header map[string]string) *httptest.ResponseRecorder {
		request := httptest.NewRequest(method, origin+strings.TrimPrefix(target, origin), strings.NewReader(body))
		for name, value := range header {
			request.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, request)
		return w
	}
	login, err := url.Parse(ask("GET", flow.Authorize+"&state=x", "", nil).Header().Get("Location"))
	if err != nil {
		return "", err
	}
	back := ask("POST", flow.LoginPath, flow.Login+"&id="+login.Query().Get(flow.LoginID), map[string]string{"Content-Type": form})
	answered, err := url.Parse(ask("GET", back.Header().Get("Location"), "", nil).Header().Get("Location"))
	if err != nil {
		return "", err
	}
	w := ask("POST", flow.Token.Path, flow.Token.Body+"&code="+url.QueryEscape(answered.Query().Get("code")), flow.Token.Header)
	body, err := io.ReadAll(w.Body)
	if err != nil {
		return "", err
	}
	var response struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &response); err != nil || response.Access == "" {
		return "", fmt.Errorf("token endpoint answered %d %s", w.Code, body)
	}
	return response.Access, nil
}

func basic(id, secret string) string {
	request := http.Request{Header: http.Header{}}
	request.SetBasicAuth(id, secret)
	return request.Header.Get("Authorization")
}
