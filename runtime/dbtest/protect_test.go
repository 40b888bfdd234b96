package dbtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// api is a host's own API behind Protect. It answers with what it was told.
func api(p *lockspire.Provider, options ...lockspire.ProtectOption) http.Handler {
	return p.Protect(options...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := lockspire.TokenFrom(r.Context())
		if !ok {
			fmt.Fprint(w, "no token")
			return
		}
		r.ParseForm()
		fmt.Fprintf(w, "%s %s %s %s", token.Subject, token.ClientID, strings.Join(token.Scopes, "+"), r.PostForm.Get("note"))
	}))
}

// callAPI calls an API that asks for a token and nothing else.
func callAPI(p *lockspire.Provider, token string) *httptest.ResponseRecorder {
	return send(api(p), "GET", "https://app.example/api/notes", nil, "Authorization", "Bearer "+token)
}

// protected is a provider on a moved clock with one seeded client.
func protected(t *testing.T, db *sql.DB, engine lockspire.Dialect) (*lockspire.Provider, *clock, seeded) {
	clock := newClock()
	config := baseConfig(db, engine)
	config.Now = clock.Now
	config.Resources = []lockspire.Resource{{Identifier: testResource}, {Identifier: "https://app.example/other"}}
	p := mustNew(t, config)
	return p, clock, seed(t, p, db, "Partner", clock.Now())
}

// wantChallenge checks status, error code and the resource metadata of a
// refusal. An empty code means that there must be none.
func wantChallenge(t *testing.T, name string, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	challenge := w.Header().Get("WWW-Authenticate")
	if w.Code != status {
		t.Errorf("%s: status %d (%s), want %d", name, w.Code, w.Body, status)
	}
	if code == "" {
		if strings.Contains(challenge, "error") || w.Body.Len() != 0 {
			t.Errorf("%s: %q %s; want no error code", name, challenge, w.Body)
		}
	} else if !strings.Contains(challenge, `error="`+code+`"`) || !strings.Contains(w.Body.String(), `"error":"`+code+`"`) {
		t.Errorf("%s: %q %s; want error %s", name, challenge, w.Body, code)
	}
	if !strings.HasPrefix(challenge, "Bearer ") || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%s: headers %v", name, w.Header())
	}
}

func TestProtectAdmitsALiveTokenAndTellsTheHandler(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, clock, client := protected(t, db, engine)
		token := accessToken(t, db, client.claimsOf(clock.Now()))
		w := send(api(p, lockspire.RequireScope("notes:read")), "GET", "https://app.example/api", nil, "Authorization", "bearer "+token)
		if w.Code != 200 || w.Body.String() != "alice "+client.client.ID+" openid+notes:read " {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		// The handler still reads the body, which Protect looked at.
		w = post(api(p), "https://app.example/api", "note=hello", "Authorization", "Bearer "+token)
		if w.Code != 200 || !strings.HasSuffix(w.Body.String(), " hello") {
			t.Errorf("form: %d %s", w.Code, w.Body)
		}
	})
}

