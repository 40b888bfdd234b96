package dbtest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

func TestARevokedKeyIsRefusedAtOnceInEveryReplica(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		tended(h)
		other, third := h.replica(), h.replica()
		app := h.newApp()
		issued := app.redeem(app.code("scope", "openid notes:read offline_access"))
		compromised, next := kidOf(t, issued.Access), h.key("ES256", lockspire.KeyNext)
		if h.api(issued.Access) != 200 {
			t.Fatal("the token does not work to begin with")
		}
		// The other replica has the key in memory, and no time passes.
		if status, _ := other.bearer("/lockspire/userinfo", issued.Access); status != 200 {
			t.Fatalf("userinfo on the other replica: %d", status)
		}
		if !slices.Contains(third.published(), compromised) {
			t.Fatal("the third replica does not publish the key to begin with")
		}
		replacement, err := h.provider.Keys().Revoke(t.Context(), compromised)
		if err != nil || replacement != next {
			t.Fatalf("replaced by %q (%v), want the next key %s", replacement, err, next)
		}
		// The other replica signs with the new key, whatever it had in memory.
		again := app.on(other).refresh(issued.Refresh)
		if again.status != 200 || kidOf(t, again.Access) != replacement || h.api(again.Access) != 200 {
			t.Errorf("refresh: %s, signed with %s", again, kidOf(t, again.Access))
		}
		// The third has only published the keys.
		// A token of that key is not worth a row at the revocation endpoint.
		if answer := app.on(third).post("/revoke", "token", issued.Access); answer.Code != 200 || count(t, h.db, "SELECT COUNT(*) FROM lockspire_revoked_tokens") != 0 {
			t.Errorf("revocation of a token of the revoked key: %d %s", answer.Code, answer.Body)
		}
		if slices.Contains(third.published(), compromised) {
			t.Error("the third replica publishes the key")
		}
		for name, node := range map[string]*host{"the one": h, "the other": other} {
			if status, _ := node.bearer("/lockspire/userinfo", issued.Access); status != 401 {
				t.Errorf("%s replica takes the token: %d", name, status)
			}
			if slices.Contains(node.published(), compromised) || !slices.Contains(node.published(), replacement) {
				t.Errorf("%s replica publishes %v", name, node.published())
			}
		}
		if h.api(issued.Access) != 401 {
			t.Error("Protect takes the token")
		}
		if answer := app.on(other).post("/introspect", "token", issued.Access); strings.TrimSpace(answer.Body.String()) != `{"active":false}` {
			t.Errorf("introspection: %d %s", answer.Code, answer.Body)
		}
		if h.audited("key.revoked") != 1 {
			t.Error("not on record")
		}
		if _, err := h.provider.Keys().Revoke(t.Context(), compromised); !errors.Is(err, lockspire.ErrKeyNotFound) {
			t.Errorf("a second time: %v", err)
		}
	})
}

func TestAForgedIDTokenHintOfARevokedKeyIsRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		tended(h)
		other := h.replica()
		app := h.newApp()
		b := h.newBrowser()
		id := app.redeem(app.consentTo(b, "alice")).ID
		if answer := b.follow(b.get(app.authorizeURL("id_token_hint", id))); answer.answer(t).Get("code") == "" {
			t.Fatalf("the hint does not work to begin with: %s", answer.location)
		}
		if _, err := other.provider.Keys().Revoke(t.Context(), kidOf(t, id)); err != nil {
			t.Fatal(err)
		}
		if answer := b.follow(b.get(app.authorizeURL("id_token_hint", id))).answer(t); answer.Get("error") != "invalid_request" {
			t.Errorf("the hint: %v", answer)
		}
	})
}

func TestA186TheLastActiveKeyCannotGoWithoutAnother(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		// No next key is there.
		first := h.key("RS256", lockspire.KeyActive)
		tool, err := lockspire.NewKeys(h.db, h.config.Dialect, "", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tool.Revoke(t.Context(), first); !errors.Is(err, lockspire.ErrSecretsNeeded) {
			t.Errorf("without a secret to seal another: %v", err)
		}
		if h.key("RS256", lockspire.KeyActive) != first || h.audited("key.revoked") != 0 {
			t.Fatal("a refused revocation left something behind")
		}
		replacement, err := h.provider.Keys().Revoke(t.Context(), first)
		if err != nil || replacement == first || h.key("RS256", lockspire.KeyActive) != replacement {
			t.Errorf("replaced by %q: %v", replacement, err)
		}
		h.oneActiveEach()
		// Fifty at once revoke the same key: one does.
		done := make([]error, 50)
		inParallel(50, func(i int) { _, done[i] = h.provider.Keys().Revoke(t.Context(), replacement) })
		won := 0
		for _, err := range done {
			if err == nil {
				won++
			} else if !errors.Is(err, lockspire.ErrKeyNotFound) {
				t.Error(err)
			}
		}
		h.oneActiveEach()
		if won != 1 {
			t.Errorf("%d revocations of one key", won)
		}
	})
}
