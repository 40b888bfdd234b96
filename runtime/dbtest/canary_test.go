package dbtest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// Every value that a request carries or an answer hands out is put where a
// person could read it by no part of the runtime, whatever goes wrong and
// whoever quotes it in an error or a panic.
func TestA187NoSecretOfAnyFlowReachesASink(t *testing.T) {
	onCanaryHosts(t, func(t *testing.T, h *canaryHost) {
		app := h.newApp(func(n *lockspire.NewClient) {
			n.AuthMethod, n.IntrospectsFor = lockspire.AuthClientSecretPost, []string{h.server.URL}
		})
		h.bearer("client secret", app.secret)
		flow := &canaryFlow{canaryHost: h, app: app, b: h.newBrowser()}
		flow.toCode(t)
		flow.toTokens(t)
		flow.toTheEnd(t)
		h.search(t)
	})
}

// Nothing that a client sends is repeated in a log line, an event, a row of the
// audit log or the body of a refusal, in whatever place it is sent.
func TestA187NoInputOfARefusedRequestReachesASink(t *testing.T) {
	onCanaryHosts(t, func(t *testing.T, h *canaryHost) {
		app := h.newApp()
		b := h.newBrowser()
		b.signIn("alice")
		for _, request := range h.canaryRequests(t, app) {
			h.tried(t, request.name, func() int { return h.sendCanaries(t, b, request) })
		}
		h.search(t)
	})
}

// canaryRequest is a request with a canary in every place it has.
type canaryRequest struct {
	name, method, target string
	query, form          url.Values
	header               http.Header
}

// canaryRequests are requests to every endpoint: with canaries in all of its
// parameters, and with each in turn in a request that is good otherwise.
func (h *canaryHost) canaryRequests(t *testing.T, app *app) []canaryRequest {
	var all []canaryRequest
	good, err := url.Parse(app.authorizeURL())
	if err != nil {
		t.Fatal(err)
	}
	add := func(method, path, where string, names []string, base url.Values, headers ...string) {
		sets := [][]string{names}
		for _, name := range names {
			sets = append(sets, []string{name})
		}
		for _, set := range sets {
			values := url.Values{}
			for name, given := range base {
				values[name] = given
			}
			for _, name := range set {
				values.Set(name, h.canary(path+" "+where+" "+name))
			}
			request := canaryRequest{name: method + " " + path + " " + where + " " + strings.Join(set, " "), method: method, target: h.server.URL + path, header: http.Header{}}
			for _, name := range []string{"X-Api-Key", "Referer", "User-Agent", "X-Forwarded-For", "Traceparent"} {
				request.header.Set(name, h.canary(path+" "+name))
			}
			request.header.Set("Cookie", "other="+h.canary(path+" cookie"))
			for i := 0; i < len(headers); i += 2 {
				request.header.Set(headers[i], headers[i+1])
			}
			if where == "query" {
				request.query = values
			} else {
				request.form = values
			}
			all = append(all, request)
		}
	}
	authorize := []string{"response_type", "client_id", "redirect_uri", "scope", "state", "response_mode", "code_challenge", "code_challenge_method",
		"nonce", "prompt", "max_age", "ui_locales", "id_token_hint", "login_hint", "acr_values", "claims", "request", "request_uri", "registration", "resource", "unknown"}
	add("GET", "/lockspire/authorize", "query", authorize, good.Query())
	add("POST", "/lockspire/authorize", "form", authorize, good.Query())
	add("GET", "/lockspire/authorize", "query", []string{"posted"}, nil)
	token := []string{"grant_type", "code", "code_verifier", "redirect_uri", "client_id", "client_secret", "refresh_token", "scope", "resource",
		"username", "password", "assertion", "client_assertion", "client_assertion_type", "unknown"}
	basic := []string{"Authorization", app.basic()}
	for _, grant := range []string{"authorization_code", "refresh_token", "client_credentials"} {
		base := url.Values{"grant_type": {grant}, "code": {h.canary("a code")}, "refresh_token": {h.canary("a refresh token")}, "code_verifier": {h.canary("verifier")}}
		add("POST", "/lockspire/token", "form", token, base, basic...)
		add("POST", "/lockspire/token", "form", token, base)
	}
	add("POST", "/lockspire/token", "query", token, nil)
	wrong := base64.StdEncoding.EncodeToString([]byte(app.ID + ":" + h.canary("Basic secret")))
	add("POST", "/lockspire/token", "form", nil, nil, "Authorization", "Basic "+wrong)
	for _, path := range []string{"/lockspire/revoke", "/lockspire/introspect"} {
		add("POST", path, "form", []string{"token", "token_type_hint", "client_secret"}, nil, basic...)
		add("POST", path, "form", []string{"token", "client_id", "client_secret"}, nil)
		add("POST", path, "query", []string{"token"}, nil, basic...)
	}
	for _, path := range []string{"/lockspire/userinfo", "/api"} {
		add("GET", path, "query", []string{"access_token", "other"}, nil)
		add("POST", path, "form", []string{"access_token"}, nil)
		add("GET", path, "query", nil, nil, "Authorization", "Bearer "+h.canary(path+" bearer"))
		add("GET", path, "query", nil, nil, "Authorization", "Bearer eyJ"+h.canary(path+" JWT")+".e30.AAAA")
	}
	interaction := "/lockspire/interactions/" + h.canary43("interaction")
	decision := []string{"decision_token", "decision", "scope", "client_id", "grant_id"}
	add("GET", interaction, "query", []string{"code", "other"}, nil)
	add("POST", interaction, "form", decision, nil, "Sec-Fetch-Site", "same-origin")
	add("GET", "/lockspire/apps", "query", []string{"revoked"}, nil)
	add("POST", "/lockspire/apps", "form", decision, nil, "Sec-Fetch-Site", "same-origin")
	for _, path := range []string{"/lockspire/jwks", "/lockspire/.well-known/openid-configuration", "/lockspire/" + h.canary("path")} {
		add("GET", path, "query", []string{"code"}, nil)
	}
	return all
}

