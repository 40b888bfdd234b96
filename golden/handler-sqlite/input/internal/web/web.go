// Package web serves the site.
package web

import (
	"database/sql"
	"fmt"
	"net/http"

	"github.com/alexedwards/scs/v2"
	"github.com/julienschmidt/httprouter"

	"example.com/blog/internal/accounts"
)

// New returns the whole site on db.
func New(db *sql.DB) (http.Handler, error) {
	if err := db.Ping(); err != nil {
		return nil, err
	}
	sessions := scs.New()
	r := httprouter.New()
	r.HandlerFunc("GET", "/login", loginForm)
	r.HandlerFunc("POST", "/login", login(sessions))
	r.GET("/notes/:id", func(w http.ResponseWriter, _ *http.Request, p httprouter.Params) {
		fmt.Fprint(w, "note ", p.ByName("id"))
	})
	r.GET("/api/notes", func(w http.ResponseWriter, _ *http.Request, _ httprouter.Params) { fmt.Fprint(w, "[]") })
	r.NotFound = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "everything else") })
	return sessions.LoadAndSave(r), nil
}

func loginForm(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, accounts.Form(r.FormValue("return_to"), r.FormValue("interaction_id")))
}

func login(sessions *scs.SessionManager) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, ok := accounts.SignIn(r.PostFormValue("name"), r.PostFormValue("password"))
		if !ok {
			http.Error(w, "wrong password", http.StatusUnauthorized)
			return
		}
		if err := sessions.RenewToken(r.Context()); err != nil {
			http.Error(w, "no session today", http.StatusInternalServerError)
			return
		}
		sessions.Put(r.Context(), "userID", user.ID)
		http.Redirect(w, r, accounts.Next(r.PostFormValue("return_to")), http.StatusSeeOther)
	}
}
