package authserver

import (
	"context"
	"errors"
	"net/http"

	lockspire "github.com/lockspire/lockspire/runtime"

	"example.com/sigra-host/internal/signin"
	"example.com/sigra-host/scope"
)

// accountResolver answers Lockspire's four questions about our users. It reads
// the current scope that our middleware puts into the request; nothing else in
// this package knows how people sign in.
type accountResolver struct{ people *signin.Store }

func newAccountResolver(host Host) lockspire.AccountResolver {
	return &accountResolver{signin.New(host.DB)}
}

// CurrentAccount is the User of the request's current scope. Half a sign-in,
// with the second factor outstanding, is none.
func (a *accountResolver) CurrentAccount(r *http.Request) (lockspire.Account, error) {
	current := scope.Current(r.Context())
	if current.SignInIncomplete {
		return lockspire.Account{}, lockspire.ErrSignInIncomplete
	}
	if current.User == nil {
		return lockspire.Account{}, lockspire.ErrNotSignedIn
	}
	return lockspire.Account{
		Subject:     current.User.ID, // never the e-mail address: it changes hands
		DisplayName: current.User.Name,
		SessionID:   current.Session.ID,
		AMR:         current.Session.Methods,
		AuthTime:    current.Session.SignedInAt,
	}, nil
}

// AccountBySubject is the live user with that id.
func (a *accountResolver) AccountBySubject(ctx context.Context, subject string) (lockspire.Account, error) {
	user, err := a.user(ctx, subject)
	return lockspire.Account{Subject: user.ID, DisplayName: user.Name}, err
}

// Claims is the little that outsiders may know, by what they were granted.
func (a *accountResolver) Claims(
	ctx context.Context, account lockspire.Account, request lockspire.ClaimsRequest,
) (lockspire.Claims, error) {
	user, err := a.user(ctx, account.Subject)
	if err != nil {
		return nil, err
	}
	claims := lockspire.Claims{}
	if request.Has("profile") {
		claims["name"] = user.Name
	}
	if request.Has("email") {
		claims["email"] = user.Email
	}
	return claims, nil
}

// LoginURL is the first step of our sign-in, which carries return_to and
// interaction_id through both.
func (a *accountResolver) LoginURL(r *http.Request, interaction lockspire.Interaction) string {
	return interaction.AppendTo(loginPath)
}

func (a *accountResolver) user(ctx context.Context, id string) (scope.User, error) {
	user, err := a.people.User(ctx, id)
	if errors.Is(err, signin.ErrNoUser) {
		return scope.User{}, lockspire.ErrAccountGone
	}
	return user, err
}
