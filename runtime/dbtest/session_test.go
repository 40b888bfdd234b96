package dbtest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// sessionOf is the id of the session that signIn begins.
func sessionOf(user string) string { return "session-" + user + "-" }

// renew gives the account of a signed-in browser another session id.
func (h *host) renew(user, id string) {
	h.people.set(func(p *people) {
		account := p.sessions[sessionOf(user)]
		account.SessionID = id
		p.sessions[sessionOf(user)] = account
	})
}

func (h *host) endSession(id string) {
	h.t.Helper()
	if err := h.provider.SessionEnded(h.t.Context(), id); err != nil {
		h.t.Fatal(err)
	}
}

func TestA108ASessionThatEndsTakesItsTokensAlong(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		signedIn := partner.redeem(partner.consentTo(b, "alice", "scope", "openid notes:read"))
		plain := partner.redeem(partner.consentTo(b, "alice", "scope", "notes:read"))
		away := partner.redeem(partner.consentTo(b, "alice", "scope", "openid notes:read offline_access"))
		unused := partner.consentTo(b, "alice", "scope", "openid notes:read")
		elsewhere := h.newBrowser()
		elsewhere.signIn("alice", "nth", "2")
		other := partner.redeem(partner.consentTo(elsewhere, "alice", "scope", "openid notes:read"))
		if plain.Refresh == "" || claimsIn(t, away.ID)["sid"] == nil {
			t.Fatalf("before: %s, %s", plain.raw, away.raw)
		}
		// A scope that only looks like offline_access is another one.
		mustExec(t, h.db, `UPDATE lockspire_families SET scopes = '["openid","notes:read","OFFLINE-ACCESS"]' WHERE id = $1`, claimsIn(t, signedIn.Access)["fid"])

		h.endSession(sessionOf("alice"))
		for name, token := range map[string]string{"sign-in": signedIn.Access, "without openid": plain.Access} {
			if status := h.api(token); status != 401 {
				t.Errorf("%s: the API answers %d", name, status)
			}
		}
		wantToken(t, "refresh without offline_access", partner.refresh(plain.Refresh), 400, "invalid_grant")
		wantToken(t, "code of the session", partner.redeem(unused), 400, "invalid_grant")
		if status := h.api(other.Access); status != 200 {
			t.Errorf("the same person's other session: %d", status)
		}
		if status := h.api(away.Access); status != 200 {
			t.Errorf("with offline_access: %d", status)
		}
		refreshed := partner.refresh(away.Refresh)
		if refreshed.status != 200 || claimsIn(t, refreshed.ID)["sid"] != nil {
			t.Errorf("offline access has a session still: %s", refreshed.raw)
		}
		grants, err := h.provider.Grants(t.Context(), "alice")
		if err != nil || len(grants) != 1 {
			t.Errorf("the consent is gone: %v %v", grants, err)
		}
		if n := count(t, h.db, `SELECT COUNT(*) FROM lockspire_audit WHERE name = 'session.ended' AND subject = 'alice' AND detail = '{"families":"3","interactions":"0"}'`); n != 1 {
			t.Errorf("%d audit rows; events %s", n, h.events.dump())
		}
		h.endSession(sessionOf("alice"))
		h.endSession("unknown")
		h.endSession("")
		if n := h.audited("session.ended"); n != 1 || strings.Count(h.events.dump(), "session.ended") != 1 {
			t.Errorf("%d audit rows after calls that changed nothing", n)
		}
	})
}

func TestA43AConsentPageOfASessionThatEndedIsVoid(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		consent := partner.consentPage(b, "alice")
		h.endSession(sessionOf("alice"))
		// The host still knows the session: another replica of it, say.
		if p := b.decide(consent, lockspire.DecisionApprove); p.status != 400 || p.location != "" {
			t.Errorf("approving: %d to %q\n%s", p.status, p.location, p.body)
		}
		wantPage(t, "the page again", b.get(consent.at))
		if h.codes() != 0 || count(t, h.db, "SELECT COUNT(*) FROM lockspire_families") != 0 {
			t.Error("something was issued")
		}
		if n := h.audited("session.ended"); n != 1 {
			t.Errorf("%d audit rows", n)
		}
	})
}

