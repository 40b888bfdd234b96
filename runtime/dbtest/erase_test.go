package dbtest

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

func TestEraseSubjectLeavesNoRowThatNamesThePerson(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		const erased = "erin-the-erased"
		partner, b := h.newApp(), h.newBrowser()
		all := []string{"scope", "openid profile notes:read offline_access"}
		bobs := partner.redeem(partner.consentTo(h.newBrowser(), "bob", all...))

		// A life: rotation, a reuse, a replay, a withdrawal, a second consent.
		got := partner.redeem(partner.consentTo(b, erased, all...))
		second := partner.refresh(got.Refresh)
		h.clock.advance(2 * time.Minute)
		partner.refresh(got.Refresh)
		grants, err := h.provider.Grants(t.Context(), erased)
		if err != nil || len(grants) != 1 {
			t.Fatalf("%v %v", grants, err)
		}
		if err := h.provider.RevokeGrant(t.Context(), erased, grants[0].ID); err != nil {
			t.Fatal(err)
		}
		last := partner.redeem(partner.consentTo(b, erased, all...))
		h.revokeSubject(erased, "complaint about "+erased)
		last = partner.redeem(partner.consentTo(b, erased, all...))
		code := partner.consentTo(b, erased, all...)
		open := partner.consentPage(b, erased, "scope", "openid notes:write")
		// Requests that name the person before anybody has signed in.
		for _, pair := range [][2]string{{"id_token_hint", last.ID}, {"login_hint", erased}, {"claims", `{"id_token":{"sub":{"value":"` + erased + `"}}}`}} {
			nobody := h.newBrowser()
			if p := nobody.get(partner.authorizeURL(pair[0], pair[1])); !strings.Contains(p.location, "/login?") {
				t.Fatalf("%s: %d %s", pair[0], p.status, p.location)
			}
		}
		partner.posted(h.newBrowser(), "login_hint", erased)
		bobsPage := h.newBrowser().get(partner.authorizeURL("login_hint", "bob"))
		// Nobody takes part of a longer name, or text that only contains it.
		h.newBrowser().get(partner.authorizeURL("login_hint", "x"+url.QueryEscape(`"login_hint":"`)))
		before := count(t, h.db, "SELECT COUNT(*) FROM lockspire_audit WHERE subject = $1", erased)
		if found := strings.Count(dump(t, h), erased); found < 10 || bobsPage.location == "" {
			t.Fatalf("the person is in the tables only %d times", found)
		}

		h.people.set(func(p *people) { p.gone[erased] = true })
		if err := h.provider.EraseSubject(t.Context(), erased); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(dump(t, h), "\n") {
			if strings.Contains(line, erased) {
				t.Errorf("left: %s", line)
			}
		}
		if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_audit WHERE subject LIKE 'erased\\_%' ESCAPE '\\'"); n != before+1 {
			t.Errorf("%d audit rows of %d and the erasure", n, before)
		}
		if n := count(t, h.db, "SELECT COUNT(DISTINCT subject) FROM lockspire_audit WHERE subject LIKE 'erased%'"); n != 1 {
			t.Errorf("the audit log tells of %d people", n)
		}
		for name, token := range map[string]string{"first": second.Access, "last": last.Access} {
			if status := h.api(token); status != 401 {
				t.Errorf("%s access token: %d", name, status)
			}
		}
		for name, token := range map[string]string{"rotated": got.Refresh, "its successor": second.Refresh, "last": last.Refresh} {
			wantToken(t, name+" refresh token", partner.refresh(token), 400, "invalid_grant")
		}
		wantToken(t, "code", partner.redeem(code), 400, "invalid_grant")
		if p := b.decide(open, lockspire.DecisionApprove); p.status != 400 || p.location != "" {
			t.Errorf("open page: %d to %q", p.status, p.location)
		}
		if h.api(bobs.Access) != 200 && partner.refresh(bobs.Refresh).status != 200 {
			t.Error("another person's grant is gone")
		}
		if n := count(t, h.db, `SELECT COUNT(*) FROM lockspire_interactions`); n != 3 {
			t.Errorf("%d requests of others left", n)
		}

		if err := h.provider.EraseSubject(t.Context(), erased); err != nil {
			t.Fatal(err)
		}
		if n := h.audited("subject.erased"); n != 1 || strings.Contains(h.events.dump()[strings.LastIndex(h.events.dump(), "subject.erased"):], erased) {
			t.Errorf("%d audit rows, or the event names the person", n)
		}
		if h.provider.EraseSubject(t.Context(), "") == nil {
			t.Error("an empty subject is taken for success")
		}
	})
}

// A call that is cut short has ended everything already, and the next one
// finishes it.
func TestAnErasureThatWasCutShortIsFinishedByTheNext(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		got := partner.redeem(partner.consentTo(h.newBrowser(), "alice", "scope", "openid notes:read offline_access"))
		h.fillSubject(partner.ID, 700)
		cut := 0
		for n := 1; ; n += 1 + n/8 {
			ctx := newCountdown(context.Background(), n)
			err := h.provider.EraseSubject(ctx, "alice")
			if err == nil {
				break
			}
			cut++
			if status := h.api(got.Access); status == 200 && count(t, h.db, "SELECT COUNT(*) FROM lockspire_audit WHERE name = 'subject.erased'") > 0 {
				t.Fatalf("cut at %d: the erasure is on record and a token lives", n)
			}
		}
		if cut == 0 {
			t.Fatal("nothing was cut short")
		}
		if strings.Contains(dump(t, h), "=alice") || h.api(got.Access) != 401 {
			t.Error("the person is still there")
		}
	})
}
