package dbtest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

const day = 24 * time.Hour

// runUntil runs the background work until done says so.
func runUntil(t *testing.T, p *lockspire.Provider, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Errorf("Run did not get there: %s", what)
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// keys lists the kids of one algorithm and state.
func (h *host) keys(alg, state string) []string {
	h.t.Helper()
	all, err := h.provider.Keys().List(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	var kids []string
	for _, key := range all {
		if key.Alg == alg && key.State == state {
			kids = append(kids, key.KID)
		}
	}
	return kids
}

// key is the one kid of that algorithm and state.
func (h *host) key(alg, state string) string {
	h.t.Helper()
	kids := h.keys(alg, state)
	if len(kids) != 1 {
		h.t.Fatalf("%d %s keys are %s: %v", len(kids), alg, state, kids)
	}
	return kids[0]
}

// tended is a host whose next keys are there and published: the rows come
// first, and Run must not be stopped between the two.
func tended(h *host) *host {
	h.t.Helper()
	runUntil(h.t.(*testing.T), h.provider, "a next key for each algorithm", func() bool {
		next := append(h.keys("ES256", lockspire.KeyNext), h.keys("RS256", lockspire.KeyNext)...)
		return len(next) == 2 && len(h.published()) == 4
	})
	return h
}

// published are the kids in the key set that h serves.
func (h *host) published() []string {
	h.t.Helper()
	var set struct{ Keys []struct{ Kid string } }
	answer := h.newBrowser().get(h.issuer + "/jwks")
	if err := json.Unmarshal([]byte(answer.body), &set); err != nil {
		h.t.Fatal(err)
	}
	var kids []string
	for _, key := range set.Keys {
		kids = append(kids, key.Kid)
	}
	return kids
}

func kidOf(t testing.TB, token string) string {
	t.Helper()
	header, _, _ := strings.Cut(token, ".")
	var h struct{ Kid string }
	if err := json.Unmarshal(headerBytes(t, header), &h); err != nil {
		t.Fatal(err)
	}
	return h.Kid
}

func headerBytes(t testing.TB, encoded string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// oneActiveEach fails unless each algorithm has exactly one active key.
func (h *host) oneActiveEach() {
	h.t.Helper()
	for _, alg := range []string{"ES256", "RS256"} {
		if n := count(h.t, h.db, "SELECT COUNT(*) FROM lockspire_keys WHERE state = 'active' AND alg = $1", alg); n != 1 {
			h.t.Errorf("%d active %s keys", n, alg)
		}
	}
}
