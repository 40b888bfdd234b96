package dbtest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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

// oneActiveEach fails unless each algorithm has exactly one active key.
func (h *host) oneActiveEach() {
	h.t.Helper()
	for _, alg := range []string{"ES256", "RS256"} {
		if n := count(h.t, h.db, "SELECT COUNT(*) FROM lockspire_keys WHERE state = 'active' AND alg = $1", alg); n != 1 {
			h.t.Errorf("%d active %s keys", n, alg)
		}
	}
}

func TestA169RunPublishesAKeyBeforeItSignsAndKeepsTheOldOneUntilItsTokensAreOver(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		tended(h)
		first, next := h.key("ES256", lockspire.KeyActive), h.key("ES256", lockspire.KeyNext)
		if !slices.Contains(h.published(), next) {
			t.Error("the next key is not published")
		}
		app := h.newApp()
		h.clock.advance(90*day - time.Second)
		runFor(t, h.provider, 0)
		if got := h.key("ES256", lockspire.KeyActive); got != first {
			t.Fatal("rotated before its time")
		}
		old := app.redeem(app.code())
		if kidOf(t, old.Access) != first {
			t.Errorf("signed with %s, active is %s", kidOf(t, old.Access), first)
		}
		h.clock.advance(time.Second)
		runUntil(t, h.provider, "rotation", func() bool {
			return h.audited("key.rotated") == 2 && len(h.keys("RS256", lockspire.KeyNext)) == 1
		})
		h.oneActiveEach()
		if got := h.key("ES256", lockspire.KeyActive); got != next {
			t.Errorf("%s signs; %s was next", got, next)
		}
		if got := kidOf(t, app.redeem(app.code()).Access); got != next {
			t.Errorf("a new token is signed with %s", got)
		}
		// The longest token (10 minutes), leeway and refresh later it may go.
		h.clock.advance(10*time.Minute + 58*time.Second)
		if h.api(old.Access) != 200 || !slices.Contains(h.published(), first) {
			t.Error("the old key went before its last token")
		}
		h.clock.advance(time.Minute + 2*time.Second)
		if h.api(old.Access) != 401 || slices.Contains(h.published(), first) {
			t.Error("the old key is still there")
		}
		h.clock.advance(10 * time.Minute)
		runUntil(t, h.provider, "the retired row is swept", func() bool {
			return count(t, h.db, "SELECT COUNT(*) FROM lockspire_keys WHERE state = 'retiring'") == 0
		})
	})
}

func TestA169AKeyThatIsDueWaitsUntilClientsHaveReadTheNextOne(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		first := h.key("ES256", lockspire.KeyActive)
		h.clock.advance(91 * day)
		tended(h)
		if h.key("ES256", lockspire.KeyActive) != first {
			t.Fatal("a key signs that was published a moment ago")
		}
		if got := h.newBrowser().get(h.issuer + "/jwks").header.Get("Cache-Control"); got != "public, max-age=1800" {
			t.Errorf("Cache-Control %q", got)
		}
		h.clock.advance(30*time.Minute + 59*time.Second)
		runFor(t, h.provider, 0)
		if h.key("ES256", lockspire.KeyActive) != first {
			t.Error("a client that cached the key set as told does not know the key that signs")
		}
		h.clock.advance(time.Second)
		runUntil(t, h.provider, "rotation", func() bool { return h.key("ES256", lockspire.KeyActive) != first })
	}, func(c *lockspire.Config) { c.TTLs.JWKSMaxAge = 30 * time.Minute })
}

func TestA177FiftyRotationsAtOnceOnTwoNodesAreOne(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		tended(h)
		other := h.replica()
		h.clock.advance(time.Hour)
		before := h.key("ES256", lockspire.KeyActive)
		retired := make([]int, 50)
		inParallel(50, func(i int) {
			node := []*host{h, other}[i%2]
			rotations, err := node.provider.Keys().Rotate(t.Context())
			if err != nil {
				t.Error(err)
			}
			for _, rotation := range rotations {
				if rotation.Retired != "" {
					retired[i]++
				}
			}
		})
		h.oneActiveEach()
		total := 0
		for _, n := range retired {
			total += n
		}
		if total != 2 || h.audited("key.rotated") != 2 || h.audited("key.rotation_requested") != 0 {
			t.Errorf("%d rotations reported, %d on record, %d requested; want one for each algorithm", total, h.audited("key.rotated"), h.audited("key.rotation_requested"))
		}
		if h.key("ES256", lockspire.KeyRetiring) != before {
			t.Error("another key retired")
		}
		if h.key("ES256", lockspire.KeyNext) == "" || h.key("RS256", lockspire.KeyNext) == "" {
			t.Error("no next key")
		}
	})
}

