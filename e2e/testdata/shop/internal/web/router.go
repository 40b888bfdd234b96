// Package web is the shop's pages.
package web

import (
	"database/sql"
	"net/http"
)

// NewRouter returns the whole app.
func NewRouter(db *sql.DB) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", showLogin)
	mux.HandleFunc("POST /login", login)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("the shop"))
	})
	return mux, nil
}
