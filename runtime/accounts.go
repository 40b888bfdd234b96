package lockspire

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The errors an [AccountResolver] answers with. Wrapped errors are recognised.
// Any other error means that the host could not tell (its database is down,
// say): the request is answered with 503 and nothing is issued.
var (
	// ErrNotSignedIn: the request carries no signed-in account. Not a fault:
	// the browser is sent to the host's login page.
	ErrNotSignedIn = errors.New("lockspire: no account is signed in")

	// ErrSignInIncomplete: a password was accepted but a second factor is
	// outstanding. Treated as signed out.
	ErrSignInIncomplete = errors.New("lockspire: sign-in is incomplete")

	// ErrAccountGone: the account does not exist any more or is disabled. Its
	// codes and tokens stop working.
	ErrAccountGone = errors.New("lockspire: account is gone")

	// ErrNotWired: the generated resolver stub has not been filled in yet.
	// `lockspire verify` reports every method that still returns it.
	ErrNotWired = errors.New("lockspire: the account resolver is still the generated stub")
)

// AccountResolver is the host's side of the line: who is signed in, what they
// are called, and where they sign in. Methods are called concurrently, once
// per request and never inside a Lockspire transaction, so they may use the
// same database pool.
type AccountResolver interface {
	// CurrentAccount returns the account signed in on this request, from the
	// host's own session. It returns ErrNotSignedIn, ErrSignInIncomplete, or
	// an account whose Subject is set. Any other error is a 503.
	CurrentAccount(r *http.Request) (Account, error)

	// AccountBySubject returns the live account behind a subject, without a
	// browser. ErrAccountGone means that it no longer exists or is disabled.
	// SessionID, ACR, AMR and AuthTime of the result are ignored.
	AccountBySubject(ctx context.Context, subject string) (Account, error)

	// Claims returns the claims about account that request allows. Protocol
	// claims (iss, sub, aud, exp, iat, nonce, and so on) cannot be set here;
	// they are dropped and logged.
	Claims(ctx context.Context, account Account, request ClaimsRequest) (Claims, error)

	// LoginURL returns the host's sign-in page for an interaction: a path on
	// this origin that carries return_to and interaction_id through every
	// step of sign-in. [Interaction.AppendTo] adds both.
	LoginURL(r *http.Request, interaction Interaction) string
}

// Account is a signed-in person, as far as the protocol needs to know.
type Account struct {
	// Subject is the stable, never reassigned internal identifier that becomes
	// the sub claim: at most 255 bytes, never an e-mail address (OIDC Core
	// §2). Required.
	Subject string
	// DisplayName is what the consent page calls the account ("Alice
	// (alice@example.com)"). It is not stored. Defaults to "".
	DisplayName string
	// SessionID identifies the host's session. It is stored and sent only as a
	// keyed hash. Empty means no sid claim.
	SessionID string
	// Epoch changes whenever earlier consent pages must not count any more
	// (a password change, say). Defaults to "".
	Epoch string
	// ACR and AMR describe how the person signed in (OIDC Core §2).
	ACR string
	AMR []string
	// AuthTime is when the person last proved who they are. Zero means
	// unknown: no auth_time claim, and max_age cannot be satisfied.
	AuthTime time.Time
}

// ClaimsRequest says which claims the client may see and where they go.
type ClaimsRequest struct {
	// Scopes are the granted scopes and what they imply, "profile" and "email"
	// among them (OIDC Core §5.4).
	Scopes []string
	// ClientID is the client that will see the claims.
	ClientID string
	// Names are claims that the client asked for one by one and the user
	// allowed, of those in [Config.Claims] (OIDC Core §5.5). They are allowed
	// whatever the scopes; one that is unknown for the account is left out.
	Names []string
	// IDToken is true when the claims go into an ID token and false for
	// userinfo.
	IDToken bool
}

// Has reports whether scope was granted, by itself or with a wider one.
func (c ClaimsRequest) Has(scope string) bool {
	for _, s := range c.Scopes {
		if s == scope {
			return true
		}
	}
	return false
}

