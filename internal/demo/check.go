package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/lockspire/lockspire/internal/plan"
)

// check is the demo without a person: sign-in, consent, tokens, the API, and
// the person taking the access back. It prints a line for each request and
// returns an error at the first that is answered otherwise than it should.
func check(ctx context.Context, d *demo) error {
	fmt.Fprintln(d.Out)
	w := &walk{ctx: ctx, demo: d, browser: newBrowser()}
	w.signIn()
	w.consent()
	w.useTokens()
	w.takeBack()
	if w.err != nil {
		return w.err
	}
	fmt.Fprintf(d.Out, "\nall %d steps answered as they should\n", w.steps)
	return nil
}

const wayIn = "/lockspire/interactions/"

// signIn goes from the partner to the host's sign-in page and through it.
func (w *walk) signIn() {
	home := w.open("partner's page", w.demo.partnerURL+"/", http.StatusOK)
	w.contains(home, `href="/start"`)
	start := w.visit("\"Sign in with Fieldnotes\"", w.demo.partnerURL+"/start", home, http.StatusSeeOther)
	// The browser comes from another site. A host whose cookie is
	// SameSite=Strict would not be sent it yet: one page of the host's own
	// origin asks again.
	leave := w.follow("authorize, from another site: leave page", start, "/lockspire/authorize", http.StatusOK)
	again := w.follow("the request, from this site", leave, wayIn, http.StatusSeeOther)
	login := w.follow("host's sign-in form", again, "/login", http.StatusOK)

	form := w.form(login, "password")
	way := form.values.Get("return_to")
	id := form.values.Get("interaction_id")
	w.require(id != "" && way == wayIn+id, "the sign-in form carries return_to %q and interaction_id %q", way, id)

	stranger := &walk{ctx: w.ctx, demo: w.demo, browser: newBrowser(), steps: w.steps, err: w.err}
	stranger.open("the same link in somebody else's browser", w.demo.hostURL+way, http.StatusBadRequest)
	w.steps, w.err = stranger.steps, stranger.err

	form.values.Set("username", username)
	form.values.Set("password", "wrong")
	wrong := w.submit("a wrong password", login, form, "/login", http.StatusUnauthorized)
	form = w.form(wrong, "password")
	form.values.Set("password", password)
	w.page = w.submit("the right one", wrong, form, "/login", http.StatusSeeOther)
}

// consent approves the partner and lands there with a code.
func (w *walk) consent() {
	consent := w.follow("back to the request: consent", w.page, wayIn, http.StatusOK)
	w.contains(consent, "Almanac", "Ada Alder", "Read your notes")
	form := w.form(consent, "decision")
	form.values.Set("decision", "approve")
	leave := w.submit("\"Allow\"", consent, form, wayIn, http.StatusOK)
	callback := w.follow("leave page goes on to the partner", leave, "/callback", http.StatusSeeOther)
	w.called("partner redeems the code", http.MethodPost, "/lockspire/token", http.StatusOK)
	w.called("partner asks who it is", http.MethodGet, "/lockspire/userinfo", http.StatusOK)
	w.page = w.follow("signed in at the partner", callback, "/", http.StatusOK)
	w.contains(w.page, "Ada Alder", "usr_")
}

// useTokens reads the API, refreshes, and reads again.
func (w *walk) useTokens() {
	read := func(what string) {
		answer := w.press("\"Read my notes\"", "/notes")
		w.called(what, http.MethodGet, "/api/notes", http.StatusOK)
		w.page = w.follow("partner shows the notes", answer, "/", http.StatusOK)
		w.contains(w.page, "Two curlews")
	}
	read("partner calls the API")
	answer := w.press("\"Refresh the tokens\"", "/refresh")
	w.called("partner refreshes", http.MethodPost, "/lockspire/token", http.StatusOK)
	w.page = w.follow("partner has new tokens", answer, "/", http.StatusOK)
	read("partner calls the API with the new token")
}

// takeBack revokes the partner as its user, and sees the API refuse.
func (w *walk) takeBack() {
	partner := w.page
	home := w.open("host's page", w.demo.hostURL+"/", http.StatusOK)
	apps := w.visit("authorized apps", w.demo.hostURL+"/lockspire/apps", home, http.StatusOK)
	w.contains(apps, "Almanac")
	form := w.form(apps, "grant_id")
	form.values.Set("decision", "revoke")
	done := w.submit("\"Remove access\"", apps, form, "/lockspire/apps", http.StatusSeeOther)
	after := w.follow("authorized apps: none", done, "/lockspire/apps", http.StatusOK)
	w.require(after.form("grant_id") == nil, "the revoked app is still listed")

	w.page = partner
	answer := w.press("\"Read my notes\"", "/notes")
	w.called("partner calls the API", http.MethodGet, "/api/notes", http.StatusUnauthorized)
	w.page = w.follow("partner says what happened", answer, "/", http.StatusOK)
	answer = w.press("\"Refresh the tokens\"", "/refresh")
	w.called("partner refreshes", http.MethodPost, "/lockspire/token", http.StatusBadRequest)
	w.follow("partner says what happened", answer, "/", http.StatusOK)
}

