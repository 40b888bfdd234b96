package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	lockspire "github.com/lockspire/lockspire/runtime"

	"github.com/lockspire/lockspire/bench/internal/ready"
)

const (
	redirectURI = "https://app.example/callback"
	// browsers is how many people have consented, and tokens how many tokens
	// are asked about: each connection has its own.
	browsers = 64
	tokens   = 64
	form     = "application/x-www-form-urlencoded"
)

// workload prepares what the load generator is going to ask.
func (h *host) workload(ctx context.Context, name string) (ready.Workload, error) {
	kind, format, _ := strings.Cut(name, "/")
	switch kind {
	case "client_credentials":
		client, secret, err := h.machine(ctx, format == "opaque")
		return ready.Workload{Want: `"access_token"`, Requests: []ready.Request{machineRequest(client, secret)}}, err
	case "code":
		return h.codeFlow(ctx, format)
	case "introspection", "protect":
		return h.aboutTokens(ctx, kind, format == "opaque")
	}
	return ready.Workload{}, fmt.Errorf("no workload %q", name)
}

func (h *host) machine(ctx context.Context, opaque bool) (lockspire.Client, string, error) {
	return h.provider.Clients().Create(ctx, lockspire.NewClient{
		Name: "Machine", GrantTypes: []string{"client_credentials"}, Scopes: []string{"notes:read"}, OpaqueAccessTokens: opaque,
	})
}

func machineRequest(client lockspire.Client, secret string) ready.Request {
	return ready.Request{Method: "POST", Path: "/lockspire/token", Body: "grant_type=client_credentials&scope=notes%3Aread",
		Header: map[string]string{"Content-Type": form, "Authorization": basic(client.ID, secret)}}
}

// codeFlow has everybody consent once.
func (h *host) codeFlow(ctx context.Context, alg string) (ready.Workload, error) {
	flow, err := h.consented(ctx, alg, false)
	return ready.Workload{Want: `"id_token"`, Code: flow}, err
}

func (h *host) consented(ctx context.Context, alg string, opaque bool) (*ready.CodeFlow, error) {
	client, secret, err := h.provider.Clients().Create(ctx, lockspire.NewClient{
		Name: "App", RedirectURIs: []string{redirectURI}, GrantTypes: []string{"authorization_code"},
		Scopes: []string{"openid", "profile", "notes:read"}, IDTokenAlg: alg, OpaqueAccessTokens: opaque,
	})
	if err != nil {
		return nil, err
	}
	query := url.Values{"response_type": {"code"}, "client_id": {client.ID}, "redirect_uri": {redirectURI}, "scope": {"openid profile notes:read"},
		"nonce": {"n-0S6_WzA2Mj"}, "code_challenge": {ready.Challenge}, "code_challenge_method": {"S256"}}
	flow := &ready.CodeFlow{
		Authorize: "/lockspire/authorize?" + query.Encode(), RedirectURI: redirectURI,
		Token: ready.Request{Path: "/lockspire/token",
			Header: map[string]string{"Content-Type": form, "Authorization": basic(client.ID, secret)},
			Body:   url.Values{"grant_type": {"authorization_code"}, "redirect_uri": {redirectURI}, "code_verifier": {ready.Verifier}}.Encode()},
	}
	for i := range browsers {
		cookie := fmt.Sprintf("session=user-%d", i)
		flow.Cookies = append(flow.Cookies, cookie)
		if err := h.consent(flow.Authorize, cookie); err != nil {
			return nil, err
		}
	}
	return flow, nil
}

// consent has one person approve what an authorization request asks for.
func (h *host) consent(authorize, cookie string) error {
	shown := h.ask("GET", authorize+"&state=x", cookie, "")
	for _, set := range shown.Result().Cookies() {
		cookie += "; " + set.Name + "=" + set.Value
	}
	if shown.Code == http.StatusSeeOther {
		shown = h.ask("GET", shown.Header().Get("Location"), cookie, "")
	}
	page := h.people.page
	answered := h.ask("POST", page.Action, cookie, url.Values{
		lockspire.FieldToken: {page.Token}, lockspire.FieldDecision: {lockspire.DecisionApprove}}.Encode())
	if page.Token == "" || answered.Code != http.StatusOK {
		return fmt.Errorf("consent: page %d, answer %d %s", shown.Code, answered.Code, answered.Body)
	}
	return nil
}

func (h *host) ask(method, target, cookie, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, h.origin+strings.TrimPrefix(target, h.origin), strings.NewReader(body))
	request.Header.Set("Cookie", cookie)
	if method == "POST" {
		request.Header.Set("Content-Type", form)
		request.Header.Set("Origin", h.origin)
	}
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, request)
	return w
}

// aboutTokens takes users' tokens through the code flow, one for each person,
// and asks about them.
func (h *host) aboutTokens(ctx context.Context, kind string, opaque bool) (ready.Workload, error) {
	flow, err := h.consented(ctx, "ES256", opaque)
	if err != nil {
		return ready.Workload{}, err
	}
	w := ready.Workload{Want: `"active":true`}
	if kind == "protect" {
		w.Want = "notes of user-"
	}
	for i := range tokens {
		token, err := h.userToken(flow, flow.Cookies[i%browsers])
		if err != nil {
			return w, err
		}
		request := ready.Request{Method: "GET", Path: "/api", Header: map[string]string{"Authorization": "Bearer " + token}}
		if kind == "introspection" {
			request = ready.Request{Method: "POST", Path: "/lockspire/introspect", Header: flow.Token.Header, Body: "token=" + url.QueryEscape(token)}
		}
		w.Requests = append(w.Requests, request)
	}
	return w, nil
}

func (h *host) userToken(flow *ready.CodeFlow, cookie string) (string, error) {
	location, err := url.Parse(h.ask("GET", flow.Authorize+"&state=x", cookie, "").Header().Get("Location"))
	if err != nil {
		return "", err
	}
	request := httptest.NewRequest("POST", h.origin+flow.Token.Path, strings.NewReader(flow.Token.Body+"&code="+location.Query().Get("code")))
	for name, value := range flow.Token.Header {
		request.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, request)
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