// Claims are claim names and their JSON values.
type Claims map[string]any

// Interaction is one authorization request on its way through the host's
// sign-in.
type Interaction struct {
	// ID is the opaque interaction id. It is empty when the person only wants
	// to see a Lockspire page, such as the authorized apps.
	ID string
	// ReturnTo is the path on this origin to come back to after sign-in.
	ReturnTo string
	// ClientID and ClientName say who asks. ClientName comes from the client's
	// registration and is untrusted text.
	ClientID, ClientName string
	// Need says what the request demands of the sign-in.
	Need Need
}

// Need is what an authorization request demands of the sign-in. LoginHint and
// UILocales are untrusted text from the request (OIDC Core §3.1.2.1).
type Need struct {
	Reauthenticate, SelectAccount, Create bool
	MaxAge                                *time.Duration
	ACRValues                             []string
	LoginHint                             string
	UILocales                             []string
}

// AppendTo returns loginPath with return_to and interaction_id added to its
// query, keeping what is there. A fragment stays at the end.
func (i Interaction) AppendTo(loginPath string) string {
	query := url.Values{"return_to": {i.ReturnTo}, "interaction_id": {i.ID}}.Encode()
	loginPath, fragment, found := strings.Cut(loginPath, "#")
	if found {
		fragment = "#" + fragment
	}
	separator := "?"
	if strings.Contains(loginPath, "?") {
		separator = "&"
	}
	return loginPath + separator + query + fragment
}

// SafeReturnTo returns returnTo when it is a path on this origin, and fallback
// otherwise. A login handler calls it before it redirects: the parameter comes
// from the URL, and "//evil.example", "/\evil.example" or an absolute URL
// would leave the site (RFC 9700 §4.11).
func SafeReturnTo(returnTo, fallback string) string {
	if len(returnTo) == 0 || len(returnTo) > 2048 || returnTo[0] != '/' {
		return fallback
	}
	if strings.HasPrefix(returnTo, "//") {
		return fallback
	}
	for i := 0; i < len(returnTo); i++ {
		if c := returnTo[i]; c <= ' ' || c == '\\' || c >= 0x7f {
			return fallback
		}
	}
	u, err := url.Parse(returnTo)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil {
		return fallback
	}
	if strings.Contains(u.Path, "//") && dotSegments(u.Path) {
		// "/..//evil.example" is a path of this origin, but not any more once a
		// script or a proxy has resolved it.
		return fallback
	}
	return returnTo
}

// dotSegments reports whether a decoded path has a "." or ".." segment.
func dotSegments(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// currentAccount asks the host who is signed in. No account is nil; an error
// is ErrAccountGone, or a fault of which nothing may be concluded.
func (p *Provider) currentAccount(r *http.Request) (*Account, error) {
	account, err := p.config.Accounts.CurrentAccount(r)
	switch {
	case errors.Is(err, ErrNotSignedIn), errors.Is(err, ErrSignInIncomplete):
		return nil, nil
	case errors.Is(err, ErrAccountGone):
		return nil, ErrAccountGone
	case err != nil:
		return nil, hostFault(err)
	case account.Subject == "" || len(account.Subject) > 255 || !clean(account.Subject):
		return nil, hostFault(errors.New("CurrentAccount returned an account whose Subject is not 1 to 255 bytes of text"))
	}
	return &account, nil
}

// accountBySubject asks the host whether the account behind subject still exists.
// It returns ErrAccountGone, or a fault.
func (p *Provider) accountBySubject(ctx context.Context, subject string) (Account, error) {
	account, err := p.config.Accounts.AccountBySubject(ctx, subject)
	switch {
	case errors.Is(err, ErrAccountGone):
		return Account{}, ErrAccountGone
	case err != nil:
		return Account{}, hostFault(err)
	case account.Subject != subject:
		return Account{}, hostFault(errors.New("AccountBySubject returned another account"))
	}
	return account, nil
}
