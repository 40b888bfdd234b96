package dbtest

import (
	"errors"
	"net/http"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

func TestA177TwoProcessesRotateTheKeysOnce(t *testing.T) {
	race{
		prepare: func(h *host, partner *app, b *browser) map[string]string {
			tended(h)
			before := partner.redeem(partner.consentTo(b, "alice", "scope", raceScope))
			// The next key has been published for long enough, and the token lives.
			h.clock.advance(7 * time.Minute)
			return map[string]string{"access": before.Access}
		},
		once: func(r *racer, _ int) raceResult {
			rotations, err := r.h.provider.Keys().Rotate(r.t.Context())
			if err != nil {
				return raceResult{Error: err.Error()}
			}
			result := raceResult{Status: http.StatusOK, Access: r.args["access"]}
			for _, rotation := range rotations {
				if rotation.Retired != "" {
					result.Raw += rotation.Alg
				}
			}
			return result
		},
		judge: func(t *testing.T, h *host, partner *app, all []raceResult) {
			retired := ""
			for _, result := range all {
				if result.Status != http.StatusOK {
					t.Errorf("rotate: %s", result.Error)
				}
				retired += result.Raw
			}
			if len(retired) != len("ES256RS256") || h.audited("key.rotated") != 2 {
				t.Errorf("rotations reported %q, %d on record; want one for each algorithm", retired, h.audited("key.rotated"))
			}
			h.oneActiveEach()
			if h.key("ES256", lockspire.KeyNext) == "" || h.key("RS256", lockspire.KeyNext) == "" {
				t.Error("no next key")
			}
			got := partner.redeem(partner.code("scope", raceScope))
			if kidOf(t, got.Access) != h.key("ES256", lockspire.KeyActive) {
				t.Error("the new key does not sign")
			}
			raceWorks(t, h, partner, raced(got))
			if status := h.api(all[0].Access); status != http.StatusOK {
				t.Errorf("a token that the old key signed: API %d", status)
			}
		},
	}.run(t)
}

// Five secrets may overlap. Of fifty rotations those that were answered with a
// secret gave one that works, and no other secret was stored.
func TestA72TwoProcessesRotateAClientSecret(t *testing.T) {
	race{
		prepare: func(h *host, partner *app, b *browser) map[string]string { return nil },
		once: func(r *racer, _ int) raceResult {
			secret, err := r.h.provider.Clients().RotateSecret(r.t.Context(), r.partner.ID, time.Hour)
			switch {
			case errors.Is(err, lockspire.ErrTooManySecrets):
				return raceResult{Status: http.StatusBadRequest, Error: "too many"}
			case err != nil:
				return raceResult{Error: err.Error(), Raw: err.Error()}
			}
			return raceResult{Status: http.StatusOK, Raw: secret}
		},
		judge: func(t *testing.T, h *host, partner *app, all []raceResult) {
			won := raceSplit(t, all, "too many")
			n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_client_secrets WHERE client_id = $1", partner.ID)
			if len(won) != 4 || n != 5 || h.audited("client.secret_rotated") != 4 {
				t.Errorf("%d rotations answered, %d secrets, %d on record", len(won), n, h.audited("client.secret_rotated"))
			}
			if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_client_secrets WHERE expires_at IS NULL"); n != 1 {
				t.Errorf("%d secrets without an end", n)
			}
			for _, result := range append(won, raceResult{Raw: partner.secret}) {
				other := *partner
				other.secret = result.Raw
				if got := other.token("grant_type", "refresh_token", "refresh_token", "x"); got.Error != "invalid_grant" {
					t.Errorf("a secret that was answered is no good: %s", got.raw)
				}
			}
		},
	}.run(t)
}
