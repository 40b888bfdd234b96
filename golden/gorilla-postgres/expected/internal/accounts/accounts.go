// Package accounts is who may sign in.
package accounts

import (
	"html"
	"strings"
)

// User is a person.
type User struct {
	ID   int64
	Name string
}

var alice = User{ID: 7, Name: "Alice"}

// SignIn checks a password.
func SignIn(name, password string) (User, bool) {
	return alice, name == "alice" && password == "correct horse"
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
