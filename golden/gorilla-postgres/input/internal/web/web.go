// Package web serves the site.
package web

import (
	"crypto/rand"
	"fmt"
	"net/http"

	"github.com/gorilla/mux"
	"github.com/gorilla/sessions"
	"github.com/jmoiron/sqlx"

	"example.com/wiki/internal/accounts"
)

// site holds what handlers need.
type site struct {
	db    *sqlx.DB
	store *sessions.CookieStore
}

// New returns the whole site on db.
func New(db *sqlx.DB) (*mux.Router, error) {
	if err := db.Ping(); err != nil {
		return nil, err
	}
	site := &site{db: db, store: sessions.NewCookieStore([]byte(rand.Text()))}
	r := mux.NewRouter()
	r.HandleFunc("/login", loginForm).Methods("GET")
	r.HandleFunc("/login", site.login).Methods("POST")
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

func (s *site) login(w http.ResponseWriter, r *http.Request) {
	user, ok := accounts.SignIn(r.PostFormValue("name"), r.PostFormValue("password"))
	if !ok {
		http.Error(w, "wrong password", http.StatusUnauthorized)
		return
	}
	session, err := s.store.Get(r, "wiki")
	if err != nil {
		http.Error(w, "that session is not ours", http.StatusBadRequest)
		return
	}
	session.Values["user_id"] = user.ID
	if err := session.Save(r, w); err != nil {
		http.Error(w, "no session today", http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, accounts.Next(r.PostFormValue("return_to")), http.StatusSeeOther)
}
