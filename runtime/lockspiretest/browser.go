package lockspiretest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// maxHops bounds redirects and meta refreshes of one navigation.
const maxHops = 10

// Browser keeps cookies, follows redirects and meta refreshes on its own
// origin, and stops where it would leave it: the page then says so by its
// status 303 and Location, or by its refresh target. It is for one goroutine.
type Browser struct {
	origin *url.URL
	client *http.Client
	server *httptest.Server
}

// NewBrowser serves handler on loopback as if it were origin, an absolute URL
// such as the issuer, and returns a browser with no cookies. Requests for any
// host reach handler, over TLS where the origin is https. The server is closed
// when the test ends.
func NewBrowser(t testing.TB, handler http.Handler, origin string) *Browser {
	t.Helper()
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		t.Fatalf("lockspiretest: origin %q is not an absolute URL", origin)
	}
	server := httptest.NewUnstartedServer(handler)
	if u.Scheme == "https" {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	b := &Browser{origin: &url.URL{Scheme: u.Scheme, Host: u.Host}, server: server}
	b.client = b.newClient()
	return b
}

// Open returns a browser with no cookies for an application that already runs
// at origin, in another process perhaps.
func Open(t testing.TB, origin string) *Browser {
	t.Helper()
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		t.Fatalf("lockspiretest: origin %q is not an absolute URL", origin)
	}
	b := &Browser{origin: &url.URL{Scheme: u.Scheme, Host: u.Host}}
	b.client = b.newClient()
	return b
}

// Another returns a second browser of the same server, without cookies.
func (b *Browser) Another() *Browser {
	other := &Browser{origin: b.origin, server: b.server}
	other.client = other.newClient()
	return other
}

func (b *Browser) newClient() *http.Client {
	jar, _ := cookiejar.New(nil) // New fails for no options it is given here
	client := &http.Client{
		Jar:           jar,
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if b.server == nil {
		return client
	}
	var dialer net.Dialer
	address := b.server.Listener.Addr().String()
	client.Transport = &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		},
		// The certificate is httptest's, for another name than the issuer's;
		// the connection never leaves this process's loopback.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	return client
}

// HTTPClient returns the browser's client: it does not follow redirects.
func (b *Browser) HTTPClient() *http.Client { return b.client }

// Get navigates to a path on the origin or to an absolute URL of it.
func (b *Browser) Get(target string) (*Page, error) {
	u, err := b.origin.Parse(target)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequest(http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Sec-Fetch-Site", "none")
	return b.follow(request)
}

// post submits a form as a browser does from the page at from.
func (b *Browser) post(target string, values url.Values, from *url.URL) (*Page, error) {
	request, err := http.NewRequest(http.MethodPost, target, strings.NewReader(values.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", from.Scheme+"://"+from.Host)
	request.Header.Set("Referer", from.String())
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.follow(request)
}

func (b *Browser) follow(request *http.Request) (*Page, error) {
	for hop := 0; hop < maxHops; hop++ {
		page, err := b.do(request)
		if err != nil {
			return nil, err
		}
		next := page.Refresh()
		if location := page.Header.Get("Location"); next == nil && location != "" {
			if next, err = page.URL.Parse(location); err != nil {
				return nil, err
			}
		}
		if next == nil || next.Scheme != b.origin.Scheme || next.Host != b.origin.Host {
			return page, nil
		}
		if request, err = http.NewRequest(http.MethodGet, next.String(), nil); err != nil {
			return nil, err
		}
		request.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	return nil, errors.New("lockspiretest: too many redirects, the last to " + request.URL.Path)
}

func (b *Browser) do(request *http.Request) (*Page, error) {
	response, err := b.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return &Page{URL: request.URL, Status: response.StatusCode, Header: response.Header, Body: string(body), browser: b}, nil
}

// Leaving returns where the page sends the browser next, off this origin: the
// target of a redirect or of the leave page. It is nil when the browser stays.
func (p *Page) Leaving() *url.URL {
	if target := p.Refresh(); target != nil {
		return target
	}
	if location := p.Header.Get("Location"); location != "" {
		if target, err := p.URL.Parse(location); err == nil {
			return target
		}
	}
	return nil
}
