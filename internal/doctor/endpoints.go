package doctor

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const stranger = "https://doctor.lockspire.invalid" // RFC 2606: nobody's

var caching = &Check{
	ID: "LS607", Name: "caching", Severity: Warning, Title: "Metadata and keys may be cached for a while, answers of the token endpoint never",
	Why: "Without a lifetime every verifier asks again for every token, or keeps a key for ever; a day is too long for a key that was revoked. Token answers are no-store (RFC 6749 §5.1).",
	run: func(v *visit) {
		if v.source == nil {
			return
		}
		answers := []*answer{v.source}
		if v.doc.JWKSURI != "" {
			answers = append(answers, v.get(v.doc.JWKSURI))
		}
		for _, a := range answers {
			age, ok := maxAge(a.header.Get("Cache-Control"))
			switch {
			case a.err != nil || a.status != http.StatusOK:
			case !ok:
				v.found(a.url, "nothing says how long this may be cached").as(Info).fix("send Cache-Control: public, max-age=300")
			case age > 24*time.Hour:
				v.found(a.url, "this may be cached for %s: a revoked key lives on as long", age)
			}
		}
	},
}

func maxAge(control string) (time.Duration, bool) {
	for _, directive := range strings.Split(control, ",") {
		if seconds, ok := strings.CutPrefix(strings.TrimSpace(directive), "max-age="); ok {
			n, err := strconv.Atoi(seconds)
			return time.Duration(n) * time.Second, err == nil
		}
	}
	return 0, false
}

var crossOrigin = &Check{
	ID: "LS608", Name: "cors", Severity: Error, Title: "Other origins may read metadata and keys, and never the authorization endpoint",
	Why: "Apps in browsers read metadata and keys across origins. The authorization endpoint belongs to the user's session: CORS there lets a page of somebody else read it (RFC 9700 §2.6).",
	run: func(v *visit) {
		if v.source == nil {
			return
		}
		if a := v.get(v.source.url, "Origin", stranger); a.err == nil && a.header.Get("Access-Control-Allow-Origin") == "" {
			v.found(a.url, "browsers do not show the metadata to apps on other origins").as(Info).fix("send Access-Control-Allow-Origin: * there and with the key set, if such apps are wanted")
		}
		for _, a := range []*answer{
			v.get(v.doc.AuthorizationEndpoint, "Origin", stranger),
			v.ask("OPTIONS", v.doc.AuthorizationEndpoint, "", "Origin", stranger, "Access-Control-Request-Method", "GET"),
		} {
			if allowed := a.header.Get("Access-Control-Allow-Origin"); a.err == nil && (allowed == "*" || allowed == stranger) {
				v.found(a.url, "CORS lets %s read the authorization endpoint", allowed).fix("take it out of the CORS middleware")
				break
			}
		}
		a := v.ask("POST", v.doc.TokenEndpoint, "grant_type=doctor", "Content-Type", form, "Origin", stranger)
		if a.err == nil && a.header.Get("Access-Control-Allow-Origin") == stranger && a.header.Get("Access-Control-Allow-Credentials") == "true" {
			v.found(a.url, "any origin may use the browser's cookies at the token endpoint").fix("allow origins without credentials")
		}
	},
}

const form = "application/x-www-form-urlencoded"

var clock = &Check{
	ID: "LS609", Name: "clock", Severity: Warning, Title: "The issuer's clock and this machine's agree",
	Why: "Tokens say when they were made and when they end, to the second. Verifiers give a minute at most.",
	run: func(v *visit) {
		a := v.oidc
		if a.err != nil {
			return
		}
		said, err := http.ParseTime(a.header.Get("Date"))
		if err != nil {
			return
		}
		// The header has whole seconds, and the answer was on its way for a part of the time it took.
		off := said.Sub(a.sent.Add(a.took / 2)).Round(time.Second)
		if slack := 2*time.Second + a.took; off.Abs() > slack {
			direction := "ahead of"
			if off < 0 {
				direction = "behind"
			}
			f := v.found(a.url, "its clock is %s %s the clock here", off.Abs(), direction)
			f.fix("run a time service on both machines")
			if off.Abs() > time.Minute {
				f.as(Error)
			}
		}
	},
}

