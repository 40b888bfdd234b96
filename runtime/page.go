package lockspire

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

// redirectTarget is a redirect URI that was proven to be the client's, with
// the state to give back.
type redirectTarget struct {
	uri, state string
	// formPost: the answer is posted by a form instead of being in the URL.
	formPost bool
}

// responseNames are the parameters an authorization response may have. One
// that the registered URI carries in its own query is dropped, so that each
// name appears at most once and only with our value.
var responseNames = map[string]bool{
	"code": true, "state": true, "iss": true, "error": true, "error_description": true, "error_uri": true,
	"access_token": true, "token_type": true, "expires_in": true, "scope": true, "id_token": true, "response": true, "session_state": true,
}

// respond sends the browser to the client with name-value pairs, in the
// response mode that the client asked for.
func (p *Provider) respond(w http.ResponseWriter, target *redirectTarget, form errorForm, pairs ...string) {
	switch {
	case target.formPost:
		p.formPost(w, target, pairs...)
	case form == asLeavePage:
		p.leave(w, p.responseURL(target, pairs...))
	default:
		seeOther(w, p.responseURL(target, pairs...))
	}
}

// responseParameters are name-value pairs with the state and the issuer (RFC
// 9207 §2).
func (p *Provider) responseParameters(target *redirectTarget, pairs ...string) []string {
	if target.state != "" {
		pairs = append(pairs, "state", target.state)
	}
	return append(pairs, "iss", p.config.Issuer)
}

// responseURL adds the response parameters to the target's URI.
func (p *Provider) responseURL(target *redirectTarget, pairs ...string) string {
	location := target.bare()
	separator := "?"
	if strings.Contains(location, "?") {
		separator = "&"
	}
	parameters := p.responseParameters(target, pairs...)
	for i := 0; i < len(parameters); i += 2 {
		location += separator + parameters[i] + "=" + url.QueryEscape(parameters[i+1])
		separator = "&"
	}
	return location
}

// bare is the target's URI without response parameters. What else its query
// holds stays byte for byte.
func (t *redirectTarget) bare() string {
	base, query, _ := strings.Cut(t.uri, "?")
	var kept []string
	for _, pair := range strings.Split(query, "&") {
		if pair == "" {
			continue
		}
		rawName, _, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(rawName); err != nil || !responseNames[name] {
			kept = append(kept, pair)
		}
	}
	if len(kept) == 0 {
		return base
	}
	return base + "?" + strings.Join(kept, "&")
}

// seeOther redirects from GET /authorize. The target's Referer must not carry
// the request (RFC 9700 §4.2).
func seeOther(w http.ResponseWriter, location string) {
	header := w.Header()
	header.Set("Location", location)
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

// leave sends the browser on with a page of our own origin instead of a
// redirect: browsers apply the form-action policy of the page a form was
// posted from to every redirect that follows, and a host's login page may say
// 'self'. It has no script, and a link for browsers that follow no refresh.
func (p *Provider) leave(w http.ResponseWriter, location string) {
	pageHeaders(w, plainStyleHash)
	header := w.Header()
	header.Set("Content-Security-Policy", "default-src 'none'; style-src "+plainStyleHash+"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "no-referrer")
	leavePage.Execute(w, map[string]any{"Content": "0;url=" + location, "URL": template.URL(location)})
}

// page prepares an HTML answer: headers that keep it out of frames, caches and
// other origins' reach, and a policy under which a form posts only to us. It
// returns the nonce for a style element. The caller writes status and body.
//
// Referrer-Policy is same-origin because no-referrer would make the Origin of
// the form's POST "null".
func (p *Provider) page(w http.ResponseWriter) (nonce string) {
	nonce = newToken()
	pageHeaders(w, "'nonce-"+nonce+"'")
	return nonce
}

// pageHeaders is page for the style elements that styles names.
func pageHeaders(w http.ResponseWriter, styles string) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("X-Frame-Options", "DENY")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self' "+styles+"; img-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
}

// errorPage tells a person in fixed words that the request went no further.
func (p *Provider) errorPage(w http.ResponseWriter, r *http.Request, e *oauthError) {
	if p.config.Pages.Error == nil {
		p.builtInErrorPage(w, r, e)
		return
	}
	nonce := p.page(w)
	page := describeError(w, r, e)
	page.Nonce = nonce
	p.config.Pages.Error(w, r, page)
}

// builtInErrorPage needs nothing that can fail: it also tells of panics, in the
// host's page or in the random source of its nonce.
func (p *Provider) builtInErrorPage(w http.ResponseWriter, r *http.Request, e *oauthError) {
	pageHeaders(w, plainStyleHash)
	page := describeError(w, r, e)
	w.WriteHeader(page.Status)
	plainErrorPage.Execute(w, page)
}

func describeError(w http.ResponseWriter, r *http.Request, e *oauthError) ErrorPage {
	w.Header().Set("Referrer-Policy", "no-referrer")
	return ErrorPage{
		Status:    e.status,
		Title:     errorTitle(e.status),
		Message:   e.description,
		RequestID: infoOf(r).id,
	}
}

func errorTitle(status int) string {
	switch {
	case status == http.StatusForbidden:
		return "This form cannot be accepted"
	case status == http.StatusNotFound:
		return "There is nothing here"
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		return "Please try again in a moment"
	case status >= 500:
		return "Something went wrong"
	}
	return "This request cannot be completed"
}

// plainStyle is the style of our own pages. It is known by its hash, and they need
// no nonce: they are written after a commit, when nothing may fail any more.
const plainStyle = `body{font:1rem/1.5 system-ui,sans-serif;margin:4rem auto;max-width:30rem;padding:0 1rem}small{color:#555}button{font:inherit;padding:.5rem 1rem}`

var plainStyleHash = hashSource(plainStyle)

// hashSource allows one inline script or style by its text (CSP Level 3 §2.3.1).
func hashSource(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

var leavePage = template.Must(template.New("leave").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{{.Content}}">
<title>Continue</title>
<style>` + plainStyle + `</style>
</head>
<body>
<main>
<h1>Almost there</h1>
<p>You are being sent on. If nothing happens, <a href="{{.URL}}" rel="noreferrer">continue</a>.</p>
</main>
</body>
</html>
`))

var plainErrorPage = template.Must(template.New("error").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>` + plainStyle + `</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
<p>{{.Message}}</p>
{{with .ContinueURL}}<p><a href="{{.}}">Back to the app</a></p>{{end}}
<p><small>Request {{.RequestID}}</small></p>
</main>
</body>
</html>
`))
