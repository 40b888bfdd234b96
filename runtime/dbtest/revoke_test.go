package dbtest

import (
	"database/sql"
	"net/url"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

func revokeForm(client seeded, token string, more ...string) string {
	form := url.Values{"client_id": {client.client.ID}, "client_secret": {client.secret}, "token": {token}}
	for i := 0; i+1 < len(more); i += 2 {
		form.Add(more[i], more[i+1])
	}
	return form.Encode()
}

func TestA139RevokingARefreshTokenKillsTheFamily(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		for _, kind := range []string{"current", "rotated"} {
			p, clock, _ := protected(t, db, engine)
			client := seed(t, p, db, kind, clock.Now())
			token := accessToken(t, db, client.claimsOf(clock.Now()))
			presented := map[string]string{"current": client.refreshToken, "rotated": client.rotatedToken}[kind]
			if w := post(p, testIssuer+"/revoke", revokeForm(client, presented)); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Cache-Control") != "no-store" {
				t.Fatalf("%s: %d %s", kind, w.Code, w.Body)
			}
			wantChallenge(t, kind+": access token", callAPI(p, token), 401, "invalid_token")
			wantChallenge(t, kind+": userinfo", userinfo(p, token), 401, "invalid_token")
			if n := count(t, db, "SELECT COUNT(*) FROM lockspire_families WHERE id = $1 AND revoked_at IS NOT NULL AND reason = 'token_revoked'", client.familyID); n != 1 {
				t.Errorf("%s: the family is not revoked", kind)
			}
			if n := count(t, db, "SELECT COUNT(*) FROM lockspire_audit WHERE name = 'refresh.revoked' AND family_id = $1 AND subject = 'alice' AND client_id = $2", client.familyID, client.client.ID); n != 1 {
				t.Errorf("%s: %d audit rows", kind, n)
			}
			if n := count(t, db, "SELECT COUNT(*) FROM lockspire_grants WHERE id = $1 AND revoked_at IS NULL", client.grantID); n != 1 {
				t.Errorf("%s: the consent went with the token", kind)
			}
			db.Exec("DELETE FROM lockspire_clients")
		}
	})
}

func TestA139RevokingAnAccessTokenKillsItAlone(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, clock, client := protected(t, db, engine)
		claims := client.claimsOf(clock.Now())
		token := accessToken(t, db, claims)
		sibling := accessToken(t, db, with(claims, "jti", "sibling"))
		if w := post(p, testIssuer+"/revoke", revokeForm(client, token)); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		wantChallenge(t, "revoked", callAPI(p, token), 401, "invalid_token")
		if w := callAPI(p, sibling); w.Code != 200 {
			t.Errorf("a sibling died too: %d", w.Code)
		}
		if n := count(t, db, "SELECT COUNT(*) FROM lockspire_revoked_tokens WHERE jti = $1 AND expires_at >= $2",
			claims["jti"], clock.Now().Add(11*time.Minute).UnixMicro()); n != 1 {
			t.Error("the entry ends before the token's leeway does")
		}
		// The entry outlives the token and every leeway.
		clock.advance(10*time.Minute + 59*time.Second)
		runFor(t, p, 0)
		wantChallenge(t, "revoked, within the leeway", callAPI(p, token), 401, "invalid_token")
	})
}

func TestA135TokenTypeHintIsIgnored(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, clock, client := protected(t, db, engine)
		token := accessToken(t, db, client.claimsOf(clock.Now()))
		if w := post(p, testIssuer+"/revoke", revokeForm(client, token, "token_type_hint", "refresh_token")); w.Code != 200 || callAPI(p, token).Code != 401 {
			t.Errorf("access token with the wrong hint: %d, still alive", w.Code)
		}
		if w := post(p, testIssuer+"/revoke", revokeForm(client, client.refreshToken, "token_type_hint", "saml")); w.Code != 200 {
			t.Errorf("unknown hint: %d", w.Code)
		}
		if n := count(t, db, "SELECT COUNT(*) FROM lockspire_families WHERE revoked_at IS NOT NULL"); n != 1 {
			t.Error("the refresh token with an unknown hint is alive")
		}
	})
}

