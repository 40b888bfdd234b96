// Package doctor asks a running issuer what its clients will ask, from outside, and reports what they will trip over. It
// knows nothing of how the issuer is built: any OpenID provider or OAuth 2.0 authorization server may be asked. It sends
// no credentials, changes nothing, and follows no redirect.
package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Severity says what a finding means for the exit code: only errors count.
type Severity string

const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
)

// Check is one thing that doctor looks at. Its ID never changes its meaning.
type Check struct {
	ID       string
	Name     string
	Severity Severity
	Title    string
	Why      string
	run      func(*visit)
}

// Checks are all checks, in the order in which they are made.
var Checks = []*Check{
	transport, discovery, issuerMismatch, rootMetadata, metadata, keySet, caching, crossOrigin, clock,
	tokenReached, authorizePage, openRedirect, userinfoChallenge, introspectionOpen, resourceMetadata,
}

// Finding is one thing that a check found.
type Finding struct {
	Check    *Check
	Severity Severity
	URL      string // what was asked
	Message  string
	Fix      string
}

// Report is the outcome of a run.
type Report struct {
	Issuer   string
	Requests int
	Findings []Finding // in the order of Checks
}

// Count returns how many findings have a severity.
func (r Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// ErrNoURL is returned for what is no issuer identifier.
var ErrNoURL = errors.New("not an issuer: give an http or https URL without query, fragment and user")

// UnreachableError says that the issuer could not be asked at all.
type UnreachableError struct {
	URL string
	Err error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%s cannot be reached: %v", e.URL, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Options say whom to ask.
type Options struct {
	Issuer string            // Required. The issuer identifier as clients are given it, or the URL of its metadata
	Client http.RoundTripper // Defaults to a transport of its own
}

// Run asks the issuer. It returns an *UnreachableError when nothing answers, ErrNoURL for an unusable URL, and the
// context's error when it ends first; anything else that is wrong is a finding.
func Run(ctx context.Context, o Options) (*Report, error) {
	issuer, err := parseIssuer(o.Issuer)
	if err != nil {
		return nil, err
	}
	if o.Client == nil {
		// Old TLS is reported, not refused: the issuer's clients may be older than this one.
		o.Client = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS10}}
	}
	v := &visit{ctx: ctx, issuer: issuer, report: &Report{Issuer: issuer.String()}, client: &http.Client{
		Transport: o.Client, Timeout: 15 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	v.oidc = v.get(v.issuerURL(wellKnownOIDC))
	if v.oidc.err != nil && !certificate(v.oidc.err) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &UnreachableError{URL: v.oidc.url, Err: v.oidc.err}
	}
	v.oauth = v.get(v.rootURL(wellKnownOAuth))
	v.choose()
	for _, c := range Checks {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		v.check = c
		c.run(v)
	}
	return v.report, ctx.Err()
}

const (
	wellKnownOIDC     = "/.well-known/openid-configuration"
	wellKnownOAuth    = "/.well-known/oauth-authorization-server"
	wellKnownResource = "/.well-known/oauth-protected-resource"
)

// parseIssuer takes an issuer, or the URL of its metadata that people have at hand.
func parseIssuer(text string) (*url.URL, error) {
	text = strings.TrimSuffix(text, wellKnownOIDC)
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, ErrNoURL
	}
	if path, ok := strings.CutPrefix(u.Path, wellKnownOAuth); ok {
		u.Path, u.RawPath = path, ""
	}
	return u, nil
}

// visit is one run.
type visit struct {
	ctx    context.Context
	client *http.Client
	issuer *url.URL
	report *Report
	check  *Check
	oidc   *answer // <issuer>/.well-known/openid-configuration
	oauth  *answer // /.well-known/oauth-authorization-server<issuer's path>
	doc    document
	source *answer // which of the two doc was read from; nil when there is none
}

// answer is what came back, read to a limit, or why nothing did.
type answer struct {
	url    string
	status int
	header http.Header
	body   []byte
	tls    *tls.ConnectionState
	sent   time.Time
	took   time.Duration
	err    error
}

const bodyLimit = 1 << 20

func (v *visit) get(target string, header ...string) *answer {
	return v.ask("GET", target, "", header...)
}

// ask sends one request. Headers come in pairs.
func (v *visit) ask(method, target, body string, header ...string) *answer {
	v.report.Requests++
	a := &answer{url: target, sent: time.Now()}
	r, err := http.NewRequestWithContext(v.ctx, method, target, strings.NewReader(body))
	if err != nil {
		a.err = err
		return a
	}
	r.Header.Set("User-Agent", "lockspire-doctor")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := v.client.Do(r)
	if err != nil {
		var outer *url.Error // its text repeats the URL
		if a.err = err; errors.As(err, &outer) {
			a.err = outer.Err
		}
		return a
	}
	defer response.Body.Close()
	a.took, a.status, a.header, a.tls = time.Since(a.sent), response.StatusCode, response.Header, response.TLS
	a.body, a.err = io.ReadAll(io.LimitReader(response.Body, bodyLimit))
	return a
}

func (v *visit) issuerURL(path string) string {
	return strings.TrimSuffix(v.issuer.String(), "/") + path
}

// rootURL puts a well-known path between host and path (RFC 8414 §3.1).
func (v *visit) rootURL(wellKnown string) string {
	u := *v.issuer
	u.Path, u.RawPath = wellKnown+strings.TrimSuffix(v.issuer.Path, "/"), ""
	return u.String()
}

// found adds a finding of the check's own severity and returns it.
func (v *visit) found(target, format string, args ...any) *Finding {
	v.report.Findings = append(v.report.Findings, Finding{Check: v.check, Severity: v.check.Severity, URL: target, Message: fmt.Sprintf(format, args...)})
	return &v.report.Findings[len(v.report.Findings)-1]
}

func (f *Finding) as(s Severity) *Finding {
	f.Severity = s
	return f
}

func (f *Finding) fix(text string) { f.Fix = text }

// json reports whether the answer is said to be JSON.
func (a *answer) json() bool {
	kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	return kind == "application/json" || strings.HasSuffix(kind, "+json")
}

// shape is how an unexpected answer is described: never its text, which may carry anything.
func (a *answer) shape() string {
	if a.err != nil {
		return "no answer: " + a.err.Error()
	}
	text := fmt.Sprintf("%d", a.status)
	if kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";"); kind != "" {
		text += " " + kind
	}
	if to := a.header.Get("Location"); to != "" {
		if u, err := url.Parse(to); err == nil {
			u.RawQuery, u.Fragment, u.User = "", "", nil
			text += " to " + u.String()
		}
	}
	return text
}

func (a *answer) redirects() bool { return a.err == nil && a.status >= 300 && a.status < 400 }

// certificate reports errors that are about the certificate and not about the network.
func certificate(err error) bool {
	var verification *tls.CertificateVerificationError
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	return errors.As(err, &verification) || errors.As(err, &host) || errors.As(err, &authority)
}

// loopback reports hosts that only this machine reaches.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
