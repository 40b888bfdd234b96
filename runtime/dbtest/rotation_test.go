package dbtest

import (
	"errors"
	"slices"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

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