func TestA43ARenewedSessionKeepsItsConsentPageAndItsTokens(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		first := partner.redeem(partner.consentTo(b, "alice", "scope", "openid notes:read offline_access"))
		session := partner.redeem(partner.consentTo(b, "alice", "scope", "openid notes:read", "prompt", "consent"))
		consent := partner.consentPage(b, "alice", "scope", "openid notes:read notes:write")
		h.renew("alice", "renewed")
		if err := h.provider.SessionRenewed(t.Context(), sessionOf("alice"), "renewed"); err != nil {
			t.Fatal(err)
		}
		left := b.decide(consent, lockspire.DecisionApprove)
		last := partner.redeem(left.answer(t).Get("code"))
		if last.status != 200 {
			t.Fatalf("the open page did not go on: %d %s, %s", left.status, left.body, last.raw)
		}
		sid := claimsIn(t, first.ID)["sid"]
		if refreshed := partner.refresh(first.Refresh); sid == nil || claimsIn(t, refreshed.ID)["sid"] != sid {
			t.Errorf("the sid that the client knows, %v, has changed: %s", sid, refreshed.raw)
		}
		h.endSession(sessionOf("alice"))
		if a, b := h.api(session.Access), h.api(last.Access); a != 200 || b != 200 {
			t.Errorf("the old id ends the session: %d %d", a, b)
		}
		h.endSession("renewed")
		if a, b := h.api(session.Access), h.api(last.Access); a != 401 || b != 401 {
			t.Errorf("the new id does not end the session: %d %d", a, b)
		}
		if n := count(t, h.db, `SELECT COUNT(*) FROM lockspire_audit WHERE name = 'session.renewed' AND subject = 'alice' AND detail = '{"families":"2","interactions":"1"}'`); n != 1 {
			t.Errorf("%d audit rows", n)
		}
		for _, pair := range [][2]string{{"", "x"}, {"unknown", "x"}, {"renewed", "renewed"}} {
			if err := h.provider.SessionRenewed(t.Context(), pair[0], pair[1]); err != nil {
				t.Errorf("%v: %v", pair, err)
			}
		}
		if n := h.audited("session.renewed"); n != 1 {
			t.Errorf("%d audit rows after calls that changed nothing", n)
		}
		if err := h.provider.SessionRenewed(t.Context(), "renewed", ""); err == nil {
			t.Error("an empty new id is taken")
		}
	})
}

// The host renews the session while the approval that was sent with the old id
// is on its way: what it issues belongs to the session that is there.
func TestA43AnApprovalFollowsASessionThatIsRenewedMeanwhile(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		consent := partner.consentPage(b, "alice")
		renewed := false
		h.people.set(func(p *people) {
			p.visit = func(ctx context.Context) error {
				if renewed {
					return nil
				}
				renewed = true
				return h.provider.SessionRenewed(ctx, sessionOf("alice"), "renewed")
			}
		})
		got := partner.redeem(b.decide(consent, lockspire.DecisionApprove).answer(t).Get("code"))
		if got.status != 200 || !renewed {
			t.Fatalf("%s, renewed %v", got.raw, renewed)
		}
		h.endSession("renewed")
		if status := h.api(got.Access); status != 401 {
			t.Errorf("the token does not hang on the renewed session: %d", status)
		}
	})
}

func TestASessionIsFoundUnderEverySecret(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		got := partner.redeem(partner.consentTo(b, "alice", "scope", "openid notes:read", "prompt", "consent"))
		consent := partner.consentPage(b, "alice", "scope", "openid notes:write")
		rotated := h.replica(func(config *lockspire.Config) {
			config.Secrets = [][]byte{bytes.Repeat([]byte{9}, 32), config.Secrets[0]}
		})
		if err := rotated.provider.SessionRenewed(t.Context(), sessionOf("alice"), "renewed"); err != nil {
			t.Fatal(err)
		}
		h.renew("alice", "renewed")
		last := partner.redeem(b.decide(consent, lockspire.DecisionApprove).answer(t).Get("code"))
		if last.status != 200 {
			t.Fatalf("the page that was shown under the old secret: %s", last.raw)
		}
		if err := rotated.provider.SessionEnded(t.Context(), "renewed"); err != nil {
			t.Fatal(err)
		}
		guarded := h.provider.Protect()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		for name, token := range map[string]string{"moved to the new secret": got.Access, "written under the old one": last.Access} {
			if w := send(guarded, "GET", h.server.URL+"/api", nil, "Authorization", "Bearer "+token); w.Code != 401 {
				t.Errorf("%s: %d", name, w.Code)
			}
		}
	})
}

func TestA178SessionsWithoutTheDatabaseAreAFault(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		h.db.Close()
		if h.provider.SessionEnded(t.Context(), "s") == nil || h.provider.SessionRenewed(t.Context(), "s", "t") == nil ||
			h.provider.RevokeSubject(t.Context(), "alice", "x") == nil || h.provider.EraseSubject(t.Context(), "alice") == nil {
			t.Error("a call that could not be carried out reports success")
		}
	})
}

// Whoever is first, nothing of the session lives on.
func TestA43AnApprovalThatRacesWithTheEndOfItsSessionIssuesNothingThatLives(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		for round := range 8 {
			user, b := fmt.Sprint("alice-", round), h.newBrowser()
			consent := partner.consentPage(b, user)
			var got tokens
			inParallel(2, func(i int) {
				if i == 1 {
					time.Sleep(time.Duration(round) * 400 * time.Microsecond)
					h.endSession(sessionOf(user))
				} else if code := between(b.decide(consent, lockspire.DecisionApprove).location+"&", "code=", "&"); code != "" {
					got = partner.redeem(code)
				}
			})
			if got.status == 200 && h.api(got.Access) != 401 {
				t.Errorf("round %d: a token survived", round)
			}
			if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_families WHERE subject = $1 AND revoked_at IS NULL", user); n != 0 {
				t.Errorf("round %d: %d live families", round, n)
			}
		}
	})
}
