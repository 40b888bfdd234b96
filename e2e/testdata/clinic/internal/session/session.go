// Package session is who is signed in.
package session

import (
	"crypto/rand"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Session is a signed-in visitor.
type Session struct {
	ID, UserID string
	SignedInAt time.Time
}

var (
	mu       sync.Mutex
	sessions = map[string]Session{}
)

// Current returns the session of a request.
func Current(r *http.Request) (Session, bool) {
	cookie, err := r.Cookie("session")
	if err != nil {
		return Session{}, false
	}
	mu.Lock()
	defer mu.Unlock()
	session, ok := sessions[cookie.Value]
	return session, ok
}

var form = template.Must(template.New("login").Parse(`<!doctype html>
<html lang="en"><title>Sign in</title><form method="post">
<input type="hidden" name="return_to" value="{{.ReturnTo}}">
<input type="hidden" name="interaction_id" value="{{.InteractionID}}">
<input name="user"><input name="password" type="password"><button>Sign in</button>
</form></html>`))

func Show(w http.ResponseWriter, r *http.Request) {
	form.Execute(w, struct{ ReturnTo, InteractionID string }{r.FormValue("return_to"), r.FormValue("interaction_id")})
}

func Login(w http.ResponseWriter, r *http.Request) {
	if r.PostFormValue("user") != "alice" || r.PostFormValue("password") != "wonderland" {
		http.Error(w, "wrong user or password", http.StatusUnauthorized)
		return
	}
	session := Session{ID: rand.Text(), UserID: "user-7", SignedInAt: time.Now()}
	mu.Lock()
	sessions[session.ID] = session
	mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: "session", Value: session.ID, Path: "/", HttpOnly: true})
	target := r.PostFormValue("return_to")
	if !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") {
		target = "/"
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}
