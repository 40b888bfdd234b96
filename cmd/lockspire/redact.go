package main

import (
	"net/url"
	"regexp"
	"strings"
)

// redactor takes connection strings and passwords out of text. Drivers and
// libraries put them into their errors whole, in part, and escaped otherwise
// than they were given.
type redactor struct{ literal []string }

var (
	userinfo    = regexp.MustCompile(`(://[^\s/:@?#]*):[^\s]*@`)
	passwordKey = regexp.MustCompile(`(?i)((?:^|[?&;\s])(?:ssl)?password=)('[^']*'|[^&;\s]*)`)
)

// hide adds a connection string, and the password in it in every spelling.
func (r *redactor) hide(dsn string) {
	if dsn == "" {
		return
	}
	r.literal = append(r.literal, dsn)
	r.hidePassword(passwordOf(dsn))
	// Not url.Parse: the rest of the URL may be broken.
	_, query, _ := strings.Cut(dsn, "?")
	values, _ := url.ParseQuery(query) // what parses is returned beside the error
	for key, passwords := range values {
		if strings.Contains(strings.ToLower(key), "password") {
			r.hidePassword(passwords...)
		}
	}
}

func (r *redactor) hidePassword(passwords ...string) {
	for _, p := range passwords {
		// A shorter one would be found in every other word; the patterns above
		// still catch it in its place.
		if len(p) < 4 {
			continue
		}
		r.literal = append(r.literal, p)
		if plain, err := url.PathUnescape(p); err == nil {
			_, inURL, _ := strings.Cut(url.UserPassword("", plain).String(), ":")
			r.literal = append(r.literal, plain, inURL, url.QueryEscape(plain), url.PathEscape(plain))
		}
	}
}

// passwordOf finds the password of a URL that may not even parse.
func passwordOf(dsn string) string {
	_, rest, ok := strings.Cut(dsn, "://")
	at := strings.LastIndexByte(rest, '@')
	if !ok || at < 0 {
		return ""
	}
	_, password, _ := strings.Cut(rest[:at], ":")
	return password
}

func (r *redactor) redact(text string) string {
	for _, secret := range r.literal {
		text = strings.ReplaceAll(text, secret, "***")
	}
	text = userinfo.ReplaceAllString(text, "$1:***@")
	return passwordKey.ReplaceAllString(text, "$1***")
}
