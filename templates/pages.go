package templates

import "embed"

//go:embed pages/*.html
var pageFiles embed.FS

// pagesFile renders pages.go: html/template over the files in pages/.
func pagesFile(in Inputs) ([]byte, error) {
	s := newSource(in, "pages")
	s.decl("pageFiles", `
//
//go:embed pages/*.html
var pageFiles $embed.FS
`)
	s.decl("pageTemplates", `
var pageTemplates = $template.Must($template.New("").Funcs($template.FuncMap{
	"link": func(proven string) $template.URL { return $template.URL(proven) },
}).ParseFS(pageFiles, "pages/*.html"))`)
	s.decl("newPages", `
func newPages() $lockspire.Pages {
	return $lockspire.Pages{
		Consent: func(w $http.ResponseWriter, r *$http.Request, page $lockspire.ConsentPage) {
			writePage(w, r, $http.StatusOK, "consent.html", page)
		},
		AuthorizedApps: func(w $http.ResponseWriter, r *$http.Request, page $lockspire.AuthorizedAppsPage) {
			writePage(w, r, $http.StatusOK, "apps.html", page)
		},
		Error: func(w $http.ResponseWriter, r *$http.Request, page $lockspire.ErrorPage) {
			writePage(w, r, page.Status, "error.html", page)
		},
	}
}`)
	s.decl("writePage", `
func writePage(w $http.ResponseWriter, r *$http.Request, status int, name string, page any) {
	var body $bytes.Buffer
	if err := pageTemplates.ExecuteTemplate(&body, name, page); err != nil {
		$slog.ErrorContext(r.Context(), "render page", "page", name, "error", err)
		$http.Error(w, $http.StatusText($http.StatusInternalServerError), $http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w)
}`)
	return s.bytes()
}
