package e2e

import (
	"net/url"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
	"github.com/lockspire/lockspire/runtime/lockspiretest"
)

// signInAndAllow is the person: sign in at the host, allow the client.
func signInAndAllow(t *testing.T, h *host, authorize string) url.Values {
	t.Helper()
	return signInAndDecide(t, h, authorize, lockspire.DecisionApprove).Query()
}

// signInAndDecide is a person with a new browser, who ends at the client.
func signInAndDecide(t *testing.T, h *host, authorize, decision string) *url.URL {
	t.Helper()
	browser := lockspiretest.Open(t, h.url)
	page, err := browser.Get(authorize)
	if err != nil {
		t.Fatal(err)
	}
	form := page.Form("password")
	if form == nil {
		t.Fatalf("the browser is on %s (%d), not at sign-in\n%s", page.URL, page.Status, page.Body)
	}
	if page, err = form.Submit("user", "alice", "password", "wonderland"); err != nil {
		t.Fatal(err)
	}
	consent := page.Form(lockspire.FieldDecision)
	for _, f := range page.Forms() {
		for _, button := range f.Buttons {
			if button.Value == decision {
				consent = f
			}
		}
	}
	if consent == nil {
		t.Fatalf("the browser is on %s (%d), not at consent", page.URL, page.Status)
	}
	if page, err = consent.Submit(lockspire.FieldDecision, decision); err != nil {
		t.Fatal(err)
	}
	target := page.Leaving()
	if target == nil {
		t.Fatalf("the browser stays on %s (%d)", page.URL, page.Status)
	}
	return target
}
