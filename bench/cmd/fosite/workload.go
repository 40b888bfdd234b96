package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/lockspire/lockspire/bench/internal/ready"
)

const (
	form   = "application/x-www-form-urlencoded"
	tokens = 64
)

var header = map[string]string{"Content-Type": form, "Authorization": basic("app", secret)}

func (s *server) offer(workload string) (ready.Workload, error) {
	machine := ready.Request{Method: "POST", Path: "/token", Header: header, Body: "grant_type=client_credentials&scope=notes%3Aread"}
	switch kind, _, _ := strings.Cut(workload, "/"); kind {
	case "client_credentials":
		return ready.Workload{Want: `"access_token"`, Requests: []ready.Request{machine}}, nil
	case "introspection":
		w := ready.Workload{Want: `"active":true`}
		for range tokens {
			token, err := s.machineToken(machine)
			if err != nil {
				return w, err
			}
			w.Requests = append(w.Requests, ready.Request{Method: "POST", Path: "/introspect", Header: header, Body: "token=" + url.QueryEscape(token)})
		}
		return w, nil
	case "code":
		query := url.Values{"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {redirectURI}, "scope": {"openid profile notes:read"},
			"nonce": {"n-0S6_WzA2Mj"}, "code_challenge": {ready.Challenge}, "code_challenge_method": {"S256"}}
		return ready.Workload{Want: `"id_token"`, Code: &ready.CodeFlow{
			Authorize: "/authorize?" + query.Encode(), RedirectURI: redirectURI, Cookies: []string{"session=user-1"},
			Token: ready.Request{Path: "/token", Header: header,
				Body: url.Values{"grant_type": {"authorization_code"}, "redirect_uri": {redirectURI}, "code_verifier": {ready.Verifier}}.Encode()},
		}}, nil
	}
	return ready.Workload{}, fmt.Errorf("no workload %q", workload)
}

func (s *server) machineToken(machine ready.Request) (string, error) {
	request := httptest.NewRequest(machine.Method, s.issuer+machine.Path, strings.NewReader(machine.Body))
	for name, value := range machine.Header {
		request.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, request)
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
	request := httptest.NewRequest("GET", "/", nil)
	request.SetBasicAuth(id, secret)
	return request.Header.Get("Authorization")
}
