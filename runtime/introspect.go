package lockspire

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// introspection is RFC 7662 §2.2. The scope is all that the token is good for:
// who asks has no catalogue to look up what a scope implies. The zero value is what everybody gets who
// may not know more, and it says nothing else: unknown, expired, revoked and
// another client's token cannot be told apart.
type introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Expires   int64    `json:"exp,omitempty"`
	Issued    int64    `json:"iat,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  []string `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	ID        string   `json:"jti,omitempty"`
	// How and when the user signed in (RFC 9470 §6.2).
	ACR      string `json:"acr,omitempty"`
	AuthTime int64  `json:"auth_time,omitempty"`
}

// serveIntrospect tells a confidential client about its own tokens, and a
// resource server about the access tokens that are meant for it (RFC 7662),
// signed where it asks for that (RFC 9701).
func (p *Provider) serveIntrospect(w http.ResponseWriter, r *http.Request) {
	client, answer, err := p.introspect(r)
	signed := ""
	if err == nil && wantsSigned(r) {
		signed, err = p.signIntrospection(r.Context(), client, answer)
	}
	if err != nil {
		p.writeJSONError(w, r, err)
		return
	}
	if signed == "" {
		writeJSON(w, http.StatusOK, answer)
		return
	}
	h := w.Header()
	h.Set("Content-Type", mediaIntrospection)
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	io.WriteString(w, signed)
}

func (p *Provider) introspect(r *http.Request) (Client, introspection, error) {
	client, token, err := p.presentedToken(r)
	if err != nil {
		return client, introspection{}, err
	}
	if !client.Confidential() {
		// Anyone can send a public client's id, so the answer would be public.
		return client, introspection{}, credentials{}.refuse()
	}
	if err := p.limitScan(r, client); err != nil {
		return client, introspection{}, err
	}
	// token_type_hint is ignored: both kinds are looked for (RFC 7662 §2.1).
	var answer introspection
	if tokenShaped(token) {
		// It may be a refresh token, which a JWT is not.
		answer, err = p.introspectRefresh(r.Context(), client, token)
	}
	if err == nil && !answer.Active {
		answer, err = p.introspectAccess(r.Context(), client, token)
	}
	if err == nil && !answer.Active {
		p.noteMiss(r, client)
	}
	return client, answer, err
}

// presentedToken reads a request about a token: who asks, and the token. Both
// are in the body, since logs keep URLs (RFC 9700 §4.3.2).
func (p *Provider) presentedToken(r *http.Request) (Client, string, error) {
	if query := parseParams(r.URL.RawQuery); len(query.values["token"]) > 0 || query.malformed["token"] {
		return Client{}, "", badRequest("The token must not be in the URL.")
	}
	client, err := p.authenticateClient(r)
	if err != nil {
		return Client{}, "", err
	}
	form := formOf(r)
	if err := form.check("token", "token_type_hint"); err != nil {
		return Client{}, "", err
	}
	token := form.get("token")
	if token == "" {
		return Client{}, "", badRequest("The token parameter is missing.")
	}
	return client, token, nil
}

// introspectRefresh knows a client's own refresh tokens. A resource server
// never sees one: none is meant for it. A rotated token is not active, though
// the token endpoint may still repeat its answer for a moment.
func (p *Provider) introspectRefresh(ctx context.Context, client Client, token string) (introspection, error) {
	var created, validUntil int64
	var rotated sql.NullInt64
	f, err := scanFamily(p.store.read().queryRow(ctx, `SELECT r.created_at, r.valid_until, r.rotated_at, `+familyColumns+`
		FROM @.lockspire_refresh_tokens r
		JOIN @.lockspire_families f ON f.id = r.family_id
		JOIN @.lockspire_grants g ON g.id = f.grant_id
		WHERE r.hash = $1`, hashToken(token)), p.now(), &created, &validUntil, &rotated)
	if errors.Is(err, sql.ErrNoRows) {
		return introspection{}, nil
	}
	if err != nil {
		return introspection{}, p.store.fault(err)
	}
	end := time.UnixMicro(validUntil)
	if f.clientID != client.ID || f.ended || rotated.Valid || !p.now().Before(end) {
		return introspection{}, nil
	}
	return introspection{
		Active: true, Scope: joinScopes(p.hierarchy.with(f.scopes)), ClientID: f.clientID, Subject: f.subject,
		Issued: time.UnixMicro(created).Unix(), Expires: end.Unix(), Issuer: p.config.Issuer,
	}, nil
}

// introspectAccess knows access tokens by the rules of Protect, but without
// leeway: to say that a token is active beside an exp that is past would be
// a contradiction.
func (p *Provider) introspectAccess(ctx context.Context, client Client, token string) (introspection, error) {
	claims, err := p.readAccessToken(ctx, token)
	if errors.Is(err, errBadJWT) {
		return introspection{}, nil
	}
	if err != nil {
		return introspection{}, err
	}
	live, err := p.checkLive(ctx, claims)
	if errors.Is(err, errInvalidToken) {
		return introspection{}, nil
	}
	if err != nil {
		return introspection{}, err
	}
	own := claims.ClientID == client.ID
	if !own && !p.introspectsFor(client, claims) || claims.CheckTime(p.now()) != nil || !p.now().Before(claims.ExpiresAt) {
		return introspection{}, nil
	}
	if !own && !claims.ClientOnly() {
		// A resource server asks because the token is being used there.
		p.lastUse.note(live.grantID, live.lastUsed, p.now())
	}
	answer := introspection{
		Active: true, Scope: joinScopes(p.hierarchy.with(strings.Fields(claims.Scope))), ClientID: claims.ClientID, TokenType: "Bearer", Subject: live.subject,
		Issued: claims.IssuedAt.Unix(), Expires: claims.ExpiresAt.Unix(),
		Audience: claims.Audience, Issuer: claims.Issuer, ID: claims.ID, ACR: claims.ACR,
	}
	if !claims.AuthTime.IsZero() {
		answer.AuthTime = claims.AuthTime.Unix()
	}
	return answer, nil
}

// introspectsFor reports whether client is a resource server that the token
// is meant for.
func (p *Provider) introspectsFor(client Client, claims accessClaims) bool {
	return slices.ContainsFunc(client.IntrospectsFor, func(mine string) bool {
		for _, resource := range p.config.Resources {
			if sameResource(resource.Identifier, mine) {
				return claims.CheckAudience(resource.Identifier, p.config.Issuer) == nil
			}
		}
		return false
	})
}

// limitScan refuses a client that asked about too many tokens that it may not
// know (RFC 7662 §4).
func (p *Provider) limitScan(r *http.Request, client Client) error {
	key := p.limitKey(r, client.ID)
	if key != "" && p.missed.count(key, 0, p.now()) >= maxTokenMisses {
		return errTooMany
	}
	return nil
}

func (p *Provider) noteMiss(r *http.Request, client Client) {
	if key := p.limitKey(r, client.ID); key != "" {
		p.missed.count(key, 1, p.now())
	}
}
