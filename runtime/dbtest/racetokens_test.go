package dbtest

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

const raceScope = "openid offline_access notes:read"

func TestA86TwoProcessesRedeemACodeOnce(t *testing.T) {
	race{
		inside: true,
		prepare: func(h *host, partner *app, b *browser) map[string]string {
			return map[string]string{"code": partner.consentTo(b, "alice", "scope", raceScope)}
		},
		once: func(r *racer, _ int) raceResult { return raced(r.partner.redeem(r.args["code"])) },
		judge: func(t *testing.T, h *host, partner *app, all []raceResult) {
			won := raceSplit(t, all, "invalid_grant")
			if len(won) != 1 {
				t.Fatalf("%d redemptions succeeded", len(won))
			}
			if n := h.audited("code.redeemed"); n != 1 {
				t.Errorf("%d code.redeemed rows", n)
			}
			if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_refresh_tokens"); n != 1 {
				t.Errorf("%d refresh tokens", n)
			}
			raceWorks(t, h, partner, won[0])
		},
	}.run(t)
}

func TestA101TwoProcessesMakeOneSuccessor(t *testing.T) {
	race{
		inside: true,
		prepare: func(h *host, partner *app, b *browser) map[string]string {
			return map[string]string{"refresh": partner.redeem(partner.consentTo(b, "alice", "scope", raceScope)).Refresh}
		},
		once: func(r *racer, _ int) raceResult { return raced(r.partner.refresh(r.args["refresh"])) },
		judge: func(t *testing.T, h *host, partner *app, all []raceResult) {
			successors := map[string]bool{}
			for _, result := range raceSplit(t, all, "no loser at all") {
				successors[result.Refresh] = true
			}
			if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_refresh_tokens WHERE parent_id IS NOT NULL"); len(successors) != 1 || n != 1 {
				t.Errorf("%d different successors answered, %d stored", len(successors), n)
			}
			if n := h.audited("refresh.rotated"); n != 1 {
				t.Errorf("%d refresh.rotated rows", n)
			}
			raceWorks(t, h, partner, all[0])
		},
	}.run(t)
}

func TestA101TwoProcessesRotateOnceWhereTheWindowIsShut(t *testing.T) {
	race{
		inside: true,
		change: func(c *lockspire.Config) { c.TTLs.RefreshReuseWindow = -1 },
		prepare: func(h *host, partner *app, b *browser) map[string]string {
			return map[string]string{"refresh": partner.redeem(partner.consentTo(b, "alice", "scope", raceScope)).Refresh}
		},
		once: func(r *racer, _ int) raceResult { return raced(r.partner.refresh(r.args["refresh"])) },
		judge: func(t *testing.T, h *host, partner *app, all []raceResult) {
			won := raceSplit(t, all, "invalid_grant")
			if len(won) != 1 || h.audited("refresh.rotated") != 1 {
				t.Fatalf("%d refreshes succeeded, %d are on record", len(won), h.audited("refresh.rotated"))
			}
			// The rule of reuse: the losers presented a rotated token.
			if h.audited("refresh.reused") == 0 || h.api(won[0].Access) != http.StatusUnauthorized {
				t.Errorf("%d refresh.reused rows, and the family lives on: API %d", h.audited("refresh.reused"), h.api(won[0].Access))
			}
		},
	}.run(t)
}

func TestA47TwoProcessesIssueOneCodeForOneDecision(t *testing.T) {
	race{
		inside:  true,
		prepare: raceConsent,
		once: func(r *racer, _ int) raceResult {
			return raceDecide(r, lockspire.DecisionApprove)
		},
		judge: func(t *testing.T, h *host, partner *app, all []raceResult) {
			codes := map[string]bool{}
			for _, result := range all {
				codes[between(result.Raw+"&", "code=", "&")] = true
			}
			if len(codes) != 1 || codes[""] || h.codes() != 1 || h.audited("consent.approved") != 1 {
				t.Fatalf("%d codes answered, %d stored, %d approvals on record", len(codes), h.codes(), h.audited("consent.approved"))
			}
			for code := range codes {
				raceWorks(t, h, partner, raced(partner.redeem(code)))
			}
		},
	}.run(t)
}

