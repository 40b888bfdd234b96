package dbtest

import (
	"net/http"
	"strings"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

func withoutPKCE(n *lockspire.NewClient) { n.PKCEOptional = true }

func TestA17OnlyAnOperatorLetsAConfidentialClientOmitPKCE(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		legacy, partner, phone := h.newApp(withoutPKCE), h.newApp(), h.newApp(public)
		none := []string{"code_challenge", "", "code_challenge_method", ""}
		if n := count(t, h.db, `SELECT COUNT(*) FROM lockspire_audit WHERE name = 'client.created' AND client_id = $1 AND detail = '{"pkce":"optional"}'`, legacy.ID); n != 1 {
			t.Errorf("%d audit rows say that PKCE is optional", n)
		}
		if _, _, err := h.provider.Clients().Create(t.Context(), lockspire.NewClient{
			Name: "Phone", RedirectURIs: []string{"https://a.example/"}, AuthMethod: lockspire.AuthNone, PKCEOptional: true,
		}); err == nil || !strings.HasPrefix(err.Error(), "PKCEOptional: ") {
			t.Errorf("a public client: %v", err)
		}
		// A stored row that says so all the same is refused at authorize.
		mustExec(t, h.db, `UPDATE lockspire_clients SET metadata = '{"pkce_optional":true}' WHERE id = $1`, phone.ID)
		for name, target := range map[string]string{
			"ordinary client":    partner.authorizeURL(none...),
			"public client":      phone.authorizeURL(none...),
			"method alone":       legacy.authorizeURL("code_challenge", ""),
			"A18 challenge bare": legacy.authorizeURL("code_challenge_method", ""),
			"A18 plain":          legacy.authorizeURL("code_challenge_method", "plain"),
			"A18 short":          legacy.authorizeURL("code_challenge", "abc"),
		} {
			if p := h.newBrowser().get(target); p.status != http.StatusSeeOther || p.answer(t).Get("error") != "invalid_request" {
				t.Errorf("%s: %d %s", name, p.status, p.location)
			}
		}
		got := legacy.redeem(legacy.code(none...), "code_verifier", "")
		if got.status != http.StatusOK || got.ID == "" {
			t.Errorf("without PKCE: %s", got.raw)
		}
		if got := legacy.redeem(legacy.code()); got.status != http.StatusOK {
			t.Errorf("with PKCE all the same: %s", got.raw)
		}
	})
}

func TestA91VerifierForACodeWithoutChallenge(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		legacy := h.newApp(withoutPKCE, func(n *lockspire.NewClient) {
			n.RedirectURIs = []string{"https://partner.example/cb", "https://partner.example/other"}
		})
		code := legacy.code("code_challenge", "", "code_challenge_method", "")
		exchange := func(code string, pairs ...string) tokens {
			return legacy.token(append([]string{"grant_type", "authorization_code", "code", code}, pairs...)...)
		}
		redirect := []string{"redirect_uri", legacy.redirectURI}
		wantToken(t, "downgrade", legacy.redeem(code), 400, "invalid_grant")
		wantToken(t, "A92 no redirect_uri", exchange(code), 400, "invalid_grant")
		wantToken(t, "A92 another redirect_uri", exchange(code, "redirect_uri", "https://partner.example/other"), 400, "invalid_grant")
		if got := exchange(code, redirect...); got.status != http.StatusOK {
			t.Errorf("the rightful request: %s", got.raw)
		}
		// With a challenge nothing changed: a missing verifier is refused.
		wantToken(t, "A90 no verifier", exchange(legacy.code(), redirect...), 400, "invalid_grant")
		// What the operator takes back counts at once.
		code = legacy.code("code_challenge", "", "code_challenge_method", "")
		mustExec(t, h.db, "UPDATE lockspire_clients SET metadata = '{}' WHERE id = $1", legacy.ID)
		wantToken(t, "taken back", exchange(code, redirect...), 400, "invalid_grant")
	})
}
