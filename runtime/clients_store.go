package lockspire

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxClientName   = 200
	maxRedirectURIs = 20
)

// clientMetadata is the part of a registration that nothing is looked up by;
// it is stored as one JSON object, so that later fields need no new column.
type clientMetadata struct {
	URI       string `json:"client_uri,omitempty"`
	PolicyURI string `json:"policy_uri,omitempty"`
	TOSURI    string `json:"tos_uri,omitempty"`

	IntrospectsFor   []string `json:"introspects_for,omitempty"`
	IntrospectionAlg string   `json:"introspection_signed_response_alg,omitempty"`
	PKCEOptional     bool     `json:"pkce_optional,omitempty"`
	OpaqueAccess     bool     `json:"opaque_access_tokens,omitempty"`
}

func (c *Clients) create(ctx context.Context, n NewClient) (Client, string, error) {
	now := c.now()
	client := Client{
		ID: newID("client_"), Name: n.Name, AuthMethod: n.AuthMethod, RedirectURIs: n.RedirectURIs,
		GrantTypes: n.GrantTypes, Scopes: n.Scopes, Resources: n.Resources, IDTokenAlg: n.IDTokenAlg,
		Trusted: n.Trusted, URI: n.URI, PolicyURI: n.PolicyURI, TOSURI: n.TOSURI,
		IntrospectsFor: n.IntrospectsFor, IntrospectionAlg: n.IntrospectionAlg, PKCEOptional: n.PKCEOptional,
		OpaqueAccessTokens: n.OpaqueAccessTokens,
		CreatedAt:          stored(now), UpdatedAt: stored(now),
	}
	fillClientDefaults(&client)
	if err := validateClient(client); err != nil {
		return Client{}, "", err
	}
	secret := ""
	if client.Confidential() {
		secret = newToken()
	}
	e := newEvent(now, "client.created")
	e.ClientID = client.ID
	if client.PKCEOptional {
		e.Detail = map[string]string{"pkce": "optional"}
	}
	err := c.store.write(ctx, func(t tx) error {
		if err := insertClient(ctx, t, client); err != nil {
			return err
		}
		if secret != "" {
			if _, err := t.exec(ctx, `INSERT INTO @.lockspire_client_secrets (id, client_id, hash, created_at)
				VALUES ($1, $2, $3, $4)`, newID("secret_"), client.ID, hashToken(secret), micros(now)); err != nil {
				return err
			}
		}
		return t.audit(ctx, e)
	})
	if err != nil {
		return Client{}, "", err
	}
	c.tell(ctx, e)
	return client, secret, nil
}

func fillClientDefaults(c *Client) {
	if c.AuthMethod == "" {
		c.AuthMethod = AuthClientSecretBasic
	}
	if resourceServer := len(c.IntrospectsFor) > 0 && len(c.RedirectURIs) == 0; len(c.GrantTypes) == 0 && resourceServer {
		c.GrantTypes = []string{}
	} else if len(c.GrantTypes) == 0 {
		c.GrantTypes = []string{grantAuthorizationCode, grantRefreshToken}
	}
	if len(c.Scopes) == 0 && slices.Contains(c.GrantTypes, grantAuthorizationCode) {
		c.Scopes = []string{"openid"}
	}
	if c.RedirectURIs == nil {
		c.RedirectURIs = []string{}
	}
	if c.Scopes == nil {
		c.Scopes = []string{}
	}
	if c.IDTokenAlg == "" {
		c.IDTokenAlg = algRS256
	}
	if c.IntrospectionAlg == "" {
		c.IntrospectionAlg = algRS256
	}
}

