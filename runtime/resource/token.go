package resource

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/lockspire/lockspire/runtime/internal/jwt"
)

// AccessToken is a verified access token, as handlers behind [Verifier.Protect]
// see it.
type AccessToken struct {
	// Subject is the issuer's identifier of the user.
	Subject  string
	ClientID string
	// Scopes are what was granted. HasScope also knows what they imply.
	Scopes    []string
	Audience  []string
	IssuedAt  time.Time
	ExpiresAt time.Time
	// ACR and AuthTime say how and when the user signed in; empty and zero where
	// the issuer did not say.
	ACR      string
	AuthTime time.Time

	// ClientOnly says that the client acts in its own name (RFC 6749 §4.4): there
	// is no user, and Subject is the ClientID.
	ClientOnly bool

	goodFor []string
}

// HasScope reports whether the token is good for scope: it carries it, or one
// that implies it ([Config.Implies]).
func (t *AccessToken) HasScope(scope string) bool {
	return slices.Contains(t.Scopes, scope) || slices.Contains(t.goodFor, scope)
}

type tokenKey struct{}

// TokenFrom returns the access token that [Verifier.Protect] verified, and false
// where there is none.
func TokenFrom(ctx context.Context) (*AccessToken, bool) {
	token, ok := ctx.Value(tokenKey{}).(*AccessToken)
	return token, ok
}

func (v *Verifier) token(claims jwt.AccessClaims) *AccessToken {
	scopes := strings.Fields(claims.Scope)
	return &AccessToken{
		Subject: claims.Subject, ClientID: claims.ClientID, Scopes: scopes, Audience: claims.Audience,
		IssuedAt: claims.IssuedAt, ExpiresAt: claims.ExpiresAt, ACR: claims.ACR, AuthTime: claims.AuthTime,
		ClientOnly: claims.ClientOnly(), goodFor: v.implied(scopes),
	}
}

// implied are what scopes stand for beside themselves. A circle ends by itself.
func (v *Verifier) implied(scopes []string) []string {
	var all []string
	for todo := slices.Clone(scopes); len(todo) > 0; todo = todo[1:] {
		for _, scope := range v.config.Implies[todo[0]] {
			if !slices.Contains(all, scope) {
				all, todo = append(all, scope), append(todo, scope)
			}
		}
	}
	return all
}