func TestA47TwoProcessesAgreeWhetherItWasAllowed(t *testing.T) {
	race{
		prepare: raceConsent,
		once: func(r *racer, i int) raceResult {
			return raceDecide(r, []string{lockspire.DecisionApprove, lockspire.DecisionDeny}[i%2])
		},
		judge: func(t *testing.T, h *host, partner *app, all []raceResult) {
			answered := map[string]int{}
			code := ""
			for _, result := range all {
				switch {
				case strings.Contains(result.Raw, "code="):
					answered["approved"]++
					code = between(result.Raw+"&", "code=", "&")
				case strings.Contains(result.Raw, "error=access_denied"):
					answered["denied"]++
				case result.Status != http.StatusBadRequest:
					t.Errorf("a loser got %d %s", result.Status, result.Raw)
				}
			}
			approved, denied := h.audited("consent.approved"), h.audited("consent.denied")
			if len(answered) != 1 || approved+denied != 1 || answered["approved"] > 0 != (approved == 1) || h.codes() != approved {
				t.Fatalf("answered %v; %d approvals and %d denials on record, %d codes", answered, approved, denied, h.codes())
			}
			if code != "" {
				raceWorks(t, h, partner, raced(partner.redeem(code)))
			}
		},
	}.run(t)
}

// A grant is withdrawn while its families refresh. Whoever was first, nothing
// that was answered works after the withdrawal has answered.
func TestA86A101RevocationRacesWithTheRefreshesOfAnotherProcess(t *testing.T) {
	race{
		inside: true,
		prepare: func(h *host, partner *app, b *browser) map[string]string {
			args := map[string]string{}
			for i := range parallel {
				args[strconv.Itoa(i)] = partner.redeem(partner.consentTo(b, "alice", "scope", raceScope)).Refresh
			}
			grants, err := h.provider.Grants(h.t.Context(), "alice")
			if err != nil || len(grants) != 1 {
				h.t.Fatalf("%d grants, %v", len(grants), err)
			}
			args["grant"] = grants[0].ID
			return args
		},
		once: func(r *racer, i int) raceResult {
			if i > 0 {
				return raced(r.partner.refresh(r.args[strconv.Itoa(i)]))
			}
			r.gate.wait(r.t.Context())
			if err := r.h.provider.RevokeGrant(r.t.Context(), "alice", r.args["grant"]); err != nil {
				r.t.Error(err)
			}
			return raceResult{Status: http.StatusBadRequest, Error: "invalid_grant"}
		},
		judge: func(t *testing.T, h *host, partner *app, all []raceResult) {
			won := raceSplit(t, all, "invalid_grant")
			t.Logf("%d of %d refreshes were first", len(won), parallel-1)
			for _, result := range won {
				if status := h.api(result.Access); status != http.StatusUnauthorized {
					t.Errorf("an access token survived: API %d", status)
				}
				if again := partner.refresh(result.Refresh); again.Error != "invalid_grant" {
					t.Errorf("a refresh token survived: %s", again.raw)
				}
			}
			if n := count(t, h.db, "SELECT COUNT(*) FROM lockspire_families WHERE revoked_at IS NULL"); n != 0 || h.audited("grant.revoked") != 1 {
				t.Errorf("%d live families, %d withdrawals on record", n, h.audited("grant.revoked"))
			}
			if n := h.audited("refresh.rotated"); n != len(won) {
				t.Errorf("%d refreshes answered, %d on record", len(won), n)
			}
		},
	}.run(t)
}

// raceConsent shows a consent page.
func raceConsent(h *host, partner *app, b *browser) map[string]string {
	shown := partner.consentPage(b, "alice", "scope", raceScope)
	if !shown.isConsent() {
		h.t.Fatalf("no consent page: %d", shown.status)
	}
	return map[string]string{"page": shown.body}
}

// raceDecide answers that page; Raw is where it leads.
func raceDecide(r *racer, decision string) raceResult {
	p := r.browser.decide(page{status: http.StatusOK, body: r.args["page"]}, decision)
	return raceResult{Status: p.status, Raw: p.location}
}

// raceWorks fails unless the tokens of a winner do what they are for.
func raceWorks(t *testing.T, h *host, partner *app, won raceResult) {
	t.Helper()
	if status := h.api(won.Access); status != http.StatusOK {
		t.Errorf("the winner's access token answers %d", status)
	}
	if refreshed := partner.refresh(won.Refresh); refreshed.status != http.StatusOK || h.api(refreshed.Access) != http.StatusOK {
		t.Errorf("the winner's refresh token answers %s", refreshed.raw)
	}
}