var tokenReached = &Check{
	ID: "LS610", Name: "token-reached", Severity: Error, Title: "A form that a program posts reaches the token endpoint",
	Why: "Clients post without cookies and without a CSRF token, from servers and from browsers on other origins. A CSRF or login middleware in front, a redirect to a clean path or a catch-all page stop every one of them.",
	run: func(v *visit) {
		if v.doc.TokenEndpoint == "" {
			return
		}
		for _, sender := range []struct {
			who    string
			header []string
		}{
			{"a program", nil},
			{"an app in a browser on another origin", []string{"Origin", stranger, "Sec-Fetch-Site", "cross-site"}},
		} {
			a := v.ask("POST", v.doc.TokenEndpoint, "grant_type=authorization_code&code=doctor&client_id=doctor", append([]string{"Content-Type", form, "Accept", "application/json"}, sender.header...)...)
			if what, fix := a.tokenAnswer(); what != "" {
				f := v.found(a.url, "%s is not answered by the token endpoint: %s (%s)", sender.who, what, a.shape())
				f.fix(fix)
				if sender.header != nil {
					f.as(Warning)
				}
				return
			}
			if sender.header == nil && !strings.Contains(a.header.Get("Cache-Control"), "no-store") {
				v.found(a.url, "its answers may be cached").as(Warning).fix("send Cache-Control: no-store (RFC 6749 §5.1)")
			}
		}
	},
}

// tokenAnswer says what is wrong with an answer to a client that does not exist; it has to be an error of RFC 6749 §5.2.
func (a *answer) tokenAnswer() (what, fix string) {
	var body struct {
		Error string `json:"error"`
	}
	isError := a.err == nil && json.Unmarshal(a.body, &body) == nil && body.Error != ""
	switch {
	case isError && (a.status == http.StatusBadRequest || a.status == http.StatusUnauthorized || a.status == http.StatusTooManyRequests):
		return "", ""
	case a.err != nil:
		return "nothing came back", "see the server's log"
	case a.redirects():
		return "it is redirected, and a redirect loses the form", "let machine endpoints pass login and path-cleaning middleware, and publish the clean URL"
	case a.status == http.StatusForbidden || a.status == 419:
		return "a check against cross-site requests or a login stands in front", "exempt the exact path and method of the token endpoint from it"
	case a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed:
		return "no route takes POST there", "route POST of this path to the provider"
	case a.status >= 500:
		return "it fails", "see the server's log"
	case a.status == http.StatusOK && !a.json():
		return "a page answers instead", "register the endpoint ahead of the catch-all, for POST"
	}
	return "the answer is no error of RFC 6749 §5.2", "see the server's log"
}

var authorizePage = &Check{
	ID: "LS611", Name: "authorize-page", Severity: Error, Title: "An authorization request without a client gets a page of the issuer, in no frame",
	Why: "With no client there is nobody to send an error to (RFC 6749 §4.1.2.1). The page carries the user's session and must not be shown inside another site's (RFC 9700 §4.16).",
	run: func(v *visit) {
		if v.doc.AuthorizationEndpoint == "" {
			return
		}
		a := v.get(v.doc.AuthorizationEndpoint, "Accept", "text/html")
		switch {
		case a.err != nil || a.status >= 500 || a.status == http.StatusNotFound:
			v.found(a.url, "there is no page: %s", a.shape())
			return
		case a.redirects() && !v.sameSite(a.header.Get("Location")):
			v.found(a.url, "the browser is sent elsewhere: %s", a.shape())
			return
		case a.redirects():
			v.found(a.url, "the browser is redirected before the request was looked at: %s", a.shape()).as(Info)
			return
		case a.status == http.StatusOK:
			v.found(a.url, "the page of an error is a 200").as(Info)
		}
		if !strings.Contains(a.header.Get("Content-Security-Policy"), "frame-ancestors") && a.header.Get("X-Frame-Options") == "" {
			v.found(a.url, "another site may show this page in a frame").as(Warning).fix("send Content-Security-Policy: frame-ancestors 'none'")
		}
	},
}

