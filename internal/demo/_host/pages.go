package main

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"log"
	"net/http"

	"example.com/fieldnotes/internal/accounts"
)

//go:embed pages
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

// homePage is the notebook, or the invitation to sign in where User is nil.
type homePage struct {
	User  *accounts.User
	Notes []note
}

func (a *app) home(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		render(w, http.StatusNotFound, "missing.html", nil)
		return
	}
	user, _, err := a.accounts.Current(r)
	if errors.Is(err, accounts.ErrSignedOut) {
		render(w, http.StatusOK, "home.html", homePage{})
		return
	}
	if err != nil {
		serverError(w, err)
		return
	}
	notes, err := notesOf(r.Context(), a.db, user.ID)
	if err != nil {
		serverError(w, err)
		return
	}
	render(w, http.StatusOK, "home.html", homePage{User: &user, Notes: notes})
}

func style(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, pageFiles, "pages/style.css")
}

func render(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, data); err != nil {
		serverError(w, err)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(status)
	page.WriteTo(w)
}

func serverError(w http.ResponseWriter, err error) {
	log.Print(err)
	http.Error(w, "Something went wrong on our side. Try again in a moment.", http.StatusInternalServerError)
}
