package authserver

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	lockspire "github.com/lockspire/lockspire/runtime"

	"example.com/fieldnotes/internal/accounts"
)

// accountResolver answers Lockspire's questions about our users.
type accountResolver struct{ accounts *accounts.Store }

func newAccountResolver(host Host) lockspire.AccountResolver {
	return &accountResolver{accounts.New(host.DB)}
}

// CurrentAccount is who is signed in on this request.
func (a *accountResolver) CurrentAccount(r *http.Request) (lockspire.Account, error) {
	user, session, err := a.accounts.Current(r)
	if errors.Is(err, accounts.ErrSignedOut) {
		return lockspire.Account{}, lockspire.ErrNotSignedIn
	}
	if err != nil {
		return lockspire.Account{}, err
	}
	result := account(user)
	result.SessionID = session.ID
	result.AuthTime = session.SignedInAt
	result.AMR = []string{"pwd"}
	return result, nil
}

// AccountBySubject is the live user with that id.
func (a *accountResolver) AccountBySubject(ctx context.Context, subject string) (lockspire.Account, error) {
	user, err := a.accounts.Get(ctx, subject)
	if errors.Is(err, accounts.ErrNoUser) {
		return lockspire.Account{}, lockspire.ErrAccountGone
	}
	if err != nil {
		return lockspire.Account{}, err
	}
	return account(user), nil
}

// Claims is what a partner may know of a user, by scope.
func (a *accountResolver) Claims(ctx context.Context, account lockspire.Account, request lockspire.ClaimsRequest) (lockspire.Claims, error) {
	user, err := a.accounts.Get(ctx, account.Subject)
	if errors.Is(err, accounts.ErrNoUser) {
		return nil, lockspire.ErrAccountGone
	}
	if err != nil {
		return nil, err
	}
	claims := lockspire.Claims{}
	if request.Has("profile") {
		claims["name"] = user.Name
		claims["preferred_username"] = user.Username
	}
	if request.Has("email") {
		claims["email"] = user.Email
		claims["email_verified"] = false
	}
	return claims, nil
}

// LoginURL is our sign-in page, which carries both parameters through.
func (a *accountResolver) LoginURL(r *http.Request, interaction lockspire.Interaction) string {
	return interaction.AppendTo(loginPath)
}

func account(user accounts.User) lockspire.Account {
	return lockspire.Account{
		Subject:     user.ID,
		DisplayName: user.Name + " (" + user.Username + ")",
		// A new password makes consent pages that are still open worthless.
		Epoch: strconv.FormatInt(user.PasswordChangedAt.Unix(), 10),
	}
}