// walk takes steps until one goes wrong; after that its methods do nothing and
// return empty pages, so that a story can be told without an if per line.
type walk struct {
	ctx     context.Context
	demo    *demo
	browser *browser
	steps   int
	calls   int   // back-channel calls of the partner that were looked at
	page    *page // where the story goes on
	err     error
}

// open goes to target as if it were typed.
func (w *walk) open(what, target string, status int) *page { return w.visit(what, target, nil, status) }

// visit goes to target from a page that links to it.
func (w *walk) visit(what, target string, from *page, status int) *page {
	return w.step(what, http.MethodGet, "", status, func() (*page, error) {
		return w.browser.open(w.ctx, target, from)
	})
}

// follow goes where from sends the browser, which must be below path.
func (w *walk) follow(what string, from *page, path string, status int) *page {
	w.require(from.next() != "", "the answer before %q leads nowhere", what)
	return w.step(what, http.MethodGet, path, status, func() (*page, error) {
		return w.browser.open(w.ctx, from.next(), from)
	})
}

func (w *walk) submit(what string, from *page, form *form, path string, status int) *page {
	return w.step(what, form.method, path, status, func() (*page, error) {
		return w.browser.submit(w.ctx, form, from)
	})
}

// press submits the form of the partner's page with that action.
func (w *walk) press(what, action string) *page {
	for _, form := range w.page.forms() {
		if form.action == w.demo.partnerURL+action {
			return w.submit(what, w.page, form, action, http.StatusSeeOther)
		}
	}
	w.require(false, "the partner's page has no form for %s", action)
	return emptyPage()
}

// called looks at the partner's next call behind the browser's back.
func (w *walk) called(what, method, path string, status int) {
	w.step(what, method, path, status, func() (*page, error) {
		answer, err := w.browser.open(w.ctx, w.demo.partnerURL+"/calls", nil)
		if err != nil {
			return nil, err
		}
		var seen struct {
			Problem string
			Calls   []struct {
				Method, Path string
				Status       int
			}
		}
		if err := json.Unmarshal([]byte(answer.body), &seen); err != nil {
			return nil, err
		}
		if len(seen.Calls) <= w.calls {
			return nil, fmt.Errorf("the partner made no such call: %s", seen.Problem)
		}
		call := seen.Calls[w.calls]
		w.calls++
		if call.Method != method {
			return nil, fmt.Errorf("the partner called %s %s", call.Method, call.Path)
		}
		return &page{url: &url.URL{Path: call.Path}, status: call.Status, header: http.Header{}}, nil
	})
}

// step takes one step, prints it and compares it.
func (w *walk) step(what, method, path string, status int, take func() (*page, error)) *page {
	if w.err != nil {
		return emptyPage()
	}
	w.steps++
	got, err := take()
	if err != nil {
		w.err = fmt.Errorf("step %02d, %s: %w", w.steps, what, err)
		return emptyPage()
	}
	fmt.Fprintf(w.demo.Out, "%02d  %-42s  %-4s  %-34s  %d\n", w.steps, what, method, brief(got.url), got.status)
	w.require(got.status == status, "%s answered %d, want %d", brief(got.url), got.status, status)
	w.require(strings.HasPrefix(got.url.Path, path), "the step went to %s, want %s", brief(got.url), path)
	return got
}

func (w *walk) require(ok bool, format string, args ...any) {
	if w.err == nil && !ok {
		w.err = &plan.Refusal{Exit: 1, What: fmt.Sprintf("step %02d: "+format, append([]any{w.steps}, args...)...),
			Next: "cat " + w.demo.shown(logFile(w.demo.hostDir)) + " " + w.demo.shown(logFile(w.demo.partnerDir))}
	}
}

func (w *walk) contains(p *page, texts ...string) {
	for _, text := range texts {
		w.require(strings.Contains(p.body, text), "the page does not say %q", text)
	}
}

// form returns the form of p with that field, and an empty one when the walk
// has ended.
func (w *walk) form(p *page, field string) *form {
	f := p.form(field)
	w.require(f != nil, "the page has no form with %q", field)
	if f == nil {
		return &form{values: url.Values{}}
	}
	return f
}

func emptyPage() *page { return &page{url: &url.URL{}, header: http.Header{}} }

// brief is where a page was found, without the query (it holds codes and
// states) and with the interaction's id cut short.
func brief(u *url.URL) string {
	path := u.Path
	if id, ok := strings.CutPrefix(path, wayIn); ok && len(id) > 6 {
		path = wayIn + id[:6] + "…"
	}
	if u.Hostname() == "127.0.0.1" {
		return "partner" + path
	}
	return path
}
