package main

import (
	"database/sql"
	"net/http"

	"example.com/fieldnotes/internal/accounts"
)

// app is what the handlers share.
type app struct {
	db       *sql.DB
	accounts *accounts.Store
}

// newRouter returns every route of the app.
func newRouter(db *sql.DB) (http.Handler, error) {
	a := &app{db: db, accounts: accounts.New(db)}

	// Posts from other sites are refused; there is no token to carry.
	sameSite := http.NewCrossOriginProtection()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", a.loginForm)
	mux.Handle("POST /login", sameSite.Handler(http.HandlerFunc(a.login)))
	mux.Handle("POST /logout", sameSite.Handler(http.HandlerFunc(a.logout)))
	mux.Handle("POST /notes", sameSite.Handler(http.HandlerFunc(a.addNote)))
	mux.HandleFunc("GET /style.css", style)

	// Everything else is a page: the notes, or "no such page".
	mux.HandleFunc("GET /", a.home)
	return mux, nil
}
