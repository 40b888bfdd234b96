package dbtest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
	"github.com/lockspire/lockspire/runtime/resource"
)

// secondService is another program's API, which knows the issuer by its URL.
type secondService struct {
	http.Handler
	// metadata and jwks count what the issuer was asked for.
	metadata, jwks atomic.Int32
	next           http.RoundTripper
}

const billingAPI = "https://billing.example/api"

func (h *host) secondService(t *testing.T, options ...resource.Option) *secondService {
	t.Helper()
	s := &secondService{next: h.server.Client().Transport}
	verifier, err := resource.New(resource.Config{Issuer: h.issuer, Identifier: billingAPI, Now: h.clock.Now, HTTPClient: &http.Client{Transport: s}, Logger: h.config.Logger})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(verifier.Metadata())
	mux.Handle("/api/", verifier.Protect(options...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := resource.TokenFrom(r.Context())
		fmt.Fprintf(w, "%s %s %v", token.Subject, token.ClientID, token.ClientOnly)
	})))
	s.Handler = mux
	return s
}

func (s *secondService) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/jwks") {
		s.jwks.Add(1)
	} else {
		s.metadata.Add(1)
	}
	return s.next.RoundTrip(r)
}

func (s *secondService) call(token string) *httptest.ResponseRecorder {
	return send(s, "GET", "https://billing.example/api/invoices", nil, "Authorization", "Bearer "+token)
}

func TestA148ASecondServiceKnowsTheIssuerByItsPublishedKeys(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, job := h.newApp(), h.newApp(machine)
		s := h.secondService(t, resource.RequireScope("notes:read"))
		got := partner.redeem(partner.code("scope", "openid notes:read offline_access", "resource", billingAPI))
		if w := s.call(got.Access); w.Code != http.StatusOK || w.Body.String() != "alice "+partner.ID+" false" {
			t.Fatalf("a good token: %d %s %s", w.Code, w.Body, w.Header().Get("WWW-Authenticate"))
		}
		own := job.ownToken("scope", "notes:read", "resource", billingAPI)
		if w := s.call(own.Access); w.Code != http.StatusOK || w.Body.String() != job.ID+" "+job.ID+" true" {
			t.Errorf("a client's token: %d %s", w.Code, w.Body)
		}
		wantChallenge(t, "for the host's own API", s.call(partner.redeem(partner.code()).Access), 401, "invalid_token")
		wantChallenge(t, "ID token", s.call(got.ID), 401, "invalid_token")
		wantChallenge(t, "refresh token", s.call(got.Refresh), 401, "invalid_token")
		wantChallenge(t, "scope", s.call(job.ownToken("scope", "notes:write", "resource", billingAPI).Access), 403, "insufficient_scope")
		none := send(s, "GET", "https://billing.example/api/x", nil)
		wantChallenge(t, "no token", none, 401, "")
		at := "https://billing.example/.well-known/oauth-protected-resource/api"
		if !strings.Contains(none.Header().Get("WWW-Authenticate"), `resource_metadata="`+at+`"`) || !strings.Contains(send(s, "GET", at, nil).Body.String(), `"authorization_servers":["`+h.issuer+`"]`) {
			t.Errorf("challenge %q, or no metadata there", none.Header().Get("WWW-Authenticate"))
		}
		if n := s.metadata.Load(); n != 1 {
			t.Errorf("the issuer's metadata was read %d times", n)
		}

		// A key that began to sign since is found.
		h.clock.advance(2 * time.Minute)
		for range 2 {
			if _, err := h.provider.Keys().RotateNow(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if w := s.call(partner.refresh(got.Refresh).Access); w.Code != http.StatusOK {
			t.Errorf("after a rotation: %d %s", w.Code, w.Header().Get("WWW-Authenticate"))
		}
	}, withBilling)
}

func withBilling(config *lockspire.Config) {
	origin := strings.TrimSuffix(config.Issuer, "/lockspire")
	config.Resources = []lockspire.Resource{{Identifier: origin}, {Identifier: billingAPI}}
}

func TestA148AStormOfMadeUpKeysReachesTheIssuerOnceIn30Seconds(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		s := h.secondService(t)
		good := partner.redeem(partner.code("scope", "openid notes:read", "resource", billingAPI))
		s.call(good.Access)
		claims := claimsIn(t, good.Access)
		for _, c := range []struct {
			after time.Duration
			asked int32
		}{{0, 1}, {29 * time.Second, 1}, {time.Second, 2}, {29 * time.Second, 2}} {
			h.clock.advance(c.after)
			inParallel(parallel, func(i int) {
				wantChallenge(t, "made-up kid", s.call(withMadeUpKey(t, h, i, claims)), 401, "invalid_token")
			})
			if n := s.jwks.Load(); n != c.asked {
				t.Errorf("%v later: the key set was read %d times, want %d", c.after, n, c.asked)
			}
		}
		if w := s.call(good.Access); w.Code != http.StatusOK {
			t.Errorf("a good token after the storm: %d", w.Code)
		}
	}, withBilling)
}

// withMadeUpKey signs claims with the issuer's key under a kid that it has not.
func withMadeUpKey(t *testing.T, h *host, i int, claims map[string]any) string {
	token := accessToken(t, h.db, claims)
	kid, _ := signingKey(t, h.db, "ES256")
	header, rest, _ := strings.Cut(token, ".")
	plain, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(bytes.Replace(plain, []byte(kid), fmt.Appendf(nil, "%043d", i), 1)) + "." + rest
}

// A verifier elsewhere cannot know what was withdrawn; it has to forget the token
// when it ends, and the key when it is revoked.
func TestA148A151AWithdrawalIsFeltElsewhereWhenTheTokenEnds(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		s := h.secondService(t)
		got := partner.redeem(partner.code("scope", "openid notes:read offline_access", "resource", billingAPI))
		if w := s.call(got.Access); w.Code != http.StatusOK {
			t.Fatalf("before: %d", w.Code)
		}
		if err := h.provider.RevokeSubject(t.Context(), "alice", "test"); err != nil {
			t.Fatal(err)
		}
		own := api(h.provider, lockspire.ForResource(billingAPI))
		wantChallenge(t, "own middleware", send(own, "GET", "https://x.example/", nil, "Authorization", "Bearer "+got.Access), 401, "invalid_token")
		h.clock.advance(10*time.Minute + 59*time.Second)
		if w := s.call(got.Access); w.Code != http.StatusOK {
			t.Errorf("elsewhere, within the token's life and leeway: %d; the documentation says otherwise", w.Code)
		}
		h.clock.advance(time.Second)
		wantChallenge(t, "elsewhere, at the token's end", s.call(got.Access), 401, "invalid_token")
		wantToken(t, "refresh", partner.refresh(got.Refresh), 400, "invalid_grant")

		again := partner.redeem(partner.code("scope", "openid notes:read", "resource", billingAPI))
		if w := s.call(again.Access); w.Code != http.StatusOK {
			t.Fatalf("a new token: %d", w.Code)
		}
		kid, _ := signingKey(t, h.db, "ES256")
		if _, err := h.provider.Keys().Revoke(t.Context(), kid); err != nil {
			t.Fatal(err)
		}
		h.clock.advance(5 * time.Minute)
		wantChallenge(t, "revoked key, key set read again", s.call(again.Access), 401, "invalid_token")
	}, withBilling)
}