func TestA140WhereATokenMayBe(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, clock, client := protected(t, db, engine)
		token := accessToken(t, db, client.claimsOf(clock.Now()))
		bearer := "Bearer " + token
		const target = "https://app.example/api"
		requests := []struct {
			name   string
			send   func(h http.Handler, target string) *httptest.ResponseRecorder
			status int
			code   string
		}{
			{"no token", func(h http.Handler, target string) *httptest.ResponseRecorder { return send(h, "GET", target, nil) }, 401, ""},
			{"another scheme", func(h http.Handler, target string) *httptest.ResponseRecorder {
				return send(h, "GET", target, nil, "Authorization", "Basic YTpi")
			}, 401, ""},
			{"query", func(h http.Handler, target string) *httptest.ResponseRecorder {
				return send(h, "GET", target+"?access_token="+token, nil)
			}, 400, "invalid_request"},
			{"query, escaped name", func(h http.Handler, target string) *httptest.ResponseRecorder {
				return send(h, "GET", target+"?%61ccess_token=x", nil, "Authorization", bearer)
			}, 400, "invalid_request"},
			{"form", func(h http.Handler, target string) *httptest.ResponseRecorder {
				return post(h, target, "access_token="+token)
			}, 400, "invalid_request"},
			{"form and header", func(h http.Handler, target string) *httptest.ResponseRecorder {
				return post(h, target, "a=b&access_token="+token, "Authorization", bearer)
			}, 400, "invalid_request"},
			{"two headers", func(h http.Handler, target string) *httptest.ResponseRecorder {
				return send(h, "GET", target, nil, "Authorization", bearer, "Authorization", bearer)
			}, 400, "invalid_request"},
			{"two in one header", func(h http.Handler, target string) *httptest.ResponseRecorder {
				return send(h, "GET", target, nil, "Authorization", bearer+", "+bearer)
			}, 400, "invalid_request"},
			{"empty", func(h http.Handler, target string) *httptest.ResponseRecorder {
				return send(h, "GET", target, nil, "Authorization", "Bearer ")
			}, 400, "invalid_request"},
		}
		for _, request := range requests {
			w := request.send(api(p), target)
			wantChallenge(t, "resource, "+request.name, w, request.status, request.code)
			info := request.send(p, testIssuer+"/userinfo")
			wantChallenge(t, "userinfo, "+request.name, info, request.status, request.code)
			for _, challenge := range []string{w.Header().Get("WWW-Authenticate"), info.Header().Get("WWW-Authenticate")} {
				if want := `resource_metadata="https://app.example/.well-known/oauth-protected-resource"`; !strings.Contains(challenge, want) {
					t.Errorf("%s: %q lacks %s", request.name, challenge, want)
				}
			}
		}
	})
}

func TestA145MissingScopeNamesWhatIsNeeded(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, clock, client := protected(t, db, engine)
		token := accessToken(t, db, client.claimsOf(clock.Now()))
		w := send(api(p, lockspire.RequireScope("notes:read", "notes:write")), "GET", "https://app.example/api", nil, "Authorization", "Bearer "+token)
		wantChallenge(t, "scope", w, 403, "insufficient_scope")
		if !strings.Contains(w.Header().Get("WWW-Authenticate"), `scope="notes:read notes:write"`) {
			t.Errorf("challenge %q does not list the scopes", w.Header().Get("WWW-Authenticate"))
		}
		for name, option := range map[string]lockspire.ProtectOption{
			"scope": lockspire.RequireScope("notes:reed"), "resource": lockspire.ForResource("https://elsewhere.example"),
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("an undeclared %s was accepted by Protect", name)
					}
				}()
				p.Protect(option)
			}()
		}
	})
}

func TestA142AudienceOfAnotherResource(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, clock, client := protected(t, db, engine)
		const other = "https://app.example/other"
		good := client.claimsOf(clock.Now())
		for _, c := range []struct {
			audience                any
			resource, atOther, info int
		}{
			{testResource, 200, 401, 401},
			{[]string{testResource}, 200, 401, 401},
			{[]string{testResource, testIssuer}, 200, 401, 200},
			{[]string{testResource, other}, 401, 401, 401},
			{[]string{other, testIssuer}, 401, 200, 200},
			{testIssuer, 401, 401, 200},
			{"https://app.example/", 401, 401, 401},
			{[]string{}, 401, 401, 401},
			{nil, 401, 401, 401},
		} {
			bearer := "Bearer " + accessToken(t, db, with(good, "aud", c.audience))
			got := []int{
				send(api(p), "GET", "https://app.example/api", nil, "Authorization", bearer).Code,
				send(api(p, lockspire.ForResource(other)), "GET", "https://app.example/api", nil, "Authorization", bearer).Code,
				send(p, "GET", testIssuer+"/userinfo", nil, "Authorization", bearer).Code,
			}
			if want := []int{c.resource, c.atOther, c.info}; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("aud %v: resource, other, userinfo answer %v; want %v", c.audience, got, want)
			}
		}
		for _, issuer := range []any{"https://other.example/lockspire", testIssuer + "/", nil} {
			wantChallenge(t, fmt.Sprintf("iss %v", issuer), callAPI(p, accessToken(t, db, with(good, "iss", issuer))), 401, "invalid_token")
		}
	})
}

