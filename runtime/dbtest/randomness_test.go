package dbtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// The random source is the process's, so the part that breaks it is a process.
const randomnessVariable = "LOCKSPIRE_TEST_RANDOMNESS"

func TestA175WithoutRandomnessNothingIsIssued(t *testing.T) {
	if engine := os.Getenv(randomnessVariable); engine != "" {
		withoutRandomness(t, lockspire.Dialect(engine))
		return
	}
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			command := exec.CommandContext(ctx, self, "-test.run=^TestA175WithoutRandomnessNothingIsIssued$", "-test.count=1", "-test.v")
			command.Env = append(os.Environ(), randomnessVariable+"="+string(engine))
			if output, err := command.CombinedOutput(); err != nil || !bytes.Contains(output, []byte("--- PASS: TestA175")) {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
}

// brokenAfter is a random source that gives n good bytes and then err.
type brokenAfter struct {
	n    int
	good io.Reader
	err  error
}

func (b *brokenAfter) Read(p []byte) (int, error) {
	if b.n <= 0 {
		return 0, b.err
	}
	n, err := b.good.Read(p[:min(len(p), b.n)])
	b.n -= n
	return n, err
}

func withoutRandomness(t *testing.T, engine lockspire.Dialect) {
	h := newHost(t, openDB(t, engine), engine)
	partner, b := h.newApp(), h.newBrowser()
	b.signIn("alice")
	shown := partner.consentPage(b, "alice", "scope", "openid notes:read offline_access")
	got, code := partner.firstTokens(), partner.code("scope", "openid notes:read offline_access")
	cookies := b.cookies()
	form := url.Values{"decision": {lockspire.DecisionApprove}, "decision_token": {tokenPattern.FindStringSubmatch(shown.body)[1]}}
	for _, request := range []struct {
		name, method, target, form string
		headers                    []string
	}{
		{"authorize", "GET", partner.authorizeURL(), "", nil},
		{"consent", "POST", h.server.URL + actionPattern.FindStringSubmatch(shown.body)[1], form.Encode(), []string{"Cookie", cookies, "Sec-Fetch-Site", "same-origin"}},
		{"code", "POST", h.issuer + "/token", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {testVerifier}}.Encode(), []string{"Authorization", partner.basic()}},
		{"refresh", "POST", h.issuer + "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.Refresh}}.Encode(), []string{"Authorization", partner.basic()}},
	} {
		before, audits := h.issued(), count(t, h.db, "SELECT COUNT(*) FROM lockspire_audit")
		failed := 0
		// Whatever amount of randomness there is left, the answer is whole.
		for left := 0; ; left += 8 {
			source := rand.Reader
			rand.Reader = &brokenAfter{n: left, good: source, err: []error{io.EOF, errors.New("entropy is out")}[left/8%2]}
			w := send(h.provider, request.method, request.target, strings.NewReader(request.form), append(request.headers, "Content-Type", "application/x-www-form-urlencoded")...)
			rand.Reader = source
			if w.Code != http.StatusInternalServerError {
				if w.Code >= 400 || failed == 0 {
					t.Errorf("%s with %d random bytes: %d %s", request.name, left, w.Code, w.Body)
				}
				break
			}
			failed++
			body := w.Body.String()
			if request.name == "code" || request.name == "refresh" {
				if !jsonError(w, "server_error") || strings.Contains(body, "token\":") || w.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("%s with %d random bytes: %s", request.name, left, body)
				}
			}
			if strings.Contains(body, "entropy") || strings.Contains(body, "randomness") || w.Header().Get("Location") != "" {
				t.Errorf("%s with %d random bytes: %v %s", request.name, left, w.Header(), body)
			}
			if now := h.issued(); now != before || count(t, h.db, "SELECT COUNT(*) FROM lockspire_audit") != audits {
				t.Fatalf("%s with %d random bytes: half issued", request.name, left)
			}
		}
		t.Logf("%s failed at %d points", request.name, failed)
	}
}

// cookies are what b would send to the provider.
func (b *browser) cookies() string {
	at, err := url.Parse(b.h.issuer)
	if err != nil {
		b.h.t.Fatal(err)
	}
	var pairs []string
	for _, cookie := range b.client.Jar.Cookies(at) {
		pairs = append(pairs, cookie.Name+"="+cookie.Value)
	}
	return strings.Join(pairs, "; ")
}

// Whatever lets its holder in has 256 bits, and no two are alike.
func TestA175CodesTokensAndIDsAre256RandomBits(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		seen := map[string]string{}
		fresh := func(name, value string) {
			t.Helper()
			raw, err := base64.RawURLEncoding.Strict().DecodeString(value)
			if err != nil || len(raw) != 32 {
				t.Errorf("%s is %q", name, value)
			}
			if was, twice := seen[value]; twice {
				t.Errorf("%s is the same as %s", name, was)
			}
			seen[value] = name
		}
		for range 3 {
			partner, b := h.newApp(opaque), h.newBrowser()
			fresh("client secret", partner.secret)
			shown := partner.consentPage(b, "alice", "scope", "openid notes:read offline_access")
			_, id, _ := strings.Cut(actionPattern.FindStringSubmatch(shown.body)[1], "/interactions/")
			fresh("interaction id", id)
			fresh("decision token", tokenPattern.FindStringSubmatch(shown.body)[1])
			for _, pair := range strings.Split(b.cookies(), "; ") {
				if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "__Host-lockspire") {
					fresh("browser cookie", value)
				}
			}
			code := b.decide(shown, lockspire.DecisionApprove).answer(t).Get("code")
			fresh("code", code)
			got := partner.redeem(code)
			fresh("opaque access token", got.Access)
			fresh("refresh token", got.Refresh)
			fresh("its successor", partner.refresh(got.Refresh).Refresh)
			secret, err := h.provider.Clients().RotateSecret(t.Context(), partner.ID, 0)
			if err != nil {
				t.Fatal(err)
			}
			fresh("rotated secret", secret)
		}
		if len(seen) != 3*9 {
			t.Errorf("%d values were looked at", len(seen))
		}
	})
}
