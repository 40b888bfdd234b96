package dbtest

import (
	"net/url"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// threeResources are APIs, none of which is the host's origin.
func threeResources(config *lockspire.Config) {
	config.Resources = []lockspire.Resource{
		{Identifier: "https://api.example/notes"}, {Identifier: "https://Mail.example/v1?tenant=a"}, {Identifier: "https://files.example"},
	}
}

// asked is a request for scope and resources, approved by alice.
func (a *app) asked(scope string, resources ...string) string {
	a.h.t.Helper()
	b := a.h.newBrowser()
	b.signIn("alice")
	target := a.authorizeURL("scope", scope, "prompt", "consent")
	for _, resource := range resources {
		target += "&resource=" + url.QueryEscape(resource)
	}
	return b.decide(b.follow(b.get(target)), lockspire.DecisionApprove).answer(a.h.t).Get("code")
}

func wantAudience(t *testing.T, name string, got tokens, want ...string) {
	t.Helper()
	if got.status != 200 {
		t.Errorf("%s: %s", name, got.raw)
	} else if aud := claimsIn(t, got.Access)["aud"]; !sameList(aud, want...) {
		t.Errorf("%s: aud %v, want %q", name, aud, want)
	}
}

func TestWithoutResourceTheTokenIsForTheDefaultAndWithOpenIDForUserinfo(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		const first = "https://api.example/notes"
		partner := h.newApp()
		signedIn := partner.redeem(partner.asked("openid notes:read offline_access"))
		wantAudience(t, "openid", signedIn, first, h.issuer)
		if status, _ := h.bearer("/lockspire/userinfo", signedIn.Access); status != 200 {
			t.Errorf("userinfo: %d", status)
		}
		plain := partner.redeem(partner.asked("notes:read"))
		wantAudience(t, "without openid", plain, first)
		if status, _ := h.bearer("/lockspire/userinfo", plain.Access); status != 401 {
			t.Errorf("userinfo without openid: %d", status)
		}
		refreshed := partner.refresh(signedIn.Refresh)
		wantAudience(t, "refreshed", refreshed, first, h.issuer)
		wantAudience(t, "refreshed without openid", partner.refresh(refreshed.Refresh, "scope", "notes:read"), first)
		wantAudience(t, "client credentials", h.newApp(machine).ownToken(), first)
		// What a client may have has an order too: the configuration's.
		limited := h.newApp(func(n *lockspire.NewClient) {
			n.Resources = []string{"https://files.example", "https://Mail.example/v1?tenant=a"}
		})
		wantAudience(t, "limited client", limited.redeem(limited.asked("openid")), "https://Mail.example/v1?tenant=a", h.issuer)
	}, threeResources)
}

func TestWithResourceTheTokenIsForExactlyThatOne(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		// The default one by its name is not the default: no userinfo.
		named := partner.redeem(partner.asked("openid notes:read offline_access", "https://api.example/notes"))
		wantAudience(t, "the default by name", named, "https://api.example/notes")
		wantAudience(t, "refreshed", partner.refresh(named.Refresh), "https://api.example/notes")
		wantAudience(t, "another", partner.redeem(partner.asked("openid", "https://files.example/")), "https://files.example")
		code := partner.asked("openid offline_access")
		got := partner.redeem(code, "resource", "https://api.example/notes")
		wantAudience(t, "the default, named at the token endpoint", got, "https://api.example/notes")
		wantAudience(t, "and not named at the refresh", partner.refresh(got.Refresh), "https://api.example/notes", h.issuer)
	}, threeResources)
}

func TestA104SeveralResourcesAndNoneNamedIsAnInvalidTarget(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		both := []string{"https://api.example/notes", "https://files.example"}
		code := partner.asked("openid notes:read offline_access", both...)
		wantToken(t, "code, none named", partner.redeem(code), 400, "invalid_target")
		wantToken(t, "code, both named", partner.redeem(code, "resource", both[0], "resource", both[1]), 400, "invalid_target")
		wantToken(t, "code, one that was not approved", partner.redeem(code, "resource", "https://Mail.example/v1?tenant=a"), 400, "invalid_target")
		got := partner.redeem(code, "resource", both[1])
		wantAudience(t, "the code is not used up by that", got, both[1])
		wantToken(t, "refresh, none named", partner.refresh(got.Refresh), 400, "invalid_target")
		wantToken(t, "refresh, both named", partner.refresh(got.Refresh, "resource", both[0], "resource", both[1]), 400, "invalid_target")
		wantToken(t, "refresh, one that was not approved", partner.refresh(got.Refresh, "resource", "https://Mail.example/v1?tenant=a"), 400, "invalid_target")
		if n := h.audited("refresh.rotated"); n != 0 {
			t.Errorf("a refused refresh rotated the token %d times", n)
		}
		wantAudience(t, "A102 each in its turn", partner.refresh(got.Refresh, "resource", both[0]), both[0])
		wantAudience(t, "A102 each in its turn", partner.refresh(got.Refresh, "resource", both[1]), both[1])
		// One named twice is one.
		twice := partner.redeem(partner.asked("openid", both[0], "https://API.example/notes"))
		wantAudience(t, "the same twice", twice, both[0])
	}, threeResources)
}

func TestA39OnlySchemeHostAndEmptyPathAreComparedLoosely(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner, job := h.newApp(), h.newApp(machine)
		for spelled, want := range map[string]string{
			"HTTPS://API.EXAMPLE/notes":        "https://api.example/notes",
			"https://mail.example/v1?tenant=a": "https://Mail.example/v1?tenant=a",
			"https://files.example/":           "https://files.example",
			"https://FILES.example":            "https://files.example",
		} {
			wantAudience(t, spelled, job.ownToken("resource", spelled), want)
		}
		for _, spelled := range []string{
			"https://api.example/Notes", "https://api.example/notes/", "https://api.example/%6eotes", "https://api.example/x/../notes",
			"https://api.example:443/notes", "https://api.example/notes?", "https://api.example/notes#", "http://api.example/notes",
			"https://mail.example/v1", "https://mail.example/v1?tenant=A", "https://mail.example/v1?tenant=a&", "https://files.example//",
			"https://user@files.example", "https://files.example.", "files.example", "//files.example", "/", "x",
		} {
			wantToken(t, spelled, job.ownToken("resource", spelled), 400, "invalid_target")
			partner.wantError(t, spelled, h.newBrowser().get(partner.authorizeURL("resource", spelled)), "invalid_target")
		}
	}, threeResources)
}

func TestResourcesAreAnAllowListOfServerAndClient(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		limited := func(n *lockspire.NewClient) { n.Resources = []string{"https://files.example"} }
		partner, job := h.newApp(limited), h.newApp(machine, limited)
		for _, resource := range []string{"https://api.example/notes", "https://elsewhere.example"} {
			partner.wantError(t, resource, h.newBrowser().get(partner.authorizeURL("resource", resource)), "invalid_target")
			wantToken(t, resource, job.ownToken("resource", resource), 400, "invalid_target")
		}
		wantAudience(t, "its own", job.ownToken("resource", "https://files.example"), "https://files.example")
		stale := h.newApp(machine, func(n *lockspire.NewClient) { n.Resources = []string{"https://gone.example"} })
		wantToken(t, "a client whose resource left the configuration", stale.ownToken(), 400, "invalid_target")
	}, threeResources)
}
