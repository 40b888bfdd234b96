package dbtest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

func (h *host) revokeSubject(subject, reason string) {
	h.t.Helper()
	if err := h.provider.RevokeSubject(h.t.Context(), subject, reason); err != nil {
		h.t.Error(err)
	}
}

func TestA151RevokeSubjectEndsEverythingAtOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, other, b := h.newApp(), h.newApp(), h.newBrowser()
		all := []string{"scope", "openid notes:read offline_access"}
		first := partner.redeem(partner.consentTo(b, "alice", all...))
		second := other.redeem(other.consentTo(b, "alice", all...))
		unused := partner.consentTo(b, "alice", "scope", "openid notes:read")
		open := other.consentPage(b, "alice", "scope", "openid notes:write")
		bobs := partner.redeem(partner.consentTo(h.newBrowser(), "bob", all...))

		h.revokeSubject("alice", "password was stolen")
		for name, got := range map[string]tokens{"first": first, "second": second} {
			if status := h.api(got.Access); status != 401 {
				t.Errorf("%s at the API: %d", name, status)
			}
			if status, _ := h.bearer("/lockspire/userinfo", got.Access); status != 401 {
				t.Errorf("%s at userinfo: %d", name, status)
			}
		}
		wantToken(t, "refresh", partner.refresh(first.Refresh), 400, "invalid_grant")
		wantToken(t, "refresh of another app", other.refresh(second.Refresh), 400, "invalid_grant")
		wantToken(t, "code", partner.redeem(unused), 400, "invalid_grant")
		wantInactive(t, "introspection", partner.introspect(first.Access))
		if p := b.decide(open, lockspire.DecisionApprove); p.status != 400 || p.location != "" {
			t.Errorf("an open consent page: %d to %q", p.status, p.location)
		}
		grants, err := h.provider.Grants(t.Context(), "alice")
		if err != nil || len(grants) != 0 {
			t.Errorf("grants %v %v", grants, err)
		}
		if !b.follow(b.get(partner.authorizeURL("scope", "openid notes:read"))).isConsent() {
			t.Error("the consent is still remembered")
		}
		if status := h.api(bobs.Access); status != 200 || partner.refresh(bobs.Refresh).status != 200 {
			t.Errorf("another person's: %d", status)
		}
		const row = `SELECT COUNT(*) FROM lockspire_audit WHERE name = 'subject.revoked' AND subject = 'alice'
			AND detail = '{"families":"3","grants":"2","interactions":"1","reason":"password was stolen"}'`
		if n := count(t, h.db, row); n != 1 || strings.Count(h.events.dump(), "subject.revoked") != 1 {
			t.Errorf("%d audit rows; events %s", n, h.events.dump())
		}
		h.revokeSubject("nobody", "x")
		if n := h.audited("subject.revoked"); n != 1 {
			t.Errorf("%d audit rows after a call that changed nothing", n)
		}
		if h.provider.RevokeSubject(t.Context(), "", "x") == nil {
			t.Error("an empty subject is taken for success")
		}
		// Whoever may sign in may allow anew.
		again := partner.redeem(partner.consentTo(h.newBrowser(), "alice", all...))
		if status := h.api(again.Access); status != 200 {
			t.Errorf("a new consent: %d", status)
		}
		h.revokeSubject("alice", strings.Repeat("ä", 150)+"\x00")
		if n := h.audited("subject.revoked"); n != 2 {
			t.Errorf("a long reason: %d audit rows", n)
		}
	})
}

// survivors collects what clients were given, to be tried afterwards.
type survivors struct {
	mu     sync.Mutex
	codes  []string
	tokens []tokens
}

func (s *survivors) got(t *testing.T, what string, got tokens) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if got.status == 200 {
		s.tokens = append(s.tokens, got)
	} else if got.Error != "invalid_grant" && got.Error != "temporarily_unavailable" {
		// Under serializable isolation sixteen at once may use up the retries.
		t.Errorf("%s: %s", what, got.raw)
	}
}

func (s *survivors) code(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if code != "" {
		s.codes = append(s.codes, code)
	}
}

