package main

import (
	"database/sql"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/lockspire/lockspire/bench/internal/ready"
)

// introspection does the reads of an introspection of a JWT and verifies its
// signature.
func (c *control) introspection() (http.Handler, ready.Workload, error) {
	offered := ready.Workload{Want: `"active":true`}
	reads, err := c.prepareAll(readLive, readClient)
	if err != nil {
		return nil, offered, err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := c.verify(tokenOf(r))
		if err == nil {
			err = read(r, reads[1], clientID, time.Now().UnixMicro())
		}
		var revoked sql.NullInt64
		if err == nil {
			err = reads[0].QueryRowContext(r.Context(), got.FamilyID, got.ID, keyID).Scan(&revoked)
		}
		answer(w, map[string]any{"active": !revoked.Valid, "scope": got.Scope, "client_id": got.ClientID, "token_type": "Bearer",
			"exp": got.Expires, "iat": got.Issued, "sub": got.Subject, "aud": got.Audience, "iss": got.Issuer, "jti": got.ID}, err)
	})
	for i := range people {
		token, err := c.token("user-"+strconv.Itoa(i), familyID(i), newID("at_"))
		if err != nil {
			return nil, offered, err
		}
		offered.Requests = append(offered.Requests, ready.Request{Method: "POST", Path: "/introspect", Body: "token=" + url.QueryEscape(token),
			Header: map[string]string{"Content-Type": form, "Authorization": basic()}})
	}
	return handler, offered, nil
}

const readLive = `SELECT f.revoked_at
		FROM lockspire_families f
		JOIN lockspire_grants g ON g.id = f.grant_id
		JOIN lockspire_clients c ON c.id = f.client_id
		JOIN lockspire_keys k ON k.kid = $3
		LEFT JOIN lockspire_revoked_tokens r ON r.jti = $2
		WHERE f.id = $1`
