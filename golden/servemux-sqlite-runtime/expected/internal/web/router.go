// Package web serves the site.
package web

import (
	"database/sql"
	"fmt"
	"net/http"

	"example.com/notes/internal/authserver"
)

// NewRouter returns the whole site on db.
func NewRouter(db *sql.DB) (http.Handler, error) {
	if _, err := db.Exec(`CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT, password TEXT)`); err != nil {
		return nil, err
	}
	sessions := newSessions(db)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", sessions.form)
	mux.HandleFunc("POST /login", sessions.login)
	if _, err := authserver.Mount(mux, authserver.Host{DB: db}); err != nil {
		return nil, err
	}
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "everything else")
	})
	return sessions.load(mux), nil
}