func (h *canaryHost) sendCanaries(t *testing.T, b *browser, request canaryRequest) int {
	t.Helper()
	target := request.target
	if len(request.query) > 0 {
		target += "?" + request.query.Encode()
	}
	var headers []string
	for name, values := range request.header {
		headers = append(headers, name, values[0])
	}
	p := b.do(request.method, target, request.form, headers...)
	h.saw(p.status, p.header, p.body)
	return p.status
}

// canary is a value for one place, which nothing else has.
func (h *canaryHost) canary(name string) string {
	h.n++
	value := fmt.Sprintf("cnry-%04d/+%x", h.n, time.Now().UnixNano())
	h.canaries = append(h.canaries, canary{name: name, value: value})
	return value
}

// canary43 is a canary of the shape that tokens have.
func (h *canaryHost) canary43(name string) string {
	h.n++
	value := fmt.Sprintf("cnry%04d_%034x", h.n, time.Now().UnixNano())
	h.canaries = append(h.canaries, canary{name: name, value: value})
	return value
}

// bearer makes a canary of a value that lets its holder in, which is not in
// the database either.
func (h *canaryHost) bearer(name, value string) {
	h.t.Helper()
	if len(value) < 8 {
		h.t.Fatalf("%s is %q", name, value)
	}
	h.canaries = append(h.canaries, canary{name: name, value: value, bearer: true})
}

// spelled are the ways in which a value may be written in a sink: as it is, for
// a URL, in hex, and in base64 behind zero, one or two other bytes.
func (c canary) spelled() []string {
	inHex := hex.EncodeToString([]byte(c.value))
	all := []string{c.value, url.QueryEscape(c.value), url.PathEscape(c.value), inHex, strings.ToUpper(inHex)}
	for before, skipped := range []int{0, 2, 3} {
		raw := append(make([]byte, before), c.value...)
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			encoded := encoding.EncodeToString(raw)
			if len(raw)%3 != 0 {
				// The last character depends on what follows.
				encoded = encoded[:len(encoded)-1]
			}
			all = append(all, encoded[skipped:])
		}
	}
	return all
}
