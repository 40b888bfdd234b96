package authserver

import (
	"context"
	"net/http"

	"example.com/clinic/internal/session"
	lockspire "github.com/lockspire/lockspire/runtime"
)

type accountResolver struct{ host Host }

func newAccountResolver(host Host) lockspire.AccountResolver { return &accountResolver{host: host} }

func (a *accountResolver) CurrentAccount(r *http.Request) (lockspire.Account, error) {
	current, ok := session.Current(r)
	if !ok {
		return lockspire.Account{}, lockspire.ErrNotSignedIn
	}
	return lockspire.Account{
		Subject: current.UserID, DisplayName: "Alice", SessionID: current.ID, AuthTime: current.SignedInAt,
	}, nil
}

func (a *accountResolver) AccountBySubject(ctx context.Context, subject string) (lockspire.Account, error) {
	if subject != "user-7" {
		return lockspire.Account{}, lockspire.ErrAccountGone
	}
	return lockspire.Account{Subject: subject}, nil
}

func (a *accountResolver) Claims(
	ctx context.Context, account lockspire.Account, request lockspire.ClaimsRequest,
) (lockspire.Claims, error) {
	claims := lockspire.Claims{}
	if request.Has("profile") {
		claims["name"] = "Alice"
	}
	return claims, nil
}

func (a *accountResolver) LoginURL(r *http.Request, interaction lockspire.Interaction) string {
	return interaction.AppendTo(loginPath)
}