func TestA136AnotherClientsTokenStaysValid(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, clock, victim := protected(t, db, engine)
		thief := seed(t, p, db, "Thief", clock.Now())
		token := accessToken(t, db, victim.claimsOf(clock.Now()))
		for kind, stolen := range map[string]string{"refresh": victim.refreshToken, "access": token} {
			w := post(p, testIssuer+"/revoke", revokeForm(thief, stolen))
			if w.Code != 400 || !jsonError(w, "unauthorized_client") {
				t.Errorf("%s: %d %s", kind, w.Code, w.Body)
			}
			if callAPI(p, token).Code != 200 {
				t.Errorf("%s: the victim's token died", kind)
			}
		}
		if n := count(t, db, "SELECT COUNT(*) FROM lockspire_audit WHERE name = 'revocation.refused' AND client_id = $1 AND family_id = $2", thief.client.ID, victim.familyID); n != 2 {
			t.Errorf("%d audit rows of the attempts; want 2", n)
		}
	})
}

func TestA137PublicClientRevokesItsOwn(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, clock, client := protected(t, db, engine)
		mustExec(t, db, "UPDATE lockspire_clients SET token_endpoint_auth_method = 'none' WHERE id = $1", client.client.ID)
		token := accessToken(t, db, client.claimsOf(clock.Now()))
		form := url.Values{"client_id": {client.client.ID}, "token": {client.refreshToken}}
		if w := post(p, testIssuer+"/revoke", form.Encode()); w.Code != 200 || callAPI(p, token).Code != 401 {
			t.Errorf("%d; or the token lives on", w.Code)
		}
	})
}

func TestA138UnknownTokensAreFineAndFaultsAreNot(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, clock, client := protected(t, db, engine)
		claims := client.claimsOf(clock.Now())
		expired := accessToken(t, db, with(claims, "exp", clock.Now().Add(-time.Hour).Unix()))
		for name, token := range map[string]string{
			"unknown": "nothing-of-ours", "not our JWT": "a.b.c", "expired": expired,
			"ID token": forge(t, db, "RS256", "JWT", claims), "long": string(make([]byte, 20000)),
		} {
			w := post(p, testIssuer+"/revoke", revokeForm(client, token))
			if name == "long" {
				// NUL bytes are refused before any look-up.
				if w.Code != 400 {
					t.Errorf("%s: %d", name, w.Code)
				}
			} else if w.Code != 200 {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
		}
		if n := count(t, db, "SELECT COUNT(*) FROM lockspire_revoked_tokens"); n != 0 {
			t.Errorf("%d rows for tokens that are no live access tokens", n)
		}
		for range 2 {
			if w := post(p, testIssuer+"/revoke", revokeForm(client, client.refreshToken)); w.Code != 200 {
				t.Errorf("revoked twice: %d", w.Code)
			}
		}
		if w := post(p, testIssuer+"/revoke", revokeForm(client, "")); w.Code != 400 || !jsonError(w, "invalid_request") {
			t.Errorf("no token: %d %s", w.Code, w.Body)
		}
		if w := post(p, testIssuer+"/revoke?token=x", revokeForm(client, "x")); w.Code != 400 || !jsonError(w, "invalid_request") {
			t.Errorf("A64, token in the query: %d %s", w.Code, w.Body)
		}
		if w := post(p, testIssuer+"/revoke", revokeForm(client, "x", "token", "y")); w.Code != 400 {
			t.Errorf("A19, two tokens: %d %s", w.Code, w.Body)
		}
		db.Close()
		w := post(p, testIssuer+"/revoke", revokeForm(client, client.refreshToken))
		if w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("database down: %d %s", w.Code, w.Body)
		}
	})
}

func TestRevocationNeedsTheClient(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, clock, client := protected(t, db, engine)
		token := accessToken(t, db, client.claimsOf(clock.Now()))
		wrong := client
		wrong.secret = "guess"
		if w := post(p, testIssuer+"/revoke", revokeForm(wrong, client.refreshToken)); w.Code != 401 || !jsonError(w, "invalid_client") {
			t.Errorf("wrong secret: %d %s", w.Code, w.Body)
		}
		if w := send(p, "GET", testIssuer+"/revoke", nil); w.Code != 405 || w.Header().Get("Allow") != "POST, OPTIONS" {
			t.Errorf("GET: %d %v", w.Code, w.Header())
		}
		if callAPI(p, token).Code != 200 {
			t.Error("the token died without its client")
		}
	})
}
