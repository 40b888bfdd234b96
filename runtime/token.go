package lockspire

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"slices"
	"time"
)

// The grant types of the token endpoint (RFC 6749 §4.1.3, §6).
const (
	grantAuthorizationCode = "authorization_code"
	grantRefreshToken      = "refresh_token"
)

// tokenParameters are the single-valued parameters of a token request. None
// may be in the URL (RFC 6749 §3.2, RFC 9700 §4.3.2).
var tokenParameters = append([]string{
	"grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "scope", "username", "password",
}, clientParameters...)

// tokenResponse is RFC 6749 §5.1 with OIDC Core §3.1.3.3. The scope is always
// stated.
type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	Scope        string `json:"scope"`

	// opaque is AccessToken, to be stored before it is let out; nil for a JWT.
	opaque *opaqueToken
}

// serveToken is the token endpoint (RFC 6749 §3.2).
func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request) {
	response, err := p.token(r)
	if err != nil {
		p.writeJSONError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, response)
}

func (p *Provider) token(r *http.Request) (*tokenResponse, error) {
	form := formOf(r)
	if err := form.check(tokenParameters...); err != nil {
		return nil, err
	}
	query := parseParams(r.URL.RawQuery)
	for _, name := range append([]string{"resource"}, tokenParameters...) {
		if len(query.values[name]) > 0 || query.malformed[name] {
			return nil, badRequest("Parameters must be in the body, not in the URL.")
		}
	}
	client, err := p.authenticateClient(r)
	if err != nil {
		return nil, err
	}
	grant := form.get("grant_type")
	switch grant {
	case grantAuthorizationCode, grantRefreshToken, grantClientCredentials:
	case "":
		return nil, badRequest("The grant_type is missing.")
	default:
		return nil, &oauthError{code: "unsupported_grant_type", description: "The grant_type is not supported."}
	}
	if !slices.Contains(client.GrantTypes, grant) {
		return nil, errGrantNotAllowed
	}
	switch grant {
	case grantRefreshToken:
		return p.refresh(r, client, form)
	case grantClientCredentials:
		return p.clientCredentials(r, client, form)
	}
	return p.redeem(r, client, form)
}

var errGrantNotAllowed = &oauthError{code: "unauthorized_client", description: "The client may not use this grant_type."}

// family is one approved authorization as its tokens see it.
type family struct {
	id, grantID, clientID, subject string
	sid, acr, nonce                string
	amr, scopes, resources         []string
	claims                         namedClaims
	resourceNamed                  bool
	authTime                       time.Time
	expiresAt                      time.Time
	// ended says that the family or its grant was revoked, or is over.
	ended bool
}

// familyColumns selects a family f and its grant g for scanFamily.
const familyColumns = `f.id, f.grant_id, f.client_id, f.subject, f.sid, f.acr, f.nonce, f.amr, f.scopes, f.resources,
	f.claims, f.resource_named, f.auth_time, f.expires_at, f.revoked_at, g.revoked_at`

// familyLive is the condition that tokens of family f under grant g of client
// c may still be issued.
const familyLive = `f.revoked_at IS NULL AND g.revoked_at IS NULL AND c.disabled_at IS NULL`

// scanFamily reads more, then familyColumns.
func scanFamily(row oneRow, now time.Time, more ...any) (family, error) {
	var f family
	var sid, acr, nonce, amr, claims sql.NullString
	var scopes, resources string
	var named int
	var authTime, revoked, grantRevoked sql.NullInt64
	var expires int64
	err := row.Scan(append(more, &f.id, &f.grantID, &f.clientID, &f.subject, &sid, &acr, &nonce, &amr, &scopes, &resources,
		&claims, &named, &authTime, &expires, &revoked, &grantRevoked)...)
	if err != nil {
		return f, err
	}
	f.sid, f.acr, f.nonce = sid.String, acr.String, nonce.String
	f.resourceNamed, f.authTime, f.expiresAt = named != 0, fromMicros(authTime), time.UnixMicro(expires)
	f.ended = revoked.Valid || grantRevoked.Valid || !now.Before(f.expiresAt)
	var errs [4]error
	f.scopes, errs[0] = parseList(scopes)
	f.resources, errs[1] = parseList(resources)
	if amr.Valid {
		f.amr, errs[2] = parseList(amr.String)
	}
	f.claims, errs[3] = decodeNamed(claims.String)
	return f, errors.Join(errs[:]...)
}

// refreshable reports whether client gets a refresh token for scopes: with
// offline access, or without OpenID Connect when its registration has the
// grant (OIDC Core §11 speaks of OpenID requests only).
func refreshable(client Client, scopes []string) bool {
	if !slices.Contains(client.GrantTypes, grantRefreshToken) {
		return false
	}
	return slices.Contains(scopes, scopeOffline) || !slices.Contains(scopes, scopeOpenID)
}

// revokeFamily ends a family with all that descends from it, and records e. A
// family that is ended already is only recorded.
func (t tx) revokeFamily(ctx context.Context, familyID, reason string, e Event) error {
	_, err := t.exec(ctx, `UPDATE @.lockspire_families SET revoked_at = $1, reason = $2 WHERE id = $3 AND revoked_at IS NULL`,
		micros(e.At), reason, familyID)
	if err != nil {
		return err
	}
	return t.audit(ctx, e)
}

// record writes an audit row for something that changed nothing else.
func (p *Provider) record(ctx context.Context, e Event) error {
	err := p.store.writeStatement(ctx, func(t tx) error { return t.audit(ctx, e) })
	if err == nil {
		p.emit(ctx, e)
	}
	return err
}

func (p *Provider) familyEvent(name string, f family, clientID string) Event {
	e := newEvent(p.now(), name)
	e.ClientID, e.Subject, e.GrantID, e.FamilyID = clientID, f.subject, f.grantID, f.id
	return e
}
