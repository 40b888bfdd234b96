package dbtest

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// What a request costs on PostgreSQL is its round trips: a transaction that most
// requests make is one statement.
func TestFrequentRequestsTakeFewRoundTripsToPostgreSQL(t *testing.T) {
	r := newFaultRig(t, lockspire.PostgreSQL)
	b, user := r.newBrowser(), r.user()
	r.partner.consentTo(b, user, "scope", "openid notes:read")
	offline := r.partner.redeem(r.partner.consentTo(r.newBrowser(), r.user(), "scope", faultScope))
	var code string
	for _, one := range []struct {
		name  string
		trips int
		act   func() bool
	}{
		// The client; the grant; code, family, use of the grant and audit row.
		{"authorize with remembered consent", 3, func() bool {
			code = between(b.get(r.partner.authorizeURL("scope", "openid notes:read")).location+"&", "code=", "&")
			return code != ""
		}},
		// The client with its secrets; what was presented; the signing keys; all
		// that changes.
		{"redeem", 4, func() bool { return r.partner.redeem(code).status == http.StatusOK }},
		{"refresh", 4, func() bool { return r.partner.refresh(offline.Refresh).status == http.StatusOK }},
		{"client credentials", 3, func() bool { return r.job.ownToken("scope", "notes:read").status == http.StatusOK }},
		{"client credentials, opaque", 3, func() bool { return r.opaque.ownToken("scope", "notes:read").status == http.StatusOK }},
		{"introspect", 2, func() bool {
			return strings.Contains(r.partner.introspect(offline.Access).Body.String(), `"active":true`)
		}},
	} {
		good := false
		ops, _ := r.during(nil, 0, func() { good = one.act() })
		if !good || len(ops) != one.trips || slices.ContainsFunc(ops, func(op string) bool { return op != opStatement }) {
			t.Errorf("%s: %d round trips, want %d, good %v: %q", one.name, len(ops), one.trips, good, ops)
		}
	}
}

// Between reading that consent was given and issuing the code under it, the host
// is asked about the account. What changed meanwhile counts, and nothing of the
// code is stored.
func TestA60A97ConsentThatGoesDuringTheRequestIsNotRemembered(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		for _, one := range []struct {
			name   string
			change func(partner *app) error
			want   func(answer page) bool
		}{
			{"consent withdrawn", func(partner *app) error {
				grants, err := h.provider.Grants(t.Context(), "alice")
				if err != nil {
					return err
				}
				return h.provider.RevokeGrant(t.Context(), "alice", grants[0].ID)
			}, func(answer page) bool { return strings.Contains(answer.location, "/interactions/") }},
			{"client disabled", func(partner *app) error { return h.provider.Clients().Disable(t.Context(), partner.ID) },
				func(answer page) bool { return answer.status == http.StatusBadRequest && answer.location == "" }},
		} {
			partner, b := h.newApp(), h.newBrowser()
			partner.consentTo(b, "alice")
			codes, families, remembered := h.codes(), count(t, h.db, "SELECT COUNT(*) FROM lockspire_families"), h.audited("consent.remembered")
			asked := h.people.count("AccountBySubject")
			h.people.set(func(p *people) {
				p.visit = func(context.Context) error {
					if h.people.count("AccountBySubject") > asked {
						return one.change(partner)
					}
					return nil
				}
			})
			answer := b.get(partner.authorizeURL())
			h.people.set(func(p *people) { p.visit = nil })
			if !one.want(answer) || h.people.count("AccountBySubject") != asked+1 {
				t.Errorf("%s: %d to %q: %s", one.name, answer.status, answer.location, answer.body)
			}
			if h.codes() != codes || count(t, h.db, "SELECT COUNT(*) FROM lockspire_families") != families || h.audited("consent.remembered") != remembered {
				t.Errorf("%s: something of a code was stored", one.name)
			}
		}
	})
}
