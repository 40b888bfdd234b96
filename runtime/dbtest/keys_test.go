package dbtest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"database/sql"
	"encoding/json"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

func TestA177ReplicasThatStartAtOnceAgreeOnOneKeyForEachAlgorithm(t *testing.T) {
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			dsn := newDSN(t, engine)
			db := openDSN(t, engine, dsn)
			if err := lockspire.Migrate(t.Context(), db, engine, ""); err != nil {
				t.Fatal(err)
			}
			const replicas = 8
			providers := make([]*lockspire.Provider, replicas)
			start := make(chan struct{})
			var starting sync.WaitGroup
			for i := range replicas {
				pool := openDSN(t, engine, dsn)
				starting.Add(1)
				go func() {
					defer starting.Done()
					<-start
					p, err := lockspire.New(context.Background(), baseConfig(pool, engine))
					if err != nil {
						t.Error(err)
						return
					}
					providers[i] = p
				}()
			}
			close(start)
			starting.Wait()
			if t.Failed() {
				return
			}
			if n := count(t, db, "SELECT COUNT(*) FROM lockspire_keys WHERE state = 'active'"); n != 2 {
				t.Errorf("%d active keys; want one ES256 and one RS256", n)
			}
			if n := count(t, db, "SELECT COUNT(*) FROM lockspire_audit WHERE name = 'key.created'"); n != 2 {
				t.Errorf("%d audit rows of created keys; want 2", n)
			}
			first := send(providers[0], "GET", testIssuer+"/jwks", nil).Body.String()
			for i, p := range providers {
				if got := send(p, "GET", testIssuer+"/jwks", nil).Body.String(); got != first {
					t.Errorf("replica %d publishes %s, replica 0 %s", i, got, first)
				}
			}
		})
	}
}

func TestA177NewNamesTheSecretThatSealedKeysNeed(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		mustNew(t, baseConfig(db, engine))
		var id string
		if err := db.QueryRow("SELECT DISTINCT secret_id FROM lockspire_keys").Scan(&id); err != nil {
			t.Fatal(err)
		}
		fresh := bytes.Repeat([]byte{8}, 32)

		config := baseConfig(db, engine)
		config.Secrets = [][]byte{fresh}
		_, err := lockspire.New(t.Context(), config)
		wantError(t, err, id, "not listed")

		config.Secrets = [][]byte{fresh, testSecret}
		mustNew(t, config)

		config.Secrets = [][]byte{testSecret, fresh[:31]}
		_, err = lockspire.New(t.Context(), config)
		wantError(t, err, "Secrets[1]", "31 bytes", "32")
		config.Secrets = nil
		_, err = lockspire.New(t.Context(), config)
		wantError(t, err, "Secrets")
	})
}

func TestNewRefusesAKeyRowThatWasTamperedWith(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		mustNew(t, baseConfig(db, engine))
		var kid string
		var sealed []byte
		if err := db.QueryRow("SELECT kid, sealed FROM lockspire_keys WHERE alg = 'ES256'").Scan(&kid, &sealed); err != nil {
			t.Fatal(err)
		}
		changed := bytes.Clone(sealed)
		changed[len(changed)-1] ^= 1
		mustExec(t, db, "UPDATE lockspire_keys SET sealed = $1 WHERE kid = $2", changed, kid)
		_, err := lockspire.New(t.Context(), baseConfig(db, engine))
		wantError(t, err, kid, "does not open")

		// The same bytes under another kid.
		moved := strings.Repeat("A", 43)
		mustExec(t, db, "UPDATE lockspire_keys SET sealed = $1, kid = $2 WHERE kid = $3", sealed, moved, kid)
		_, err = lockspire.New(t.Context(), baseConfig(db, engine))
		wantError(t, err, moved, "does not open")
	})
}

