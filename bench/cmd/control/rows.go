package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

const (
	clientID = "client_AAAAAAAAAAAAAAAAAAAAAA"
	secret   = "6S2LoKDLHRpScyMxqbqgIX2hvXO5hlvY9Dl2SVJBCfQ"
	keyID    = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
	otherKey = "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"
	// people is how many have a grant, a family and a token.
	people = 64
)

// newTables makes the tables of the runtime, with a client, its secret, two keys
// and the grants of a few people.
func newTables(db *sql.DB, engine lockspire.Dialect) (*control, error) {
	c := &control{db: db, engine: engine}
	if err := lockspire.Migrate(context.Background(), db, engine, ""); err != nil {
		return nil, err
	}
	now, later := time.Now().UnixMicro(), time.Now().Add(24*time.Hour).UnixMicro()
	hash := sha256.Sum256([]byte(secret))
	inserts := []struct {
		query string
		args  []any
	}{
		{`INSERT INTO lockspire_clients (id, name, token_endpoint_auth_method, redirect_uris, grant_types, scopes, resources,
			id_token_signed_response_alg, trusted, metadata, created_at, updated_at)
			VALUES ($1, 'Machine', 'client_secret_basic', '[]', '["client_credentials"]', '["notes:read"]', '[]', 'RS256', 0, '{}', $2, $2)`,
			[]any{clientID, now}},
		{`INSERT INTO lockspire_client_secrets (id, client_id, hash, created_at) VALUES ('secret_1', $1, $2, $3)`, []any{clientID, hash[:], now}},
		{`INSERT INTO lockspire_keys (kid, alg, state, public_jwk, sealed, secret_id, created_at) VALUES ($1, 'ES256', 'active', '{}', $2, 'x', $3)`,
			[]any{keyID, hash[:], now}},
		{`INSERT INTO lockspire_keys (kid, alg, state, public_jwk, sealed, secret_id, created_at) VALUES ($1, 'RS256', 'active', '{}', $2, 'x', $3)`,
			[]any{otherKey, hash[:], now}},
	}
	for i := range people {
		n := strconv.Itoa(i)
		inserts = append(inserts, struct {
			query string
			args  []any
		}{`INSERT INTO lockspire_grants (id, client_id, subject, scopes, resources, created_at, last_used_at)
			VALUES ($1, $2, $3, '["notes:read"]', '[]', $4, $4)`, []any{"grant_" + n, clientID, "user-" + n, now}}, struct {
			query string
			args  []any
		}{`INSERT INTO lockspire_families (id, grant_id, client_id, subject, scopes, resources, created_at, expires_at)
			VALUES ($1, $2, $3, $4, '["notes:read"]', '[]', $5, $6)`, []any{familyID(i), "grant_" + n, clientID, "user-" + n, now, later}})
	}
	for _, insert := range inserts {
		statement, err := c.prepare(insert.query)
		if err != nil {
			return nil, err
		}
		if _, err := statement.Exec(insert.args...); err != nil {
			return nil, fmt.Errorf("%s: %w", insert.query, err)
		}
		statement.Close()
	}
	return c, nil
}

func familyID(i int) string { return "fam_" + strconv.Itoa(i) }

// claims are those of an access token, as a struct: the least that making one
// can cost.
type claims struct {
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

func (c *control) token(subject, family, id string) (string, error) {
	now := time.Now().Unix()
	payload, err := json.Marshal(claims{Issuer: "https://app.example/lockspire", Subject: subject, Audience: []string{"https://app.example"},
		ClientID: clientID, Scope: "notes:read", ID: id, Issued: now, Expires: now + 600, FamilyID: family})
	if err != nil {
		return "", err
	}
	signed, err := c.signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
