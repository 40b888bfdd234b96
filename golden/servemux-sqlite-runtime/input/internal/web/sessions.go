package web

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/http"
	"sync"
)

type userKey struct{}

// sessions keeps who is signed in, by cookie.
type sessions struct {
	db    *sql.DB
	mu    sync.Mutex
	users map[string]int64
}

func newSessions(db *sql.DB) *sessions { return &sessions{db: db, users: map[string]int64{}} }

// load puts the signed-in user's id into the request's context.
func (s *sessions) load(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cookie, err := r.Cookie("session"); err == nil {
			s.mu.Lock()
			id, ok := s.users[cookie.Value]
			s.mu.Unlock()
			if ok {
				r = r.WithContext(context.WithValue(r.Context(), userKey{}, id))
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (s *sessions) form(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, `<form method="post"><input name="name"><input name="password" type="password"><button>Sign in</button></form>`)
}

func (s *sessions) login(w http.ResponseWriter, r *http.Request) {
	var id int64
	row := s.db.QueryRowContext(r.Context(), "SELECT id FROM users WHERE name = ?1 AND password = ?2",
		r.PostFormValue("name"), r.PostFormValue("password"))
	if err := row.Scan(&id); err != nil {
		http.Error(w, "wrong name or password", http.StatusForbidden)
		return
	}
	key := rand.Text()
	s.mu.Lock()
	s.users[key] = id
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: "session", Value: key, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
