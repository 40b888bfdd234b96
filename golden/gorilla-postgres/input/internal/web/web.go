// Package web serves the site.
package web

import (
	"database/sql"
	"fmt"
	"net/http"

	"github.com/gorilla/mux"

	"example.com/wiki/internal/accounts"
)

// New returns the whole site on db.
func New(db *sql.DB) (*mux.Router, error) {
	if err := db.Ping(); err != nil {
		return nil, err
	}
	r := mux.NewRouter()
	r.Use(loadSession)
	r.HandleFunc("/login", loginForm).Methods("GET")
	r.HandleFunc("/login", login).Methods("POST")
	r.HandleFunc("/notes/{id:[0-9]+}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "note ", mux.Vars(r)["id"]) })
	api := r.PathPrefix("/api").Subrouter()
	api.HandleFunc("/notes", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "[]") }).Methods("GET")
	r.PathPrefix("/").HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "everything else") })
	return r, nil
}

func loginForm(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, accounts.Form(r.FormValue("return_to"), r.FormValue("interaction_id")))
}

func login(w http.ResponseWriter, r *http.Request) {
	cookie, ok := accounts.SignIn(r.PostFormValue("name"), r.PostFormValue("password"))
	if !ok {
		http.Error(w, "wrong password", http.StatusUnauthorized)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: accounts.Cookie, Value: cookie, Path: "/", HttpOnly: true})
	http.Redirect(w, r, accounts.Next(r.PostFormValue("return_to")), http.StatusSeeOther)
}

func loadSession(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cookie, err := r.Cookie(accounts.Cookie); err == nil {
			r = r.WithContext(accounts.Load(r.Context(), cookie.Value))
		}
		next.ServeHTTP(w, r)
	})
}
