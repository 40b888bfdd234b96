package authserver

import (
	"context"
	"net/http"
	"strconv"

	"example.com/desk/internal/accounts"
	lockspire "github.com/lockspire/lockspire/runtime"
)

// accountResolver answers Lockspire's four questions about your users. It is called
// concurrently, once per request each, and never while Lockspire holds a database connection,
// so it may use the same pool.
//
// A method that returns lockspire.ErrNotWired is a stub, which Lockspire answers with 503.
// `lockspire verify` names the ones that are left.
type accountResolver struct {
	host Host
}

// newAccountResolver is where newConfig gets the resolver. Fields that you add to Host arrive
// here.
func newAccountResolver(host Host) lockspire.AccountResolver {
	return &accountResolver{host: host}
}

// CurrentAccount returns the account that is signed in on r, as accounts.From tells it. Look
// whether that is all it takes: a sign-in that still waits for a second factor, and an account
// that is locked, must not be returned. More is welcome:
//
//	DisplayName: user.Name, SessionID: sessions.ID(r.Context()), AuthTime: user.SignedInAt
//
// Subject becomes the sub claim, the only name by which clients know this person: a stable
// internal id that is never given to anybody else. Never an e-mail address or a username,
// since people change those and others get them after. DisplayName is for the consent page
// only. SessionID may be empty (no sid claim) and is never sent as it is. AuthTime is when the
// person last proved who they are; where it is zero, clients that ask for a fresh sign-in are
// refused.
//
// ErrNotSignedIn sends the browser to LoginURL. ErrSignInIncomplete does too: return it while
// a second factor is outstanding. Any other error means that you could not tell (your session
// store is down): the answer is 503 and nothing is issued, so do not turn such an error into
// ErrNotSignedIn.
func (a *accountResolver) CurrentAccount(r *http.Request) (lockspire.Account, error) {
	user, ok := accounts.From(r.Context())
	if !ok {
		return lockspire.Account{}, lockspire.ErrNotSignedIn
	}
	return lockspire.Account{Subject: strconv.FormatInt(user.ID, 10)}, nil
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
//		claims["email"], claims["email_verified"] = user.Email, user.EmailVerified
//	}
//	return claims, nil
//
// Start small: a claim that clients have read once is hard to take back. Protocol claims (iss,
// sub, aud and so on) are Lockspire's and are dropped from the result.
func (a *accountResolver) Claims(
	ctx context.Context, account lockspire.Account, request lockspire.ClaimsRequest,
) (lockspire.Claims, error) {
	return nil, lockspire.ErrNotWired
}

// LoginURL is your sign-in page for one authorization request. It must carry return_to and
// interaction_id, which AppendTo adds, and every step of sign-in (password, second factor,
// social) must bring both along to the last one. That one then redirects to
// lockspire.SafeReturnTo(returnTo, "/").
//
// interaction.Need says what the request demands: Reauthenticate (ask for the password again),
// SelectAccount, LoginHint (untrusted text, for the form).
func (a *accountResolver) LoginURL(r *http.Request, interaction lockspire.Interaction) string {
	return interaction.AppendTo(loginPath)
}
