package dbtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// control is what a server could be at best: handlers that run the statements
// of a request of the runtime, prepared, and sign or verify once. They parse,
// check and log nothing.
type control struct {
	b      *testing.B
	h      *host
	engine lockspire.Dialect
	key    *ecdsa.PrivateKey
	signer jose.Signer
	writer sync.Mutex

	client, keys, audit, live, family *sql.Stmt
}

func newControl(b *testing.B, h *host) *control {
	b.Helper()
	c := &control{b: b, h: h, engine: h.config.Dialect}
	var err error
	if c.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		b.Fatal(err)
	}
	c.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: c.key, KeyID: "control"}},
		(&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		b.Fatal(err)
	}
	c.client = c.prepare(`SELECT c.id, c.name, c.token_endpoint_auth_method, c.redirect_uris, c.grant_types, c.scopes, c.resources,
			c.id_token_signed_response_alg, c.trusted, c.metadata, c.created_at, c.updated_at, c.disabled_at, s.hash
		FROM lockspire_clients c
		LEFT JOIN lockspire_client_secrets s ON s.client_id = c.id AND (s.expires_at IS NULL OR s.expires_at > $2)
		WHERE c.id = $1`)
	c.keys = c.prepare(`SELECT kid, state FROM lockspire_keys WHERE kid IN ($1, $2)`)
	c.audit = c.prepare(`INSERT INTO lockspire_audit (id, at, name, client_id, subject, grant_id, family_id, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`)
	c.family = c.prepare(`SELECT f.revoked_at, f.expires_at FROM lockspire_families f WHERE f.id = $1`)
	c.live = c.prepare(`SELECT f.client_id, f.subject, f.grant_id, f.expires_at, f.claims,
			f.revoked_at, g.revoked_at, g.last_used_at, c.disabled_at, r.expires_at
		FROM lockspire_families f
		JOIN lockspire_grants g ON g.id = f.grant_id
		JOIN lockspire_clients c ON c.id = f.client_id
		JOIN lockspire_keys k ON k.kid = $3
		LEFT JOIN lockspire_revoked_tokens r ON r.jti = $2
		WHERE f.id = $1`)
	return c
}

func (c *control) prepare(query string) *sql.Stmt {
	c.b.Helper()
	if c.engine == lockspire.SQLite {
		query = strings.ReplaceAll(query, "$", "?")
	}
	statement, err := c.h.db.Prepare(query)
	if err != nil {
		c.b.Fatal(err)
	}
	c.b.Cleanup(func() { statement.Close() })
	return statement
}

// read runs a query and takes what columns it has.
func read(r *http.Request, statement *sql.Stmt, args ...any) error {
	rows, err := statement.QueryContext(r.Context(), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values := make([]any, len(columns))
	for i := range values {
		values[i] = new(sql.RawBytes)
	}
	for rows.Next() {
		if err := rows.Scan(values...); err != nil {
			return err
		}
	}
	return rows.Err()
}

// controlClaims are those of an access token as a struct: the least that making one can
// cost.
type controlClaims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience []string `json:"aud"`
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope"`
	ID       string   `json:"jti"`
	Issued   int64    `json:"iat"`
	Expires  int64    `json:"exp"`
	FamilyID string   `json:"fid,omitempty"`
}

func (c *control) token(claims controlClaims) (string, error) {
	claims.Issuer, claims.Issued = c.h.issuer, time.Now().Unix()
	claims.Audience, claims.Scope, claims.ID = []string{c.h.server.URL}, "notes:read", rand.Text()
	claims.Expires = claims.Issued + 600
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := c.signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// verify is bare go-jose.
func (c *control) verify(token string, key any) (controlClaims, error) {
	var claims controlClaims
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return claims, err
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return claims, err
	}
	return claims, json.Unmarshal(payload, &claims)
}

// clientCredentials is the token endpoint for one client of that grant.
func (c *control) clientCredentials(clientID string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		now := time.Now().UnixMicro()
		err := read(r, c.client, clientID, now)
		if err == nil {
			err = read(r, c.keys, "one", "other")
		}
		token := ""
		if err == nil {
			token, err = c.token(controlClaims{Subject: clientID, ClientID: clientID})
		}
		if err == nil {
			err = c.record(r, now, clientID)
		}
		answer(w, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 600, "scope": "notes:read"}, err)
	}
}

// record writes one audit row, durably. SQLite has one writer at a time: to wait
// for it in order is faster than its busy handler.
func (c *control) record(r *http.Request, now int64, clientID string) error {
	if c.engine == lockspire.SQLite {
		c.writer.Lock()
		defer c.writer.Unlock()
	}
	_, err := c.audit.ExecContext(r.Context(), "evt_"+rand.Text(), now, "client_token.issued", clientID, nil, nil, nil,
		`{"resource":"https://app.example","scope":"notes:read"}`)
	return err
}

// introspection is the introspection endpoint for one client and an access
// token that is a JWT.
func (c *control) introspection(clientID string, key any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var form url.Values
		if err == nil {
			form, err = url.ParseQuery(string(body))
		}
		var claims controlClaims
		if err == nil {
			err = read(r, c.client, clientID, time.Now().UnixMicro())
		}
		if err == nil {
			claims, err = c.verify(form.Get("token"), key)
		}
		if err == nil {
			err = read(r, c.live, claims.FamilyID, claims.ID, "control")
		}
		answer(w, map[string]any{"active": true, "scope": claims.Scope, "client_id": claims.ClientID, "token_type": "Bearer",
			"exp": claims.Expires, "iat": claims.Issued, "sub": claims.Subject, "aud": claims.Audience, "iss": claims.Issuer, "jti": claims.ID}, err)
	}
}

// protected verifies the request's token and reads one row by primary key.
func (c *control) protected(key any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		claims, err := c.verify(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), key)
		var revoked sql.NullInt64
		var expires int64
		if err == nil {
			err = c.family.QueryRowContext(r.Context(), claims.FamilyID).Scan(&revoked, &expires)
		}
		if err != nil || revoked.Valid {
			http.Error(w, fmt.Sprint(err), http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, "notes of %s", claims.Subject)
	}
}

func answer(w http.ResponseWriter, body any, err error) {
	encoded, marshalErr := json.Marshal(body)
	if err != nil || marshalErr != nil {
		http.Error(w, fmt.Sprint(err, marshalErr), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(encoded)
}