// The revocation runs against redemptions, refreshes, an approval and
// remembered consent that are all under way. Whoever was first, nothing lives.
func TestA86A101NothingSurvivesARevocationThatRacesWithTokens(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		for round := range 8 {
			user := fmt.Sprint("alice-", round)
			format := func(n *lockspire.NewClient) { n.OpaqueAccessTokens = round%2 == 1 }
			partner, other, b := h.newApp(format), h.newApp(format), h.newBrowser()
			live := partner.redeem(partner.consentTo(b, user, "scope", "openid notes:read offline_access"))
			code := partner.consentTo(b, user, "scope", "openid notes:read offline_access")
			remembered := partner.authorizeURL("scope", "openid notes:read")
			// Before, so that it is asked without a page below.
			partner.redeem(partner.consentTo(b, user, "scope", "openid notes:read"))
			open := other.consentPage(b, user)
			var s survivors
			inParallel(16, func(i int) {
				time.Sleep(time.Duration(i*round) * 300 * time.Microsecond)
				switch i % 8 {
				case 0, 4:
					s.got(t, "redeem", partner.redeem(code))
				case 1, 5:
					s.got(t, "refresh", partner.refresh(live.Refresh))
				case 2:
					s.code(between(b.decide(open, lockspire.DecisionApprove).location+"&", "code=", "&"))
				case 3, 6:
					s.code(between(b.get(remembered).location+"&", "code=", "&"))
				case 7:
					// An error says that nothing was changed, and to call again.
					for n := 0; h.provider.RevokeSubject(t.Context(), user, "race") != nil; n++ {
						if n == 50 {
							t.Error("the revocation never gets through")
							return
						}
					}
				}
			})
			for _, code := range s.codes {
				for _, app := range []*app{partner, other} {
					s.got(t, "late", app.redeem(code))
				}
			}
			for _, got := range append(s.tokens, live) {
				if status := h.api(got.Access); status != 401 {
					t.Errorf("round %d: an access token survived: %d", round, status)
				}
				if again := partner.refresh(got.Refresh); got.Refresh != "" && again.Error != "invalid_grant" {
					t.Errorf("round %d: a refresh token survived: %s", round, again.raw)
				}
			}
			if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_families WHERE subject = $1 AND revoked_at IS NULL", user) +
				count(t, h.db, "SELECT COUNT(*) FROM lockspire_grants WHERE subject = $1 AND revoked_at IS NULL", user); n != 0 {
				t.Errorf("round %d: %d live rows", round, n)
			}
		}
	})
}

// fillSubject gives alice n more families, each with a rotated refresh token.
func (h *host) fillSubject(client string, n int) {
	h.t.Helper()
	const numbers = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) `
	at := h.clock.Now().UnixMicro()
	end := h.clock.Now().Add(time.Hour).UnixMicro()
	mustExec(h.t, h.db, fmt.Sprintf(numbers+`INSERT INTO lockspire_families
		(id, grant_id, client_id, subject, sid, secret_id, scopes, resources, created_at, expires_at)
		SELECT 'many-'||i, (SELECT id FROM lockspire_grants WHERE subject = 'alice' LIMIT 1), '%s', 'alice', 'sid', 'x', '[]', '[]', %d, %d FROM n`, n, client, at, end))
	hash := "('hash-'||i)::bytea"
	if h.config.Dialect == lockspire.SQLite {
		hash = "CAST('hash-'||i AS BLOB)"
	}
	mustExec(h.t, h.db, fmt.Sprintf(numbers+`INSERT INTO lockspire_refresh_tokens
		(id, hash, family_id, client_id, created_at, valid_until, rotated_at, expires_at)
		SELECT 'many-'||i, %s, 'many-'||i, '%s', %d, %d, %d, %d FROM n`, n, hash, client, at, end, at, end))
}

func TestRevokeSubjectAndEraseSubjectBearTenThousandFamilies(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		partner.consentTo(h.newBrowser(), "alice")
		h.fillSubject(partner.ID, 10_000)
		for _, call := range []struct {
			name string
			run  func() error
		}{
			{"RevokeSubject", func() error { return h.provider.RevokeSubject(t.Context(), "alice", "x") }},
			{"EraseSubject", func() error { return h.provider.EraseSubject(t.Context(), "alice") }},
		} {
			if err := call.run(); err != nil {
				t.Fatalf("%s: %v", call.name, err)
			}
		}
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_families WHERE subject = 'alice'"); n != 0 {
			t.Errorf("%d families left", n)
		}
	})
}