func TestA176SigningKeysAreNotInTheDatabaseInClear(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		mustNew(t, baseConfig(db, engine))
		var dump []byte
		rows, err := db.Query("SELECT kid, public_jwk, sealed FROM lockspire_keys")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var kid, public string
			var sealed []byte
			if err := rows.Scan(&kid, &public, &sealed); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(public, `"d"`) {
				t.Errorf("the public JWK has a private member: %s", public)
			}
			dump = append(dump, kid+public...)
			dump = append(dump, sealed...)
		}
		rows.Close()
		for _, alg := range []string{"ES256", "RS256"} {
			var secret []byte
			switch _, private := signingKey(t, db, alg); key := private.(type) {
			case *ecdsa.PrivateKey:
				var err error
				if secret, err = key.Bytes(); err != nil {
					t.Fatal(err)
				}
			case *rsa.PrivateKey:
				secret = key.Primes[0].Bytes()
			}
			if len(secret) < 16 || bytes.Contains(dump, secret) {
				t.Errorf("the %s private key is in the dump", alg)
			}
		}
	})
}

func TestA169JWKSHasPublicMembersOfEveryPublishedKey(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p := mustNew(t, baseConfig(db, engine))
		w := send(p, "GET", testIssuer+"/jwks", nil)
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || !strings.Contains(w.Header().Get("Cache-Control"), "public, max-age=") {
			t.Errorf("GET /jwks: %d %v", w.Code, w.Header())
		}
		var set struct{ Keys []map[string]any }
		if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"EC": "alg crv kid kty use x y", "RSA": "alg e kid kty n use"}
		for _, key := range set.Keys {
			var members []string
			for name := range key {
				members = append(members, name)
			}
			sort.Strings(members)
			if got := strings.Join(members, " "); got != want[key["kty"].(string)] || key["use"] != "sig" {
				t.Errorf("%v key publishes %s", key["kty"], got)
			}
			delete(want, key["kty"].(string))
		}
		if len(want) != 0 {
			t.Errorf("not published: %v", want)
		}
		again := send(p, "GET", testIssuer+"/jwks", nil, "If-None-Match", `"x", W/`+w.Header().Get("ETag"))
		if again.Code != 304 || again.Body.Len() != 0 {
			t.Errorf("If-None-Match: %d with %d bytes", again.Code, again.Body.Len())
		}
	})
}

// Keys that another replica made are found by kid, retiring ones still verify,
// and keys past their time do not.
func TestKeysOfOtherReplicasAndRetiringKeysVerify(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		clock := newClock()
		config := baseConfig(db, engine)
		config.Now = clock.Now
		old := mustNew(t, config)
		client := seed(t, old, db, "Partner", clock.Now())
		oldToken := accessToken(t, db, client.claimsOf(clock.Now()))

		mustExec(t, db, "UPDATE lockspire_keys SET state = 'retiring', expires_at = $1 WHERE alg = 'ES256'",
			clock.Now().Add(5*time.Minute).UnixMicro())
		young := mustNew(t, config)
		newToken := accessToken(t, db, client.claimsOf(clock.Now()))

		for name, p := range map[string]*lockspire.Provider{"old": old, "young": young} {
			for kind, token := range map[string]string{"old": oldToken, "new": newToken} {
				if w := callAPI(p, token); w.Code != 200 {
					t.Errorf("%s replica, %s key: %d %s", name, kind, w.Code, w.Header().Get("WWW-Authenticate"))
				}
			}
		}
		clock.advance(5 * time.Minute)
		if w := send(old, "GET", testIssuer+"/jwks", nil); strings.Count(w.Body.String(), `"kid"`) != 2 {
			t.Errorf("after the retiring key's time: %s", w.Body)
		}
		if w := callAPI(old, oldToken); w.Code != 401 {
			t.Errorf("a key past its time verifies: %d", w.Code)
		}
		if w := callAPI(old, newToken); w.Code != 200 {
			t.Errorf("the new key: %d", w.Code)
		}
	})
}
