package authserver

import (
	"bytes"
	"embed"
	"html/template"
	"log/slog"
	"net/http"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// The pages are yours: change pages/*.html as you like, or render them with your own
// templates. What they have to show is in the documentation of lockspire.ConsentPage. They
// need no script, and none would run: Lockspire sets a strict Content-Security-Policy, which
// allows the one <style> element that carries the page's nonce.
//
//go:embed pages/*.html
var pageFiles embed.FS

// link keeps the address of a native application, such as com.example.app:/callback, which
// html/template would drop. Use it for ErrorPage.ContinueURL only, which Lockspire has proven.
var pageTemplates = template.Must(template.New("").Funcs(template.FuncMap{
	"link": func(proven string) template.URL { return template.URL(proven) },
}).ParseFS(pageFiles, "pages/*.html"))

// newPages is where newConfig gets the pages. Lockspire handles what their forms post, so that
// a page cannot approve anything by being shown.
func newPages() lockspire.Pages {
	return lockspire.Pages{
		Consent: func(w http.ResponseWriter, r *http.Request, page lockspire.ConsentPage) {
			writePage(w, r, http.StatusOK, "consent.html", page)
		},
		AuthorizedApps: func(w http.ResponseWriter, r *http.Request, page lockspire.AuthorizedAppsPage) {
			writePage(w, r, http.StatusOK, "apps.html", page)
		},
		Error: func(w http.ResponseWriter, r *http.Request, page lockspire.ErrorPage) {
			writePage(w, r, page.Status, "error.html", page)
		},
	}
}

// writePage renders into memory first: a template that fails half way must not leave half a
// consent page.
func writePage(w http.ResponseWriter, r *http.Request, status int, name string, page any) {
	var body bytes.Buffer
	if err := pageTemplates.ExecuteTemplate(&body, name, page); err != nil {
		slog.ErrorContext(r.Context(), "render page", "page", name, "error", err)
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w)
}
