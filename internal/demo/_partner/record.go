package main

import "net/http"

// call is one request that this app made without the browser.
type call struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Status int    `json:"status"`
}

// recorder notes each request of one visit, so that the page can show what
// happens behind it.
type recorder struct {
	visit *visit // nil: not noted
}

// client returns an HTTP client whose calls are noted in v. The caller holds
// v.mu for as long as it uses the client.
func client(v *visit) *http.Client {
	return &http.Client{Transport: &recorder{v}}
}

func (t *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && t.visit != nil {
		t.visit.Calls = append(t.visit.Calls, call{r.Method, r.URL.Path, response.StatusCode})
	}
	return response, err
}
