package demo

import (
	"context"
	"encoding/xml"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// browser is one person's browser: it keeps cookies, tells servers where a
// request came from as browsers do, and takes one hop at a time, so that each
// can be looked at.
type browser struct{ client *http.Client }

func newBrowser() *browser {
	jar, _ := cookiejar.New(nil) // fails for no options that are given here
	return &browser{&http.Client{
		Jar:           jar,
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// page is one answer.
type page struct {
	url    *url.URL
	status int
	header http.Header
	body   string
	// site is what Sec-Fetch-Site said of the request.
	site string
}

// open goes to target. from is the page that leads there, nil for the address
// bar.
func (b *browser) open(ctx context.Context, target string, from *page) (*page, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	return b.do(request, from)
}

func (b *browser) submit(ctx context.Context, form *form, from *page) (*page, error) {
	request, err := http.NewRequestWithContext(ctx, form.method, form.action, strings.NewReader(form.values.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", from.url.Scheme+"://"+from.url.Host)
	return b.do(request, from)
}

func (b *browser) do(request *http.Request, from *page) (*page, error) {
	site := fetchSite(request.URL, from)
	request.Header.Set("Sec-Fetch-Site", site)
	request.Header.Set("Sec-Fetch-Mode", "navigate")
	request.Header.Set("Sec-Fetch-Dest", "document")
	response, err := b.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	return &page{request.URL, response.StatusCode, response.Header, string(body), site}, nil
}

// fetchSite is the Sec-Fetch-Site of a navigation (W3C Fetch Metadata §2.3):
// a redirect keeps what the chain before it was, while a page that was shown
// begins a new one.
func fetchSite(target *url.URL, from *page) string {
	switch {
	case from == nil:
		return "none"
	case from.redirects() && from.site == "cross-site":
		return "cross-site"
	case target.Hostname() != from.url.Hostname():
		return "cross-site"
	case target.Host != from.url.Host:
		return "same-site"
	}
	return "same-origin"
}

func (p *page) redirects() bool { return p.header.Get("Location") != "" }

var refresh = regexp.MustCompile(`(?i)<meta http-equiv="refresh" content="\d+; ?url=([^"]+)"`)

// next is where the page sends the browser by itself: a redirect or a meta
// refresh. It is "" when the page stays.
func (p *page) next() string {
	location := p.header.Get("Location")
	if match := refresh.FindStringSubmatch(p.body); location == "" && match != nil {
		location = html.UnescapeString(match[1])
	}
	if location == "" {
		return ""
	}
	u, err := p.url.Parse(location)
	if err != nil {
		return ""
	}
	return u.String()
}

// form is an HTML form, filled in as the page had it.
type form struct {
	method, action string
	values         url.Values
	buttons        []string // "name=value" of its named submit buttons
}

// form returns the form of the page that has a field or button of that name,
// or nil.
func (p *page) form(field string) *form {
	for _, f := range p.forms() {
		if f.values.Has(field) {
			return f
		}
		for _, button := range f.buttons {
			if strings.HasPrefix(button, field+"=") {
				return f
			}
		}
	}
	return nil
}

// unreadable is what an XML reader stumbles over in well-formed HTML.
var unreadable = regexp.MustCompile(`(?is)<style\b.*?</style>|<!doctype[^>]*>|<!--.*?-->`)

func (p *page) forms() []*form {
	decoder := xml.NewDecoder(strings.NewReader(unreadable.ReplaceAllString(p.body, "")))
	decoder.Strict = false
	decoder.AutoClose = xml.HTMLAutoClose
	decoder.Entity = xml.HTMLEntity
	var forms []*form
	for open := false; ; {
		token, err := decoder.Token()
		if err != nil {
			return forms
		}
		switch element := token.(type) {
		case xml.StartElement:
			if element.Name.Local == "form" {
				open = true
				forms = append(forms, p.newForm(element))
			} else if open {
				forms[len(forms)-1].add(element)
			}
		case xml.EndElement:
			open = open && element.Name.Local != "form"
		}
	}
}

func (p *page) newForm(element xml.StartElement) *form {
	f := &form{method: strings.ToUpper(attribute(element, "method")), action: p.url.String(), values: url.Values{}}
	if u, err := p.url.Parse(attribute(element, "action")); err == nil {
		f.action = u.String()
	}
	return f
}

func (f *form) add(element xml.StartElement) {
	name, value, kind := attribute(element, "name"), attribute(element, "value"), attribute(element, "type")
	switch {
	case name == "":
	case element.Name.Local == "button" || element.Name.Local == "input" && kind == "submit":
		f.buttons = append(f.buttons, name+"="+value)
	case element.Name.Local != "input":
	case (kind == "checkbox" || kind == "radio") && !has(element, "checked"):
	default:
		f.values.Add(name, value)
	}
}

func attribute(element xml.StartElement, name string) string {
	for _, a := range element.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func has(element xml.StartElement, name string) bool {
	return slices.ContainsFunc(element.Attr, func(a xml.Attr) bool { return a.Name.Local == name })
}
