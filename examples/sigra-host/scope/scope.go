// Package scope carries who is acting through a request. Its middleware runs
// before every handler, so that a handler asks scope.Current(ctx).User and
// never reads a cookie itself.
//
// It stands where Sigra's middleware stands in an application that signs its
// people in with Sigra. Lockspire does not know this package; only the account
// resolver, which the application owns, reads it.
package scope

import (
	"context"
	"log"
	"net/http"
	"time"
)

// Scope is what is known about a request. The zero Scope is a signed-out
// visitor.
type Scope struct {
	// User is who is signed in, nil for nobody, and nil as well until the last
	// step of sign-in is done.
	User *User
	// Session is the session of User.
	Session Session
	// SignInIncomplete is true between the password and the second factor.
	SignInIncomplete bool
}

// User is a person with an account. ID is assigned once and never reused; the
// e-mail address changes when people marry, move or change jobs.
type User struct {
	ID, Email, Name string
}

// Session is one signed-in browser.
type Session struct {
	ID         string
	SignedInAt time.Time
	// Methods are how the person proved who they are (RFC 8176): "pwd", "otp".
	Methods []string
}

type contextKey struct{}

// Current returns the scope of a request's context.
func Current(ctx context.Context) Scope {
	current, _ := ctx.Value(contextKey{}).(Scope)
	return current
}

// Middleware loads the scope of each request and puts it into the request's
// context. Where load fails nobody may be taken for signed out: the request
// is answered with 503.
func Middleware(load func(r *http.Request) (Scope, error), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		current, err := load(r)
		if err != nil {
			log.Print(err)
			w.Header().Set("Retry-After", "5")
			http.Error(w, "We cannot tell who you are right now. Try again in a moment.", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, current)))
	})
}