// A host's API may have the issuer as its identifier. A token for another API
// names the issuer too, for userinfo, and must not open it.
func TestA142IssuerAsAResourceIsAResourceLikeAnyOther(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		_, clock, client := protected(t, db, engine)
		config := baseConfig(db, engine)
		config.Now = clock.Now
		config.Resources = []lockspire.Resource{{Identifier: testResource}, {Identifier: testIssuer}}
		p := mustNew(t, config)
		good := client.claimsOf(clock.Now())
		for _, c := range []struct {
			audience            any
			atIssuer, atDefault int
		}{
			{[]string{testResource, testIssuer}, 401, 200},
			{testIssuer, 200, 401},
		} {
			bearer := "Bearer " + accessToken(t, db, with(good, "aud", c.audience))
			got := []int{
				send(api(p, lockspire.ForResource(testIssuer)), "GET", "https://app.example/api", nil, "Authorization", bearer).Code,
				send(api(p), "GET", "https://app.example/api", nil, "Authorization", bearer).Code,
			}
			if got[0] != c.atIssuer || got[1] != c.atDefault {
				t.Errorf("aud %v: %v, want %d at the issuer's API and %d at the other", c.audience, got, c.atIssuer, c.atDefault)
			}
			if info := send(p, "GET", testIssuer+"/userinfo", nil, "Authorization", bearer).Code; info != 200 {
				t.Errorf("aud %v: userinfo %d", c.audience, info)
			}
		}
	})
}

func TestA147LifeOfAToken(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, clock, client := protected(t, db, engine)
		now := clock.Now()
		good := client.claimsOf(now)
		for _, c := range []struct {
			name, claim string
			at          time.Duration
			status      int
		}{
			{"expired 90 s ago", "exp", -90 * time.Second, 401},
			{"expired 30 s ago", "exp", -30 * time.Second, 200},
			{"issued 90 s ahead", "iat", 90 * time.Second, 401},
			{"issued 30 s ahead", "iat", 30 * time.Second, 200},
			{"nbf 90 s ahead", "nbf", 90 * time.Second, 401},
			{"nbf 30 s ahead", "nbf", 30 * time.Second, 200},
		} {
			if w := callAPI(p, accessToken(t, db, with(good, c.claim, now.Add(c.at).Unix()))); w.Code != c.status {
				t.Errorf("%s: %d, want %d", c.name, w.Code, c.status)
			}
		}
		// No leeway for a token that was revoked.
		mustExec(t, db, "INSERT INTO lockspire_revoked_tokens (jti, expires_at) VALUES ('dead', $1)", now.UnixMicro())
		dead := with(with(good, "jti", "dead"), "exp", now.Add(-time.Second).Unix())
		wantChallenge(t, "revoked, within the leeway", callAPI(p, accessToken(t, db, dead)), 401, "invalid_token")
	})
}

func TestA141OnlyAccessTokensAreBearers(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, clock, client := protected(t, db, engine)
		good := client.claimsOf(clock.Now())
		bearers := map[string]string{"refresh token": client.refreshToken, "opaque": "abc"}
		for _, typ := range []string{"JWT", "logout+jwt", "dpop+jwt", "oauth-authz-req+jwt", "AT+JWT", "application/at+jwt"} {
			bearers[typ] = forge(t, db, "ES256", typ, good)
		}
		bearers["RS256 access token"] = forge(t, db, "RS256", "at+jwt", good)
		for name, bearer := range bearers {
			wantChallenge(t, name, callAPI(p, bearer), 401, "invalid_token")
			wantChallenge(t, name+" at userinfo", send(p, "GET", testIssuer+"/userinfo", nil, "Authorization", "Bearer "+bearer), 401, "invalid_token")
		}
	})
}

