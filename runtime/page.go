package lockspire

import (
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
	nonce := p.page(w)
	header := w.Header()
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+nonce+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "no-referrer")
	leavePage.Execute(w, map[string]any{"Nonce": nonce, "Content": "0;url=" + location, "URL": template.URL(location)})
}

// page prepares an HTML answer: headers that keep it out of frames, caches and
// other origins' reach, and a policy under which a form posts only to us. It
// returns the nonce for a style element. The caller writes status and body.
//
// Referrer-Policy is same-origin because no-referrer would make the Origin of
// the form's POST "null".
func (p *Provider) page(w http.ResponseWriter) (nonce string) {
	nonce = newToken()
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("X-Frame-Options", "DENY")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self' 'nonce-"+nonce+"'; img-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	return nonce
}

// errorPage tells a person in fixed words that the request went no further.
func (p *Provider) errorPage(w http.ResponseWriter, r *http.Request, e *oauthError) {
	if p.config.Pages.Error == nil {
		p.builtInErrorPage(w, r, e)
		return
	}
	p.config.Pages.Error(w, r, p.describeError(w, r, e))
}

func (p *Provider) builtInErrorPage(w http.ResponseWriter, r *http.Request, e *oauthError) {
	page := p.describeError(w, r, e)
	w.WriteHeader(page.Status)
	plainErrorPage.Execute(w, page)
}

func (p *Provider) describeError(w http.ResponseWriter, r *http.Request, e *oauthError) ErrorPage {
	nonce := p.page(w)
	w.Header().Set("Referrer-Policy", "no-referrer")
	return ErrorPage{
		Status:    e.status,
		Title:     errorTitle(e.status),
		Message:   e.description,
		RequestID: infoOf(r).id,
		Nonce:     nonce,
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

var leavePage = template.Must(template.New("leave").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{{.Content}}">
<title>Continue</title>
<style nonce="{{.Nonce}}">body{font:1rem/1.5 system-ui,sans-serif;margin:4rem auto;max-width:30rem;padding:0 1rem}</style>
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
<style nonce="{{.Nonce}}">body{font:1rem/1.5 system-ui,sans-serif;margin:4rem auto;max-width:30rem;padding:0 1rem}small{color:#555}</style>
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
