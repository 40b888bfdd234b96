package dbtest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

func TestA177RunSealsAgainWithTheFirstSecretAndStatusSaysWhatTheOldOneIsNeededFor(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		tended(h)
		app := h.newApp()
		b := h.newBrowser()
		issued := app.redeem(app.consentTo(b, "alice", "scope", "openid notes:read offline_access"))
		if again := app.refresh(issued.Refresh); again.status != 200 {
			t.Fatal(again)
		}
		if page := b.follow(b.get(app.authorizeURL("prompt", "consent"))); !page.isConsent() {
			t.Fatalf("no consent page: %d %s", page.status, page.body)
		}
		use := func(status lockspire.KeysStatus) (text string) {
			for _, secret := range status.Secrets {
				text += fmt.Sprintf("listed=%v current=%v:", secret.Listed, secret.Current)
				for _, u := range secret.Uses {
					text += fmt.Sprintf(" %s %d", u.For, u.Rows)
					if !u.Until.IsZero() {
						text += " " + u.Until.Sub(h.clock.Now()).Round(time.Minute).String()
					}
				}
				text += "\n"
			}
			return text
		}
		status, err := h.provider.Keys().Status(t.Context())
		if want := "listed=true current=true: signing_keys 4 refresh_tokens 1 1m0s consent_pages 2 10m0s sessions 1 8760h0m0s\n"; err != nil || use(status) != want {
			t.Errorf("%v\n%swant\n%s", err, use(status), want)
		}
		oldID := status.Secrets[0].ID

		fresh := bytes.Repeat([]byte{9}, 32)
		young := h.replica(func(c *lockspire.Config) { c.Secrets = [][]byte{fresh, testSecret} })
		if young.key("ES256", lockspire.KeyActive) != h.key("ES256", lockspire.KeyActive) {
			t.Error("another key")
		}
		runUntil(t, young.provider, "sealed again", func() bool {
			return count(t, h.db, "SELECT COUNT(*) FROM lockspire_keys WHERE secret_id = $1", oldID) == 0
		})
		status, err = young.provider.Keys().Status(t.Context())
		want := "listed=true current=true: signing_keys 4\nlisted=true current=false: refresh_tokens 1 1m0s consent_pages 2 10m0s sessions 1 8760h0m0s\n"
		if err != nil || use(status) != want {
			t.Errorf("%v\n%swant\n%s", err, use(status), want)
		}
		// The new secret alone opens them.
		alone := h.replica(func(c *lockspire.Config) { c.Secrets = [][]byte{fresh} })
		if answer := app.on(alone).redeem(app.code()); answer.status != 200 || h.api(answer.Access) != 200 {
			t.Errorf("the replica with the new secret only: %s", answer)
		}
		// A replica that has not heard of the new secret goes on with what it
		// has in memory; one that starts without it is told which.
		h.clock.advance(2 * time.Minute)
		if again := app.redeem(app.code()); again.status != 200 || h.api(again.Access) != 200 {
			t.Errorf("the replica with the old secret only: %s", again)
		}
		_, err = lockspire.New(t.Context(), h.config)
		wantError(t, err, status.Secrets[0].ID, "not listed")
		// What only had minutes is over by itself.
		h.clock.advance(10 * time.Minute)
		status, err = young.provider.Keys().Status(t.Context())
		if err != nil || strings.Contains(use(status), "refresh_tokens") || strings.Contains(use(status), "consent_pages") {
			t.Errorf("%v\n%s", err, use(status))
		}
	})
}

func TestA177AReplicaWithoutTheSecretOfTheActiveKeySignsNothingAndNamesIt(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		app := h.newApp()
		issued := app.redeem(app.code("scope", "openid notes:read offline_access"))
		young := h.replica(func(c *lockspire.Config) { c.Secrets = [][]byte{bytes.Repeat([]byte{9}, 32), testSecret} })
		status, err := young.provider.Keys().Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := young.provider.Keys().RotateNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		answer := app.refresh(issued.Refresh)
		if answer.status != 503 || answer.header.Get("Retry-After") == "" || !strings.Contains(h.logs.String(), status.Secrets[0].ID) {
			t.Errorf("%s; the log: %s", answer, h.logs)
		}
		// It still admits what it can judge, and publishes what it can open.
		if h.api(issued.Access) != 200 || len(h.published()) != 2 {
			t.Errorf("Protect %d, %d keys published", h.api(issued.Access), len(h.published()))
		}
		again := app.on(young).refresh(issued.Refresh)
		if again.status != 200 {
			t.Fatalf("the other replica: %s", again)
		}
		// A token of the key that it cannot open may be good; nothing that has
		// no key is.
		for range 2 {
			if got := h.api(again.Access); got != 503 {
				t.Errorf("Protect of a token that only the other replica can judge: %d", got)
			}
		}
	})
}

func TestA177AToolSealsWithASecretThatTheHostHas(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		h.clock.advance(time.Hour)
		stranger, err := lockspire.NewKeys(h.db, h.config.Dialect, "", [][]byte{bytes.Repeat([]byte{1}, 32)}, h.clock.Now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stranger.Rotate(t.Context()); !errors.Is(err, lockspire.ErrSecretsNeeded) {
			t.Errorf("with a secret of somebody else's: %v", err)
		}
		// The host's secret is listed second here, and is not the first there.
		tool, err := lockspire.NewKeys(h.db, h.config.Dialect, "", [][]byte{bytes.Repeat([]byte{1}, 32), testSecret}, h.clock.Now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tool.RotateNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		app := h.newApp()
		if answer := app.redeem(app.code()); answer.status != 200 || kidOf(t, answer.Access) != h.key("ES256", lockspire.KeyActive) || h.api(answer.Access) != 200 {
			t.Errorf("the host after a tool's rotation: %s", answer)
		}
		mustNew(t, h.config)
		if _, err := lockspire.NewKeys(h.db, h.config.Dialect, "", [][]byte{[]byte("short")}, nil); err == nil || !strings.Contains(err.Error(), "32") {
			t.Errorf("a short secret: %v", err)
		}
	})
}
