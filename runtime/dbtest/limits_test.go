package dbtest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// byHeader lets a test say where a request comes from.
func byHeader(c *lockspire.Config) {
	c.ClientIP = func(r *http.Request) string { return r.Header.Get("Test-Address") }
}

func TestA40FloodOfInteractionsIsLimitedPerAddressAndClient(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, other := h.newApp(), h.newApp()
		statuses := map[int]int{}
		for range 65 {
			p := h.newBrowser().get(partner.authorizeURL(), "Test-Address", "192.0.2.1")
			statuses[p.status]++
			if p.status == http.StatusTooManyRequests && p.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
		if statuses[http.StatusSeeOther] != 60 || statuses[http.StatusTooManyRequests] != 5 || h.interactions() != 60 {
			t.Errorf("statuses %v, %d rows", statuses, h.interactions())
		}
		if p := h.newBrowser().get(partner.authorizeURL(), "Test-Address", "192.0.2.2"); p.status != http.StatusSeeOther {
			t.Errorf("another address: %d", p.status)
		}
		if p := h.newBrowser().get(other.authorizeURL(), "Test-Address", "192.0.2.1"); p.status != http.StatusSeeOther {
			t.Errorf("another client: %d", p.status)
		}
		h.clock.advance(time.Minute)
		if p := h.newBrowser().get(partner.authorizeURL(), "Test-Address", "192.0.2.1"); p.status != http.StatusSeeOther {
			t.Errorf("a minute later: %d", p.status)
		}
	}, byHeader)
}

func TestA71GuessingIsLimitedWithoutLockingTheClientOut(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		from := func(address, secret string) tokens {
			header := basic(partner.ID, secret)
			header.Set("Test-Address", address)
			return partner.attempt(header)
		}
		for range 10 {
			wantToken(t, "wrong secret", from("192.0.2.1", "guess"), 401, "invalid_client")
		}
		limited := from("192.0.2.1", partner.secret)
		wantToken(t, "the eleventh", limited, 429, "temporarily_unavailable")
		if limited.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		wantToken(t, "right secret from another address", from("192.0.2.2", partner.secret), 400, "invalid_grant")
		h.clock.advance(time.Minute)
		wantToken(t, "a minute later", from("192.0.2.1", partner.secret), 400, "invalid_grant")
	}, byHeader)
}

func TestA187PanicOfTheHostIsA500WithoutDetail(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		code := partner.code()
		h.people.visit = func(context.Context) error { panic("canary-in-a-panic") }
		p := b.get(partner.authorizeURL())
		if p.status != http.StatusInternalServerError || strings.Contains(p.body, "canary") {
			t.Errorf("authorize: %d\n%s", p.status, p.body)
		}
		got := partner.redeem(code)
		wantToken(t, "token", got, 500, "server_error")
		if logs := h.logs.String(); strings.Contains(logs, "canary") || !strings.Contains(logs, "panic") {
			t.Error("the panic's value is in the log, or the panic is not")
		}
		h.people.visit = nil
		if got := partner.redeem(code); got.status != http.StatusOK {
			t.Errorf("afterwards: %s", got.raw)
		}
	})
}

// A storage fault is never an answer that makes a client throw tokens away.
func TestA178StorageFaultIs503AndIssuesNothing(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, b := h.newApp(), h.newBrowser()
		shown := partner.consentPage(b, "alice", "scope", "openid offline_access")
		code := partner.code("scope", "openid offline_access")
		first := partner.firstTokens()
		h.db.Close()
		for name, p := range map[string]page{
			"authorize": b.get(partner.authorizeURL()), "resume": b.get(shown.at), "consent": b.decide(shown, lockspire.DecisionApprove),
		} {
			if p.status != http.StatusServiceUnavailable || p.header.Get("Retry-After") == "" || p.location != "" {
				t.Errorf("%s: %d to %q", name, p.status, p.location)
			}
		}
		for name, got := range map[string]tokens{"code": partner.redeem(code), "refresh": partner.refresh(first.Refresh)} {
			wantToken(t, name, got, 503, "temporarily_unavailable")
			if got.header.Get("Retry-After") == "" {
				t.Errorf("%s: no Retry-After", name)
			}
		}
	})
}

func TestCloseStopsRunAndWaitsForIt(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		ended := make(chan error, 1)
		go func() { ended <- h.provider.Run(context.Background()) }()
		time.Sleep(10 * time.Millisecond)
		h.provider.Close()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run returned %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("Run goes on after Close")
		}
		if err := h.provider.Run(t.Context()); err != nil {
			t.Errorf("Run after Close: %v", err)
		}
	})
}
