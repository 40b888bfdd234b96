package main

import (
	"crypto/rand"
	"database/sql"
	"fmt"
	"html"
	"net/http"

	"github.com/gorilla/csrf"
)

type server struct{ db *sql.DB }

func newRouter(db *sql.DB) (http.Handler, error) {
	s := &server{db}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", s.loginForm)
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("POST /logout", s.logout)
	mux.HandleFunc("POST /webhooks/payments", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("GET /", s.home)
	return secureHeaders(protectForms(s.loadUser(mux))), nil
}

// withoutForm are the requests that no form of ours sends: they carry no
// cookie that could be abused, by exact method and path.
var withoutForm = map[string]bool{
	"POST /webhooks/payments": true,
}

// protectForms refuses every POST that does not carry this browser's token.
func protectForms(next http.Handler) http.Handler {
	key := make([]byte, 32)
	rand.Read(key)
	protect := csrf.Protect(key, csrf.Path("/"), csrf.SameSite(csrf.SameSiteStrictMode), csrf.Secure(false))(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = csrf.PlaintextHTTPRequest(r)
		if withoutForm[r.Method+" "+r.URL.Path] {
			r = csrf.UnsafeSkipCheck(r)
		}
		protect.ServeHTTP(w, r)
	})
}

func secureHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; form-action 'self'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "strict-origin-when-cross-origin")
		next.ServeHTTP(w, r)
	})
}

func (s *server) home(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, `<!doctype html><html lang="en"><title>Ledger</title><main><h1>Ledger</h1>`)
	if name := currentUser(r.Context()); name != "" {
		fmt.Fprintf(w, `<form method="post" action="/logout">%s<p>%s <button>Sign out</button></p></form>`,
			csrf.TemplateField(r), html.EscapeString(name))
	} else {
		fmt.Fprint(w, `<p><a id="login" href="/login">Sign in</a></p>`)
	}
}
