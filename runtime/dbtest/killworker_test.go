package dbtest

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// killWorker is one person with one client, and remembers what it was told.
type killWorker struct {
	t       *testing.T
	issuer  string
	partner *app
	cookies []*http.Cookie
	random  *rand.Rand
	tally   killTally

	code    string
	refresh string
	// asked says that the code was sent and no answer came.
	asked bool
	// revoking says the same of the revocation of refresh.
	revoking bool
	dead     []string
}

var killClient = &http.Client{
	Timeout:       20 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: killWorkers},
}

// work makes requests until stop; one that is not answered is made again.
func (w *killWorker) work(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if !w.step() {
			w.tally.unanswered++
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// step is the next request, and reports whether it was answered.
func (w *killWorker) step() bool {
	switch {
	case w.refresh != "" && (w.revoking || w.random.IntN(6) == 0):
		return w.revoke()
	case w.refresh != "":
		return w.rotate()
	case w.code != "":
		return w.redeem()
	}
	return w.authorize()
}

func (w *killWorker) authorize() bool {
	r, err := http.NewRequest("GET", w.issuer+"/authorize?"+strings.SplitN(w.partner.authorizeURL("scope", faultScope), "?", 2)[1], nil)
	if err != nil {
		w.t.Error(err)
		return false
	}
	for _, cookie := range w.cookies {
		r.AddCookie(cookie)
	}
	answer, body, ok := w.send(r)
	if !ok {
		return false
	}
	to, _ := url.Parse(answer.Header.Get("Location"))
	if w.code = to.Query().Get("code"); w.code == "" {
		w.lost("no code: %d %s %s", answer.StatusCode, to, body)
	}
	return true
}

func (w *killWorker) redeem() bool {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {w.code}, "redirect_uri": {w.partner.redirectURI}, "code_verifier": {testVerifier}}
	got, status, ok := w.post("/token", form)
	switch {
	case !ok:
		w.asked = true
		return false
	case status == http.StatusOK:
		w.tally.codes++
		w.refresh = got["refresh_token"]
		w.again(form)
	case got["error"] == "invalid_grant" && w.asked:
		w.tally.spent++
	default:
		w.lost("a code that was never redeemed: %d %v", status, got)
	}
	w.code, w.asked = "", false
	return true
}

// again redeems a code once more at once: that must not succeed. Where the
// answer took so long that it counts as a replay, the tokens are over.
func (w *killWorker) again(form url.Values) {
	begun := time.Now()
	got, status, ok := w.post("/token", form)
	if ok && status == http.StatusOK {
		w.lost("a code was redeemed twice: %v", got)
	}
	if time.Since(begun) > time.Second {
		w.refresh = ""
	}
}

func (w *killWorker) rotate() bool {
	got, status, ok := w.post("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {w.refresh}})
	if !ok {
		return false
	}
	if status != http.StatusOK || got["refresh_token"] == w.refresh {
		w.lost("a refresh token that was answered: %d %v", status, got)
		w.refresh = ""
		return true
	}
	w.tally.refreshed++
	w.refresh = got["refresh_token"]
	return true
}

func (w *killWorker) revoke() bool {
	got, status, ok := w.post("/revoke", url.Values{"token": {w.refresh}})
	if w.revoking = !ok; !ok {
		return false
	}
	if status != http.StatusOK {
		w.lost("a revocation: %d %v", status, got)
	}
	w.tally.revoked++
	w.dead = append(w.dead, w.refresh)
	w.refresh = ""
	return true
}

// settle sees after a round that what lives is alive, and what was revoked dead.
func (w *killWorker) settle() {
	must := func(request func() bool) {
		for deadline := time.Now().Add(20 * time.Second); !request(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				w.t.Fatal("no answer after the restart")
			}
		}
	}
	if w.revoking {
		must(w.revoke)
	}
	if w.refresh != "" {
		must(w.rotate)
	}
	for _, token := range w.dead {
		must(func() bool {
			got, status, ok := w.post("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
			if ok && got["error"] != "invalid_grant" {
				w.lost("a revoked token lives: %d %v", status, got)
			}
			return ok
		})
	}
	w.dead = nil
}

// post sends a form as the client, and reports whether it was answered.
func (w *killWorker) post(path string, form url.Values) (map[string]string, int, bool) {
	r, err := http.NewRequest("POST", w.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Error(err)
		return nil, 0, false
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", w.partner.basic())
	answer, body, ok := w.send(r)
	if !ok {
		return nil, 0, false
	}
	var fields map[string]any
	json.Unmarshal(body, &fields)
	texts := map[string]string{}
	for name, value := range fields {
		texts[name], _ = value.(string)
	}
	return texts, answer.StatusCode, true
}

// send reports false for a connection that broke and for a 503 that tells the
// client to come back; any other server error is a fault.
func (w *killWorker) send(r *http.Request) (*http.Response, []byte, bool) {
	answer, err := killClient.Do(r)
	if err != nil {
		return nil, nil, false
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, nil, false
	}
	if answer.StatusCode == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") != "" {
		return nil, nil, false
	}
	if answer.StatusCode >= http.StatusInternalServerError {
		w.lost("%d %s", answer.StatusCode, body)
	}
	return answer, body, true
}

func (w *killWorker) lost(format string, args ...any) {
	w.tally.lost++
	w.t.Errorf(format, args...)
}
