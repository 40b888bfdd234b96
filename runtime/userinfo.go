package lockspire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/lockspire/lockspire/runtime/internal/bearer"
)

// serveUserinfo answers OIDC Core §5.3. It admits an access token that is good
// for the issuer and carries openid, and it asks the host about the account
// each time: an account that is gone has no claims.
func (p *Provider) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	demands := protection{userinfo: true, Demands: bearer.Demands{Scopes: []string{"openid"},
		// A token for the default resource is good for userinfo too, so its
		// metadata is where a client without one begins.
		MetadataURL: resourceMetadataURL(p.config.Issuer, p.config.Resources[0].Identifier)}}
	token, ok := p.authorizeBearer(w, r, demands)
	if !ok {
		return
	}
	ctx := r.Context()
	account, err := p.config.Accounts.AccountBySubject(ctx, token.Subject)
	if err == nil && account.Subject != token.Subject {
		err = errors.New("AccountBySubject returned another account")
	}
	if err != nil {
		p.challenge(w, r, demands, accountError(err))
		return
	}
	claims, err := p.accountClaims(ctx, account, ClaimsRequest{
		Scopes: token.Scopes, ClientID: token.ClientID, Names: token.claims.Userinfo,
	})
	if err != nil {
		p.challenge(w, r, demands, err)
		return
	}
	claims["sub"] = token.Subject
	body, err := json.Marshal(claims)
	if err != nil {
		p.writeJSONError(w, r, fmt.Errorf("claims of the host are not JSON: %w", err))
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/json")
	w.Write(body)
}

// accountError keeps ErrAccountGone and makes any other answer of a host
// callback a fault: the host could not tell, so nothing is decided (503).
func accountError(err error) error {
	if errors.Is(err, ErrAccountGone) {
		return err
	}
	return hostFault(err)
}

// reservedClaims are the protocol's own. A host that could set them could
// forge a token's meaning (A150).
var reservedClaims = map[string]bool{
	"iss": true, "sub": true, "aud": true, "exp": true, "iat": true, "nbf": true, "jti": true,
	"nonce": true, "auth_time": true, "acr": true, "amr": true, "azp": true,
	"at_hash": true, "c_hash": true, "s_hash": true, "sid": true, "cnf": true,
	"scope": true, "client_id": true, "act": true, "may_act": true, "fid": true,
	"events": true, "authorization_details": true, "_claim_names": true, "_claim_sources": true,
}

// scopeOfClaim names the scope that each standard claim needs (OIDC Core
// §5.4).
var scopeOfClaim = map[string]string{
	"name": "profile", "family_name": "profile", "given_name": "profile", "middle_name": "profile",
	"nickname": "profile", "preferred_username": "profile", "profile": "profile", "picture": "profile",
	"website": "profile", "gender": "profile", "birthdate": "profile", "zoneinfo": "profile",
	"locale": "profile", "updated_at": "profile",
	"email": "email", "email_verified": "email",
	"address":      "address",
	"phone_number": "phone", "phone_number_verified": "phone",
}

// accountClaims asks the host for the claims that request allows. Reserved
// names, and standard claims whose scope was not granted, are dropped and
// logged once for each name. The result may be written to.
func (p *Provider) accountClaims(ctx context.Context, account Account, request ClaimsRequest) (Claims, error) {
	request.Scopes = p.hierarchy.with(request.Scopes)
	given, err := p.config.Accounts.Claims(ctx, account, request)
	if err != nil {
		return nil, accountError(err)
	}
	claims := make(Claims, len(given)+1)
	for name, value := range given {
		scope, standard := scopeOfClaim[name]
		switch {
		case reservedClaims[name]:
			p.warnOnce(ctx, name, "lockspire: a claim of the host was dropped: its name is reserved")
		case standard && !request.Has(scope) && !slices.Contains(request.Names, name):
			p.warnOnce(ctx, name, "lockspire: a claim of the host was dropped: its scope was not granted")
		default:
			claims[name] = value
		}
	}
	return claims, nil
}

// warnOnce logs message the first time that it concerns claim.
func (p *Provider) warnOnce(ctx context.Context, claim, message string) {
	if _, logged := p.warned.LoadOrStore(claim+" "+message, true); !logged {
		p.config.Logger.LogAttrs(ctx, slog.LevelWarn, message, slog.String("claim", claim))
	}
}
