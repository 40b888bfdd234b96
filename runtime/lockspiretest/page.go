package lockspiretest

import (
	"encoding/xml"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// Page is a response that the browser ended on.
type Page struct {
	// URL is where it was found, after redirects.
	URL *url.URL
	// Status and Header are the response's.
	Status int
	Header http.Header
	// Body is the whole body.
	Body string

	browser *Browser
}

// Form is an HTML form with the values that a browser would send.
type Form struct {
	Method string
	Action *url.URL
	// Values are the fields as the page filled them in; checkboxes count when
	// they are ticked. Submit buttons are left out.
	Values url.Values
	// Buttons are the named submit buttons.
	Buttons []Button

	page *Page
}

// Button is a submit button that has a name.
type Button struct{ Name, Value string }

// hidden matches what an XML reader would stumble over.
var hidden = regexp.MustCompile(`(?is)<(script|style)\b[^>]*>.*?</(script|style)>|<!doctype[^>]*>|<!--.*?-->`)

// Forms returns the forms of the page in order. It reads well-formed HTML, as
// html/template writes it.
func (p *Page) Forms() []*Form {
	decoder := xml.NewDecoder(strings.NewReader(hidden.ReplaceAllString(p.Body, "")))
	decoder.Strict = false
	decoder.AutoClose = xml.HTMLAutoClose
	decoder.Entity = xml.HTMLEntity

	var forms []*Form
	var form *Form
	for {
		token, err := decoder.Token()
		if err != nil {
			return forms
		}
		switch element := token.(type) {
		case xml.StartElement:
			if strings.EqualFold(element.Name.Local, "form") {
				form = p.newForm(element)
				forms = append(forms, form)
			} else if form != nil {
				form.add(element)
			}
		case xml.EndElement:
			if strings.EqualFold(element.Name.Local, "form") {
				form = nil
			}
		}
	}
}

func (p *Page) newForm(element xml.StartElement) *Form {
	form := &Form{Method: strings.ToUpper(attribute(element, "method")), Values: url.Values{}, page: p, Action: p.URL}
	if form.Method == "" {
		form.Method = http.MethodGet
	}
	if action, err := p.URL.Parse(attribute(element, "action")); err == nil {
		form.Action = action
	}
	return form
}

func (f *Form) add(element xml.StartElement) {
	name, value := attribute(element, "name"), attribute(element, "value")
	kind := strings.ToLower(attribute(element, "type"))
	switch strings.ToLower(element.Name.Local) {
	case "button":
		if name != "" && kind != "button" {
			f.Buttons = append(f.Buttons, Button{name, value})
		}
	case "input":
		switch {
		case name == "":
		case kind == "submit":
			f.Buttons = append(f.Buttons, Button{name, value})
		case kind == "checkbox" || kind == "radio":
			if has(element, "checked") {
				f.Values.Add(name, value)
			}
		default:
			f.Values.Add(name, value)
		}
	}
}

// Form returns the first form that has a field or button of that name, or nil.
func (p *Page) Form(field string) *Form {
	for _, form := range p.Forms() {
		if form.Values.Has(field) {
			return form
		}
		for _, button := range form.Buttons {
			if button.Name == field {
				return form
			}
		}
	}
	return nil
}

// Submit sends the form with the given values added or replaced and returns
// the page that the browser ends on.
func (f *Form) Submit(overrides ...string) (*Page, error) {
	values := url.Values{}
	for name, list := range f.Values {
		values[name] = append([]string(nil), list...)
	}
	for i := 0; i+1 < len(overrides); i += 2 {
		values.Set(overrides[i], overrides[i+1])
	}
	if f.Method == http.MethodGet {
		target := *f.Action
		target.RawQuery = values.Encode()
		return f.page.browser.Get(target.String())
	}
	return f.page.browser.post(f.Action.String(), values, f.page.URL)
}

var refresh = regexp.MustCompile(`(?is)<meta[^>]+http-equiv=["']?refresh["']?[^>]*content=["']\d+;\s*url=([^"']+)["']`)

// Refresh returns the target of the page's meta refresh, resolved against the
// page, or nil.
func (p *Page) Refresh() *url.URL {
	match := refresh.FindStringSubmatch(p.Body)
	if match == nil {
		return nil
	}
	target, err := p.URL.Parse(html.UnescapeString(match[1]))
	if err != nil {
		return nil
	}
	return target
}

func attribute(element xml.StartElement, name string) string {
	for _, a := range element.Attr {
		if strings.EqualFold(a.Name.Local, name) {
			return a.Value
		}
	}
	return ""
}

func has(element xml.StartElement, name string) bool {
	for _, a := range element.Attr {
		if strings.EqualFold(a.Name.Local, name) {
			return true
		}
	}
	return false
}
