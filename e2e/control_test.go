package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestChromiumStopsARedirectAfterAFormPost is the control of the tests beside
// it: the leave page is needed, since this browser applies form-action of the
// page with the form to the redirect that answers it.
func TestChromiumStopsARedirectAfterAFormPost(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `<p id="back">arrived</p>`)
	}))
	defer elsewhere.Close()
	posted := make(chan struct{}, 2)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /form", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", r.URL.Query().Get("policy"))
		fmt.Fprint(w, `<form method="post" action="/form"><button>go</button></form>`)
	})
	mux.HandleFunc("POST /form", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusSeeOther)
		posted <- struct{}{}
	})
	here := httptest.NewServer(mux)
	defer here.Close()
	page := strings.Replace(here.URL, "127.0.0.1", "localhost", 1) + "/form"

	browser := startChromium(t, nil)
	free := newTab(t, browser, true)
	free.open(page + "?policy=default-src+'none'")
	free.click("button")
	<-posted
	free.arrive(elsewhere.URL, "#back")

	bound := newTab(t, browser, true)
	bound.open(page + "?policy=form-action+'self'")
	bound.click("button")
	<-posted
	time.Sleep(time.Second) // the redirect would have been followed long since
	bound.arrive(page, "button")
	bound.expectWalked("localhost/form 200")
}