func TestA177FiftyForcedRotationsAndRevocationsLeaveOneActiveKey(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		tended(h)
		other := h.replica()
		inParallel(50, func(i int) {
			node := []*host{h, other}[i%2]
			if i%5 == 0 {
				for _, kid := range node.keys("ES256", lockspire.KeyActive) {
					if _, err := node.provider.Keys().Revoke(t.Context(), kid); err != nil && !errors.Is(err, lockspire.ErrKeyNotFound) {
						t.Errorf("revoke: %v", err)
					}
				}
				return
			}
			if i%5 == 1 {
				if _, err := node.provider.Keys().RotateNow(t.Context()); err != nil {
					t.Errorf("rotate: %v", err)
				}
				return
			}
			if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_keys WHERE state = 'active'"); n != 2 {
				t.Errorf("%d active keys in between", n)
			}
		})
		h.oneActiveEach()
		app := h.newApp()
		if answer := app.redeem(app.code()); answer.status != 200 || h.api(answer.Access) != 200 {
			t.Errorf("after that: %s", answer)
		}
	})
}

func TestA177TwoNodesThatRunAtTheSameTimeRotateOnce(t *testing.T) {
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			dsn := newDSN(t, engine)
			db := openDSN(t, engine, dsn)
			if err := lockspire.Migrate(t.Context(), db, engine, ""); err != nil {
				t.Fatal(err)
			}
			h := tended(newHost(t, db, engine))
			other := h.replica(func(c *lockspire.Config) { c.DB = openDSN(t, engine, dsn) })
			h.clock.advance(100 * day)
			nodes := []*host{h, other}
			inParallel(2, func(i int) {
				runUntil(t, nodes[i].provider, "rotation", func() bool {
					return count(t, db, "SELECT COUNT(*) FROM lockspire_keys WHERE state = 'next'") == 2 && h.audited("key.rotated") >= 2
				})
			})
			h.oneActiveEach()
			if n := h.audited("key.rotated"); n != 2 {
				t.Errorf("%d rotations; want one for each algorithm", n)
			}
			if n := h.audited("key.created"); n != 6 {
				t.Errorf("%d keys were made; want 2 first, 2 next, 2 next after the rotation", n)
			}
		})
	}
}

func TestARequestedRotationWaitsForItsTimeAndRunDoesIt(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		h.clock.advance(time.Hour)
		first := h.key("ES256", lockspire.KeyActive)
		for range 2 {
			rotations, err := h.provider.Keys().Rotate(t.Context())
			if err != nil || len(rotations) != 2 || rotations[0].Active != first || rotations[0].Retired != "" || rotations[0].Waiting != h.key("ES256", lockspire.KeyNext) {
				t.Errorf("%+v %v", rotations, err)
			}
		}
		if n := h.audited("key.rotation_requested"); n != 2 {
			t.Errorf("%d requests on record, want one for each algorithm", n)
		}
		h.clock.advance(6*time.Minute - time.Second)
		runFor(t, h.provider, 0)
		if h.key("ES256", lockspire.KeyActive) != first {
			t.Error("rotated before clients could know the key")
		}
		h.clock.advance(time.Second)
		runUntil(t, h.provider, "rotation", func() bool { return h.audited("key.rotated") == 2 })
	})
}

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

// A database that lost its keys, in a restore perhaps, is mended by Run.
func TestRunMakesTheKeysThatAreMissing(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		mustExec(t, h.db, "DELETE FROM lockspire_keys")
		app := h.newApp()
		if answer := app.redeem(app.code()); answer.status != 503 {
			t.Errorf("without a key: %s", answer)
		}
		tended(h)
		h.oneActiveEach()
		if answer := app.redeem(app.code()); answer.status != 200 || h.api(answer.Access) != 200 {
			t.Errorf("after Run: %s", answer)
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

func TestRotationWorksOnAPoolOfOneConnection(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		h.db.SetMaxOpenConns(1)
		tended(h)
		h.clock.advance(91 * day)
		runUntil(t, h.provider, "rotation", func() bool { return h.audited("key.rotated") == 2 })
		if _, err := h.provider.Keys().RotateNow(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := h.provider.Keys().Revoke(t.Context(), h.key("ES256", lockspire.KeyActive)); err != nil {
			t.Error(err)
		}
		if _, err := h.provider.Keys().Status(t.Context()); err != nil {
			t.Error(err)
		}
		app := h.newApp()
		if answer := app.redeem(app.code()); answer.status != 200 || h.api(answer.Access) != 200 {
			t.Errorf("after that: %s", answer)
		}
	})
}

func headerBytes(t testing.TB, encoded string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
