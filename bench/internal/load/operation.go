package load

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/lockspire/lockspire/bench/internal/ready"
)

// maxRequests bounds a flow that goes in circles.
const maxRequests = 12

// newOperation returns what worker number n repeats.
func newOperation(w ready.Workload, n int) operation {
	if w.Code != nil {
		return newCodeFlow(w, n)
	}
	headers := make([]string, len(w.Requests))
	for i, request := range w.Requests {
		headers[i] = headerLines(request.Header)
	}
	want, next := []byte(w.Want), n
	return func(c *conn, a *answer) (int, error) {
		i := next % len(headers)
		next++
		request := &w.Requests[i]
		if err := c.do(request.Method, request.Path, headers[i], "", request.Body, a); err != nil {
			return 0, err
		}
		return 1, a.check(request.Path, want)
	}
}

// check demands 200 and want in the body.
func (a *answer) check(path string, want []byte) error {
	if a.status != 200 || !bytes.Contains(a.body, want) {
		return fmt.Errorf("%s answered %d: %.300s", path, a.status, a.body)
	}
	return nil
}

func headerLines(header map[string]string) string {
	var lines strings.Builder
	for name, value := range header {
		fmt.Fprintf(&lines, "%s: %s\r\n", name, value)
	}
	return lines.String()
}

// codeFlow is one browser and its app.
type codeFlow struct {
	*ready.CodeFlow
	want        []byte
	tokenHeader string
	jar         []string
	state       int
}

func newCodeFlow(w ready.Workload, n int) operation {
	f := &codeFlow{CodeFlow: w.Code, want: []byte(w.Want), tokenHeader: headerLines(w.Code.Token.Header), state: (n + 1) << 32}
	if len(f.Cookies) > 0 {
		f.jar = []string{f.Cookies[n%len(f.Cookies)]}
	}
	return f.run
}

func (f *codeFlow) run(c *conn, a *answer) (int, error) {
	f.state++
	state := "state-" + strconv.Itoa(f.state)
	method, path, body := "GET", f.Authorize+"&state="+state, ""
	for requests := 1; requests < maxRequests; requests++ {
		header := ""
		if method == "POST" {
			header = formHeader
		}
		if err := c.do(method, path, header, strings.Join(f.jar, "; "), body, a); err != nil {
			return 0, err
		}
		f.keep(a.cookies)
		if a.location == "" {
			return 0, fmt.Errorf("%s answered %d without a Location: %.300s", path, a.status, a.body)
		}
		if query, arrived := strings.CutPrefix(a.location, f.RedirectURI+"?"); arrived {
			return requests + 1, f.redeem(c, a, query, state)
		}
		method, body = "GET", ""
		path = strings.TrimPrefix(a.location, "http://"+c.addr)
		if id, login := f.loginID(path); login {
			method, path, body = "POST", f.LoginPath, f.Login+"&id="+url.QueryEscape(id)
		}
	}
	return 0, fmt.Errorf("no code after %d requests, the last to %s", maxRequests, path)
}

const formHeader = "Content-Type: application/x-www-form-urlencoded\r\n"

// loginID returns the id of the request that a login page is about.
func (f *codeFlow) loginID(path string) (string, bool) {
	if f.LoginPath == "" || !strings.HasPrefix(path, f.LoginPath+"?") {
		return "", false
	}
	query, err := url.ParseQuery(path[len(f.LoginPath)+1:])
	return query.Get(f.LoginID), err == nil
}

// keep stores cookies as a browser does, whatever their path.
func (f *codeFlow) keep(cookies []string) {
	for _, cookie := range cookies {
		name, value, _ := strings.Cut(cookie, "=")
		f.jar = slices.DeleteFunc(f.jar, func(have string) bool { return strings.HasPrefix(have, name+"=") })
		if value != "" {
			f.jar = append(f.jar, cookie)
		}
	}
}

func (f *codeFlow) redeem(c *conn, a *answer, answered, state string) error {
	query, err := url.ParseQuery(answered)
	if err != nil || query.Get("state") != state || query.Get("code") == "" {
		return fmt.Errorf("the client was sent %q", answered)
	}
	body := f.Token.Body + "&code=" + url.QueryEscape(query.Get("code"))
	if err := c.do("POST", f.Token.Path, f.tokenHeader, "", body, a); err != nil {
		return err
	}
	return a.check(f.Token.Path, f.want)
}
