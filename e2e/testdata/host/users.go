package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/hex"
	"errors"
	"html/template"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/gorilla/csrf"
)

func createTables(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, `
CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, salt BLOB NOT NULL, password BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (id_hash TEXT PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id), created_at INTEGER NOT NULL);
`); err != nil {
		return err
	}
	salt := make([]byte, 16)
	rand.Read(salt)
	key, err := stretch(os.Getenv("LEDGER_PASSWORD"), salt)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `INSERT INTO users (id, name, salt, password) VALUES (4711, ?, ?, ?) ON CONFLICT DO NOTHING`,
		os.Getenv("LEDGER_USER"), salt, key)
	return err
}

func stretch(password string, salt []byte) ([]byte, error) {
	return pbkdf2.Key(sha256.New, password, salt, 600_000, 32)
}

type userKey struct{}

// loadUser finds who is signed in, with a query on the one connection.
func (s *server) loadUser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var name string
		if cookie, err := r.Cookie("session"); err == nil {
			err := s.db.QueryRowContext(r.Context(),
				`SELECT users.name FROM sessions JOIN users ON users.id = user_id WHERE id_hash = ?`, hashed(cookie.Value)).Scan(&name)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				log.Print(err)
				http.Error(w, "try again in a moment", http.StatusServiceUnavailable)
				return
			}
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, name)))
	})
}

func currentUser(ctx context.Context) string {
	name, _ := ctx.Value(userKey{}).(string)
	return name
}

var loginPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<head><title>Sign in to Ledger</title></head>
<body><main><h1>Sign in to Ledger</h1>
<form method="post" action="/login">
{{.Token}}
<input type="hidden" name="return_to" value="{{.ReturnTo}}">
<input type="hidden" name="interaction_id" value="{{.InteractionID}}">
<label for="name">Name</label> <input id="name" name="name" autocomplete="username">
<label for="password">Password</label> <input id="password" name="password" type="password" autocomplete="current-password">
<button id="sign-in">Sign in</button>
</form></main></body></html>
`))

func (s *server) loginForm(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	loginPage.Execute(w, struct {
		Token                   template.HTML
		ReturnTo, InteractionID string
	}{csrf.TemplateField(r), r.FormValue("return_to"), r.FormValue("interaction_id")})
}

func (s *server) login(w http.ResponseWriter, r *http.Request) {
	var id int64
	var salt, want []byte
	err := s.db.QueryRowContext(r.Context(),
		`SELECT id, salt, password FROM users WHERE name = ?`, r.PostFormValue("name")).Scan(&id, &salt, &want)
	if err == nil {
		var key []byte
		if key, err = stretch(r.PostFormValue("password"), salt); err == nil && subtle.ConstantTimeCompare(key, want) != 1 {
			err = errors.New("wrong password")
		}
	}
	if err != nil {
		http.Error(w, "that name and password do not match", http.StatusUnauthorized)
		return
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	value := hex.EncodeToString(secret)
	if _, err := s.db.ExecContext(r.Context(), `INSERT INTO sessions (id_hash, user_id, created_at) VALUES (?, ?, ?)`,
		hashed(value), id, time.Now().Unix()); err != nil {
		http.Error(w, "try again in a moment", http.StatusServiceUnavailable)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "session", Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	target := r.PostFormValue("return_to")
	if u, err := url.Parse(target); err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(target, "/") {
		target = "/"
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

func (s *server) logout(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie("session"); err == nil {
		s.db.ExecContext(r.Context(), `DELETE FROM sessions WHERE id_hash = ?`, hashed(cookie.Value))
	}
	http.SetCookie(w, &http.Cookie{Name: "session", Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func hashed(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
