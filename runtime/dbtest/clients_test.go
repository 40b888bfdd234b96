package dbtest

import (
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"reflect"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// jsonError reports whether a JSON error answer has that code.
func jsonError(w *httptest.ResponseRecorder, code string) bool {
	var body struct {
		Error string `json:"error"`
	}
	return json.Unmarshal(w.Body.Bytes(), &body) == nil && body.Error == code
}

func TestClientsComeBackAsTheyWereCreated(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		clients := lockspire.NewClients(db, engine, "")
		created, secret, err := clients.Create(t.Context(), lockspire.NewClient{
			Name: "Partner \"Ünïcode\"", RedirectURIs: []string{"https://a.example/cb", "http://127.0.0.1/cb"},
			AuthMethod: lockspire.AuthClientSecretPost, GrantTypes: []string{"authorization_code"},
			Scopes: []string{"openid", "notes:read"}, Resources: []string{"https://app.example"}, IDTokenAlg: "ES256", Trusted: true,
			URI: "https://a.example", PolicyURI: "https://a.example/policy", TOSURI: "https://a.example/tos",
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := clients.Get(t.Context(), created.ID)
		if err != nil || !reflect.DeepEqual(got, created) {
			t.Errorf("stored\n%+v\nread back\n%+v (%v)", created, got, err)
		}
		if len(secret) != 43 {
			t.Errorf("the secret has %d characters", len(secret))
		}
		hash := sha256.Sum256([]byte(secret))
		if n := count(t, db, "SELECT COUNT(*) FROM lockspire_client_secrets WHERE client_id = $1 AND hash = $2", created.ID, hash[:]); n != 1 {
			t.Error("A70: the secret is not stored as its SHA-256")
		}
		public, secret, err := clients.Create(t.Context(), lockspire.NewClient{Name: "App", RedirectURIs: []string{"com.example.app:/cb"}, AuthMethod: lockspire.AuthNone})
		if err != nil || secret != "" || public.Confidential() {
			t.Errorf("public client: secret %q, %v", secret, err)
		}
		if !reflect.DeepEqual(public.Scopes, []string{"openid"}) || public.IDTokenAlg != "RS256" || len(public.GrantTypes) != 2 {
			t.Errorf("defaults: %+v", public)
		}
		all, err := clients.List(t.Context())
		if err != nil || len(all) != 2 || all[0].ID != public.ID {
			t.Errorf("List, newest first: %+v %v", all, err)
		}
	})
}

func TestClientMetadataIsRefusedByFieldName(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		clients := lockspire.NewClients(db, engine, "")
		good := lockspire.NewClient{Name: "Partner", RedirectURIs: []string{"https://a.example/cb"}}
		for field, change := range map[string]func(*lockspire.NewClient){
			"Name:":         func(n *lockspire.NewClient) { n.Name = " " },
			"U+202E":        func(n *lockspire.NewClient) { n.Name = "Bank\u202e" },
			"U+200B":        func(n *lockspire.NewClient) { n.Name = "Ba\u200bnk" },
			"U+000A":        func(n *lockspire.NewClient) { n.Name = "Bank\n" },
			"RedirectURIs:": func(n *lockspire.NewClient) { n.RedirectURIs = nil },
			"wildcard":      func(n *lockspire.NewClient) { n.RedirectURIs = []string{"https://*.example/cb"} },
			"AuthMethod":    func(n *lockspire.NewClient) { n.AuthMethod = "private_key_jwt" },
			"GrantTypes":    func(n *lockspire.NewClient) { n.GrantTypes = []string{"password"} },
			"Scopes":        func(n *lockspire.NewClient) { n.Scopes = []string{"a b"} },
			"Resources":     func(n *lockspire.NewClient) { n.Resources = []string{"/relative"} },
			"IDTokenAlg":    func(n *lockspire.NewClient) { n.IDTokenAlg = "none" },
			"TOSURI":        func(n *lockspire.NewClient) { n.TOSURI = "javascript:alert(1)" },
		} {
			n := good
			change(&n)
			_, _, err := clients.Create(t.Context(), n)
			wantError(t, err, field)
		}
		_, _, err := clients.Create(t.Context(), lockspire.NewClient{})
		wantError(t, err, "Name", "RedirectURIs")
		if n := count(t, db, "SELECT COUNT(*) FROM lockspire_clients"); n != 0 {
			t.Errorf("%d clients were stored", n)
		}
	})
}

func TestA186DisablingAClientEndsItsGrants(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *sql.DB, engine lockspire.Dialect) {
		events := &eventLog{}
		config := baseConfig(db, engine)
		clock := newClock()
		config.Now, config.Events = clock.Now, events.add
		p := mustNew(t, config)
		client, other := seed(t, p, db, "Partner", clock.Now()), seed(t, p, db, "Other", clock.Now())
		token, otherToken := accessToken(t, db, client.claimsOf(clock.Now())), accessToken(t, db, other.claimsOf(clock.Now()))
		for range 2 {
			if err := p.Clients().Disable(t.Context(), client.client.ID); err != nil {
				t.Fatal(err)
			}
		}
		if callAPI(p, token).Code != 401 || callAPI(p, otherToken).Code != 200 {
			t.Error("the wrong tokens died")
		}
		if w := post(p, testIssuer+"/revoke", revokeForm(client, client.refreshToken)); w.Code != 401 || !jsonError(w, "invalid_client") {
			t.Errorf("the disabled client authenticates: %d", w.Code)
		}
		if n := count(t, db, "SELECT COUNT(*) FROM lockspire_grants WHERE revoked_at IS NULL"); n != 1 {
			t.Errorf("%d live grants; want the other client's", n)
		}
		if n := count(t, db, "SELECT COUNT(*) FROM lockspire_families WHERE reason = 'client_disabled'"); n != 1 {
			t.Errorf("%d families ended with the client", n)
		}
		if got := events.names(); got != "client.created client.created client.disabled" {
			t.Errorf("events: %s", got)
		}
		got, err := p.Clients().Get(t.Context(), client.client.ID)
		if err != nil || !got.DisabledAt.Equal(clock.Now()) {
			t.Errorf("Get: %+v %v", got, err)
		}
		if err := p.Clients().Disable(t.Context(), "client_unknown"); !errors.Is(err, lockspire.ErrClientNotFound) {
			t.Errorf("Disable of an unknown client: %v", err)
		}
		if _, err := p.Clients().Get(t.Context(), "client_unknown"); !errors.Is(err, lockspire.ErrClientNotFound) {
			t.Errorf("Get of an unknown client: %v", err)
		}
	})
}