// Tokens signed with the right key but put together in ways that a lenient
// verifier takes, and tokens signed with something else.
func TestA76ToA82ForgedAndOddTokens(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, clock, client := protected(t, db, engine)
		kid, private := signingKey(t, db, "ES256")
		good := client.claimsOf(clock.Now())
		payload, err := json.Marshal(good)
		if err != nil {
			t.Fatal(err)
		}
		signWith := func(header map[string]any, payload []byte) string {
			options := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{}}
			for name, value := range header {
				options.ExtraHeaders[jose.HeaderKey(name)] = value
			}
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, options)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := signer.Sign(payload)
			if err != nil {
				t.Fatal(err)
			}
			token, err := signed.CompactSerialize()
			if err != nil {
				t.Fatal(err)
			}
			return token
		}
		encode := base64.RawURLEncoding.EncodeToString
		plain := map[string]any{"typ": "at+jwt", "kid": kid}
		token := signWith(plain, payload)
		if w := callAPI(p, token); w.Code != 200 {
			t.Fatalf("the plain token is refused: %s", w.Body)
		}
		parts := strings.Split(token, ".")
		public, err := x509.MarshalPKIXPublicKey(publicOf(private))
		if err != nil {
			t.Fatal(err)
		}
		hmacHeader := encode([]byte(`{"alg":"HS256","kid":"` + kid + `","typ":"at+jwt"}`))
		mac := hmac.New(sha256.New, public)
		mac.Write([]byte(hmacHeader + "." + parts[1]))
		text := string(payload)

		odd := map[string]string{
			"A76 alg none":            encode([]byte(`{"alg":"none","kid":"`+kid+`","typ":"at+jwt"}`)) + "." + parts[1] + ".",
			"A76 alg none, signature": encode([]byte(`{"alg":"none","kid":"`+kid+`","typ":"at+jwt"}`)) + "." + parts[1] + "." + parts[2],
			"A76 HMAC of public key":  hmacHeader + "." + parts[1] + "." + encode(mac.Sum(nil)),
			"A77 no kid":              signWith(map[string]any{"typ": "at+jwt"}, payload),
			"A77 kid of another":      signWith(map[string]any{"typ": "at+jwt", "kid": strings.Repeat("B", 43)}, payload),
			"A77 kid with path":       signWith(map[string]any{"typ": "at+jwt", "kid": "../" + kid}, payload),
			"A77 kid with quote":      signWith(map[string]any{"typ": "at+jwt", "kid": "' OR 1=1 --"}, payload),
			"A77 kid of 10 KiB":       signWith(map[string]any{"typ": "at+jwt", "kid": strings.Repeat("k", 10<<10)}, payload),
			"A77 jku":                 signWith(map[string]any{"typ": "at+jwt", "kid": kid, "jku": "https://evil.example"}, payload),
			"A77 x5u":                 signWith(map[string]any{"typ": "at+jwt", "kid": kid, "x5u": "https://evil.example"}, payload),
			"A77 jwk":                 signWith(map[string]any{"typ": "at+jwt", "kid": kid, "jwk": map[string]string{"kty": "oct"}}, payload),
			"A78 crit":                signWith(map[string]any{"typ": "at+jwt", "kid": kid, "crit": []string{"x"}, "x": 1}, payload),
			"A80 duplicate claim":     signWith(plain, []byte(strings.Replace(text, "{", `{"sub":"mallory",`, 1))),
			"A80 wrong case":          signWith(plain, []byte(strings.Replace(text, "{", `{"AUD":"x",`, 1))),
			"A80 nested duplicate":    signWith(plain, []byte(strings.Replace(text, "{", `{"x":{"a":1,"a":2},`, 1))),
			"A80 not an object":       signWith(plain, []byte(`["a"]`)),
			"A80 trailing data":       signWith(plain, []byte(text+"{}")),
			"A80 null subject":        signWith(plain, []byte(strings.Replace(text, `"alice"`, "null", 1))),
			"A80 padding":             token + "=",
			"A80 four parts":          token + ".x",
			"A80 two parts":           parts[0] + "." + parts[1],
			"A80 JSON serialisation":  `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
			"A80 trailing bits":       parts[0] + "." + parts[1] + "." + lastBitFlipped(parts[2]),
			"A81 thousands of dots":   strings.Repeat(".", 5000),
			"A81 17 KiB":              token + strings.Repeat("a", 17<<10),
			"A81 deep JSON":           signWith(plain, []byte(strings.Replace(text, "{", `{"x":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+`,`, 1))),
			"A82 JWE":                 encode([]byte(`{"alg":"RSA1_5","enc":"A128GCM"}`)) + ".a.b.c.d",
		}
		for name, bearer := range odd {
			w := callAPI(p, bearer)
			if w.Code != 401 && w.Code != 400 {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
		}
	})
}

