// Package accounts is who may sign in, and who is signed in.
package accounts

import (
	"context"
	"crypto/rand"
	"html"
	"strings"
	"sync"
)

// User is a person.
type User struct {
	ID   int64
	Name string
}

// Cookie is the name of the session cookie.
const Cookie = "session"

var (
	alice    = User{ID: 7, Name: "Alice"}
	mu       sync.Mutex
	sessions = map[string]User{}
)

// SignIn checks a password and returns the value of a new session cookie.
func SignIn(name, password string) (cookie string, ok bool) {
	if name != "alice" || password != "correct horse" {
		return "", false
	}
	cookie = rand.Text()
	mu.Lock()
	defer mu.Unlock()
	sessions[cookie] = alice
	return cookie, true
}

type key struct{}

// Load returns a context that knows the user of a session cookie.
func Load(ctx context.Context, cookie string) context.Context {
	mu.Lock()
	defer mu.Unlock()
	if user, ok := sessions[cookie]; ok {
		return context.WithValue(ctx, key{}, user)
	}
	return ctx
}

// From returns the user that is signed in.
func From(ctx context.Context) (User, bool) {
	user, ok := ctx.Value(key{}).(User)
	return user, ok
}

// ByID finds a user.
func ByID(id int64) (User, bool) { return alice, id == alice.ID }

// Form is the login page. It brings return_to and interaction_id along.
func Form(returnTo, interaction string) string {
	return `<form method="post"><input name="name"><input name="password" type="password">` +
		`<input type="hidden" name="return_to" value="` + html.EscapeString(returnTo) + `">` +
		`<input type="hidden" name="interaction_id" value="` + html.EscapeString(interaction) + `"></form>`
}

// Next is where a sign-in ends: a path on this site.
func Next(returnTo string) string {
	if strings.HasPrefix(returnTo, "/") && !strings.HasPrefix(returnTo, "//") && !strings.Contains(returnTo, "\\") {
		return returnTo
	}
	return "/"
}