// validateClient reports every problem of a registration, each with the
// field's name.
func validateClient(c Client) error {
	var problems []error
	refuse := func(field, format string, args ...any) {
		problems = append(problems, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
	if err := validateClientName(c.Name); err != nil {
		refuse("Name", "%v", err)
	}
	if !slices.Contains([]string{AuthNone, AuthClientSecretBasic, AuthClientSecretPost}, c.AuthMethod) {
		refuse("AuthMethod", "%q is not %s, %s or %s", c.AuthMethod, AuthNone, AuthClientSecretBasic, AuthClientSecretPost)
	}
	interactive := slices.Contains(c.GrantTypes, grantAuthorizationCode)
	if interactive && len(c.RedirectURIs) == 0 || len(c.RedirectURIs) > maxRedirectURIs {
		refuse("RedirectURIs", "%d given; between 1 and %d are required", len(c.RedirectURIs), maxRedirectURIs)
	}
	for _, uri := range c.RedirectURIs {
		if err := validateRedirectURI(uri); err != nil {
			refuse("RedirectURIs", "%q: %v", uri, err)
		}
	}
	for _, problem := range grantProblems(c) {
		refuse("GrantTypes", "%s", problem)
	}
	if len(c.GrantTypes) > 0 && len(c.Scopes) == 0 || !interactive && slices.ContainsFunc(c.Scopes, userScope) {
		refuse("Scopes", "a client without users needs at least one scope, and none of openid and offline_access")
	}
	for _, scope := range c.Scopes {
		if tokens, err := parseScope(scope); err != nil || len(tokens) != 1 || tokens[0] != scope {
			refuse("Scopes", "%q is not one scope token (RFC 6749 §3.3)", scope)
		}
	}
	if c.PKCEOptional && !c.Confidential() {
		refuse("PKCEOptional", "a client without a secret has nothing else that ties a code to it (RFC 9700 §2.1.1)")
	}
	for _, resource := range c.IntrospectsFor {
		if _, ok := resourceKey(resource); !ok {
			refuse("IntrospectsFor", "%q is not an absolute URL without fragment (RFC 8707 §2)", resource)
		}
	}
	if len(c.IntrospectsFor) > 0 && !c.Confidential() {
		refuse("IntrospectsFor", "a client without a secret could be anybody (RFC 7662 §2.1)")
	}
	for _, resource := range c.Resources {
		if u, err := url.Parse(resource); err != nil || !u.IsAbs() || strings.Contains(resource, "#") {
			refuse("Resources", "%q is not an absolute URL without fragment (RFC 8707 §2)", resource)
		}
	}
	if c.IDTokenAlg != algRS256 && c.IDTokenAlg != algES256 {
		refuse("IDTokenAlg", "%q is not RS256 or ES256", c.IDTokenAlg)
	}
	if c.IntrospectionAlg != algRS256 && c.IntrospectionAlg != algES256 {
		refuse("IntrospectionAlg", "%q is not RS256 or ES256", c.IntrospectionAlg)
	}
	links := []struct{ field, uri string }{{"URI", c.URI}, {"PolicyURI", c.PolicyURI}, {"TOSURI", c.TOSURI}}
	for _, link := range links {
		if link.uri != "" && !isHTTPSLink(link.uri) {
			refuse(link.field, "%q is not an https URL", link.uri)
		}
	}
	return errors.Join(problems...)
}

// isHTTPSLink reports whether uri is one that a page may link to for a client.
func isHTTPSLink(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil
}

// grantProblems says why a client cannot have its grant types.
func grantProblems(c Client) []string {
	var problems []string
	known := []string{grantAuthorizationCode, grantRefreshToken, grantClientCredentials}
	for _, grant := range c.GrantTypes {
		if !slices.Contains(known, grant) {
			problems = append(problems, fmt.Sprintf("%q is not %s, %s or %s", grant, known[0], known[1], known[2]))
		}
	}
	interactive := slices.Contains(c.GrantTypes, grantAuthorizationCode)
	machine := slices.Contains(c.GrantTypes, grantClientCredentials)
	switch {
	case machine && !c.Confidential():
		problems = append(problems, "client_credentials is for clients with a secret (RFC 6749 §4.4)")
	case len(c.GrantTypes) == 0 && len(c.IntrospectsFor) > 0:
	case !interactive && !machine:
		problems = append(problems, "authorization_code is missing; refresh_token alone can never begin")
	case !interactive && slices.Contains(c.GrantTypes, grantRefreshToken):
		problems = append(problems, "refresh_token without authorization_code; client_credentials gives none")
	}
	return problems
}

// validateClientName refuses what could make a consent page say something else
// than it seems to: controls, line breaks, and the invisible or direction
// changing characters (A54). Some of those are letters and marks to Unicode: the
// Hangul fillers, the grapheme joiner, the blank of Braille.
func validateClientName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return errors.New("is required: the consent page shows it")
	case len(name) > maxClientName:
		return fmt.Errorf("is longer than %d bytes", maxClientName)
	case !utf8.ValidString(name):
		return errors.New("is not UTF-8")
	}
	for _, c := range name {
		if unicode.IsControl(c) || unicode.Is(unicode.Cf, c) || unicode.Is(unicode.Zl, c) || unicode.Is(unicode.Zp, c) ||
			unicode.Is(unicode.Other_Default_Ignorable_Code_Point, c) || c == '\u2800' {
			return fmt.Errorf("contains the invisible character %U", c)
		}
	}
	return nil
}