func TestA151DeadGrantsFamiliesAndClientsStopTokensAtOnce(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, clock, client := protected(t, db, engine)
		token := accessToken(t, db, client.claimsOf(clock.Now()))
		for _, c := range []struct{ name, kill, heal string }{
			{"family revoked", "UPDATE lockspire_families SET revoked_at = 1", "UPDATE lockspire_families SET revoked_at = NULL"},
			{"family over", "UPDATE lockspire_families SET expires_at = 1", "UPDATE lockspire_families SET expires_at = 9999999999999999"},
			{"grant revoked", "UPDATE lockspire_grants SET revoked_at = 1", "UPDATE lockspire_grants SET revoked_at = NULL"},
			{"client disabled", "UPDATE lockspire_clients SET disabled_at = 1", "UPDATE lockspire_clients SET disabled_at = NULL"},
			{"family of another client", "UPDATE lockspire_families SET client_id = '" + seed(t, p, db, "Other"+string(engine), clock.Now()).client.ID + "'", "UPDATE lockspire_families SET client_id = '" + client.client.ID + "'"},
		} {
			if w := callAPI(p, token); w.Code != 200 {
				t.Fatalf("before %s: %d", c.name, w.Code)
			}
			mustExec(t, db, c.kill)
			wantChallenge(t, c.name, callAPI(p, token), 401, "invalid_token")
			wantChallenge(t, c.name+", userinfo", send(p, "GET", testIssuer+"/userinfo", nil, "Authorization", "Bearer "+token), 401, "invalid_token")
			mustExec(t, db, c.heal)
		}
	})
}

func TestProtectAnswers503WhenTheDatabaseIsAway(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, clock, client := protected(t, db, engine)
		token := accessToken(t, db, client.claimsOf(clock.Now()))
		db.Close()
		w := callAPI(p, token)
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Header().Get("WWW-Authenticate") != "" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		if w := send(p, "GET", testIssuer+"/userinfo", nil, "Authorization", "Bearer "+token); w.Code != 503 {
			t.Errorf("userinfo: %d", w.Code)
		}
	})
}

func TestA170ProtectLetsPreflightsThrough(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, _, _ := protected(t, db, engine)
		w := send(api(p), "OPTIONS", "https://app.example/api", nil, "Origin", "https://spa.example", "Access-Control-Request-Method", "GET")
		if w.Code != 200 || w.Body.String() != "no token" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func TestProtectRecordsUseAtMostOnceAnHourInTheBackground(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		p, clock, client := protected(t, db, engine)
		lastUsed := func() time.Time {
			return time.UnixMicro(int64(count(t, db, "SELECT last_used_at FROM lockspire_grants WHERE id = $1", client.grantID)))
		}
		start := lastUsed()
		use := func() {
			callAPI(p, accessToken(t, db, client.claimsOf(clock.Now())))
			runFor(t, p, 0)
		}
		clock.advance(59 * time.Minute)
		use()
		if !lastUsed().Equal(start) {
			t.Error("last use was written within the hour")
		}
		clock.advance(time.Minute)
		use()
		if !lastUsed().Equal(clock.Now()) {
			t.Errorf("last use is %v, want %v", lastUsed(), clock.Now())
		}
	})
}
