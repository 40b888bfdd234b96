package dbtest

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// ownTokenForm asks for a token in the client's own name.
var ownTokenForm = url.Values{"grant_type": {"client_credentials"}, "scope": {"notes:read"}}

// BenchmarkProtect compares Protect on a JWT with bare verification of the same
// token and one read by primary key. It should take at most 1.5 times as long.
func BenchmarkProtect(b *testing.B) {
	onBenchEngines(b, func(b *testing.B, h *host) {
		partner := h.newApp()
		token := partner.redeem(partner.code()).Access
		request := protectedRequest(b, h, token)
		ours := handled(b, h.server.Config.Handler, request, "notes of ")
		bare := handled(b, newControl(b, h).protected(publicKeyOf(b, h, token)), request, "notes of ")
		b.Run("JWT", func(b *testing.B) {
			mine, other := compare(b, ours, bare)
			report(b, mine, other, false)
		})
	})
}

// BenchmarkClientCredentials compares the token endpoint with its control. It
// should give at least 0.7 times as many tokens.
func BenchmarkClientCredentials(b *testing.B) {
	onBenchEngines(b, func(b *testing.B, h *host) {
		job := h.newApp(machine)
		ours := served(b, h.provider, "/lockspire/token", ownTokenForm, job.basic(), `"access_token"`)
		bare := served(b, newControl(b, h).clientCredentials(job.ID), "/token", ownTokenForm, job.basic(), `"access_token"`)
		b.Run("ES256", func(b *testing.B) {
			mine, other := compare(b, ours, bare)
			report(b, mine, other, true)
		})
	})
}

// BenchmarkIntrospection compares the introspection endpoint with its control. It
// should answer at least 0.7 times as often.
func BenchmarkIntrospection(b *testing.B) {
	onBenchEngines(b, func(b *testing.B, h *host) {
		partner := h.newApp()
		token := partner.redeem(partner.code()).Access
		form := url.Values{"token": {token}}
		ours := served(b, h.provider, "/lockspire/introspect", form, partner.basic(), `"active":true`)
		bare := served(b, newControl(b, h).introspection(partner.ID, publicKeyOf(b, h, token)), "/introspect", form, partner.basic(), `"active":true`)
		b.Run("JWT", func(b *testing.B) {
			mine, other := compare(b, ours, bare)
			report(b, mine, other, true)
		})
	})
}

// BenchmarkRows compares requests on a database with 10^3 rows in each table and
// on one with 10^6, or 10^5 with -short. None should take 1.3 times as long.
func BenchmarkRows(b *testing.B) {
	many := 1_000_000
	if testing.Short() {
		many = 100_000
	}
	for _, engine := range engines {
		b.Run(string(engine), func(b *testing.B) {
			large, small := rowsHost(b, engine, many), rowsHost(b, engine, 1_000)
			for _, name := range slices.Sorted(maps.Keys(large)) {
				b.Run(name, func(b *testing.B) {
					mine, other := compare(b, large[name], small[name])
					report(b, mine, other, false)
				})
			}
		})
	}
}

// rowsHost is the requests to a host that has so many rows in each table.
func rowsHost(b *testing.B, engine lockspire.Dialect, rows int) map[string]func(n int) {
	b.Helper()
	h := benchHost(b, benchDB(b, engine), engine)
	partner, job := h.newApp(), h.newApp(machine)
	fillTables(b, h.db, engine, partner.ID, time.Now(), 0, rows)
	token := partner.redeem(partner.code()).Access
	jar := h.newBrowser()
	partner.consentTo(jar, "alice")
	return map[string]func(n int){
		"Protect":           handled(b, h.server.Config.Handler, protectedRequest(b, h, token), "notes of "),
		"ClientCredentials": served(b, h.provider, "/lockspire/token", ownTokenForm, job.basic(), `"access_token"`),
		"Introspection":     served(b, h.provider, "/lockspire/introspect", url.Values{"token": {token}}, partner.basic(), `"active":true`),
		"CodeFlow": func(n int) {
			for range n {
				if got := partner.redeem(partner.consentTo(jar, "alice")); got.status != http.StatusOK {
					b.Fatal(got.raw)
				}
			}
		},
	}
}

// protectedRequest is a request with a token, that can be given up as any that
// a server has.
func protectedRequest(b *testing.B, h *host, token string) *http.Request {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	b.Cleanup(cancel)
	request := httptest.NewRequest("GET", h.server.URL+"/api", nil).WithContext(ctx)
	request.Header.Set("Authorization", "Bearer "+token)
	return request
}

// publicKeyOf returns the key that a token is signed with, from the published
// set.
func publicKeyOf(b *testing.B, h *host, token string) any {
	b.Helper()
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		b.Fatal(err)
	}
	response, err := h.server.Client().Get(h.issuer + "/jwks")
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		b.Fatal(err)
	}
	found := set.Key(signed.Signatures[0].Header.KeyID)
	if len(found) != 1 {
		b.Fatalf("%d keys", len(found))
	}
	return found[0].Key
}
