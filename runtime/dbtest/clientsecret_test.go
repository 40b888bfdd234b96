package dbtest

import (
	"errors"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// with returns the app as it authenticates with another secret.
func (a *app) with(secret string) *app {
	other := *a
	other.secret = secret
	return &other
}

func TestA72RotatedSecretsOverlapUntilTheirEnd(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		old := h.newApp()
		refresh := old.redeem(old.code("scope", "openid notes:read offline_access")).Refresh
		secret, err := h.provider.Clients().RotateSecret(t.Context(), old.ID, 24*time.Hour)
		if err != nil || secret == old.secret || len(secret) != 43 {
			t.Fatalf("%q %v", secret, err)
		}
		young := old.with(secret)
		live := func(a *app) bool {
			t.Helper()
			answer := a.refresh(refresh)
			switch {
			case answer.status == 200:
				refresh = answer.Refresh
				return true
			case answer.status == 401 && answer.Error == "invalid_client":
				return false
			}
			t.Fatalf("%s", answer)
			return false
		}
		h.clock.advance(24*time.Hour - time.Second)
		if !live(old) || !live(young) {
			t.Error("both secrets must work during the overlap")
		}
		h.clock.advance(time.Second)
		if live(old) {
			t.Error("the old secret works after its overlap")
		}
		if !live(young) {
			t.Error("the new secret does not work")
		}
		// A second rotation shortens, and never lengthens, what is left of an
		// older one. Zero ends all at once.
		third, err := h.provider.Clients().RotateSecret(t.Context(), old.ID, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		fourth, err := h.provider.Clients().RotateSecret(t.Context(), old.ID, 2*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		h.clock.advance(time.Hour)
		if live(young) || !live(old.with(third)) || !live(old.with(fourth)) {
			t.Error("the second rotation moved the end of the first")
		}
		fifth, err := h.provider.Clients().RotateSecret(t.Context(), old.ID, 0)
		if err != nil {
			t.Fatal(err)
		}
		if live(old.with(third)) || live(old.with(fourth)) || !live(old.with(fifth)) {
			t.Error("an overlap of zero")
		}
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_client_secrets WHERE client_id = $1", old.ID); n != 1 {
			t.Errorf("%d secrets are kept", n)
		}
		if n := h.audited("client.secret_rotated"); n != 4 {
			t.Errorf("%d rotations on record", n)
		}
	})
}

func TestA72RotationsThatAreRefusedChangeNothing(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		clients := h.provider.Clients()
		phone, gone, partner := h.newApp(public), h.newApp(), h.newApp()
		if err := clients.Disable(t.Context(), gone.ID); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]error{
			phone.ID: lockspire.ErrClientHasNoSecret, gone.ID: lockspire.ErrClientDisabled, "client_nope": lockspire.ErrClientNotFound,
		} {
			if secret, err := clients.RotateSecret(t.Context(), id, time.Hour); !errors.Is(err, want) || secret != "" {
				t.Errorf("%q %v, want %v", secret, err, want)
			}
		}
		for _, overlap := range []time.Duration{-time.Second, 91 * 24 * time.Hour} {
			_, err := clients.RotateSecret(t.Context(), partner.ID, overlap)
			wantError(t, err, "overlap", overlap.String())
		}
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_client_secrets WHERE expires_at IS NOT NULL"); n != 0 || h.audited("client.secret_rotated") != 0 {
			t.Errorf("%d secrets got an end, %d rotations on record", n, h.audited("client.secret_rotated"))
		}
		// Fifty at once: as many secrets as may overlap, and then no more.
		done := make([]error, 50)
		inParallel(50, func(i int) { _, done[i] = clients.RotateSecret(t.Context(), partner.ID, time.Hour) })
		won, faults := 0, 0
		for _, err := range done {
			switch {
			case err == nil:
				won++
			case strings.Contains(err.Error(), "storage is unavailable"):
				faults++ // where every transaction is serializable, retries run out
			case !errors.Is(err, lockspire.ErrTooManySecrets):
				t.Error(err)
			}
		}
		n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_client_secrets WHERE client_id = $1", partner.ID)
		if n != won+1 || won > 4 || won < 4 && faults == 0 {
			t.Errorf("%d rotations, %d secrets, %d faults", won, n, faults)
		}
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_client_secrets WHERE client_id = $1 AND expires_at IS NULL", partner.ID); n != 1 {
			t.Errorf("%d secrets without an end", n)
		}
		if _, err := clients.RotateSecret(t.Context(), partner.ID, 0); err != nil {
			t.Errorf("the way out: %v", err)
		}
	})
}
