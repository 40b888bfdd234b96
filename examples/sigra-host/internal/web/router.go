// Package web is the application's routes.
package web

import (
	"context"
	"database/sql"
	"encoding/json"
	"html/template"
	"net/http"

	lockspire "github.com/lockspire/lockspire/runtime"

	"example.com/sigra-host/internal/authserver"
	"example.com/sigra-host/internal/signin"
	"example.com/sigra-host/scope"
)

// New returns the application's handler on db, whose tables it brings up to
// date.
func New(ctx context.Context, db *sql.DB) (http.Handler, error) {
	people := signin.New(db)
	if err := people.CreateTables(ctx); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	people.Routes(mux)
	provider, err := authserver.Mount(mux, authserver.Host{DB: db})
	if err != nil {
		return nil, err
	}

	// The API that third parties call, with an access token.
	mux.Handle("GET /api/berths", provider.Protect(lockspire.RequireScope("berths:read"))(http.HandlerFunc(berths)))

	// Every other address is a page.
	mux.HandleFunc("GET /", home)
	return scope.Middleware(people.Scope, mux), nil
}

var pages = template.Must(template.New("home.html").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Harbour</title>
</head>
<body>
<main>
<h1>Harbour</h1>
{{with .User}}<p>Signed in as {{.Name}}.</p>
<form method="post" action="/sign-out"><button>Sign out</button></form>
{{else}}<p><a href="/sign-in">Sign in</a></p>{{end}}
</main>
</body>
</html>
`))

// berths answers for the person whose token it is: the subject is our user id.
func berths(w http.ResponseWriter, r *http.Request) {
	token, ok := lockspire.TokenFrom(r.Context())
	if !ok {
		http.Error(w, "not reached through Protect", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(struct {
		Owner  string   `json:"owner"`
		Berths []string `json:"berths"`
	}{token.Subject, []string{"A7", "C12"}})
}

func home(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	signin.Render(w, http.StatusOK, pages, "home.html", scope.Current(r.Context()))
}
