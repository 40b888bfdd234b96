package lockspire

import (
	"html/template"
	"net/http"
	"net/url"
)

// The response modes (OAuth 2.0 Multiple Response Types §2.1, Form Post).
const (
	modeQuery    = "query"
	modeFormPost = "form_post"
)

// formPost answers with a page whose form takes the response to the client
// (OAuth 2.0 Form Post Response Mode §2). There is no form-action in its
// policy: browsers apply that to every redirect after the POST, and where the
// client goes on to is its own affair. The one script that runs is known by
// its hash; without scripts there is a button.
func (p *Provider) formPost(w http.ResponseWriter, target *redirectTarget, pairs ...string) {
	pageHeaders(w, plainStyleHash)
	header := w.Header()
	header.Set("Content-Security-Policy", "default-src 'none'; script-src "+hashSource(submitScript)+"; style-src "+plainStyleHash+"; base-uri 'none'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "no-referrer")
	type field struct{ Name, Value string }
	var fields []field
	parameters := p.responseParameters(target, pairs...)
	for i := 0; i < len(parameters); i += 2 {
		fields = append(fields, field{parameters[i], parameters[i+1]})
	}
	formPostPage.Execute(w, map[string]any{
		"Fields": fields,
		// Proven to be registered; html/template would drop what is not http.
		"Action": template.URL(target.bare()),
		"Script": template.JS(submitScript),
	})
}

const submitScript = `document.forms[0].submit()`

// formPostable reports whether a browser can post a form to uri: a private-use
// scheme opens an app, which sees no body.
func formPostable(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http")
}

var formPostPage = template.Must(template.New("form_post").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Continue</title>
<style>` + plainStyle + `</style>
</head>
<body>
<main>
<h1>Almost there</h1>
<form method="post" action="{{.Action}}">
{{range .Fields}}<input type="hidden" name="{{.Name}}" value="{{.Value}}">
{{end}}<p>You are being sent back to the app. If nothing happens, continue.</p>
<button>Continue</button>
</form>
</main>
<script>{{.Script}}</script>
</body>
</html>
`))
