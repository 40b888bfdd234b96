package main

import (
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	lockspire "github.com/lockspire/lockspire/runtime"

	"github.com/lockspire/lockspire/bench/internal/ready"
)

// The statements of the runtime's requests.
const (
	insertAudit = `INSERT INTO lockspire_audit (id, at, name, client_id, subject, grant_id, family_id, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	readFamily = `SELECT revoked_at, expires_at FROM lockspire_families WHERE id = $1`
	readClient = `SELECT c.id, c.name, c.token_endpoint_auth_method, c.redirect_uris, c.grant_types, c.scopes, c.resources,
		c.id_token_signed_response_alg, c.trusted, c.metadata, c.created_at, c.updated_at, c.disabled_at, s.hash FROM lockspire_clients c
		LEFT JOIN lockspire_client_secrets s ON s.client_id = c.id AND (s.expires_at IS NULL OR s.expires_at > $2)
		WHERE c.id = $1`
	readKeys = `SELECT kid, state FROM lockspire_keys WHERE kid IN ($1, $2)`
)

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

func newID(prefix string) string {
	var b [16]byte
	rand.Read(b[:])
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// clientCredentials reads and writes what the runtime does, or only writes, and
// signs a token.
func (c *control) clientCredentials(writes bool) (http.Handler, ready.Workload, error) {
	statements, err := c.prepareAll(insertAudit, readClient, readKeys)
	if err != nil {
		return nil, ready.Workload{}, err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		var err error
		if !writes {
			err = errors.Join(read(r, statements[1], clientID, time.Now().UnixMicro()), read(r, statements[2], keyID, otherKey))
		}
		token := ""
		if err == nil {
			token, err = c.token(clientID, "", newID("at_"))
		}
		if err == nil {
			_, err = c.write(r, statements[0], newID("evt_"), time.Now().UnixMicro(), "client_token.issued", clientID, nil, nil, nil,
				`{"resource":"https://app.example","scope":"notes:read"}`)
		}
		answer(w, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 600, "scope": "notes:read"}, err)
	})
	return handler, ready.Workload{Want: `"access_token"`, Requests: []ready.Request{{
		Method: "POST", Path: "/token", Body: "grant_type=client_credentials&scope=notes%3Aread",
		Header: map[string]string{"Content-Type": form, "Authorization": basic()},
	}}}, nil
}

// write runs a statement that changes something. SQLite has one writer: waiting in
// order for it is faster than its busy handler.
func (c *control) write(r *http.Request, statement *sql.Stmt, args ...any) (sql.Result, error) {
	if c.engine == lockspire.SQLite {
		c.writer.Lock()
		defer c.writer.Unlock()
	}
	return statement.ExecContext(r.Context(), args...)
}

func basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(clientID+":"+secret))
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

// protect verifies a token's signature and reads one row by its primary key.
func (c *control) protect() (http.Handler, ready.Workload, error) {
	read, err := c.prepare(readFamily)
	if err != nil {
		return nil, ready.Workload{}, err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := c.verify(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		var revoked sql.NullInt64
		var expires int64
		if err == nil {
			err = read.QueryRowContext(r.Context(), got.FamilyID).Scan(&revoked, &expires)
		}
		if err != nil || revoked.Valid {
			http.Error(w, fmt.Sprint(err), http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, "notes of %s", got.Subject)
	})
	offered := ready.Workload{Want: "notes of user-"}
	for i := range people {
		token, err := c.token("user-"+strconv.Itoa(i), familyID(i), newID("at_"))
		if err != nil {
			return nil, offered, err
		}
		offered.Requests = append(offered.Requests, ready.Request{Method: "GET", Path: "/api", Header: map[string]string{"Authorization": "Bearer " + token}})
	}
	return handler, offered, nil
}

// verify is bare go-jose.
func (c *control) verify(token string) (claims, error) {
	var got claims
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return got, err
	}
	payload, err := signed.Verify(&c.key.PublicKey)
	if err != nil {
		return got, err
	}
	return got, json.Unmarshal(payload, &got)
}

func tokenOf(r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	token, _ := url.QueryUnescape(strings.TrimPrefix(string(body), "token="))
	return token
}