func insertClient(ctx context.Context, t tx, c Client) error {
	lists := make([]string, 4)
	for i, list := range [][]string{c.RedirectURIs, c.GrantTypes, c.Scopes, c.Resources} {
		if list == nil {
			list = []string{}
		}
		encoded, err := json.Marshal(list)
		if err != nil {
			return err
		}
		lists[i] = string(encoded)
	}
	metadata, err := json.Marshal(clientMetadata{URI: c.URI, PolicyURI: c.PolicyURI, TOSURI: c.TOSURI,
		IntrospectsFor: c.IntrospectsFor, IntrospectionAlg: c.IntrospectionAlg, PKCEOptional: c.PKCEOptional, OpaqueAccess: c.OpaqueAccessTokens})
	if err != nil {
		return err
	}
	trusted := 0
	if c.Trusted {
		trusted = 1
	}
	_, err = t.exec(ctx, `INSERT INTO @.lockspire_clients
		(id, name, token_endpoint_auth_method, redirect_uris, grant_types, scopes, resources,
		 id_token_signed_response_alg, trusted, metadata, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		c.ID, c.Name, c.AuthMethod, lists[0], lists[1], lists[2], lists[3],
		c.IDTokenAlg, trusted, string(metadata), micros(c.CreatedAt), micros(c.UpdatedAt))
	return err
}

// clientColumns selects a client c for scanClient.
const clientColumns = `c.id, c.name, c.token_endpoint_auth_method, c.redirect_uris, c.grant_types, c.scopes,
	c.resources, c.id_token_signed_response_alg, c.trusted, c.metadata, c.created_at, c.updated_at, c.disabled_at`

func scanClient(scan func(...any) error) (Client, error) {
	var c Client
	var redirects, grants, scopes, resources, metadata string
	var trusted int
	var created, updated, disabled sql.NullInt64
	if err := scan(&c.ID, &c.Name, &c.AuthMethod, &redirects, &grants, &scopes, &resources,
		&c.IDTokenAlg, &trusted, &metadata, &created, &updated, &disabled); err != nil {
		return c, err
	}
	for _, list := range []struct {
		name, text string
		target     *[]string
	}{
		{"redirect_uris", redirects, &c.RedirectURIs}, {"grant_types", grants, &c.GrantTypes},
		{"scopes", scopes, &c.Scopes}, {"resources", resources, &c.Resources},
	} {
		var err error
		if *list.target, err = parseList(list.text); err != nil {
			return c, fmt.Errorf("client %s: stored %s: %w", c.ID, list.name, err)
		}
	}
	meta := clientMetadata{IntrospectionAlg: algRS256}
	if err := json.Unmarshal([]byte(metadata), &meta); err != nil {
		return c, fmt.Errorf("client %s: stored metadata: %w", c.ID, err)
	}
	c.URI, c.PolicyURI, c.TOSURI, c.IntrospectsFor = meta.URI, meta.PolicyURI, meta.TOSURI, meta.IntrospectsFor
	c.Trusted, c.PKCEOptional, c.IntrospectionAlg = trusted != 0, meta.PKCEOptional, meta.IntrospectionAlg
	c.OpaqueAccessTokens = meta.OpaqueAccess
	c.CreatedAt, c.UpdatedAt, c.DisabledAt = fromMicros(created), fromMicros(updated), fromMicros(disabled)
	return c, nil
}

func (c *Clients) get(ctx context.Context, id string) (Client, error) {
	client, err := scanClient(c.store.read().queryRow(ctx,
		`SELECT `+clientColumns+` FROM @.lockspire_clients c WHERE c.id = $1`, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Client{}, ErrClientNotFound
	}
	if err != nil {
		return Client{}, fmt.Errorf("%w: reading a client: %w", errUnavailable, err)
	}
	return client, nil
}

func (c *Clients) list(ctx context.Context) ([]Client, error) {
	rows, err := c.store.read().query(ctx, `SELECT `+clientColumns+` FROM @.lockspire_clients c
		ORDER BY c.created_at DESC, c.id`)
	if err != nil {
		return nil, fmt.Errorf("%w: listing clients: %w", errUnavailable, err)
	}
	defer rows.Close()
	var all []Client
	for rows.Next() {
		client, err := scanClient(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("%w: listing clients: %w", errUnavailable, err)
		}
		all = append(all, client)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%w: listing clients: %w", errUnavailable, err)
	}
	return all, nil
}

// getWithSecrets is get and, in the same statement, the SHA-256 of each secret of
// the client that is live at now; during a rotation there are two.
func (c *Clients) getWithSecrets(ctx context.Context, id string, now time.Time) (Client, [][]byte, error) {
	fault := func(err error) (Client, [][]byte, error) {
		return Client{}, nil, fmt.Errorf("%w: reading a client: %w", errUnavailable, err)
	}
	rows, err := c.store.read().query(ctx, `SELECT `+clientColumns+`, s.hash FROM @.lockspire_clients c
		LEFT JOIN @.lockspire_client_secrets s ON s.client_id = c.id AND (s.expires_at IS NULL OR s.expires_at > $2)
		WHERE c.id = $1`, id, micros(now))
	if err != nil {
		return fault(err)
	}
	defer rows.Close()
	var client Client
	var hashes [][]byte
	for rows.Next() {
		var hash []byte
		client, err = scanClient(func(targets ...any) error { return rows.Scan(append(targets, &hash)...) })
		if err != nil {
			return fault(err)
		}
		if hash != nil {
			hashes = append(hashes, hash)
		}
	}
	if err := rows.Err(); err != nil {
		return fault(err)
	}
	if client.ID == "" {
		return Client{}, nil, ErrClientNotFound
	}
	return client, hashes, nil
}

// disable stops a client and ends every grant it has, in one transaction
// (A186).
func (c *Clients) disable(ctx context.Context, clientID string) error {
	e := newEvent(c.now(), "client.disabled")
	e.ClientID = clientID
	known, changed := false, false
	err := c.store.write(ctx, func(t tx) error {
		won, err := claimed(t.exec(ctx, `UPDATE @.lockspire_clients SET disabled_at = $1, updated_at = $1
			WHERE id = $2 AND disabled_at IS NULL`, micros(e.At), clientID))
		if err != nil {
			return err
		}
		if known, changed = won, won; !won {
			// Disabled before, or never there.
			var one int
			err := t.queryRow(ctx, `SELECT 1 FROM @.lockspire_clients WHERE id = $1`, clientID).Scan(&one)
			if known = err == nil; errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			return err
		}
		if _, err := t.exec(ctx, `UPDATE @.lockspire_families SET revoked_at = $1, reason = $2
			WHERE revoked_at IS NULL AND grant_id IN
				(SELECT id FROM @.lockspire_grants WHERE client_id = $3)`, micros(e.At), reasonClientDisabled, clientID); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE @.lockspire_grants SET revoked_at = $1, expires_at = `+grantEnd+`
			WHERE client_id = $2 AND revoked_at IS NULL`, micros(e.At), clientID); err != nil {
			return err
		}
		return t.audit(ctx, e)
	})
	switch {
	case err != nil:
		return err
	case !known:
		return ErrClientNotFound
	case changed:
		c.tell(ctx, e)
	}
	return nil
}

// tell passes events on after a commit, where there is somebody to tell.
func (c *Clients) tell(ctx context.Context, events ...Event) {
	if c.emit != nil {
		c.emit(ctx, events...)
	}
}

// stored is t as it comes back from a row.
func stored(t time.Time) time.Time { return time.UnixMicro(t.UnixMicro()).UTC() }
