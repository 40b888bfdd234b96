package resource

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func TestA148AStormOfUnknownKeysIsOneReadingEachCooldown(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier()
	storm := func() {
		t.Helper()
		var all sync.WaitGroup
		for n := range 50 {
			all.Add(1)
			go func() {
				defer all.Done()
				wantStatus(t, "unknown kid", call(v, i.sign(fmt.Sprint("made-up-", n), "at+jwt", i.claims())), 401, "invalid_token")
			}()
		}
		all.Wait()
	}
	for _, want := range []int32{1, 1, 2} {
		storm()
		if n := i.fetches.Load(); n != want {
			t.Errorf("%d readings; want %d", n, want)
		}
		i.clock.advance(cooldown / 2)
	}
}

func TestA148AnIssuerThatIsAwayIsAFaultAndIsNotHammered(t *testing.T) {
	i := newIssuer(t)
	i.broken.Store(true)
	v := i.verifier()
	token := i.sign("k1", "at+jwt", i.claims())
	for range 20 {
		w := call(v, token)
		wantStatus(t, "before any key was read", w, 503, "temporarily_unavailable")
		if w.Header().Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if n := i.fetches.Load(); n != 1 {
		t.Errorf("%d readings of an issuer that is away", n)
	}
	i.broken.Store(false)
	i.clock.advance(retryAfter)
	wantStatus(t, "back again", call(v, token), 200, "alice")
	i.broken.Store(true)
	i.clock.advance(3 * time.Minute)
	wantStatus(t, "away, known key", call(v, token), 200, "alice")
	wantStatus(t, "away, unknown key", call(v, i.sign("k2", "at+jwt", i.claims())), 503, "temporarily_unavailable")
	i.clock.advance(staleFor)
	wantStatus(t, "away for too long", call(v, i.sign("k1", "at+jwt", i.claims())), 503, "temporarily_unavailable")
}

func TestA148ARevokedKeyIsGoneWhenTheSetIsReadAgain(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier()
	wantStatus(t, "before", call(v, i.sign("k1", "at+jwt", i.claims())), 200, "alice")
	i.publish()
	i.clock.advance(119 * time.Second)
	wantStatus(t, "within max-age", call(v, i.sign("k1", "at+jwt", i.claims())), 200, "alice")
	i.clock.advance(time.Second)
	wantStatus(t, "after max-age", call(v, i.sign("k1", "at+jwt", i.claims())), 401, "invalid_token")
}

func TestA148WhoHangsUpDoesNotEndTheReadingForTheOthers(t *testing.T) {
	i := newIssuer(t)
	hold := make(chan struct{})
	i.hold.Store(&hold)
	v := i.verifier()
	token := i.sign("k1", "at+jwt", i.claims())
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := v.Verify(ctx, token)
		first <- err
	}()
	for i.fetches.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	second := make(chan error, 1)
	go func() {
		_, err := v.Verify(t.Context(), token)
		second <- err
	}()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) || errors.Is(err, ErrInvalidToken) {
		t.Errorf("who hung up: %v", err)
	}
	close(hold)
	if err := <-second; err != nil || i.fetches.Load() != 1 {
		t.Errorf("who waited: %v after %d readings", err, i.fetches.Load())
	}
}

func TestWhatTheIssuerPublishesIsReadWithCare(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	i := newIssuer(t)
	i.publish(
		jose.JSONWebKey{Key: small.Public(), KeyID: "small", Algorithm: "RS256", Use: "sig"},
		jose.JSONWebKey{Key: i.key.Public(), KeyID: "enc", Algorithm: "ES256", Use: "enc"},
		jose.JSONWebKey{Key: i.key.Public(), KeyID: "other-alg", Algorithm: "ES384", Use: "sig"},
		jose.JSONWebKey{Key: []byte(strings.Repeat("k", 32)), KeyID: "secret", Use: "sig"},
		jose.JSONWebKey{Key: i.key, KeyID: "private", Algorithm: "ES256", Use: "sig"},
		jose.JSONWebKey{Key: i.key.Public(), KeyID: "good", Algorithm: "ES256", Use: "sig"},
	)
	text := strings.Replace(*i.jwks.Load(), `{"keys":[`, `{"keys":[{"kty":"new","kid":"new"},`, 1)
	i.jwks.Store(&text)
	v := i.verifier(func(c *Config) { c.Algorithms = []string{"ES256", "RS256"} })
	for _, kid := range []string{"enc", "other-alg", "secret", "private", "new", "GOOD", "", strings.Repeat("g", 300)} {
		wantStatus(t, kid, call(v, i.sign(kid, "at+jwt", i.claims())), 401, "invalid_token")
	}
	wantStatus(t, "the good one", call(v, i.sign("good", "at+jwt", i.claims())), 200, "alice")

	for name, body := range map[string]string{
		"another issuer": `{"issuer":"https://evil.example","jwks_uri":"https://evil.example/keys"}`,
		"http":           `{"issuer":"ISSUER","jwks_uri":"http://127.0.0.1/keys"}`,
		"no jwks_uri":    `{"issuer":"ISSUER"}`, "a file": `{"issuer":"ISSUER","jwks_uri":"file:///etc/passwd"}`,
		"not JSON": `<html>`, "too long": `{"issuer":"ISSUER","x":"` + strings.Repeat("x", maxMetadataBytes) + `"}`,
		"a redirect": "redirect",
	} {
		i := newIssuer(t)
		i.mux.HandleFunc("/odd/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
			if body == "redirect" {
				http.Redirect(w, r, "/.well-known/oauth-authorization-server/as", http.StatusFound)
				return
			}
			fmt.Fprint(w, strings.ReplaceAll(body, "ISSUER", i.server.URL+"/odd"))
		})
		v := i.verifier(func(c *Config) { c.Issuer = i.server.URL + "/odd" })
		wantStatus(t, name, call(v, i.sign("k1", "at+jwt", i.claims())), 503, "temporarily_unavailable")
		if i.fetches.Load() != 0 {
			t.Errorf("%s: keys were fetched", name)
		}
	}
}