// sameSite reports whether a Location stays on the issuer's host.
func (v *visit) sameSite(location string) bool {
	u, err := url.Parse(location)
	return err == nil && (u.Host == "" && !strings.HasPrefix(location, "//") || u.Host == v.issuer.Host)
}

var openRedirect = &Check{
	ID: "LS612", Name: "open-redirect", Severity: Error, Title: "A request of an unknown client goes nowhere",
	Why: "An error that is sent to a redirect_uri nobody registered makes the issuer a redirector for phishing (RFC 9700 §4.11.2).",
	run: func(v *visit) {
		if v.doc.AuthorizationEndpoint == "" {
			return
		}
		query := url.Values{"response_type": {"code"}, "client_id": {"doctor-knows-no-client"}, "redirect_uri": {stranger + "/cb"}, "state": {"doctor"}, "scope": {"openid"}}
		target := v.doc.AuthorizationEndpoint
		if strings.Contains(target, "?") {
			target += "&" + query.Encode()
		} else {
			target += "?" + query.Encode()
		}
		a := v.get(target)
		if a.redirects() && strings.HasPrefix(a.header.Get("Location"), stranger) {
			v.found(v.doc.AuthorizationEndpoint, "an unknown client's redirect_uri is followed").fix("answer with a page as long as redirect_uri is not proven")
		}
	},
}

var userinfoChallenge = &Check{
	ID: "LS613", Name: "bearer-challenge", Severity: Warning, Title: "The userinfo endpoint asks for a token",
	Why: "A request without a token is answered 401 with a Bearer challenge (RFC 6750 §3); a redirect to a login page or a 403 is what a program cannot read.",
	run: func(v *visit) {
		if v.doc.UserinfoEndpoint == "" {
			return
		}
		a := v.get(v.doc.UserinfoEndpoint)
		if a.err != nil || a.status != http.StatusUnauthorized || !strings.HasPrefix(strings.ToLower(a.header.Get("WWW-Authenticate")), "bearer") {
			f := v.found(a.url, "without a token the answer is %s, not a 401 with a Bearer challenge", a.shape())
			if a.err == nil && a.status == http.StatusOK {
				f.as(Error)
			}
		}
	},
}

var introspectionOpen = &Check{
	ID: "LS614", Name: "introspection-open", Severity: Error, Title: "The introspection endpoint answers nobody without credentials",
	Why: "Whoever may ask whether a token is good can try tokens until one is (RFC 7662 §2.1, §4).",
	run: func(v *visit) {
		if v.doc.IntrospectionEndpoint == "" {
			return
		}
		a := v.ask("POST", v.doc.IntrospectionEndpoint, "token=doctor", "Content-Type", form)
		var body map[string]any
		if a.err != nil || a.status != http.StatusOK || json.Unmarshal(a.body, &body) != nil {
			return
		}
		if _, told := body["active"]; told {
			v.found(a.url, "a stranger is told whether a token is active").fix("demand client authentication")
		}
	},
}

var resourceMetadata = &Check{
	ID: "LS615", Name: "resource-metadata", Severity: Info, Title: "The API on this host names its authorization server",
	Why: "MCP clients are given the API's URL and find the issuer in its metadata (RFC 9728).",
	run: func(v *visit) {
		if v.source == nil {
			return
		}
		origin := fmt.Sprintf("%s://%s", v.issuer.Scheme, v.issuer.Host)
		a := v.get(origin + wellKnownResource)
		var body struct {
			Servers []string `json:"authorization_servers"`
		}
		switch {
		case a.err != nil || a.status != http.StatusOK || json.Unmarshal(a.body, &body) != nil:
			v.found(a.url, "there is no metadata of a protected resource at the root of this host")
		case !slices.Contains(body.Servers, v.issuer.String()):
			v.found(a.url, "the metadata of this host's API names other authorization servers: %s", strings.Join(body.Servers, ", ")).as(Warning)
		}
	},
}
