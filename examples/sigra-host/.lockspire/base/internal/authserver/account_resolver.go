package authserver

import (
	"context"
	"net/http"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// accountResolver answers Lockspire's four questions about your users. Sign-in stays where it
// is: this file reads the current scope that your middleware puts into the request, and
// nothing else in this package knows how people sign in. It is called concurrently, once per
// request each, and never while Lockspire holds a database connection.
//
// Every method is a stub that returns lockspire.ErrNotWired, which Lockspire answers with 503.
// `lockspire verify` names the ones that are left.
type accountResolver struct {
	host Host
}

// newAccountResolver is where newConfig gets the resolver. Fields that you add to Host arrive
// here.
func newAccountResolver(host Host) lockspire.AccountResolver {
	return &accountResolver{host: host}
}

// CurrentAccount returns the account that is signed in on r. It is the User of the request's
// current scope, as your middleware put it there:
//
//	current := scope.From(r.Context())
//	if current == nil || current.User == nil {
//		return lockspire.Account{}, lockspire.ErrNotSignedIn
//	}
//	return lockspire.Account{
//		Subject:     current.User.ID.String(),
//		DisplayName: current.User.Name,
//		SessionID:   current.SessionID,
//		AuthTime:    current.SignedInAt,
//	}, nil
//
// Subject becomes the sub claim, the only name by which clients know this person: the User's
// stable internal id, never the e-mail address that they sign in with, and the same in every
// organisation. DisplayName is for the consent page only. SessionID may be empty (no sid
// claim) and is never sent as it is. AuthTime is when the person last proved who they are;
// where it is zero, clients that ask for a fresh sign-in are refused.
//
// A scope whose second factor is outstanding is ErrSignInIncomplete, not a signed-in account.
// Both errors send the browser to LoginURL. Any other error means that you could not tell: the
// answer is 503 and nothing is issued.
func (a *accountResolver) CurrentAccount(r *http.Request) (lockspire.Account, error) {
	return lockspire.Account{}, lockspire.ErrNotWired
}

// AccountBySubject finds the account behind a subject, without a browser: whenever a client
// uses a refresh token.
//
//	user, err := a.host.Users.ByID(ctx, subject)
//	if errors.Is(err, users.ErrNotFound) || err == nil && user.Disabled {
//		return lockspire.Account{}, lockspire.ErrAccountGone
//	}
//	if err != nil {
//		return lockspire.Account{}, err
//	}
//	return lockspire.Account{Subject: subject}, nil
//
// ErrAccountGone stops the account's codes and tokens. Any other error is a 503, and the
// client tries again later.
func (a *accountResolver) AccountBySubject(ctx context.Context, subject string) (lockspire.Account, error) {
	return lockspire.Account{}, lockspire.ErrNotWired
}

// Claims returns what the client may read about the account, in ID tokens and at userinfo.
// Look at the granted scopes:
//
//	claims := lockspire.Claims{}
//	if request.Has("profile") {
//		claims["name"] = user.Name
//	}
//	if request.Has("email") {
//		claims["email"], claims["email_verified"] = user.Email, user.EmailConfirmed
//	}
//	return claims, nil
//
// Keep it to these. A richer profile, an organisation or a role is your decision about what
// outsiders may know, and a claim that clients have read once is hard to take back. Protocol
// claims (iss, sub, aud and so on) are Lockspire's and are dropped from the result.
func (a *accountResolver) Claims(
	ctx context.Context, account lockspire.Account, request lockspire.ClaimsRequest,
) (lockspire.Claims, error) {
	return nil, lockspire.ErrNotWired
}

// LoginURL is your sign-in route for one authorization request. It must carry return_to and
// interaction_id, which AppendTo adds. Sign-in, however many steps it has (password, second
// factor, passkey, social), brings both back: the last step redirects to
// lockspire.SafeReturnTo(returnTo, "/"), which resumes the request.
//
// interaction.Need says what the request demands: Reauthenticate (ask for the password again),
// SelectAccount, LoginHint (untrusted text, for the form).
func (a *accountResolver) LoginURL(r *http.Request, interaction lockspire.Interaction) string {
	return interaction.AppendTo(loginPath)
}
